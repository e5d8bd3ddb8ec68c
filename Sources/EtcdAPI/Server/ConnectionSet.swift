import NIOCore
import Synchronization

/// The open connections of a server, up to a bound.
final class ConnectionSet: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isDraining = false
        var whenEmpty: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())
    private let bound: Int

    init(bound: Int) { self.bound = bound }

    var count: Int { state.withLock { $0.channels.count } }

    /// Takes a connection in until it closes; false when there are too many, or when the server is going down.
    func admit(_ channel: any Channel) -> Bool {
        let admitted = state.withLock { state in
            guard state.channels.count < bound, !state.isDraining else { return false }
            state.channels[ObjectIdentifier(channel)] = channel
            return true
        }
        if admitted {
            channel.closeFuture.whenComplete { _ in self.remove(channel) }
        }
        return admitted
    }

    private func remove(_ channel: any Channel) {
        let whenEmpty = state.withLock { state in
            state.channels[ObjectIdentifier(channel)] = nil
            return state.channels.isEmpty ? state.whenEmpty : nil
        }
        whenEmpty?()
    }

    /// Takes no more connections, closes the idle ones and the others after their answer.
    ///
    /// - Parameter whenEmpty: called once all are closed, perhaps at once.
    func drain(whenEmpty: @escaping @Sendable () -> Void) {
        let channels = state.withLock { state in
            state.isDraining = true
            state.whenEmpty = whenEmpty
            return Array(state.channels.values)
        }
        if channels.isEmpty { return whenEmpty() }
        for channel in channels {
            channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
    }

    func closeAll() {
        for channel in state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
    }
}
