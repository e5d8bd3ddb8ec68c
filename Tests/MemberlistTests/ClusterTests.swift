import Memberlist
import RegdnsTestKit
import Simulation
import Testing

/// Whole clusters in virtual time, held against the figures that are aimed at. All seeds are fixed.
@Suite struct ClusterTests {
    // MARK: Forming

    @Test("Everybody sees everybody", arguments: [3, 5, 16, 64])
    func forming(count: Int) throws {
        let network = try Cluster.formed(count, seed: 1)
        #expect(network.nodes.allSatisfy { $0.unreadable == 0 && $0.unsendable == 0 && $0.largestPacket <= 1_400 })
    }

    @Test("Views are full three seconds after 64 nodes joined at once", arguments: [1, 2] as [UInt64])
    func massJoin(seed: UInt64) throws {
        var network = GossipNetwork(seed: seed)
        var random = SeededRandom(seed: seed)
        network.add(count: 64)
        for number in 1..<64 {
            network.join(number, through: random.below(number))
            network.run(for: 10)
        }
        let time = network.run(atMost: 30_000) { Cluster.isFull($0, 0..<64) }
        #expect(try #require(time) <= 3_000)
    }

    @Test("Sealed, labelled, in serf's dialect", arguments: [Dialect.plain, .serf])
    func sealed(dialect: Dialect) throws {
        var network = GossipNetwork(seed: 4)
        let key = try #require(GossipKey(octets: [UInt8](repeating: 3, count: 32)))
        let security = try #require(GossipSecurity(keys: KeyRing([key]), label: Array("regdns".utf8)))
        for number in 0..<8 {
            let settings = CoreSettings(
                name: NodeName("n\(number)"), address: GossipNetwork.address(number),
                meta: [UInt8](repeating: 1, count: 512),
                dialect: dialect)
            network.add(settings, security: security)
            if number > 0 { network.join(number, through: 0) }
        }
        #expect(network.run(atMost: 5_000) { Cluster.isFull($0, 0..<8) } != nil)
        network.run(for: 10_000)
        #expect(network.nodes.allSatisfy { $0.unreadable == 0 && $0.largestPacket <= 1_400 })
    }

    @Test("Two dialects do not mix, and say so")
    func mixedDialects() {
        var network = GossipNetwork(seed: 4)
        network.add(count: 2)
        network.add(count: 1, dialect: .serf)
        network.join(1, through: 0)
        network.run(for: 1_000)
        network.join(2, through: 0)
        network.run(for: 1_000)
        #expect(network.records.contains { if case .mergeRefused = $0.notice { true } else { false } })
        #expect(network.core(2).peerCount == 0)
    }

    @Test("New metadata reaches all: mostly within half a second, always within four", arguments: [16, 64])
    func metadata(count: Int) throws {
        var network = try Cluster.formed(count, seed: 9)
        var times: [Milliseconds] = []
        for round in 1...30 as ClosedRange<UInt8> {
            let number = Int(round) % count
            network.give(.updateMeta([round]), to: number)
            let time = network.run(atMost: 60_000) { network in
                (0..<count).allSatisfy { network.core($0).member(NodeName("n\(number)"))?.meta == [round] }
            }
            times.append(try #require(time))
            network.run(for: 1_000)
        }
        times.sort()
        #expect(times[15] <= 600 && times[29] <= 4_000, "\(times)")
    }

    @Test("Idle members talk as little as memberlist does")
    func idle() throws {
        var network = try Cluster.formed(32, seed: 2)
        let before = (network.packets, network.packetBytes)
        network.run(for: 60_000)
        // One probe sent and one answered a second; without seals.
        #expect(network.packets - before.0 <= 32 * 60 * 21 / 10)
        #expect(network.packetBytes - before.1 <= 32 * 60 * 137)
    }

    // MARK: Deaths

    /// How long it took until all survivors saw the last node of `count` dead or gone.
    static func kill(
        _ count: Int, _ timing: GossipTiming, seed: UInt64, loss: Int = 0,
        unixOffset: (Int) -> Milliseconds? = { _ in nil }
    ) throws -> Milliseconds {
        var network = try Cluster.formed(count, seed: seed, timing: timing, unixOffset: unixOffset)
        network.faults.lossPercent = loss
        network.run(for: Milliseconds(seed * 37 % 1_000))
        network.kill(count - 1)
        let time = network.run(atMost: 60_000) { network in
            (0..<count - 1).allSatisfy { Cluster.sees(network, $0, count - 1)?.isGone ?? true }
        }
        let victim = NodeName("n\(count - 1)")
        #expect(network.records.allSatisfy { Cluster.victim($0) ?? victim == victim }, "no other death")
        return try #require(time, "seed \(seed)")
    }

    @Test(
        "A kill is seen by all in time",
        arguments: [
            (5, .lan, 12, 5_500...6_700, 8_000), (3, .lan, 6, 5_000...6_700, 8_000),
            (16, .lan, 4, 6_000...8_400, 11_000),
            (64, .lan, 1, 7_200...9_900, 9_900), (5, .local, 12, 3_000...5_300, 8_000),
            (5, .fast, 12, 2_000...3_000, 5_000), (3, .fast, 6, 2_000...3_000, 5_000),
        ] as [(Int, GossipTiming, UInt64, ClosedRange<Milliseconds>, Milliseconds)])
    func kills(
        count: Int, timing: GossipTiming, seeds: UInt64, median: ClosedRange<Milliseconds>, most: Milliseconds
    ) throws {
        let times = try (1...seeds).map { try Self.kill(count, timing, seed: $0) }.sorted()
        #expect(median.contains(times[times.count / 2]), "\(times)")
        #expect(
            times.allSatisfy { (GossipFormulas.suspicionMin(timing, nodes: count)...most).contains($0) }, "\(times)")
    }

