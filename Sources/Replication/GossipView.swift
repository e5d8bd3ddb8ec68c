package import Memberlist
import NIOCore

/// A node's view of its cluster at one moment.
package struct GossipView: Sendable {
    /// All known nodes, the own one included, by name.
    package let members: [Member]
    /// Microseconds that the last ping by packet took, of members that answered one.
    package let roundTrips: [NodeName: Int64]
    /// On the clock that `Member.since` is of.
    package let now: Milliseconds
    /// The own node's: 0 is well, 7 is worst (Lifeguard).
    package let health: Int
    package let core: CoreCounters
    package let transport: TransportCounters
    /// What waits to be gossiped: memberlist's own messages, and the application's.
    package let queue: (messages: Int, bytes: Int)
    package let userQueue: (messages: Int, bytes: Int)
    /// Messages that the queues' bounds cost.
    package let queueDropped: Int
    package let keys: KeyChain
    /// The node has said that it leaves.
    package let hasLeft: Bool
}

extension GossipLoop {
    func view() -> GossipView {
        let members = core.members
        roundTrips.keep(members)
        let queues = core.queues
        return GossipView(
            members: members, roundTrips: roundTrips.last.mapValues { $0.nanoseconds / 1_000 }, now: clock(),
            health: core.health, core: core.counters, transport: counters, queue: (queues.messages, queues.bytes),
            userQueue: (queues.userMessages, queues.userBytes), queueDropped: queues.dropped, keys: keys,
            hasLeft: core.member(core.settings.name)?.state == .left)
    }
}
