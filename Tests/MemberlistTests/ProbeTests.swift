import RegdnsTestKit
import Testing

@testable import Memberlist

/// The sequence of one probe, on both ends and at helpers.
@Suite struct ProbeTests {
    /// A core whose probe of its only alive peer, or of one of them, has just begun.
    static func probing(
        _ names: NodeName..., versions: ProtocolVersions = .plain, timing: GossipTiming = .lan
    ) throws -> (bench: CoreBench, ping: Ping) {
        var bench = CoreBench(timing: timing)
        for name in names { bench.hear(.alive(CoreBench.alive(name, 1, versions: versions))) }
        let ping = bench.run(atMost: 2_000) { effect in [effect].pings.first }
        return (bench, try #require(ping))
    }

    static func indirect(_ effects: [CoreEffect]) -> [IndirectPing] {
        effects.messages.compactMap { if case .indirectPing(let ping) = $0 { ping } else { nil } }
    }

    static func dials(_ effects: [CoreEffect]) -> [(
        dial: UInt64, ping: Ping, to: GossipAddress, deadline: Milliseconds
    )] {
        effects.compactMap {
            if case .dialPing(let dial, let to, let ping, let deadline) = $0 { (dial, ping, to, deadline) } else { nil }
        }
    }

    @Test("An ack in time: nothing more, and one point better")
    func acked() throws {
        var (bench, ping) = try Self.probing("a")
        #expect(ping.node == "a" && ping.source.node == "me")
        #expect(ping.source.answerAddress == CoreBench.address("me"))
        bench.core.health = 2
        bench.run(for: 400)
        bench.hear(.ack(Ack(sequence: ping.sequence, payload: [1, 2])))
        #expect(bench.core.health == 1)
        let effects = bench.run(for: 599)
        #expect(Self.indirect(effects).isEmpty && Self.dials(effects).isEmpty)
        #expect(bench.state("a") == .alive && bench.core.counters.failedProbes == 0)
    }

    @Test("The payload of an ack is handed over")
    func payload() throws {
        var (bench, ping) = try Self.probing("a")
        #expect(
            bench.hear(.ack(Ack(sequence: ping.sequence, payload: [1, 2]))).notices == [.ackPayload([1, 2], from: "a")])
        // Twice: the second one belongs to nothing.
        #expect(bench.hear(.ack(Ack(sequence: ping.sequence, payload: [1, 2]))).notices.isEmpty)
    }

    @Test("No ack: others and a stream are tried, then suspicion")
    func failed() throws {
        var (bench, ping) = try Self.probing("a")
        bench.know("b", "c", "d", "e")
        let start = bench.now
        #expect(Self.indirect(bench.run(for: 499)).isEmpty)
        let effects = bench.run(for: 1)
        let asked = Self.indirect(effects)
        #expect(asked.count == 3)
        for request in asked {
            #expect(request.sequence == ping.sequence && request.node == ping.node && request.wantsNack)
            #expect(GossipAddress(ip: request.target, port: request.port) == CoreBench.address(ping.node))
            #expect(request.source.answerAddress == CoreBench.address("me"))
        }
        let dial = try #require(Self.dials(effects).first)
        #expect(dial.ping.node == ping.node && dial.ping.sequence == ping.sequence)
        #expect(dial.to == CoreBench.address(ping.node) && dial.deadline == start + 1_000)
        #expect(bench.state(ping.node) == .alive)
        bench.run(for: 499)
        #expect(bench.state(ping.node) == .alive)
        let end = bench.run(for: 1)
        #expect(bench.state(ping.node) == .suspect)
        #expect(end.notices.contains(.suspected(ping.node, by: "me")))
        #expect(bench.core.counters.failedProbes == 1)
        // Three nacks were wanted, none came.
        #expect(bench.core.health == 3)
    }

    @Test("Nacks tell that this node is well", arguments: [0, 1, 2, 3])
    func nacks(count: Int) throws {
        var (bench, ping) = try Self.probing("a")
        bench.know("b", "c", "d", "e")
        bench.run(for: 500)
        for _ in 0..<count { bench.hear(.nack(Nack(sequence: ping.sequence))) }
        bench.hear(.nack(Nack(sequence: ping.sequence &+ 1)))
        bench.run(for: 500)
        #expect(bench.state(ping.node) == .suspect)
        #expect(bench.core.health == 3 - count)
    }

    @Test("No helper, no nack wanted: one point worse")
    func alone() throws {
        var (bench, _) = try Self.probing("a")
        bench.run(for: 1_000)
        #expect(bench.core.health == 1)
    }