    /// The bound: two turns until somebody probes it, one for the probe, the shortest suspicion, and the gossip of it.
    @Test(
        "Nodes with one clock share out whom they probe, so that no kill is seen late",
        arguments: [(5, 20, 7_500), (16, 6, 8_500), (64, 2, 10_800)] as [(Int, UInt64, Milliseconds)])
    func killsByTurns(count: Int, seeds: UInt64, most: Milliseconds) throws {
        let times = try (1...seeds).map { try Self.kill(count, .lan, seed: $0, unixOffset: { _ in 1_000_000 }) }
        #expect(times.allSatisfy { $0 <= most }, "\(times.sorted())")
    }

    @Test("A kill does not make those who see it doubt themselves: nacks come before the probe ends")
    func nacksInTime() throws {
        var network = try Cluster.formed(5, seed: 6)
        network.kill(4)
        let time = network.run(atMost: 10_000) { network in
            (0..<4).contains { Cluster.sees(network, $0, 4) == .suspect }
        }
        try #require(time != nil)
        #expect((0..<4).allSatisfy { network.core($0).health == 0 })
    }

    /// Most gossip goes to the unreachable then. Who misses what the other two say waits for the longest suspicion.
    @Test("Half of six gone at once: seen by the rest in time", arguments: [nil, 0] as [Milliseconds?])
    func halves(unixOffset: Milliseconds?) throws {
        let times = try (1...8 as ClosedRange<UInt64>).map { seed in
            var network = try Cluster.formed(6, seed: seed, unixOffset: { _ in unixOffset })
            network.split(0..<3, 3..<6)
            let time = network.run(atMost: 60_000) { network in Cluster.isFull(network, 0..<3) }
            return try #require(time)
        }
        #expect(times.sorted()[4] <= 13_000 && times.allSatisfy { $0 <= 27_000 }, "\(times.sorted())")
    }

    @Test("With clocks that differ they probe as by lot")
    func killsByWrongClocks() throws {
        let times = try (1...12 as ClosedRange<UInt64>).map { seed in
            try Self.kill(5, .lan, seed: seed, unixOffset: { Milliseconds($0 * $0) * 7_777 })
        }
        #expect(times.allSatisfy { $0 <= 10_000 }, "\(times.sorted())")
    }

    @Test("A kill is seen under loss, too", arguments: [10, 30])
    func killUnderLoss(loss: Int) throws {
        #expect(try Self.kill(16, .lan, seed: 3, loss: loss) <= 12_000)
    }

