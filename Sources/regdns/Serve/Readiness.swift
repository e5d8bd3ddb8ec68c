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