    @Test("Helpers of an old protocol are not asked for nacks, its targets not by stream")
    func oldProtocol() throws {
        var (bench, ping) = try Self.probing("a", versions: ProtocolVersions(protocolMax: 2))
        bench.hear(.alive(CoreBench.alive("b", 1, versions: ProtocolVersions(protocolMax: 3))))
        let effects = bench.run(for: 500)
        #expect(Self.indirect(effects).map(\.wantsNack) == [false])
        #expect(Self.dials(effects).isEmpty)
        bench.run(for: 500)
        #expect(bench.core.health == 1 && bench.state(ping.node) == .suspect)
    }

    @Test("A helper's ack saves the probed")
    func indirectAck() throws {
        var (bench, ping) = try Self.probing("a")
        bench.know("b")
        bench.run(for: 900)
        bench.hear(.ack(Ack(sequence: ping.sequence)))
        bench.run(for: 200)
        #expect(bench.core.counters.failedProbes == 0)
    }

    @Test("By turns everybody is probed, each in the turn of the clock", arguments: [0, 1_234_567])
    func turns(unixOffset: Milliseconds) {
        let names = ["a", "b", "c", "d", "e"] as [NodeName]
        var bench = CoreBench { $0.unixOffset = unixOffset }
        for name in names { bench.know(name) }
        var probed: [NodeName] = []
        for _ in 0..<10 {
            for ping in bench.run(for: 1_000).pings {
                probed.append(ping.node)
                bench.hear(.ack(Ack(sequence: ping.sequence)))
            }
        }
        #expect(Array(probed.prefix(5)) == Array(probed.suffix(5)))
        #expect(Set(probed) == Set(names) && probed.count == 10)
    }

    @Test("A helper passes on what comes after its nack")
    func ackAfterNack() throws {
        var bench = CoreBench()
        bench.hear(
            .indirectPing(IndirectPing(sequence: 9, target: [10, 1, 2, 3], port: 8, node: "t", wantsNack: true)))
        #expect(bench.run(for: 399).messages.isEmpty)
        #expect(bench.run(for: 1).messages.contains(.nack(Nack(sequence: 9))))
        let asked = bench.core.sequence
        #expect(bench.hear(.ack(Ack(sequence: asked))).messages.contains(.ack(Ack(sequence: 9))))
    }

    @Test("A late ack is of no use")
    func lateAck() throws {
        var (bench, ping) = try Self.probing("a")
        bench.run(for: 1_000)
        bench.hear(.ack(Ack(sequence: ping.sequence)))
        #expect(bench.state("a") == .suspect)
    }

    @Test("An answer by stream alone: good, with a warning", arguments: [true, false])
    func byStream(isAcked: Bool) throws {
        var (bench, ping) = try Self.probing("a")
        bench.core.health = 3
        let dial = try #require(Self.dials(bench.run(for: 500)).first)
        bench.give(.pingAnswer(dial: dial.dial, isAcked: isAcked))
        bench.give(.pingAnswer(dial: dial.dial + 1, isAcked: true))
        // At health 3 a probe takes four intervals, which were set when it began.
        let notices = bench.run(for: 500).notices
        #expect(notices.contains(.answersByStreamOnly("a")) == isAcked)
        #expect(bench.state("a") == (isAcked ? .alive : .suspect))
        #expect(bench.core.health == (isAcked ? 2 : 4))
        #expect(ping.node == "a")
    }

    @Test("Ill nodes wait longer for their verdict", arguments: [0, 1, 7])
    func scaled(health: Int) throws {
        var bench = CoreBench()
        bench.core.health = health
        bench.know("a")
        _ = try #require(bench.run(atMost: 2_000) { [$0].pings.first })
        bench.run(for: Milliseconds(health + 1) * 1_000 - 1)
        #expect(bench.state("a") == .alive)
        bench.run(for: 1)
        #expect(bench.state("a") == .suspect)
        #expect(bench.core.health == min(health + 1, 7))
    }

