import Memberlist
import RegdnsTestKit
import Simulation
import Testing

@Suite struct TrialTests {
    @Test func massJoin() throws {
        for seed in 1...12 {
            var network = GossipNetwork(seed: UInt64(seed))
            var random = SeededRandom(seed: UInt64(seed))
            network.add(count: 64)
            for number in 1..<64 {
                network.join(number, through: random.below(number))
                network.run(for: 10)
            }
            let time = network.run(atMost: 90_000) { ClusterTests.isFull($0, 0..<64) }
            print("mass", seed, time as Any)
        }
    }
    @Test func kills() throws {
        for (count, timing, name) in [
            (5, GossipTiming.lan, "lan"), (5, .fast, "fast"), (5, .local, "local"), (3, .lan, "lan"), (16, .lan, "lan"),
            (3, .fast, "fast"), (16, .fast, "fast"),
        ] {
            var times: [Int64] = []
            for seed in 1...30 {
                var network = try ClusterTests.formed(count, seed: UInt64(seed), timing: timing)
                network.run(for: Int64(seed * 37 % 1000))
                network.kill(count - 1)
                let t = network.run(atMost: 60_000) { n in
                    (0..<count - 1).allSatisfy { ClusterTests.sees(n, $0, count - 1)?.isGone ?? true }
                }
                times.append(t ?? -1)
            }
            times.sort()
            print("kill", name, count, "min", times[0], "median", times[times.count / 2], "max", times.last!)
        }
    }
}
