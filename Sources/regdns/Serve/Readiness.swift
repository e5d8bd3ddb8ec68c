import Synchronization

/// Whether the node should get traffic, and if not, why; asked by `/readyz`, `/health` and `status`.
final class Readiness: Sendable {
    private let reasons: Mutex<[String]>

    /// Not ready for the reason that it is starting.
    init() { reasons = Mutex(["starting"]) }

    /// Why the node is not ready; empty when it is.
    var notReady: [String] { reasons.withLock { $0 } }

    var isReady: Bool { notReady.isEmpty }

    /// Everything listens. A node that was told to stop in the meantime stays not ready.
    func started() { reasons.withLock { if $0 == ["starting"] { $0 = [] } } }

    /// The node was told to stop. It never becomes ready again.
    func stopping() { reasons.withLock { $0 = ["shutting down"] } }
}

/// A part of the server without which the node is not ready.
protocol ReadinessGate: Sendable {
    /// Why it is not; nil when it is.
    var notReady: String? { get }
    /// Returns when it is, or the task is cancelled.
    func waitUntilReady() async
}
