import Memberlist
import RegdnsTestKit
import Simulation
import Testing

/// Whole clusters in virtual time.
@Suite struct ClusterTests {
    /// A cluster of `count` whose views are full.
    static func formed(
        _ count: Int, seed: UInt64, timing: GossipTiming = .lan, dialect: Dialect = .plain
    ) throws -> GossipNetwork {
        var network = GossipNetwork(seed: seed)
        network.add(count: count, timing: timing, dialect: dialect)
        for number in 1..<count {
            network.join(number, through: 0)
            network.run(for: 10)
        }
        try #require(network.run(atMost: 30_000) { Self.isFull($0, 0..<count) } != nil, "seed \(seed)")
        network.run(for: 5_000)
        return network
    }

    static func isFull(_ network: GossipNetwork, _ numbers: some Collection<Int>) -> Bool {
        numbers.allSatisfy { network.core($0).peerCount == numbers.count - 1 }
    }

    static func sees(_ network: GossipNetwork, _ viewer: Int, _ other: Int) -> NodeState? {
        network.core(viewer).member(NodeName("n\(other)"))?.state
    }

    @Test(arguments: [3, 5, 16, 64])
    func everybodySeesEverybody(count: Int) throws {
        let network = try Self.formed(count, seed: 1)
        #expect(network.nodes.allSatisfy { $0.unreadable == 0 && $0.unsendable == 0 && $0.largestPacket <= 1_400 })
        print("formed \(count)", network.now, network.packets)
    }
}
