import NIOCore
import Synchronization

/// The network between a store and its cluster, which a test can cut.
final class Gate: Sendable {
    /// Thrown at who connects while it is shut.
    struct Shut: Error {}

    private struct State {
        var isShut = false
        var channels: [any Channel] = []
    }

    private let state = Mutex(State())

    /// For `GRPCClientConfiguration.configureTransport`.
    func pass(_ channel: any Channel) throws {
        try state.withLock { state in
            if state.isShut { throw Shut() }
            state.channels.append(channel)
        }
    }

    /// Cuts all connections and lets none through.
    func shut() {
        let channels = state.withLock { state in
            state.isShut = true
            defer { state.channels = [] }
            return state.channels
        }
        for channel in channels { channel.close(promise: nil) }
    }

    func open() { state.withLock { $0.isShut = false } }
}
