import Synchronization

/// How far the table has come, and who waits for it. At most `waitersMax` wait; who comes then does not.
final class AppliedRevision: Sendable {
    fileprivate struct State {
        var revision: Int64 = 0
        var waiters: [UInt64: (revision: Int64, until: Int64, continuation: CheckedContinuation<Bool, Never>)] = [:]
        var last: UInt64 = 0
    }

    private let state = Mutex(State())
    static let waitersMax = 65_536

    var revision: Int64 { state.withLock { $0.revision } }

    /// Notes that the table shows everything up to a revision. It goes back with another history.
    func advance(to revision: Int64) {
        let ready = state.withLock { state in
            state.revision = revision
            return state.take { wanted, _ in wanted <= revision }
        }
        for waiter in ready { waiter.resume(returning: true) }
    }

    /// Ends waits whose time is over, in monotonic milliseconds.
    func expire(now: Int64) {
        let late = state.withLock { state in state.take { _, until in until <= now } }
        for waiter in late { waiter.resume(returning: false) }
    }

    /// Whether the table came to a revision in time.
    func wait(for revision: Int64, until deadline: Int64) async -> Bool {
        await withCheckedContinuation { continuation in
            let answer: Bool? = state.withLock { state in
                if state.revision >= revision { return true }
                guard state.waiters.count < Self.waitersMax else { return false }
                state.last += 1
                state.waiters[state.last] = (revision, deadline, continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }
}

extension AppliedRevision.State {
    fileprivate mutating func take(
        where isReady: (_ revision: Int64, _ until: Int64) -> Bool
    ) -> [CheckedContinuation<Bool, Never>] {
        guard !waiters.isEmpty else { return [] }
        let ready = waiters.filter { isReady($0.value.revision, $0.value.until) }
        for id in ready.keys { waiters[id] = nil }
        return ready.values.map(\.continuation)
    }
}
