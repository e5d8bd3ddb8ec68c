import EtcdMessages
import FoundationEssentials
import GRPC
import RegistryStore

/// etcd's service `Lease`. A registration with a lease of its own (a v2 ttl, an HTTP dialect) appears as a lease with
/// that one key: it can be asked for, kept alive and revoked like a granted one, but is not listed.
struct LeaseService: Sendable {
    let context: V3Context
    /// etcd's bound, in seconds.
    static let secondsMax: Int64 = 9_000_000_000

    private var registry: Registry { context.registry }

    func grant(_ request: EtcdLeaseGrantRequest) throws(GRPCStatus) -> EtcdLeaseGrantResponse {
        guard request.ttl <= Self.secondsMax else { throw .leaseTooLong }
        let seconds = max(request.ttl, context.configuration.leaseSecondsMin)
        let lease: LeaseInfo
        do throws(RegistryError) {
            lease = try registry.grantLease(
                id: request.id == 0 ? ownID() : LeaseID(request.id), milliseconds: seconds * 1000)
        } catch {
            throw GRPCStatus(error)
        }
        var response = EtcdLeaseGrantResponse()
        response.header = context.header()
        response.id = lease.id.rawValue
        response.ttl = seconds
        return response
    }

    /// An id with this node's mark, where there are several; nil for the registry's choice.
    private func ownID() -> LeaseID? {
        let tag = context.keyspace.numbers.tag
        guard tag != 0 else { return nil }
        return LeaseID(Int64(tag) << Self.idBits | .random(in: 1..<1 << Self.idBits))
    }

    /// Bits of an id below its mark.
    private static let idBits: Int64 = 55

    /// Whether a lease that is not known here may run at another node: a client that was told that it is over would
    /// give up its registration. Leases come here with the first key that is attached to them.
    private func mayBeElsewhere(_ id: Int64) -> Bool {
        context.configuration.hasSeveralMembers && id >> Self.idBits != Int64(context.keyspace.numbers.tag)
    }

    func revoke(_ request: EtcdLeaseRevokeRequest) throws(GRPCStatus) -> EtcdLeaseRevokeResponse {
        var response = EtcdLeaseRevokeResponse()
        do throws(RegistryError) {
            response.header = context.header(try registry.revokeLease(LeaseID(request.id)).revision)
        } catch {
            throw GRPCStatus(error)
        }
        return response
    }

    /// Answers a lease that is not there with 0 seconds. In a cluster one that another node may have granted with
    /// `Unavailable`, which clients try again, at any node, until the lease is over by their own clock.
    func keepAlive(_ request: EtcdLeaseKeepAliveRequest) throws(GRPCStatus) -> EtcdLeaseKeepAliveResponse {
        var response = EtcdLeaseKeepAliveResponse()
        response.id = request.id
        do throws(RegistryError) {
            response.ttl = Self.grantedSeconds(try registry.keepAlive(LeaseID(request.id)))
        } catch {
            guard case .unknownLease = error else { throw GRPCStatus(error) }
            if mayBeElsewhere(request.id) { throw .leaseElsewhere }
        }
        response.header = context.header()
        return response
    }

    /// Answers a lease that is not there with -1 seconds.
    func timeToLive(_ request: EtcdLeaseTimeToLiveRequest) throws(GRPCStatus) -> EtcdLeaseTimeToLiveResponse {
        var response = EtcdLeaseTimeToLiveResponse()
        response.header = context.header()
        response.id = request.id
        guard let lease = registry.lease(LeaseID(request.id)) else {
            response.ttl = -1
            return response
        }
        response.grantedTtl = Self.grantedSeconds(lease)
        // One that does not run is shown whole.
        response.ttl = lease.remainingMilliseconds.map { $0 / 1000 } ?? response.grantedTtl
        if request.keys {
            response.keys = registry.keys(of: lease.id).filter { $0.namespace == context.namespace }.map {
                Data($0.key)
            }
        }
        return response
    }

    /// The granted leases, those first that end first.
    func leases(_ request: EtcdLeaseLeasesRequest) throws(GRPCStatus) -> EtcdLeaseLeasesResponse {
        var response = EtcdLeaseLeasesResponse()
        response.header = context.header()
        let leases = registry.leases().compactMap { registry.lease($0) }
        response.leases = leases.sorted { ($0.remainingMilliseconds ?? .max) < ($1.remainingMilliseconds ?? .max) }
            .map { lease in
                var status = EtcdLeaseStatus()
                status.id = lease.id.rawValue
                return status
            }
        return response
    }

    /// Whole seconds; what other doors measure in milliseconds is rounded up.
    private static func grantedSeconds(_ lease: LeaseInfo) -> Int64 { (lease.lengthMilliseconds &+ 999) / 1000 }
}
