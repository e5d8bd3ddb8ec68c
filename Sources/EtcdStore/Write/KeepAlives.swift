import EtcdMessages
import GRPC
import RegistryStore
import Synchronization

/// Renews leases over a few streams that everybody shares. A member answers the requests of a stream one by one, and
/// each waits until what was written before is applied, so that one stream alone would be slow while much is written.
struct KeepAliveLanes: Sendable {
    private let lanes: [KeepAlives]

    static let count = 8

    init(connection: ClusterConnection, clock: RegistryClock) {
        lanes = (0..<Self.count).map { _ in KeepAlives(connection: connection, clock: clock) }
    }

    /// Renews a lease: see `KeepAlives.renew`.
    func renew(_ lease: LeaseID, until deadline: Int64) async throws(GRPCStatus) -> Int64 {
        let lane = Int(UInt64(bitPattern: lease.rawValue) % UInt64(lanes.count))
        return try await lanes[lane].renew(lease, until: deadline)
    }

    /// Reads answers until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            for lane in lanes { group.addTask { await lane.run() } }
        }
    }
}

/// Renews leases over one stream. Renews nothing on its own account.
final class KeepAlives: Sendable {
    /// What the cluster says of a lease: the seconds it has again, 0 when it does not exist any more.
    typealias Answer = Result<Int64, GRPCStatus>

    private struct Waiter {
        let until: Int64
        let promise: Promise<Answer>
    }

    private struct State {
        var stream: GRPCClientStream?
        var waiting: [Int64: [Waiter]] = [:]
        var count = 0
    }

    private let connection: ClusterConnection
    private let clock: RegistryClock
    private let state = Mutex(State())
    /// Streams to be read by `run`: one, and another after each loss.
    private let streams: AsyncStream<GRPCClientStream>
    private let newStreams: AsyncStream<GRPCClientStream>.Continuation

    static let waitersMax = 65_536
    private static let tickTime: Duration = .milliseconds(250)

    init(connection: ClusterConnection, clock: RegistryClock) {
        self.connection = connection
        self.clock = clock
        (streams, newStreams) = AsyncStream.makeStream()
    }

    /// Renews a lease.
    ///
    /// - Parameter deadline: monotonic milliseconds.
    func renew(_ lease: LeaseID, until deadline: Int64) async throws(GRPCStatus) -> Int64 {
        let stream = try stream()
        let promise = Promise<Answer>()
        let place = state.withLock { state -> (isFirst: Bool, hasRoom: Bool) in
            guard state.count < Self.waitersMax else { return (false, false) }
            let isFirst = state.waiting[lease.rawValue]?.isEmpty ?? true
            state.waiting[lease.rawValue, default: []].append(Waiter(until: deadline, promise: promise))
            state.count += 1
            return (isFirst, true)
        }
        guard place.hasRoom else { throw GRPCStatus(.resourceExhausted, "\(Self.waitersMax) renewals are under way") }
        if place.isFirst {
            var request = EtcdLeaseKeepAliveRequest()
            request.id = lease.rawValue
            do throws(GRPCStatus) {
                try await stream.send(request)
            } catch {
                // Those who joined meanwhile wait for an answer to this very request.
                for waiter in take(lease.rawValue) { waiter.promise.fulfil(.failure(error)) }
                throw error
            }
        }
        return try await promise.wait().get()
    }

    private func stream() throws(GRPCStatus) -> GRPCClientStream {
        try state.withLock { state throws(GRPCStatus) in
            if let stream = state.stream { return stream }
            let stream = try connection.stream("/etcdserverpb.Lease/LeaseKeepAlive")
            state.stream = stream
            newStreams.yield(stream)
            return stream
        }
    }

    /// Reads answers until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask {
                while (try? await Task.sleep(for: Self.tickTime)) != nil { self.expire() }
            }
            for await stream in streams { group.addTask { await self.read(stream) } }
        }
        fail(nil, GRPCStatus(.unavailable, "stopping"))
    }

    private func read(_ stream: GRPCClientStream) async {
        do throws(GRPCStatus) {
            while let message = try await stream.next() {
                let answer: EtcdLeaseKeepAliveResponse = try ClusterConnection.message(in: message)
                for waiter in take(answer.id) { waiter.promise.fulfil(.success(answer.ttl)) }
            }
            fail(stream, GRPCStatus(.unavailable, "the cluster ended the renewals"))
        } catch {
            stream.cancel()
            fail(stream, error)
        }
    }

    private func take(_ lease: Int64) -> [Waiter] {
        state.withLock { state in
            let waiters = state.waiting.removeValue(forKey: lease) ?? []
            state.count -= waiters.count
            return waiters
        }
    }

    /// Ends all waits for a stream that is no more.
    private func fail(_ stream: GRPCClientStream?, _ status: GRPCStatus) {
        let waiters = state.withLock { state -> [Waiter] in
            guard stream == nil || state.stream === stream else { return [] }
            state.stream = nil
            state.count = 0
            defer { state.waiting = [:] }
            return state.waiting.values.flatMap { $0 }
        }
        for waiter in waiters { waiter.promise.fulfil(.failure(status)) }
    }

    private func expire() {
        let now = clock.monotonicMilliseconds()
        let late = state.withLock { state -> [Waiter] in
            var late: [Waiter] = []
            for (lease, waiters) in state.waiting where waiters.contains(where: { $0.until <= now }) {
                late += waiters.filter { $0.until <= now }
                let rest = waiters.filter { $0.until > now }
                state.waiting[lease] = rest.isEmpty ? nil : rest
            }
            state.count -= late.count
            return late
        }
        for waiter in late {
            waiter.promise.fulfil(.failure(GRPCStatus(.deadlineExceeded, "the cluster did not renew in time")))
        }
    }
}
