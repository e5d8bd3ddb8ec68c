import Synchronization

/// Tasks that wait for a revision, bounded by `RegistryLimits.maxWaiters`.
struct ChangeWaiters {
    /// Resumed with the revision, or with nil when there is no room.
    typealias Continuation = CheckedContinuation<Int64?, Never>

    private var waiting: [UInt64: Waiter] = [:]

    private struct Waiter {
        /// Wakes at a greater revision.
        let after: Int64
        let continuation: Continuation
    }

    var count: Int { waiting.count }

    mutating func add(_ id: UInt64, after: Int64, _ continuation: Continuation) {
        waiting[id] = Waiter(after: after, continuation: continuation)
    }

    mutating func remove(_ id: UInt64) -> Continuation? { waiting.removeValue(forKey: id)?.continuation }

    /// All of them, taken out.
    mutating func takeAll() -> [Continuation] {
        defer { waiting = [:] }
        return waiting.values.map(\.continuation)
    }

    /// Those that wait for less than `revision`, taken out.
    mutating func take(before revision: Int64) -> [Continuation] {
        guard !waiting.isEmpty else { return [] }
        // Nearly always all of them wait for the very next change.
        let ready = waiting.values.filter { $0.after < revision }.map(\.continuation)
        if ready.count == waiting.count {
            waiting = [:]
        } else {
            waiting = waiting.filter { $0.value.after >= revision }
        }
        return ready
    }
}

extension Registry {
    /// Waits until the revision is greater than `after` and gives it. Returns at once when it is already, or, with the
    /// revision of the moment, when the task is cancelled. No change between the caller's last look and the call is
    /// lost. Throws `limitExceeded` (`waiters`) when too many wait.
    package func waitForChange(after: Int64) async throws(RegistryError) -> Int64 {
        let id = Self.nextWaiter.wrappingAdd(1, ordering: .relaxed).newValue
        let revision = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: ChangeWaiters.Continuation) in
                let early = state.withLock { state -> Int64?? in
                    // A cancellation before this point found no waiter to wake, so it is looked at here.
                    if state.core.revision > after || Task.isCancelled { return .some(state.core.revision) }
                    if state.waiters.count >= limits.maxWaiters { return .some(nil) }
                    state.waiters.add(id, after: after, continuation)
                    return nil
                }
                if let early { continuation.resume(returning: early) }
            }
        } onCancel: {
            let (waiter, revision) = state.withLock { ($0.waiters.remove(id), $0.core.revision) }
            waiter?.resume(returning: revision)
        }
        guard let revision else {
            throw .limitExceeded(limit: "waiters", value: limits.maxWaiters + 1, bound: limits.maxWaiters)
        }
        return revision
    }

    private static let nextWaiter = Atomic<UInt64>(0)
}
