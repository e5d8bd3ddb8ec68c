import Memberlist
import RegdnsTestKit
import Testing

/// Going on purpose, and serf's dialect.
@Suite struct LeaveTests {
    static let ownDeath = Message.dead(Accusation(incarnation: 1, node: "me", from: "me"))

    // MARK: Plain

    @Test("A leave is gossiped, then reported")
    func leave() throws {
        var bench = CoreBench()
        bench.know("a", "b")
        bench.run(for: 300)
        #expect(bench.give(.leave).notices.isEmpty)
        let effects = bench.run(for: 5_000)
        #expect(effects.messages.count { $0 == Self.ownDeath } == 4, "as often as every message among up to nine")
        #expect(effects.notices == [.leaveDone])
        #expect(bench.state("me") == .left)
        #expect(bench.give(.leave).isEmpty)
    }

    @Test("Nobody is there: done at once")
    func aloneLeave() {
        var bench = CoreBench()
        #expect(bench.give(.leave).notices == [.leaveDone])
    }

    @Test("Nobody hears it: done in the end")
    func timeout() {
        var bench = CoreBench { $0.packetBytes = 10 }
        bench.know("a")
        bench.give(.leave)
        #expect(bench.run(for: 4_900).notices.isEmpty)
        #expect(bench.run(for: 200).notices == [.leaveDone])
    }

    @Test("Who leaves objects to nothing, probes nobody, and answers still")
    func afterLeave() {
        var bench = CoreBench()
        bench.know("a", "b")
        bench.give(.leave)
        #expect(bench.hear(.dead(Accusation(incarnation: 1, node: "me", from: "x"))).notices.isEmpty)
        #expect(bench.hear(.suspect(Accusation(incarnation: 9, node: "me", from: "x"))).notices.isEmpty)
        #expect(bench.hear(.alive(CoreBench.alive("me", 9))).notices.isEmpty)
        #expect(bench.core.incarnation == 1 && bench.state("me") == .left)
        bench.run(for: 2_000)
        let probes = bench.core.counters.probes
        bench.run(for: 10_000)
        #expect(bench.core.counters.probes == probes)
        #expect(bench.hear(.ping(Ping(sequence: 3, node: "me"))).messages.first == .ack(Ack(sequence: 3)))
    }

