import DequeModule
import EtcdMessages
import GRPC
import RegistryStore
import Synchronization

/// Asks the cluster once for the length of each lease that the table has met: answers may not be cached for longer than
/// it. In the background and slowly; until an answer comes the record's own TTL holds.
///
/// Holds at most one place per lease of the table: who is in the queue is not put there again.
final class LeaseLengths: Sendable {
    private struct State {
        var queue = Deque<LeaseID>()
        var queued: Set<LeaseID> = []
    }

    private let registry: Registry
    private let connection: ClusterConnection
    private let counters: StoreCounters
    private let state = Mutex(State())

    /// 50 questions a second.
    private static let pause: Duration = .milliseconds(20)
    private static let pauseAfterFailure: Duration = .seconds(1)

    init(registry: Registry, connection: ClusterConnection, counters: StoreCounters) {
        self.registry = registry
        self.connection = connection
        self.counters = counters
    }

    var waiting: Int { state.withLock { $0.queue.count } }

    func ask(for leases: [LeaseID]) {
        guard !leases.isEmpty else { return }
        state.withLock { state in
            for lease in leases where state.queued.insert(lease).inserted { state.queue.append(lease) }
        }
    }

    private func next() -> LeaseID? {
        state.withLock { state in
            guard let lease = state.queue.popFirst() else { return nil }
            state.queued.remove(lease)
            return lease
        }
    }

    /// Asks until the task is cancelled.
    func run() async {
        while (try? await Task.sleep(for: Self.pause)) != nil {
            guard connection.isConnected, let lease = next() else { continue }
            // Gone meanwhile, or known from its grant or its renewal.
            guard registry.hasLease(lease), registry.lease(lease) == nil else { continue }
            do throws(GRPCStatus) {
                try await ask(lease)
            } catch {
                ask(for: [lease])
                if (try? await Task.sleep(for: Self.pauseAfterFailure)) == nil { return }
            }
        }
    }

    private func ask(_ lease: LeaseID) async throws(GRPCStatus) {
        counters.leaseQuestions.count()
        var request = EtcdLeaseTimeToLiveRequest()
        request.id = lease.rawValue
        let answer: EtcdLeaseTimeToLiveResponse = try await connection.call(
            "/etcdserverpb.Lease/LeaseTimeToLive", request, timeout: .seconds(3))
        // -1: it has ended, and its keys will go.
        guard answer.ttl >= 0 else { return }
        registry.setMirroredLease(lease, seconds: answer.ttl, of: answer.grantedTtl)
    }
}

extension Registry {
    /// Notes seconds as the cluster tells them; absurd ones are left out.
    func setMirroredLease(_ lease: LeaseID, seconds: Int64, of granted: Int64) {
        let (left, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        let (length, tooLong) = max(granted, seconds).multipliedReportingOverflow(by: 1000)
        guard !overflow, !tooLong else { return }
        setMirroredLease(lease, lengthMilliseconds: length, remainingMilliseconds: left)
    }
}
