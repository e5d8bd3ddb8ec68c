import Memberlist
import RegdnsTestKit
import Testing

/// The merge rules, row by row.
@Suite struct MergeTests {
    static func suspect(_ node: NodeName, _ incarnation: UInt32, from: NodeName = "x") -> Message {
        .suspect(Accusation(incarnation: incarnation, node: node, from: from))
    }

    static func dead(_ node: NodeName, _ incarnation: UInt32, from: NodeName = "x") -> Message {
        .dead(Accusation(incarnation: incarnation, node: node, from: from))
    }

    /// "a", known with incarnation 5, in a state.
    static func bench(_ state: NodeState, _ change: (inout CoreSettings) -> Void = { _ in }) -> CoreBench {
        var bench = CoreBench(change)
        bench.know("b", "c", "d")
        bench.hear(.alive(CoreBench.alive("a", 5)))
        switch state {
        case .alive: break
        case .suspect: bench.hear(suspect("a", 5))
        case .dead: bench.hear(dead("a", 5))
        case .left: bench.hear(dead("a", 5, from: "a"))
        }
        return bench
    }

    // MARK: Alive

    @Test("alive, unknown node: taken, told, passed on")
    func unknown() {
        var bench = CoreBench()
        let effects = bench.hear(.alive(CoreBench.alive("a", 1, meta: [1, 2])))
        guard case .joined(let member) = effects.notices.first else {
            Issue.record("not joined")
            return
        }
        #expect(member.name == "a" && member.meta == [1, 2] && member.incarnation == 1)
        bench.know("b")
        #expect(bench.gossip().contains(.alive(CoreBench.alive("a", 1, meta: [1, 2]))))
    }

    @Test("alive, known node", arguments: NodeState.allCases, [4, 5, 6] as [UInt32])
    func known(state: NodeState, incarnation: UInt32) {
        var bench = Self.bench(state)
        let effects = bench.hear(.alive(CoreBench.alive("a", incarnation, meta: [9])))
        let isTaken = incarnation > 5
        #expect(bench.state("a") == (isTaken ? .alive : state))
        #expect(bench.core.member("a")?.meta == (isTaken ? [9] : []))
        let told = effects.notices.map { notice in
            switch notice {
            case .joined: "joined"
            case .updated: "updated"
            default: "other"
            }
        }
        #expect(told == (isTaken ? [state.isGone ? "joined" : "updated"] : []))
        #expect(bench.core.counters.falseDeaths == (isTaken && state == .dead ? 1 : 0))
        #expect(bench.gossip().contains(.alive(CoreBench.alive("a", incarnation, meta: [9]))) == isTaken)
    }

    @Test("alive, same news again: nothing")
    func sameAgain() {
        var bench = Self.bench(.alive)
        #expect(bench.hear(.alive(CoreBench.alive("a", 6))).notices.isEmpty)
    }

    @Test("alive, other address", arguments: NodeState.allCases, [0, 10_000] as [Milliseconds])
    func otherAddress(state: NodeState, reclaimAfter: Milliseconds) {
        for incarnation in [5, 6] as [UInt32] {
            var bench = Self.bench(state) { $0.reclaimAfter = reclaimAfter }
            // Not so long that a suspicion ends.
            if state.isGone { bench.runAnsweringProbes(for: 10_001) }
            let other = GossipAddress(10, 9, 9, 9, port: 7_946)
            let effects = bench.hear(.alive(CoreBench.alive("a", incarnation, at: other)))
            let isTaken = state == .left || state == .dead && reclaimAfter > 0
            #expect((bench.core.member("a")?.address == other) == isTaken)
            #expect(bench.core.counters.conflicts == (isTaken ? 0 : 1))
            if !isTaken, let member = bench.core.member("a") {
                #expect(effects.notices == [.conflict(member, other: other)])
            }
        }
    }

