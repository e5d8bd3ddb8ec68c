import Synchronization

/// The events of one watch that its client has not taken yet; one task takes them.
final class WatchQueue: Sendable {
    private typealias Waiter = CheckedContinuation<HistoryEvent?, Never>

    private struct State {
        var events: [HistoryEvent]
        var hasEnded = false
        var waiter: Waiter?
    }

    let path: [UInt8]
    let recursive: Bool
    let stream: Bool
    /// The index of the first event wanted.
    let first: Int64
    private let bound: Int
    private let state: Mutex<State>

    /// - Parameters:
    ///   - past: events that have happened already.
    ///   - bound: further events it holds.
    init(path: [UInt8], recursive: Bool, stream: Bool, first: Int64, past: [HistoryEvent], bound: Int) {
        self.path = path
        self.recursive = recursive
        self.stream = stream
        self.first = first
        self.bound = past.count + bound
        state = Mutex(State(events: past))
    }

    /// Takes an event in; false when there is no room, and then the queue ends behind the events it holds.
    func offer(_ event: HistoryEvent) -> Bool {
        let (waiter, isTaken) = state.withLock { state -> (Waiter?, Bool) in
            guard !state.hasEnded else { return (nil, true) }
            if let waiter = state.waiter {
                state.waiter = nil
                return (waiter, true)
            }
            guard state.events.count < bound else {
                state.hasEnded = true
                return (nil, false)
            }
            state.events.append(event)
            return (nil, true)
        }
        waiter?.resume(returning: event)
        return isTaken
    }

    /// Ends the queue; events that nobody took are dropped.
    func end() {
        let waiter = state.withLock { state in
            state.hasEnded = true
            state.events = []
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: nil)
    }

    /// The next event; nil when the queue has ended or the task is cancelled.
    func next() async -> HistoryEvent? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                let ready = state.withLock { state -> HistoryEvent?? in
                    if !state.events.isEmpty { return .some(state.events.removeFirst()) }
                    // A cancellation before this point found no waiter to wake, so it is looked at here.
                    if state.hasEnded || Task.isCancelled { return .some(nil) }
                    state.waiter = waiter
                    return nil
                }
                if let ready { waiter.resume(returning: ready) }
            }
        } onCancel: {
            end()
        }
    }
}
