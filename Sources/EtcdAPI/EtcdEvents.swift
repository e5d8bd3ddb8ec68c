import Synchronization

/// The body of an answer that comes line by line: of `wait` in v2, of a watch over the v3 gateway. Letting go of it
/// ends the watch.
package final class EtcdEvents: Sendable {
    private let nextLine: @Sendable () async -> [UInt8]?
    private let end: @Sendable () -> Void

    /// - Parameters:
    ///   - next: the next line; nil after the last one. Called by one task.
    ///   - cancel: ends what makes the lines, from any thread, perhaps more than once; `next` gives nil then.
    init(next: @escaping @Sendable () async -> [UInt8]?, cancel: @escaping @Sendable () -> Void) {
        nextLine = next
        end = cancel
    }

    /// The events of a v2 watch: one, or with `stream` events without end.
    convenience init(keyspace: Keyspace, queue: WatchQueue) {
        let isDone = Atomic<Bool>(false)
        self.init(
            next: {
                guard !isDone.load(ordering: .relaxed), let event = await queue.next() else { return nil }
                if !queue.stream { isDone.store(true, ordering: .relaxed) }
                return event.json(in: keyspace)
            },
            cancel: { keyspace.history.remove(queue) })
    }

    deinit { cancel() }

    /// The next line of JSON; nil after the last one, or when the watch was ended. For one task.
    package func next() async -> [UInt8]? { await nextLine() }

    /// Ends the watch, from any thread: its place is free, and `next` gives nil.
    package func cancel() { end() }
}