    @Test(
        "alive that must not be taken",
        arguments: [
            CoreBench.alive("z", 1, versions: nil), CoreBench.alive("", 1), CoreBench.alive("z", 0),
            CoreBench.alive("z", 1, versions: ProtocolVersions(protocolMin: 0)),
            CoreBench.alive("z", 1, versions: ProtocolVersions(protocolMin: 0, protocolMax: 0)),
            CoreBench.alive("z", 1, versions: ProtocolVersions(protocolMin: 3, protocolMax: 2)),
            CoreBench.alive("z", 1, meta: [UInt8](repeating: 0, count: 513)),
            CoreBench.alive(NodeName(octets: [UInt8](repeating: 0x61, count: 256)), 1),
            CoreBench.alive("z", 1, at: GossipAddress(1, 2, 3, 4, port: 0)),
            Alive(incarnation: 1, node: "z", address: [1, 2, 3], port: 1, meta: nil, versions: .plain),
            Alive(incarnation: 1, node: "z", address: nil, port: 1, meta: nil, versions: .plain),
        ])
    func invalid(alive: Alive) {
        var bench = CoreBench()
        #expect(bench.hear(.alive(alive)).notices.isEmpty)
        #expect(bench.core.members.count == 1)
    }

    @Test("Networks that are not admitted")
    func admitted() throws {
        let block = try #require(AddressBlock(ip: [10, 1, 0, 0], bits: 16))
        var bench = CoreBench { $0.admitted = [block] }
        bench.hear(.alive(CoreBench.alive("a", 1)))
        bench.hear(.alive(CoreBench.alive("b", 1, at: GossipAddress(10, 2, 0, 1, port: 1))))
        #expect(bench.core.members.map(\.name) == ["a", "me"])
        #expect(bench.core.counters.invalidMembers == 1)
        #expect(
            try #require(AddressBlock(ip: [10, 1, 128, 0], bits: 17)).contains(GossipAddress(10, 1, 200, 1, port: 1)))
        #expect(
            try !#require(AddressBlock(ip: [10, 1, 128, 0], bits: 17)).contains(GossipAddress(10, 1, 100, 1, port: 1)))
        #expect(try #require(AddressBlock(ip: [0, 0, 0, 0], bits: 0)).contains(GossipAddress(1, 1, 1, 1, port: 1)))
        #expect(AddressBlock(ip: [10, 1], bits: 8) == nil && AddressBlock(ip: [10, 1, 1, 1], bits: 33) == nil)
    }

    // MARK: About this node

    @Test(
        "alive about me",
        arguments: [
            (incarnation: 1, meta: [7], refuted: nil), (incarnation: 1, meta: [8], refuted: 2),
            (incarnation: 0, meta: [8], refuted: nil), (incarnation: 9, meta: [7], refuted: 10),
        ] as [(incarnation: UInt32, meta: [UInt8], refuted: UInt32?)])
    func aboutMe(example: (incarnation: UInt32, meta: [UInt8], refuted: UInt32?)) {
        var bench = CoreBench()
        let effects = bench.hear(.alive(CoreBench.alive("me", example.incarnation, meta: example.meta)))
        #expect(effects.notices == (example.refuted.map { [.refuted(incarnation: $0)] } ?? []))
        #expect(bench.core.incarnation == example.refuted ?? 1)
        #expect(bench.core.member("me")?.meta == [7])
        #expect(bench.core.health == (example.refuted == nil ? 0 : 1))
    }

    @Test("alive about me at another address: a conflict, whatever its incarnation")
    func impostor() {
        var bench = CoreBench()
        let other = GossipAddress(10, 9, 9, 9, port: 1)
        let effects = bench.hear(.alive(CoreBench.alive("me", 100, at: other)))
        guard case .conflict(let member, other) = effects.notices.first else {
            Issue.record("no conflict")
            return
        }
        #expect(member.name == "me" && bench.core.incarnation == 1)
    }

    @Test(
        "suspect and dead about me: refuted",
        arguments: [suspect("me", 1), dead("me", 1), suspect("me", 7), dead("me", 7)])
    func accused(message: Message) {
        var bench = CoreBench()
        bench.know("a")
        let effects = bench.hear(message)
        let expected: UInt32 = message == Self.suspect("me", 1) || message == Self.dead("me", 1) ? 2 : 8
        #expect(effects.notices == [.refuted(incarnation: expected)])
        #expect(bench.state("me") == .alive && bench.core.health == 1)
        #expect(bench.gossip().contains(.alive(CoreBench.alive("me", expected, meta: [7]))))
        // The accusation is over: the same again is old.
        #expect(bench.hear(message).notices.isEmpty)
    }

