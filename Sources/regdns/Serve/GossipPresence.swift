import HTTPAdmin
import Synchronization

/// Whether this node is in its cluster. It leaves and comes back on request, one after the other.
final class GossipPresence: Sendable {
    enum Phase: Hashable, Sendable {
        case here
        case leaving
        case left
        case returning
    }

    private struct State {
        var phase = Phase.here
        /// Ends what lasts as long as the node is there.
        var stay: AsyncStream<Void>.Continuation?
    }

    /// One for each time that the node is there; each ends when it leaves.
    let stays: AsyncStream<AsyncStream<Void>>
    private let newStays: AsyncStream<AsyncStream<Void>>.Continuation
    private let state = Mutex(State())

    init() {
        (stays, newStays) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        begin()
    }

    var phase: Phase { state.withLock { $0.phase } }

    /// Takes the next step, which only one caller can.
    ///
    /// - Throws: why it cannot be taken now.
    func move(from old: Phase, to new: Phase) throws(ClusterError) {
        let (found, ended): (Phase, AsyncStream<Void>.Continuation?) = state.withLock { state in
            let found = state.phase
            guard found == old else { return (found, nil) }
            state.phase = new
            guard new == .leaving else { return (found, nil) }
            defer { state.stay = nil }
            return (found, state.stay)
        }
        ended?.finish()
        guard found != old else {
            if new == .here { begin() }
            return
        }
        switch found {
        case .left: throw .left
        case .here: throw .refused("this node is in its cluster")
        case .leaving: throw .unavailable("this node is leaving the cluster; ask again in some seconds")
        case .returning: throw .unavailable("this node is joining the cluster again; ask again in some seconds")
        }
    }

    private func begin() {
        let (stay, end) = AsyncStream<Void>.makeStream()
        state.withLock { $0.stay = end }
        newStays.yield(stay)
    }
}