    @Test("A suspect is pinged together with the accusation")
    func suspectPing() throws {
        var bench = CoreBench()
        bench.know("a")
        bench.hear(.suspect(Accusation(incarnation: 1, node: "a", from: "x")))
        let packet = try #require(
            bench.run(atMost: 2_000) { effect in
                [effect].packets.first { !$0.decoded.isEmpty && [effect].pings.count == 1 }
            })
        #expect(packet.decoded.count == 2 && packet.hasChecksum && packet.node == "a")
        #expect(packet.decoded.last == .suspect(Accusation(incarnation: 1, node: "a", from: "me")))
    }

    @Test("All are probed in turn, none twice in a round")
    func order() {
        var bench = CoreBench()
        bench.know("a", "b", "c", "d", "e")
        var probed: [NodeName] = []
        for _ in 0..<20 {
            guard let ping = bench.run(atMost: 3_000, until: { [$0].pings.first }) else { break }
            probed.append(ping.node)
            bench.hear(.ack(Ack(sequence: ping.sequence)))
        }
        #expect(probed.count == 20)
        // After the first five, which learning mixed, every five are all five.
        for start in stride(from: 5, to: 20, by: 5) {
            #expect(Set(probed[start..<start + 5]).count == 5)
        }
        #expect(Set(stride(from: 5, to: 20, by: 5).map { Array(probed[$0..<$0 + 5]) }).count > 1)
    }

    @Test("One probe per interval")
    func pace() {
        var bench = CoreBench()
        bench.know("a", "b")
        bench.runAnsweringProbes(for: 60_000)
        #expect((59...61).contains(bench.core.counters.probes))
    }

    // MARK: The other end

    @Test("Pings are answered to where they say, or to where they come from")
    func answers() {
        var bench = CoreBench()
        let source = PingSource(address: [10, 5, 5, 5], port: 77, node: "a")
        let cases: [(Ping, GossipAddress?)] = [
            (Ping(sequence: 5, node: "me"), CoreBench.sender),
            (Ping(sequence: 5, node: ""), CoreBench.sender),
            (Ping(sequence: 5, node: "me", source: source), GossipAddress(10, 5, 5, 5, port: 77)),
            (Ping(sequence: 5, node: "me", source: PingSource(address: [10, 5, 5, 5])), CoreBench.sender),
            (Ping(sequence: 5, node: "me", source: PingSource(address: [1], port: 7)), CoreBench.sender),
            (Ping(sequence: 5, node: "you"), nil),
        ]
        for (ping, address) in cases {
            let packets = bench.hear(.ping(ping)).packets
            #expect(packets.map(\.address) == (address.map { [$0] } ?? []))
            if address != nil { #expect(packets.first?.decoded.first == .ack(Ack(sequence: 5))) }
        }
    }

    @Test("Acks carry the application's payload, not in serf's dialect", arguments: [Dialect.plain, .serf])
    func ownPayload(dialect: Dialect) {
        var bench = CoreBench(dialect: dialect)
        bench.give(.setAckPayload([4, 5]))
        let ack = bench.hear(.ping(Ping(sequence: 5, node: "me"))).messages.first
        #expect(ack == .ack(Ack(sequence: 5, payload: dialect == .serf ? nil : [4, 5])))
    }

    // MARK: The digest of the view

    /// What a core that shares its view puts into an ack.
    static func digest(_ names: [NodeName]) throws -> [UInt8] {
        var bench = CoreBench { $0.sharesView = true }
        for name in names { bench.know(name) }
        guard case .ack(let ack) = bench.hear(.ping(Ping(sequence: 5, node: "me"))).messages.first else { return [] }
        return try #require(ack.payload)
    }

    @Test("Equal views have equal digests, in any order; others have others")
    func digests() throws {
        let both = try Self.digest(["a", "b"])
        #expect(both.count == 10 && both.starts(with: [0xd0, 0x01]))
        #expect(try Self.digest(["b", "a"]) == both)
        #expect(try Self.digest(["a"]) != both && Self.digest(["a", "c"]) != both)
    }

    @Test("Another view in an ack is asked for, less and less often when it teaches nothing")
    func repairsView() throws {
        var bench = CoreBench { $0.sharesView = true }
        bench.know("a", "b")
        var pulls: [Milliseconds] = []
        let end = bench.now + 60_000
        while bench.now < end {
            let ping = try #require(bench.run(atMost: 3_000) { [$0].pings.first })
            let other = try Self.digest(["a", "b", "c"]) + [9]
            let effects = bench.hear(.ack(Ack(sequence: ping.sequence, payload: other)))
            #expect(effects.notices == [.ackPayload([9], from: ping.node)], "the application's part is handed over")
            guard let pull = effects.pushPulls.first else { continue }
            #expect(pull.address == CoreBench.address(ping.node) && !pull.state.join)
            pulls.append(bench.now)
            bench.give(.pushPullAnswer(dial: pull.dial, state: PushPull(join: false, nodes: [])))
        }
        let waits = zip(pulls.dropFirst(), pulls).map { $0 - $1 }
        #expect(waits == [4_000, 8_000, 16_000, 30_000])
        #expect(bench.core.counters.viewRepairs == pulls.count)
    }

    @Test("The own view in an ack is not asked for, nor another one while gossip is under way")
    func keepsView() throws {
        for (names, settles) in [(["a", "b"], true), (["a", "b", "c"], false)] as [([NodeName], Bool)] {
            var bench = CoreBench { $0.sharesView = true }
            bench.know("a", "b")
            if settles { bench.run(for: 100) }
            let ping = try #require(bench.run(atMost: 2_000) { [$0].pings.first })
            if !settles { bench.hear(.alive(CoreBench.alive("a", 2))) }
            let effects = bench.hear(.ack(Ack(sequence: ping.sequence, payload: try Self.digest(names))))
            #expect(effects.pushPulls.isEmpty)
        }
    }

    @Test("Pings by stream")
    func streams() {
        var bench = CoreBench()
        func answer(_ node: NodeName) -> [CoreEffect] {
            bench.give(.streamRequest(.ping(Ping(sequence: 6, node: node)), stream: 3, from: CoreBench.sender))
        }
        #expect(answer("me").contains(.answer(stream: 3, .ack(Ack(sequence: 6)))))
        #expect(answer("").contains(.answer(stream: 3, .ack(Ack(sequence: 6)))))
        #expect(answer("you").contains(.close(stream: 3)))
    }

    @Test("Pinging for others: own number, relayed ack without payload", arguments: [true, false])
    func relay(wantsNack: Bool) throws {
        var bench = CoreBench()
        let asker = PingSource(address: [10, 7, 7, 7], port: 70, node: "q")
        let request = IndirectPing(
            sequence: 99, target: [10, 8, 8, 8], port: 80, node: "t", wantsNack: wantsNack, source: asker)
        let packets = bench.hear(.indirectPing(request)).packets
        #expect(packets.map(\.address) == [GossipAddress(10, 8, 8, 8, port: 80)])
        let ping = try #require(packets.first.map { [CoreEffect.send($0)].pings.first } ?? nil)
        #expect(ping.node == "t" && ping.source.answerAddress == CoreBench.address("me"))
        let relayed = bench.hear(.ack(Ack(sequence: ping.sequence, payload: [1]))).packets
        #expect(relayed.map(\.address) == [GossipAddress(10, 7, 7, 7, port: 70)])
        #expect(relayed.first?.decoded.first == .ack(Ack(sequence: 99)))
        #expect(!bench.run(for: 1_000).messages.contains(.nack(Nack(sequence: 99))))

        // The next one is not answered.
        bench.hear(.indirectPing(request))
        let silent = bench.run(for: 499).messages + bench.run(for: 1).messages
        #expect(silent.contains(.nack(Nack(sequence: 99))) == wantsNack)
        #expect(bench.hear(.ack(Ack(sequence: ping.sequence &+ 1))).packets.isEmpty, "too late")
    }

    @Test("Pings for others are bounded; broken requests are none")
    func relayBound() {
        var bench = CoreBench { $0.limits.relays = 3 }
        for number in 0..<5 {
            bench.hear(
                .indirectPing(
                    IndirectPing(sequence: UInt32(number), target: [10, 8, 8, 8], port: 80, node: "t", wantsNack: true))
            )
        }
        #expect(bench.core.counters.relaysBeyondLimit == 2)
        for (target, port) in [([], 80), ([1, 2, 3], 80), ([1, 2, 3, 4], 0)] as [([UInt8], UInt16)] {
            let request = IndirectPing(sequence: 1, target: target, port: port, node: "t", wantsNack: true)
            #expect(bench.hear(.indirectPing(request)).packets.isEmpty)
        }
        bench.run(for: 600)
        #expect(
            !bench.hear(
                .indirectPing(IndirectPing(sequence: 9, target: [1, 2, 3, 4], port: 8, node: "t", wantsNack: true))
            ).packets.isEmpty)
    }

    // MARK: Standing still

    @Test("Who stood still judges nobody for it")
    func pause() throws {
        var (bench, _) = try Self.probing("a")
        bench.hear(.suspect(Accusation(incarnation: 1, node: "a", from: "x")))
        bench.standStill(for: 60_000)
        bench.give(.timer)
        #expect(bench.core.counters.pauses == 1 && bench.core.health == 1)
        #expect(bench.state("a") == .suspect, "its time goes on from where it stood")
        bench.hear(.alive(CoreBench.alive("a", 2)))
        #expect(bench.state("a") == .alive)
        // Small delays are none.
        bench.standStill(for: 100)
        bench.give(.timer)
        #expect(bench.core.counters.pauses == 1)
    }
}
