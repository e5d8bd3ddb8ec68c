import Memberlist
import NIOCore

/// A `join` that waits for its dials.
final class JoinWait {
    private var open: Set<GossipAddress>
    private var merged: Set<GossipAddress> = []
    private let promise: EventLoopPromise<Set<GossipAddress>>

    init(_ addresses: Set<GossipAddress>, _ promise: EventLoopPromise<Set<GossipAddress>>) {
        open = addresses
        self.promise = promise
    }

    /// - Returns: whether it is over.
    func answered(_ address: GossipAddress, _ isMerged: Bool) -> Bool {
        guard open.remove(address) != nil else { return false }
        if isMerged { merged.insert(address) }
        guard open.isEmpty else { return false }
        end()
        return true
    }

    /// Reports what was reached so far. Called once: whoever is over is on no list.
    func end() { promise.succeed(merged) }
}

extension GossipLoop {
    /// How long a dial may be over its deadline.
    private static let joinGrace: Milliseconds = 2_000

    /// - Parameter event: `join` or `exchange`, with these addresses.
    func join(_ addresses: [GossipAddress], by event: CoreEvent, _ promise: EventLoopPromise<Set<GossipAddress>>) {
        let others = Set(addresses).subtracting([address])
        guard !isStopped, !others.isEmpty else { return promise.succeed([]) }
        let wait = JoinWait(others, promise)
        joins.append(wait)
        let time = settings.timing.streamTimeout + Self.joinGrace
        eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(time)) { [weak self, weak wait] in
            // A dial that was never made has no answer.
            guard let self, let wait, self.joins.contains(where: { $0 === wait }) else { return }
            self.joins.removeAll { $0 === wait }
            wait.end()
        }
        give(event)
    }

    func joinAnswered(_ address: GossipAddress, _ isMerged: Bool) {
        joins.removeAll { $0.answered(address, isMerged) }
    }
}
