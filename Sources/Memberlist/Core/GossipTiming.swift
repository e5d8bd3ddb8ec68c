/// Milliseconds: a duration, or a point on the monotonic clock of whoever drives the core.
package typealias Milliseconds = Int64

/// The periods of the protocol. Nodes of one cluster may differ in them.
package struct GossipTiming: Hashable, Sendable {
    package var probeInterval: Milliseconds
    /// How long a direct ping may take before others are asked to help.
    package var probeTimeout: Milliseconds
    /// How many others are asked to ping.
    package var indirectHelpers: Int
    package var gossipInterval: Milliseconds
    /// How many nodes get gossip at each interval.
    package var gossipNodes: Int
    /// Copies of a message: this times the digits of the number of nodes.
    package var retransmitMultiplier: Int
    /// The shortest suspicion in probe intervals, for up to ten nodes.
    package var suspicionMultiplier: Int
    /// The longest suspicion in shortest ones.
    package var suspicionMaxMultiplier: Int
    package var pushPullInterval: Milliseconds
    /// How long a dead node gets gossip, and is remembered at least.
    package var gossipToDead: Milliseconds
    package var streamTimeout: Milliseconds

    /// memberlist's defaults for one network.
    package static let lan = GossipTiming(
        probeInterval: 1_000, probeTimeout: 500, indirectHelpers: 3, gossipInterval: 200, gossipNodes: 3,
        retransmitMultiplier: 4, suspicionMultiplier: 4, suspicionMaxMultiplier: 6, pushPullInterval: 30_000,
        gossipToDead: 30_000, streamTimeout: 10_000)

    /// memberlist's defaults for one machine, but for the copies: memberlist's multiplier is 2, which leaves a survivor
    /// of one kill in twelve without the news.
    package static let local = GossipTiming(
        probeInterval: 1_000, probeTimeout: 200, indirectHelpers: 1, gossipInterval: 100, gossipNodes: 3,
        retransmitMultiplier: 4, suspicionMultiplier: 3, suspicionMaxMultiplier: 6, pushPullInterval: 15_000,
        gossipToDead: 15_000, streamTimeout: 1_000)

    /// memberlist's defaults between sites.
    package static let wan = GossipTiming(
        probeInterval: 5_000, probeTimeout: 3_000, indirectHelpers: 3, gossipInterval: 500, gossipNodes: 4,
        retransmitMultiplier: 4, suspicionMultiplier: 6, suspicionMaxMultiplier: 6, pushPullInterval: 60_000,
        gossipToDead: 60_000, streamTimeout: 30_000)

    /// A death seen by all within three seconds (median, five nodes) instead of six, for twice the probes.
    ///
    /// A probe takes 0.5 s, so that a dead node is probed by somebody after about 0.4 s and suspected 0.5 s later.
    /// The suspicion lasts 2 s when two others confirm it, and at most 4 s instead of 12: with so quick probes a late
    /// second confirmation is rare. The accused has ten rounds of gossip to object. Lost packets cost little, for the
    /// ping by stream still saves an accused node. A process that stands still for over 2.5 s is declared dead, and
    /// comes back by refuting.
    package static let fast = GossipTiming(
        probeInterval: 500, probeTimeout: 200, indirectHelpers: 3, gossipInterval: 100, gossipNodes: 3,
        retransmitMultiplier: 4, suspicionMultiplier: 4, suspicionMaxMultiplier: 2, pushPullInterval: 30_000,
        gossipToDead: 30_000, streamTimeout: 10_000)
}