    @Test("An accusation out of reach does not take the room to object")
    func overflow() {
        var bench = CoreBench()
        let effects = bench.hear(Self.suspect("me", .max))
        #expect(effects.notices == [.incarnationRefused(.max), .refuted(incarnation: 2)])
        bench.hear(Self.suspect("me", 1 << 24))
        #expect(bench.core.incarnation == 1 << 24 + 1)
        var late = CoreBench { $0.incarnation = .max }
        late.hear(Self.suspect("me", .max))
        #expect(late.core.incarnation == .max)
    }

    // MARK: Suspect

    @Test("suspect", arguments: NodeState.allCases, [4, 5, 6] as [UInt32])
    func suspected(state: NodeState, incarnation: UInt32) {
        var bench = Self.bench(state)
        let effects = bench.hear(Self.suspect("a", incarnation, from: "b"))
        let isNew = state == .alive && incarnation >= 5
        #expect(bench.state("a") == (isNew ? .suspect : state))
        #expect(effects.notices == (isNew ? [.suspected("a", by: "b")] : []))
        #expect(bench.incarnation("a") == (isNew ? incarnation : 5))
        let isPassedOn = isNew || state == .suspect && incarnation >= 5
        #expect(bench.gossip().contains(Self.suspect("a", incarnation, from: "b")) == isPassedOn)
    }

    @Test("suspect about an unknown node: nothing")
    func suspectUnknown() {
        var bench = CoreBench()
        bench.know("b")
        #expect(bench.hear(Self.suspect("a", 1), Self.dead("a", 1)).notices.isEmpty)
        #expect(bench.core.members.count == 2)
    }

    @Test("Confirmations beyond those wanted are not passed on")
    func enoughConfirmations() {
        var bench = Self.bench(.suspect)
        for accuser in ["b", "c", "d", "e"] as [NodeName] { bench.hear(Self.suspect("a", 5, from: accuser)) }
        #expect(!bench.gossip().contains(Self.suspect("a", 5, from: "d")))
    }

    // MARK: Dead

    @Test("dead", arguments: NodeState.allCases, [4, 5, 6] as [UInt32])
    func died(state: NodeState, incarnation: UInt32) {
        for from in ["x", "a"] as [NodeName] {
            var bench = Self.bench(state)
            let effects = bench.hear(Self.dead("a", incarnation, from: from))
            let isTaken = !state.isGone && incarnation >= 5
            #expect(bench.state("a") == (isTaken ? (from == "a" ? .left : .dead) : state))
            if isTaken, let member = bench.core.member("a") {
                #expect(effects.notices == [from == "a" ? .left(member) : .failed(member)])
            } else {
                #expect(effects.notices.isEmpty)
            }
            let isKnown = state == .dead && from == "x" || state == .left && from == "a"
            let isPassedOn = bench.gossip().contains(Self.dead("a", incarnation, from: from))
            #expect(isPassedOn == (isTaken || isKnown && incarnation == 5))
        }
    }

    @Test("A member that left or died comes back with a higher incarnation", arguments: [NodeState.left, .dead])
    func comesBack(state: NodeState) {
        var bench = Self.bench(state)
        bench.hear(.alive(CoreBench.alive("a", 6)))
        #expect(bench.state("a") == .alive)
    }

    // MARK: Metadata

    @Test("New metadata: a higher incarnation, told to all")
    func updateMeta() {
        var bench = CoreBench()
        bench.know("a")
        bench.give(.updateMeta([1]))
        #expect(bench.core.incarnation == 2)
        #expect(bench.gossip().contains(.alive(CoreBench.alive("me", 2, meta: [1]))))
        bench.give(.updateMeta([UInt8](repeating: 0, count: 513)))
        #expect(bench.core.incarnation == 2 && bench.core.member("me")?.meta == [1])
    }
}
