import Synchronization

/// What the v3 services have done since the start, for `/metrics`.
package struct EtcdV3Counters: Sendable, Equatable {
    /// Watch streams and watches open now.
    package var watchStreams = 0
    package var watchers = 0
    /// Events and responses that were sent to watches.
    package var watchEvents = 0
    package var watchResponses = 0
    /// Watches that were refused at a bound.
    package var watchersOverLimit = 0
    /// Times that a watch was left behind because its stream took no more, or was made in the past.
    package var watchersBehind = 0
    /// Watches that were cancelled because their place in the history is gone.
    package var watchersCompacted = 0
    /// Streams that were ended because the client did not read the answers to its requests.
    package var streamsUnread = 0
    /// Transactions refused because they make a lock or an election.
    package var locksRefused = 0

    package init() {}
}

/// The counters while they are counted.
final class V3Metrics: Sendable {
    private let counters = Mutex(EtcdV3Counters())

    func count(_ change: (inout EtcdV3Counters) -> Void) { counters.withLock { change(&$0) } }

    var snapshot: EtcdV3Counters { counters.withLock { $0 } }
}
