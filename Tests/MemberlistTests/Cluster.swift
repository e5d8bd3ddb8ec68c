import Memberlist
import Simulation
import Testing

/// What tests want to know of a simulated cluster.
enum Cluster {
    /// A cluster of `count` whose views are full and whose gossip is over.
    static func formed(
        _ count: Int, seed: UInt64, timing: GossipTiming = .lan, dialect: Dialect = .plain,
        unixOffset: (Int) -> Milliseconds? = { _ in nil }
    ) throws -> GossipNetwork {
        var network = GossipNetwork(seed: seed)
        network.add(count: count, timing: timing, dialect: dialect, unixOffset: unixOffset)
        for number in 1..<count {
            network.join(number, through: 0)
            network.run(for: 10)
        }
        try #require(network.run(atMost: 30_000) { isFull($0, 0..<count) } != nil, "seed \(seed)")
        network.run(for: 5_000)
        return network
    }

    /// Whether these nodes see as many peers as they are.
    static func isFull(_ network: GossipNetwork, _ numbers: some Collection<Int>) -> Bool {
        numbers.allSatisfy { network.core($0).peerCount == numbers.count - 1 }
    }

    /// Whether these nodes see each other alive, and nobody else.
    static func isWell(_ network: GossipNetwork, _ numbers: some Collection<Int>) -> Bool {
        isFull(network, numbers)
            && numbers.allSatisfy { viewer in numbers.allSatisfy { sees(network, viewer, $0) == .alive } }
    }

    static func sees(_ network: GossipNetwork, _ viewer: Int, _ other: Int) -> NodeState? {
        network.core(viewer).member(NodeName("n\(other)"))?.state
    }

    /// Who was declared dead.
    static func victim(_ record: GossipNetwork.Record) -> NodeName? {
        if case .failed(let member) = record.notice { member.name } else { nil }
    }
}