    @Test("Nobody dies of 10 % loss, hardly anybody of 30 %", arguments: [10, 30])
    func loss(percent: Int) throws {
        var network = try Cluster.formed(32, seed: 3)
        network.faults.lossPercent = percent
        network.faults.duplicatePercent = 10
        network.run(for: 90_000)
        // memberlist: no notice at 10 %, two at 30 %.
        #expect(network.records.count { Cluster.victim($0) != nil } <= (percent == 10 ? 0 : 2))
        if percent == 10 { #expect((0..<32).allSatisfy { network.core($0).health <= 1 }) }
    }

    @Test("Who cannot be reached by one other member is alive")
    func oneWay() throws {
        var network = try Cluster.formed(5, seed: 3)
        network.cut(from: [0], to: [1])
        network.run(for: 90_000)
        #expect(network.records.allSatisfy { Cluster.victim($0) == nil })
        #expect(network.core(0).counters.failedProbes == 0, "helpers reach it")
    }

    @Test("Who hears nothing is dead for the others, and back soon after it hears again", arguments: [true, false])
    func deaf(hearsNothing: Bool) throws {
        var network = try Cluster.formed(5, seed: 3)
        let others = [0, 1, 2, 3]
        if hearsNothing { network.cut(from: others, to: [4]) } else { network.cut(from: [4], to: others) }
        network.run(for: 40_000)
        #expect(others.allSatisfy { Cluster.sees(network, $0, 4)?.isGone ?? true })
        #expect(others.allSatisfy { viewer in others.allSatisfy { Cluster.sees(network, viewer, $0) == .alive } })
        network.mend()
        let time = network.run(atMost: 30_000) { Cluster.isWell($0, 0..<5) }
        #expect(try #require(time) <= 8_000)
    }

    // MARK: Pauses

    @Test("Three seconds of standing still are refuted", arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func shortPause(seed: UInt64) throws {
        var network = try Cluster.formed(5, seed: seed)
        network.pause(2)
        network.run(for: 3_000)
        network.resume(2)
        #expect(network.run(atMost: 5_000) { Cluster.isWell($0, 0..<5) } != nil)
        network.run(for: 30_000)
        #expect(network.records.allSatisfy { Cluster.victim($0) == nil })
        #expect(Cluster.isWell(network, 0..<5))
    }

    @Test("Who stood still for long comes back and accuses nobody", arguments: [10_000, 40_000] as [Milliseconds])
    func longPause(time: Milliseconds) throws {
        var network = try Cluster.formed(5, seed: 3)
        network.pause(2)
        network.run(for: time)
        network.resume(2)
        #expect(network.run(atMost: 8_000) { Cluster.isWell($0, 0..<5) } != nil)
        network.run(for: 30_000)
        #expect(network.records.allSatisfy { Cluster.victim($0) ?? "n2" == "n2" })
    }

    // MARK: Coming and going

    @Test("A leave is seen as left by all", arguments: [Dialect.plain, .serf])
    func leave(dialect: Dialect) throws {
        var network = try Cluster.formed(8, seed: 2, dialect: dialect)
        network.give(.leave, to: 3)
        let done = network.run(atMost: 5_000) { network in
            network.records.contains { $0.node == 3 && $0.notice == .leaveDone }
        }
        #expect(done != nil)
        network.kill(3)
        network.run(for: 1_000)
        #expect((0..<8).allSatisfy { $0 == 3 || Cluster.sees(network, $0, 3) == .left })
        network.run(for: 60_000)
        #expect(network.records.allSatisfy { Cluster.victim($0) == nil })
        #expect(network.core(0).member("n3") == nil, "and is forgotten")
    }

    @Test(
        "A restarted process is alive again though it remembers nothing",
        arguments: [500, 20_000, 120_000] as [Milliseconds])
    func restart(after time: Milliseconds) throws {
        var network = try Cluster.formed(5, seed: 2)
        for round in 0..<3 {
            network.kill(4)
            network.run(for: time)
            network.restart(4)
            network.join(4, through: round)
            #expect(network.run(atMost: 10_000) { Cluster.isWell($0, 0..<5) } != nil)
        }
    }

    @Test("A second node of one name is refused")
    func sameName() throws {
        var network = try Cluster.formed(3, seed: 2)
        network.add(CoreSettings(name: "n1", address: GossipNetwork.address(77)))
        network.join(3, through: 0)
        network.run(for: 5_000)
        #expect(network.records.contains { if case .conflict = $0.notice { $0.node == 0 } else { false } })
        #expect(
            network.records.contains {
                if case .conflict(let member, _) = $0.notice { $0.node == 3 && member.name == "n1" } else { false }
            })
        #expect((0..<3).allSatisfy { network.core($0).member("n1")?.address == GossipNetwork.address(1) })
    }

    @Test(
        "Splits heal, also those longer than the dead are remembered",
        arguments: [(6, 20_000), (6, 60_000), (6, 90_000), (6, 300_000), (32, 120_000)] as [(Int, Milliseconds)])
    func splits(count: Int, time: Milliseconds) throws {
        for seed in 1...(count > 10 ? 1 : 3) as ClosedRange<UInt64> {
            var network = try Cluster.formed(count, seed: seed)
            network.split(0..<count / 2, count / 2..<count)
            network.run(for: time)
            let half = count / 2
            if time > 40_000 {
                #expect((0..<count).allSatisfy { network.core($0).peerCount == half - 1 }, "both sides know their own")
            }
            network.mend()
            let healed = network.run(atMost: 60_000) { Cluster.isFull($0, 0..<count) }
            #expect(try #require(healed) <= 6_000, "seed \(seed)")
        }
    }

    // MARK: Repeating

    @Test("One seed, one trace")
    func deterministic() throws {
        func run(_ seed: UInt64) throws -> (UInt64, [String]) {
            var network = try Cluster.formed(8, seed: seed)
            network.faults.lossPercent = 20
            network.faults.duplicatePercent = 5
            network.pause(3)
            network.run(for: 6_000)
            network.resume(3)
            network.kill(5)
            network.run(for: 20_000)
            return (network.trace, network.records.map { "\($0.time) \($0.node) \($0.notice)" })
        }
        let (first, second, other) = (try run(11), try run(11), try run(12))
        #expect(first == second)
        #expect(first.0 != other.0)
    }
}
