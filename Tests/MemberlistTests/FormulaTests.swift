import Memberlist
import RegdnsTestKit
import Testing

/// Numbers that memberlist computes, at the points given in its documentation and measured on it.
@Suite struct FormulaTests {
    @Test(
        "Suspicion with five nodes on one network",
        arguments: zip([0, 1, 2, 3] as [Int], [24_000, 11_381, 4_000, 4_000] as [Milliseconds]))
    func suspicion(confirmations: Int, expected: Milliseconds) {
        #expect(GossipFormulas.suspicionMin(.lan, nodes: 5) == 4_000)
        #expect(
            GossipFormulas.suspicion(min: 4_000, max: 24_000, confirmations: confirmations, wanted: 2) == expected)
    }

    @Test("Nobody to confirm: the shortest at once")
    func unconfirmed() {
        #expect(GossipFormulas.suspicion(min: 4_000, max: 24_000, confirmations: 0, wanted: 0) == 4_000)
    }

    @Test(
        "Shortest suspicion by size",
        arguments: [(1, 4_000), (10, 4_000), (32, 6_020), (64, 7_224), (1_000, 12_000)] as [(Int, Milliseconds)])
    func shortest(nodes: Int, expected: Milliseconds) {
        #expect(GossipFormulas.suspicionMin(.lan, nodes: nodes) == expected)
    }

    @Test(
        "Copies of a message", arguments: [(1, 4), (9, 4), (10, 8), (99, 8), (100, 12), (999, 12), (1_000, 16)])
    func copies(nodes: Int, expected: Int) {
        #expect(GossipFormulas.transmitLimit(multiplier: 4, nodes: nodes) == expected)
    }

    @Test(
        "Push/pulls become rare in large clusters",
        arguments: [(5, 30_000), (32, 30_000), (33, 60_000), (64, 60_000), (65, 90_000), (128, 90_000)]
            as [(Int, Milliseconds)])
    func pushPull(nodes: Int, expected: Milliseconds) {
        #expect(GossipFormulas.pushPullInterval(30_000, nodes: nodes) == expected)
    }

    @Test("memberlist's timers")
    func timers() {
        let lan = GossipTiming.lan
        let wan = GossipTiming.wan
        let local = GossipTiming.local
        #expect([lan.probeInterval, local.probeInterval, wan.probeInterval] == [1_000, 1_000, 5_000])
        #expect([lan.probeTimeout, local.probeTimeout, wan.probeTimeout] == [500, 200, 3_000])
        #expect([lan.indirectHelpers, local.indirectHelpers, wan.indirectHelpers] == [3, 1, 3])
        #expect([lan.gossipInterval, local.gossipInterval, wan.gossipInterval] == [200, 100, 500])
        #expect([lan.gossipNodes, local.gossipNodes, wan.gossipNodes] == [3, 3, 4])
        // memberlist's is 2 on one machine; see GossipTiming.local.
        #expect([lan.retransmitMultiplier, local.retransmitMultiplier, wan.retransmitMultiplier] == [4, 4, 4])
        #expect([lan.suspicionMultiplier, local.suspicionMultiplier, wan.suspicionMultiplier] == [4, 3, 6])
        #expect([lan.suspicionMaxMultiplier, local.suspicionMaxMultiplier, wan.suspicionMaxMultiplier] == [6, 6, 6])
        #expect([lan.pushPullInterval, local.pushPullInterval, wan.pushPullInterval] == [30_000, 15_000, 60_000])
        #expect([lan.gossipToDead, local.gossipToDead, wan.gossipToDead] == [30_000, 15_000, 60_000])
        #expect([lan.streamTimeout, local.streamTimeout, wan.streamTimeout] == [10_000, 1_000, 30_000])
    }

    @Test(
        "A suspicion ends when the formula says",
        arguments: [(0, 24_000), (1, 11_381), (2, 4_000)] as [(Int, Milliseconds)])
    func ends(confirmations: Int, expected: Milliseconds) throws {
        var bench = CoreBench()
        bench.know("a", "b", "c", "d")
        bench.hear(.suspect(Accusation(incarnation: 1, node: "a", from: "b")))
        let start = bench.now
        let confirming: [NodeName] = ["c", "d"]
        for accuser in confirming.prefix(confirmations) {
            bench.hear(.suspect(Accusation(incarnation: 1, node: "a", from: accuser)))
            // The same accuser again is no confirmation.
            bench.hear(.suspect(Accusation(incarnation: 1, node: "a", from: accuser)))
            bench.hear(.suspect(Accusation(incarnation: 1, node: "a", from: "b")))
        }
        // Probes are answered, or this node would confirm by itself.
        bench.runAnsweringProbes(for: expected - 1)
        #expect(bench.state("a") == .suspect)
        bench.runAnsweringProbes(for: start + expected - bench.now)
        #expect(bench.state("a") == .dead)
    }
}
