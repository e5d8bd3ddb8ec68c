import Synchronization

/// What the HTTP listener counts: every bound it keeps has a number that shows when it was reached.
package final class HTTPCounters: Sendable {
    /// Events that are only counted.
    package enum Event: String, CaseIterable, Sendable {
        /// Connections taken.
        case accepted
        /// Connections answered 503 because the bound was reached.
        case refused
        /// Requests that were no HTTP.
        case malformed
        /// Heads above the header limits.
        case headTooLarge = "head_too_large"
        /// Bodies above the body limit.
        case bodyTooLarge = "body_too_large"
        /// Connections cut before a whole head came.
        case headTimeout = "head_timeout"
        /// Connections cut within a body.
        case bodyTimeout = "body_timeout"
        /// Kept connections closed for idleness.
        case idleTimeout = "idle_timeout"
        /// Connections cut because the client did not read.
        case writeTimeout = "write_timeout"
        /// Long answers withheld because too many waited for their readers.
        case answerRefused = "answer_refused"
        /// Event streams refused because the bound was reached.
        case streamRefused = "stream_refused"
    }

    private struct Key: Hashable {
        let operation: String
        let status: Int
    }

    private struct State {
        var events: [Event: Int] = [:]
        var requests: [Key: Int] = [:]
        var openConnections = 0
        var openStreams = 0
        var waitingAnswerBytes = 0
        var latencyBuckets = [Int](repeating: 0, count: HTTPCounters.latencyBounds.count)
        var latencyCount = 0
        var latencySeconds = 0.0
    }

    /// Upper bounds of the latency buckets in seconds.
    private static let latencyBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

    private let state = Mutex(State())

    package init() {}

    package func count(_ event: Event) {
        state.withLock { $0.events[event, default: 0] += 1 }
    }

    package func total(_ event: Event) -> Int {
        state.withLock { $0.events[event, default: 0] }
    }

    /// Counts one answered request. Operations are the routes' names, so the table is bounded by routes times statuses.
    package func answered(operation: String, status: Int, seconds: Double) {
        state.withLock { state in
            state.requests[Key(operation: operation, status: status), default: 0] += 1
            state.latencyCount += 1
            state.latencySeconds += seconds
            for (index, bound) in Self.latencyBounds.enumerated() where seconds <= bound {
                state.latencyBuckets[index] += 1
            }
        }
    }

    /// Takes a place for a connection; false, and counted, when `bound` are open.
    func openConnection(bound: Int) -> Bool {
        state.withLock { state in
            state.openConnections += 1
            let admitted = state.openConnections <= bound
            state.events[admitted ? .accepted : .refused, default: 0] += 1
            return admitted
        }
    }

    func closeConnection() { state.withLock { $0.openConnections -= 1 } }

    /// Takes a place for an event stream; false, and counted, when `bound` are open.
    func openStream(bound: Int) -> Bool {
        state.withLock { state in
            guard state.openStreams < bound else {
                state.events[.streamRefused, default: 0] += 1
                return false
            }
            state.openStreams += 1
            return true
        }
    }

    func closeStream() { state.withLock { $0.openStreams -= 1 } }

    /// Takes room for a long answer until its reader has it; false, and counted, when that would pass `bound`.
    func openAnswer(bytes: Int, bound: Int) -> Bool {
        state.withLock { state in
            guard state.waitingAnswerBytes + bytes <= bound else {
                state.events[.answerRefused, default: 0] += 1
                return false
            }
            state.waitingAnswerBytes += bytes
            return true
        }
    }

    func closeAnswer(bytes: Int) { state.withLock { $0.waitingAnswerBytes -= bytes } }

    /// Connections and event streams open now.
    package var open: (connections: Int, streams: Int) {
        state.withLock { ($0.openConnections, $0.openStreams) }
    }

    /// The listener's own part of `/metrics`.
    package func families() -> [MetricFamily] {
        let state = state.withLock { $0 }
        let requests = state.requests.sorted { ($0.key.operation, $0.key.status) < ($1.key.operation, $1.key.status) }
        let events = Event.allCases.map { event in
            MetricSample(state.events[event, default: 0], labels: [("event", event.rawValue)])
        }
        var latency = zip(Self.latencyBounds, state.latencyBuckets).map { bound, count in
            MetricSample(count, labels: [("le", "\(bound)")], suffix: "_bucket")
        }
        latency.append(MetricSample(state.latencyCount, labels: [("le", "+Inf")], suffix: "_bucket"))
        latency.append(MetricSample(state.latencySeconds, suffix: "_sum"))
        latency.append(MetricSample(state.latencyCount, suffix: "_count"))
        return [
            MetricFamily(
                "regdns_http_requests_total", .counter, help: "Answered HTTP requests by operation and status.",
                samples: requests.map { key, count in
                    MetricSample(count, labels: [("operation", key.operation), ("code", "\(key.status)")])
                }),
            MetricFamily(
                "regdns_http_request_seconds", .histogram, help: "Time from the head of a request to its answer.",
                samples: latency),
            MetricFamily(
                "regdns_http_events_total", .counter, help: "Connections taken and bounds reached, by event.",
                samples: events),
            MetricFamily(
                "regdns_http_connections", .gauge, help: "Open HTTP connections.", value: state.openConnections),
            MetricFamily(
                "regdns_http_waiting_answer_bytes", .gauge, help: "Long answers that wait for their readers.",
                value: state.waitingAnswerBytes),
            MetricFamily(
                "regdns_http_event_streams", .gauge, help: "Open event streams.", value: state.openStreams),
        ]
    }
}
