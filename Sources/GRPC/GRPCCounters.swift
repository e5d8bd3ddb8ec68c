import Synchronization

/// What a gRPC server has done since the start; a copy without further connection to it.
package struct GRPCCounters: Sendable, Equatable {
    /// Calls that have ended, by status; those the client gave up are `cancelled`.
    package var calls: [GRPCStatusCode: Int] = [:]
    /// Calls under way now.
    package var callsOpen = 0
    package var messagesReceived = 0
    package var messagesSent = 0
    /// Requests that were no gRPC calls: content type, method, fields.
    package var notCalls = 0
    package var messagesOverLimit = 0
    /// Calls refused because the memory for requests and answers in flight was used up.
    package var memoryOverLimit = 0
    /// Calls that did not send their request, did not read their answer in time.
    package var deadlinesReceiving = 0
    package var deadlinesSending = 0
    /// Connections cut: no call for long; not answering pings; never reading.
    package var deadlinesIdle = 0
    package var deadlinesKeepalive = 0
    package var deadlinesUnread = 0
    /// Connections cut with GOAWAY: for floods (ENHANCE_YOUR_CALM), for anything else that is no HTTP/2.
    package var connectionsFlooding = 0
    package var connectionsMalformed = 0
    /// Streams reset by this side with an error.
    package var streamsReset = 0

    package init() {}
}

/// The counters while they are counted.
package final class GRPCMetrics: Sendable {
    private let counters = Mutex(GRPCCounters())

    package init() {}

    func count(_ change: (inout GRPCCounters) -> Void) { counters.withLock { change(&$0) } }

    package var snapshot: GRPCCounters { counters.withLock { $0 } }
}
