import Memberlist
import RegdnsTestKit
import Simulation
import Testing

/// Clusters under random faults, which must be whole again when the faults are over. REGDNS_SEED repeats a run.
@Suite struct ClusterPropertyTests {
    @Test func clustersAreWholeAfterAnyFaults() throws {
        var random = SeededRandom(test: #function)
        for round in 0..<4 * SeededRandom.effort {
            let seed = random.next()
            let place: Comment = "seed \(random.seed), round \(round), network \(seed)"
            let network = Self.storm(seed)
            let count = network.nodes.count
            #expect(Cluster.isWell(network, 0..<count), place)
            #expect(network.nodes.allSatisfy { $0.unreadable == 0 && $0.unsendable == 0 }, place)
            #expect(network.nodes.allSatisfy { $0.largestPacket <= 1_400 }, place)
        }
    }

    /// A cluster, a minute or two of faults, and two minutes of rest.
    static func storm(_ seed: UInt64) -> GossipNetwork {
        var random = SeededRandom(seed: seed)
        var network = GossipNetwork(seed: random.next())
        let count = 3 + random.below(8)
        let timing = [GossipTiming.lan, .fast, .local][random.below(3)]
        network.add(count: count, timing: timing, dialect: random.oneIn(3) ? .serf : .plain)
        for number in 1..<count { network.join(number, through: random.below(number)) }
        network.faults.latency = 1...Int64(1 + random.below(60))
        network.faults.lossPercent = random.oneIn(2) ? 0 : random.below(30)
        network.faults.duplicatePercent = random.below(20)
        for _ in 0..<10 + random.below(15) {
            trouble(&network, count, &random)
            network.run(for: Int64(random.below(8_000)))
        }
        // Rest.
        network.mend()
        network.faults.lossPercent = 0
        for number in 0..<count {
            network.resume(number)
            if network.nodes[number].condition == .killed { revive(&network, number, count, &random) }
        }
        network.run(for: 120_000)
        return network
    }

    private static func trouble(_ network: inout GossipNetwork, _ count: Int, _ random: inout SeededRandom) {
        let number = random.below(count)
        switch random.below(8) {
        case 0: network.pause(number)
        case 1: network.resume(number)
        case 2: network.kill(number)
        case 3 where network.nodes[number].condition == .killed: revive(&network, number, count, &random)
        case 4: network.cut(from: [number], to: [random.below(count)])
        case 5:
            let border = 1 + random.below(count - 1)
            network.split(0..<border, border..<count)
        case 6: network.mend()
        default: network.give(.updateMeta(random.octets(upTo: 100)), to: number)
        }
    }

    private static func revive(
        _ network: inout GossipNetwork, _ number: Int, _ count: Int, _ random: inout SeededRandom
    ) {
        network.restart(number)
        for other in 0..<count where other != number { network.join(number, through: other) }
    }

    @Test func coresSurviveAnyMessages() {
        var random = SeededRandom(test: #function)
        let names: [NodeName] = ["me", "a", "b", "c", "", "d"]
        for round in 0..<8 * SeededRandom.effort {
            var bench = CoreBench(dialect: random.oneIn(2) ? .plain : .serf, seed: random.next()) {
                $0.limits.members = 5
                $0.limits.broadcastBytes = 2_000
                $0.limits.userBroadcastBytes = 2_000
            }
            var lastIncarnation: UInt32 = 0
            for _ in 0..<200 {
                bench.give(Self.event(names, &random))
                if random.oneIn(3) { bench.run(for: Int64(random.below(2_000))) }
                if random.oneIn(30) { bench.standStill(for: Int64(random.below(60_000))) }
                // I9 and I10: the incarnation never falls, and the bounds hold.
                #expect(bench.core.incarnation >= lastIncarnation, "seed \(random.seed), \(round)")
                lastIncarnation = bench.core.incarnation
                #expect(bench.core.members.count <= 5, "seed \(random.seed), \(round)")
                #expect(bench.core.queues.bytes <= 2_000 && bench.core.queues.userBytes <= 2_000)
                #expect((0...7).contains(bench.core.health))
                #expect(bench.core.member("me") != nil, "seed \(random.seed), \(round)")
            }
        }
    }

    /// An event that an adversary, or a confused driver, may bring.
    private static func event(_ names: [NodeName], _ random: inout SeededRandom) -> CoreEvent {
        let name = names[random.below(names.count)]
        let incarnation = [0, 1, 2, 3, 1_000, .max - 1, .max][random.below(7)] as UInt32
        let accusation = Accusation(incarnation: incarnation, node: name, from: names[random.below(names.count)])
        switch random.below(12) {
        case 0: return .packet([.suspect(accusation)], from: CoreBench.sender)
        case 1: return .packet([.dead(accusation)], from: CoreBench.sender)
        case 2, 3:
            let meta = random.octets(upTo: 600)
            return .packet([.alive(CoreBench.alive(name, incarnation, meta: meta))], from: CoreBench.sender)
        case 4: return .packet([WirePropertyTests.message(&random)], from: CoreBench.sender)
        case 5:
            return .streamRequest(
                .pushPull(WirePropertyTests.pushPull(&random)), stream: random.next(), from: CoreBench.sender)
        case 6: return .pushPullAnswer(dial: UInt64(random.below(100)), state: WirePropertyTests.pushPull(&random))
        case 7: return .pingAnswer(dial: UInt64(random.below(100)), isAcked: random.oneIn(2))
        case 8: return .packet([.ack(Ack(sequence: UInt32(random.below(300))))], from: CoreBench.sender)
        case 9: return .broadcast(random.octets(upTo: 900))
        case 10: return .join([CoreBench.address(name)])
        default: return random.oneIn(60) ? .leave : .timer
        }
    }
}
