import Synchronization

/// Lets tasks in one after the other, in the order they came.
final class WriterQueue: Sendable {
    private struct State {
        var isTaken = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    /// Tasks that wait; one more is not let in.
    private static let waitingMax = 256

    /// Waits for the turn, which ends with `leave`; false when too many wait.
    func enter() async -> Bool {
        guard state.withLock({ $0.waiting.count < Self.waitingMax }) else { return false }
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.isTaken { state.waiting.append(continuation) }
                defer { state.isTaken = true }
                return !state.isTaken
            }
            if isFree { continuation.resume() }
        }
        return true
    }

    func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.isTaken = !state.waiting.isEmpty
            return state.waiting.isEmpty ? nil : state.waiting.removeFirst()
        }
        next?.resume()
    }
}