    @Test(
        "Who comes back is alive above the incarnation that left, knows nobody, and is sought by nobody's word of old")
    func comeBack() throws {
        var bench = CoreBench()
        bench.know("a", "b")
        #expect(bench.give(.comeBack(meta: [8])).isEmpty, "it has not left")
        bench.give(.leave)
        bench.run(for: 10_000)
        let notices = bench.give(.comeBack(meta: [8])).notices
        let own = try #require(bench.core.member("me"))
        #expect(own.state == .alive && own.incarnation == 2 && own.meta == [8])
        #expect(notices == [.joined(own)])
        #expect(bench.core.members == [own], "what it knew is as old as its leave")
        #expect(bench.give(.comeBack(meta: [9])).isEmpty)
        // Late copies of its leave.
        #expect(bench.hear(Self.ownDeath).notices.isEmpty)
        #expect(bench.state("me") == .alive)

        let dials = bench.give(.join([CoreBench.address("a")])).pushPulls
        #expect(dials.map(\.address) == [CoreBench.address("a")])
        #expect(dials.first?.state.nodes.map(\.name) == ["me"])
        let answer = PushPull(
            join: true,
            nodes: [
                CoreBench.node("a", 1), CoreBench.node("c", 4), CoreBench.node("b", 1, .left),
                CoreBench.node("me", 1, .left),
            ],
            userState: [])
        let joined = bench.give(.pushPullAnswer(dial: try #require(dials.first?.dial), state: answer)).notices
        #expect(joined.contains(.joinAnswered(CoreBench.address("a"), isMerged: true)))
        #expect(bench.state("me") == .alive && bench.state("a") == .alive && bench.state("c") == .alive)
        #expect(bench.core.incarnation == 2)
        let told = bench.gossip().compactMap { message -> UInt32? in
            if case .alive(let alive) = message, alive.node == "me" { alive.incarnation } else { nil }
        }
        #expect(told.first == 2)
        let probes = bench.core.counters.probes
        bench.run(for: 5_000)
        #expect(bench.core.counters.probes > probes)
        // And it can go once more.
        bench.give(.leave)
        #expect(bench.run(for: 10_000).notices.contains(.leaveDone))
    }

    @Test("Who came back calls nobody by itself while it is being joined, and lost peers later")
    func comeBackAlone() {
        var bench = CoreBench()
        bench.know("a", "b")
        bench.give(.leave)
        bench.run(for: 10_000)
        bench.give(.comeBack(meta: []))
        #expect(bench.run(for: 29_000).pushPulls.isEmpty)
        #expect(!bench.run(for: 2_000).pushPulls.isEmpty)
    }

    @Test("Who withdraws says nothing, and can come back")
    func withdraw() {
        var bench = CoreBench()
        bench.know("a", "b")
        bench.give(.withdraw)
        #expect(bench.state("me") == .left)
        #expect(bench.run(for: 10_000).messages.isEmpty)
        #expect(bench.give(.leave).notices.isEmpty)
        bench.give(.comeBack(meta: []))
        #expect(bench.state("me") == .alive && bench.core.incarnation == 2)
    }

    @Test("A member that left and is back is alive at the others")
    func backAtOthers() throws {
        var bench = CoreBench()
        bench.know("a")
        bench.hear(.dead(Accusation(incarnation: 1, node: "a", from: "a")))
        #expect(bench.hear(.alive(CoreBench.alive("a", 1))).notices.isEmpty)
        let notices = bench.hear(.alive(CoreBench.alive("a", 2))).notices
        #expect(notices == [.joined(try #require(bench.core.member("a")))])
        #expect(bench.state("a") == .alive)
    }

    @Test("Others see a leave as left, at any of their states")
    func others() throws {
        var bench = CoreBench()
        bench.know("a")
        bench.hear(.suspect(Accusation(incarnation: 1, node: "a", from: "x")))
        let notices = bench.hear(.dead(Accusation(incarnation: 1, node: "a", from: "a"))).notices
        #expect(bench.state("a") == .left)
        #expect(notices == [.left(try #require(bench.core.member("a")))])
    }

    // MARK: serf

    static func serfBench() -> CoreBench {
        var bench = CoreBench(dialect: .serf)
        for name in ["a", "b"] as [NodeName] { bench.hear(.alive(CoreBench.alive(name, 1, versions: .serf))) }
        bench.run(for: 2_000)
        return bench
    }

    /// A leave or join intent as serf writes it.
    static func intent(_ type: UInt8, time: UInt8, node: String) -> [UInt8] {
        let key: (String) -> [UInt8] = { [0xa0 | UInt8($0.utf8.count)] + Array($0.utf8) }
        let head: [UInt8] = [type, type == 0 ? 0x83 : 0x82] + key("LTime") + [time] + key("Node") + key(node)
        return head + (type == 0 ? key("Prune") + [0xc2] : [])
    }

    static func users(_ effects: [CoreEffect]) -> [[UInt8]] {
        effects.messages.compactMap { if case .user(let bytes) = $0 { bytes } else { nil } }
    }

    @Test("serf's versions are announced")
    func versions() {
        var bench = CoreBench(dialect: .serf)
        bench.hear(.alive(CoreBench.alive("a", 1, versions: .serf)))
        let own = bench.gossip().compactMap { message -> ProtocolVersions? in
            if case .alive(let alive) = message, alive.node == "me" { alive.versions } else { nil }
        }
        #expect(own.first?.octets == [1, 5, 2, 2, 5, 4])
    }

    @Test("A leave is announced with a time above all seen, and happens a second later")
    func serfLeave() {
        var bench = Self.serfBench()
        bench.hear(.user(Self.intent(1, time: 40, node: "a")))
        bench.run(for: 3_000)
        bench.give(.leave)
        let first = bench.run(for: 900)
        #expect(Self.users(first).contains(Self.intent(0, time: 41, node: "me")))
        #expect(!first.messages.contains(Self.ownDeath))
        let second = bench.run(for: 3_000)
        #expect(second.messages.contains(Self.ownDeath) && second.notices.contains(.leaveDone))
    }

    @Test("Who comes back says so later than its leave")
    func serfComeBack() {
        var bench = Self.serfBench()
        bench.give(.leave)
        bench.run(for: 10_000)
        bench.give(.comeBack(meta: []))
        for name in ["a", "b"] as [NodeName] { bench.hear(.alive(CoreBench.alive(name, 1, versions: .serf))) }
        let sent = bench.run(for: 3_000)
        #expect(Self.users(sent).contains(Self.intent(1, time: 2, node: "me")))
        #expect(!Self.users(sent).contains(Self.intent(0, time: 1, node: "me")))
    }

    @Test("serf's messages are passed on once", arguments: [0, 1, 3, 4] as [UInt8])
    func relayed(type: UInt8) {
        var bench = Self.serfBench()
        let message = Self.intent(type, time: 3, node: "q")
        #expect(bench.hear(.user(message)).notices.isEmpty)
        bench.hear(.user(message))
        let copies = Self.users(bench.run(for: 5_000)).count { $0 == message }
        #expect(copies == 4)
        bench.hear(.user(message))
        #expect(Self.users(bench.run(for: 5_000)).isEmpty)
        #expect(bench.core.counters.relayedUserMessages == 1)
    }

    @Test("serf's push/pull type is no message; ours are handed over")
    func notRelayed() {
        var bench = Self.serfBench()
        #expect(bench.hear(.user([2, 0x80])).notices.isEmpty)
        #expect(bench.core.counters.foreignUserMessages == 1)
        for message in [[0xd0, 1, 2], [5, 1], []] as [[UInt8]] {
            #expect(bench.hear(.user(message)).notices == [.userMessage(message, from: CoreBench.sender)])
        }
        var plain = CoreBench()
        plain.know("a")
        let intent = Self.intent(0, time: 3, node: "q")
        #expect(plain.hear(.user(intent)).notices == [.userMessage(intent, from: CoreBench.sender)])
    }

    @Test("Broken intents are passed on and harm nothing", arguments: [[0], [0, 0xc1], [1, 0x81, 0xa5]] as [[UInt8]])
    func broken(message: [UInt8]) {
        var bench = Self.serfBench()
        #expect(bench.hear(.user(message)).notices.isEmpty)
    }

    @Test("What was passed on is remembered up to a bound")
    func seen() {
        var bench = CoreBench(dialect: .serf) { $0.limits.seenMessages = 3 }
        for number in [1, 2, 3, 4, 4, 2, 1] as [UInt8] { bench.hear(.user([3, number])) }
        #expect(bench.core.counters.relayedUserMessages == 5, "the first one is forgotten, the second is not")
    }

    @Test("An intent that this node leaves is answered by one that it joins")
    func forcedLeave() {
        var bench = Self.serfBench()
        bench.hear(.user(Self.intent(0, time: 50, node: "me")))
        #expect(Self.users(bench.run(for: 2_000)).contains(Self.intent(1, time: 51, node: "me")))
    }

    @Test("A dead member that is given up counts as left", arguments: [Dialect.plain, .serf])
    func forceLeave(dialect: Dialect) throws {
        var bench = dialect == .serf ? Self.serfBench() : CoreBench()
        if dialect == .plain { bench.know("a", "b") }
        #expect(bench.give(.forceLeave("a")).notices.isEmpty, "it is alive")
        bench.hear(.dead(Accusation(incarnation: 1, node: "a", from: "x")))
        let effects = bench.give(.forceLeave("a"))
        #expect(effects.notices == [.left(try #require(bench.core.member("a")))] && bench.state("a") == .left)
        #expect(bench.give(.forceLeave("a")).notices.isEmpty && bench.give(.forceLeave("nobody")).notices.isEmpty)
        let later = bench.run(for: 900)
        #expect(Self.users(later).contains { $0.starts(with: [0, 0x83]) } == (dialect == .serf))
        #expect(bench.core.candidateAddresses == [CoreBench.address("b")])
    }

    @Test("serf's word that a dead member is gone is followed")
    func agentForcesLeave() {
        var bench = Self.serfBench()
        bench.hear(.user(Self.intent(0, time: 5, node: "a")))
        #expect(bench.state("a") != .left, "it is there")
        bench.hear(.dead(Accusation(incarnation: 1, node: "a", from: "x")))
        bench.hear(.user(Self.intent(0, time: 6, node: "a")))
        #expect(bench.state("a") == .left)
    }

    @Test(
        "Who said that it leaves has left when it is gone, unless it joined again", arguments: [nil, 6, 4] as [UInt8?])
    func announced(joinTime: UInt8?) {
        var bench = Self.serfBench()
        bench.hear(.user(Self.intent(0, time: 5, node: "a")))
        if let joinTime { bench.hear(.user(Self.intent(1, time: joinTime, node: "a"))) }
        bench.hear(.dead(Accusation(incarnation: 1, node: "a", from: "x")))
        #expect(bench.state("a") == (joinTime == 6 ? .dead : .left))
        bench.hear(
            .alive(CoreBench.alive("a", 2, versions: .serf)), .dead(Accusation(incarnation: 2, node: "a", from: "x")))
        #expect(bench.state("a") == .dead, "what it said counted for its life before")
    }

    @Test("User state has serf's form and carries ours", arguments: [[], [1, 2, 3]] as [[UInt8]])
    func userState(own: [UInt8]) throws {
        var bench = Self.serfBench()
        bench.give(.setUserState(own))
        let there = GossipAddress(10, 3, 3, 3, port: 1)
        let request = PushPull(join: false, nodes: [], userState: [])
        let effects = bench.give(.streamRequest(.pushPull(request), stream: 1, from: there))
        guard case .answer(1, .pushPull(let state)) = effects.first else {
            Issue.record("no answer")
            return
        }
        #expect(state.userState.starts(with: [2, own.isEmpty ? 0x86 : 0x87, 0xaa] + Array("EventLTime".utf8)))
        var other = Self.serfBench()
        let view = PushPull(join: false, nodes: [], userState: state.userState)
        let notices = other.give(.streamRequest(.pushPull(view), stream: 1, from: there)).notices
        #expect(notices == (own.isEmpty ? [] : [.userState(own, isJoin: false)]))
    }

    @Test("The state of a serf agent is understood, and its clock taken over")
    func agentState() throws {
        let vector = try #require(Vector.all.first { $0.name == "serf-push-pull" })
        guard case .pushPull(var view) = try VectorTests.streamMessage(vector) else {
            Issue.record("no push/pull")
            return
        }
        view.nodes = []
        var bench = Self.serfBench()
        let there = GossipAddress(10, 3, 3, 3, port: 1)
        #expect(bench.give(.streamRequest(.pushPull(view), stream: 1, from: there)).notices.isEmpty)
        bench.give(.leave)
        let users = Self.users(bench.run(for: 900))
        // The captured agent's LTime.
        let place = try #require(
            view.userState.firstRange(of: Array("\u{a5}LTime".unicodeScalars.map { UInt8($0.value) })))
        let time = view.userState[place.upperBound]
        #expect(users.contains(Self.intent(0, time: time + 1, node: "me")))
    }
}
