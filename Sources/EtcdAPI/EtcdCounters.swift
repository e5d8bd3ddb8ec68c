package import GRPC
import Synchronization

/// What the etcd door has done since the start, for `/metrics`; a copy without further connection to the door.
package struct EtcdCounters: Sendable, Equatable {
    /// How requests of one method ended.
    package struct Outcomes: Sendable, Equatable {
        /// Answered with 2xx or 3xx.
        package var served = 0
        /// Answered with 4xx.
        package var refused = 0
        /// Answered with 501: asked for what this server does not serve.
        package var notAvailable = 0
        /// Answered with any other 5xx.
        package var failed = 0

        package init() {}
    }

    /// Requests that reached the handler, over any listener, by method in capitals; methods etcd does not know count
    /// as `OTHER`.
    package var requests: [String: Outcomes] = [:]
    /// Connections open now, and all that were accepted.
    package var connectionsOpen = 0
    package var connectionsAccepted = 0
    /// Connections closed at once because the bound was reached.
    package var connectionsOverLimit = 0
    /// Connections that spoke HTTP/2.
    package var http2Connections = 0
    /// What was called on them.
    package var grpc = GRPCCounters()
    /// What the v3 services did, over gRPC and the gateway.
    package var v3 = EtcdV3Counters()
    /// Requests that were no HTTP/1.1 (400, 417), or whose head was too large (431).
    package var malformedRequests = 0
    package var headersOverLimit = 0
    /// Requests answered 413.
    package var bodiesOverLimit = 0
    /// Requests answered 503 because bodies and answers in flight had used up their memory.
    package var memoryOverLimit = 0
    /// Connections cut by a deadline: before the protocol was known, within a request, between requests, by not
    /// reading the answer.
    package var deadlinesUndecided = 0
    package var deadlinesReceiving = 0
    package var deadlinesIdle = 0
    package var deadlinesSending = 0
    /// Watches of the v2 API open now; those refused at the bound; those ended because their client did not keep up.
    package var watches = 0
    package var watchesRefused = 0
    package var watchesCut = 0
    /// The v2 tree's memory, and what it had to forget at its bound.
    package var rememberedDirectories = 0
    package var rememberedCreations = 0
    package var treeForgotten = 0
    /// What v2 shows of a cluster beside the keys for names; nil where there is nothing beside.
    package var wide: WideKeyspace.Counts?

    package init() {}
}

extension EtcdCounters.Outcomes {
    fileprivate mutating func count(status: Int) {
        switch status {
        case ..<400: served += 1
        case ..<500: refused += 1
        case 501: notAvailable += 1
        default: failed += 1
        }
    }
}

/// The counters while they are counted; shared by the handler and every listener that mounts it.
final class EtcdMetrics: Sendable {
    private static let methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "OTHER"]

    private let counters = Mutex(EtcdCounters())
    /// How requests ended, in the order of `methods`: counted for every request, where a dictionary would cost more
    /// than all other counters.
    private let outcomes = Mutex(Array(repeating: EtcdCounters.Outcomes(), count: EtcdMetrics.methods.count))

    func count(_ change: (inout EtcdCounters) -> Void) { counters.withLock { change(&$0) } }

    func count(method: String, status: Int) {
        let place = Self.methods.firstIndex(of: method) ?? Self.methods.count - 1
        outcomes.withLock { $0[place].count(status: status) }
    }

    var snapshot: EtcdCounters {
        var counters = counters.withLock { $0 }
        for (method, outcomes) in zip(Self.methods, outcomes.withLock { $0 }) where outcomes != .init() {
            counters.requests[method] = outcomes
        }
        return counters
    }
}
