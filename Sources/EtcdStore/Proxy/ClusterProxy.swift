import EtcdMessages
import GRPC
import NIOCore
import RegistryStore

/// etcd's v3 services, passed on to the cluster: requests, answers and refusals go through as the bytes they are.
///
/// What a client calls is answered by the cluster, never from this node's copy: revisions, leases, transactions and
/// locks are the cluster's own. While no member can be reached, calls end with `Unavailable`.
///
/// The client's own token goes with its calls. The credentials of the store are not lent: who has none gets what the
/// cluster gives to everybody, else each client of this port would have the rights of this node.
struct ClusterProxy: Sendable {
    let link: ProxyLink
    let write: ProxiedWrite
    let counters: StoreCounters
    /// Waits, for a bounded time, until the copy shows a revision.
    let show: @Sendable (Int64) async -> Void

    /// Fields of a client's call that etcd reads.
    private static let passedFields = ["token", "authorization", "hasleader", "client-api-version"]

    /// Methods with one answer, by service. What the cluster does not know it refuses itself.
    private static let unary: [String: [String]] = [
        "etcdserverpb.KV": ["Range", "Put", "DeleteRange", "Txn", "Compact"],
        "etcdserverpb.Lease": ["LeaseGrant", "LeaseRevoke", "LeaseTimeToLive", "LeaseLeases"],
        "etcdserverpb.Cluster": ["MemberAdd", "MemberRemove", "MemberUpdate", "MemberList", "MemberPromote"],
        "etcdserverpb.Maintenance": [
            "Alarm", "Status", "Defragment", "Hash", "HashKV", "MoveLeader", "Downgrade",
        ],
        "etcdserverpb.Auth": [
            "AuthEnable", "AuthDisable", "AuthStatus", "Authenticate", "UserAdd", "UserGet", "UserList", "UserDelete",
            "UserChangePassword", "UserGrantRole", "UserRevokeRole", "RoleAdd", "RoleGet", "RoleList", "RoleDelete",
            "RoleGrantPermission", "RoleRevokePermission",
        ],
        "v3lockpb.Lock": ["Lock", "Unlock"],
        "v3electionpb.Election": ["Campaign", "Proclaim", "Leader", "Resign"],
    ]

    /// Methods with messages both ways, or many answers.
    private static let streaming: [String: [String]] = [
        "etcdserverpb.Watch": ["Watch"], "etcdserverpb.Lease": ["LeaseKeepAlive"],
        "etcdserverpb.Maintenance": ["Snapshot"], "v3electionpb.Election": ["Observe"],
    ]

    var routes: GRPCRoutes {
        var routes = GRPCRoutes()
        for (service, methods) in Self.unary {
            for method in methods {
                routes.add(service: service, method, .unary(answer))
            }
        }
        for (service, methods) in Self.streaming {
            for method in methods {
                routes.add(
                    service: service, method,
                    .streaming { stream, call throws(GRPCStatus) in
                        ProxyStream(stream, counters: counters, open: open(call))
                    })
            }
        }
        // About this node, not about the cluster.
        routes.add(
            service: "grpc.health.v1.Health", "Check",
            .immediate { _, _ throws(GRPCStatus) in
                var response = EtcdHealthCheckResponse()
                response.status = .serving
                return try ClusterConnection.bytes(of: response)
            })
        return routes
    }

    private static func metadata(of call: GRPCCall) -> [(String, String)] {
        passedFields.compactMap { name in call.metadata(name).map { (name, $0) } }
    }

    private func answer(_ request: ByteBuffer, _ call: GRPCCall) async throws(GRPCStatus) -> ByteBuffer {
        counters.proxiedCalls.count()
        let effect = write.begin(call.path, request)
        let answer = try await pass(request, call)
        if let revision = effect?(answer) { await show(revision) }
        return answer
    }

    private func pass(_ request: ByteBuffer, _ call: GRPCCall) async throws(GRPCStatus) -> ByteBuffer {
        var client: GRPCClient?
        do throws(GRPCStatus) {
            let connected = try await link.client()
            client = connected
            return try await connected.unary(
                call.path, request, metadata: Self.metadata(of: call), timeout: call.timeout)
        } catch {
            if error.code == .unavailable {
                counters.proxyFailures.count()
                if let client { await link.suspect(client) }
            }
            throw error
        }
    }

    private func open(_ call: GRPCCall) -> @Sendable () async throws(GRPCStatus) -> GRPCClientStream {
        { () async throws(GRPCStatus) in
            counters.proxiedStreams.count()
            return try await link.client().stream(
                call.path, metadata: Self.metadata(of: call), timeout: call.timeout)
        }
    }
}
