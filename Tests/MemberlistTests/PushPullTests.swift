import RegdnsTestKit
import Testing

@testable import Memberlist

/// Whole views by stream: joins, repair, versions, and calling lost peers.
@Suite struct PushPullTests {
    static let there = GossipAddress(10, 3, 3, 3, port: 7_946)

    static func view(_ nodes: PushPullNode..., join: Bool = false, userState: [UInt8] = []) -> PushPull {
        PushPull(join: join, nodes: nodes, userState: userState)
    }

    // MARK: Joining

    @Test("A join sends the own view and takes the other one")
    func join() throws {
        var bench = CoreBench()
        bench.give(.setUserState([1, 2, 3]))
        let dial = try #require(bench.give(.join([Self.there])).pushPulls.first)
        #expect(dial.address == Self.there && dial.state.join && dial.state.userState == [1, 2, 3])
        #expect(dial.state.nodes.map(\.name) == ["me"])
        #expect(dial.state.nodes.first?.meta == [7] && dial.state.nodes.first?.versions == .plain)
        let answer = Self.view(
            CoreBench.node("a", 3), CoreBench.node("b", 1), CoreBench.node("gone", 1, .dead),
            CoreBench.node("left", 1, .left), join: true, userState: [9])
        let effects = bench.give(.pushPullAnswer(dial: dial.dial, state: answer))
        #expect(bench.core.members.map(\.name) == ["a", "b", "me"])
        #expect(effects.notices.contains(.joinAnswered(Self.there, isMerged: true)))
        #expect(effects.notices.contains(.userState([9], isJoin: true)))
        // The cure for gaps of a cold start: two more at once, the next after two seconds.
        #expect(effects.pushPulls.count == 2 && effects.pushPulls.allSatisfy { !$0.state.join })
        #expect(bench.give(.pushPullAnswer(dial: dial.dial, state: answer)).notices.isEmpty, "only once")
    }

    @Test("A join that nobody answers")
    func unanswered() throws {
        var bench = CoreBench()
        let dial = try #require(bench.give(.join([Self.there])).pushPulls.first)
        let effects = bench.give(.pushPullAnswer(dial: dial.dial, state: nil))
        #expect(effects.notices == [.joinAnswered(Self.there, isMerged: false)])
        // A driver that never answers counts as no answer.
        bench.give(.join([Self.there]))
        let late = bench.run(for: 11_000).notices
        #expect(late.contains(.joinAnswered(Self.there, isMerged: false)))
    }

    @Test("An exchange is a join of an address that is not called again")
    func exchange() throws {
        var bench = CoreBench()
        let dial = try #require(bench.give(.exchange([Self.there, CoreBench.address("me")])).pushPulls.first)
        #expect(dial.address == Self.there && dial.state.nodes.map(\.name) == ["me"])
        let effects = bench.give(.pushPullAnswer(dial: dial.dial, state: nil))
        #expect(effects.notices == [.joinAnswered(Self.there, isMerged: false)])
        #expect(bench.run(for: 60_000).pushPulls.isEmpty)
    }

    @Test("A view that has this node's name at another address is a conflict, in any state but left")
    func namesake() throws {
        for state in NodeState.allCases {
            var bench = CoreBench()
            var node = CoreBench.node("me", 3, state)
            node.port = 9
            let effects = bench.give(.streamRequest(.pushPull(Self.view(node)), stream: 1, from: Self.there))
            let others = effects.notices.compactMap { notice -> UInt16? in
                if case .conflict(let member, let other) = notice, member.name == "me" { other.port } else { nil }
            }
            #expect(others == (state == .left ? [] : [9]), "\(state)")
            #expect(bench.core.member("me")?.address == CoreBench.address("me"))
        }
    }

    @Test("Quick pulls go on as long as they bring news")
    func quickPulls() throws {
        var bench = CoreBench()
        let dial = try #require(bench.give(.join([Self.there])).pushPulls.first)
        let nodes = [CoreBench.node("a", 1), CoreBench.node("b", 1)]
        var pulls = bench.give(.pushPullAnswer(dial: dial.dial, state: PushPull(join: true, nodes: nodes))).pushPulls
        let answer = PushPull(join: false, nodes: nodes)
        // Two that bring nothing new would end it; the second one here brings something.
        bench.give(.pushPullAnswer(dial: pulls[0].dial, state: answer))
        bench.give(.pushPullAnswer(dial: pulls[1].dial, state: Self.view(CoreBench.node("c", 1))))
        var times: [Milliseconds] = []
        for _ in 0..<5 {
            let pull = bench.run(atMost: 2_500) { effect in
                [effect].pushPulls.first { !$0.state.join }
            }
            guard let pull else { break }
            times.append(bench.now)
            pulls.append(pull)
            bench.give(.pushPullAnswer(dial: pull.dial, state: answer))
        }
        #expect(times.count == 2 && times[1] - times[0] == QuickPulls.interval)
    }

    @Test("An answer shows the view as it was before the merge, and says join back")
    func answerBeforeMerge() throws {
        var bench = CoreBench()
        bench.know("k")
        let request = Self.view(CoreBench.node("a", 1), join: true, userState: [5])
        let effects = bench.give(.streamRequest(.pushPull(request), stream: 4, from: Self.there))
        guard case .answer(4, .pushPull(let state)) = effects.first else {
            Issue.record("no answer")
            return
        }
        #expect(state.join && Set(state.nodes.map(\.name)) == ["me", "k"])
        #expect(bench.state("a") == .alive)
        #expect(effects.notices.contains(.userState([5], isJoin: true)))
    }

    // MARK: Merging

    @Test("What a view says of a known member", arguments: NodeState.allCases)
    func states(state: NodeState) {
        var bench = CoreBench()
        bench.know("a", "b", "c")
        let effects = bench.give(
            .streamRequest(.pushPull(Self.view(CoreBench.node("a", 1, state))), stream: 1, from: Self.there))
        let expected: [NodeState: NodeState] = [.alive: .alive, .suspect: .suspect, .dead: .suspect, .left: .left]
        #expect(bench.state("a") == expected[state])
        if state == .dead || state == .suspect {
            #expect(effects.notices.contains(.suspected("a", by: "me")), "by this node, not by the accuser")
        }
    }

    @Test("A view that calls this node dead is refuted", arguments: [NodeState.suspect, .dead, .left])
    func aboutMe(state: NodeState) {
        var bench = CoreBench()
        let view = Self.view(CoreBench.node("me", 4, state))
        let effects = bench.give(.streamRequest(.pushPull(view), stream: 1, from: Self.there))
        #expect(effects.notices.contains(.refuted(incarnation: 5)) && bench.core.incarnation == 5)
    }

    @Test("Entries without versions are dropped, the others taken")
    func withoutVersions() {
        var bench = CoreBench()
        var odd = CoreBench.node("odd", 1)
        odd.state = nil
        let view = Self.view(CoreBench.node("bad", 1, versions: nil), CoreBench.node("good", 1), odd)
        bench.give(.streamRequest(.pushPull(view), stream: 1, from: Self.there))
        #expect(bench.core.members.map(\.name) == ["good", "me"])
        #expect(bench.core.counters.invalidMembers == 2)
    }

    @Test(
        "The version check",
        arguments: [
            // (protocol min, max, now, delegate min, max, now) and whether it fits 1 5 2 0 0 0
            ([1, 5, 2, 0, 0, 0], true), ([2, 5, 2, 0, 0, 0], true), ([1, 2, 2, 0, 0, 0], true),
            ([3, 5, 3, 0, 0, 0], false), ([1, 1, 1, 0, 0, 0], false), ([1, 5, 2, 2, 5, 4], false),
            ([1, 5, 2, 0, 4, 0], true), ([1, 5, 2, 0, 4, 1], false), ([1, 5, 6, 0, 0, 0], false),
        ] as [([UInt8], Bool)])
    func versions(octets: [UInt8], fits: Bool) throws {
        let versions = try #require(ProtocolVersions(octets: octets))
        var bench = CoreBench()
        let view = Self.view(CoreBench.node("a", 1, versions: versions), CoreBench.node("b", 1), userState: [1])
        let effects = bench.give(.streamRequest(.pushPull(view), stream: 1, from: Self.there))
        guard case .answer = effects.first else {
            Issue.record("an answer comes in any case")
            return
        }
        #expect((bench.state("b") == .alive) == fits)
        #expect(effects.notices.contains { if case .mergeRefused = $0 { true } else { false } } == !fits)
        #expect(effects.notices.contains { if case .userState = $0 { true } else { false } } == fits)
        #expect(bench.core.counters.refusedMerges == (fits ? 0 : 1))
        // Who is dead does not count.
        var tolerant = CoreBench()
        let dead = Self.view(CoreBench.node("a", 1, .dead, versions: versions), CoreBench.node("b", 1))
        tolerant.give(.streamRequest(.pushPull(dead), stream: 1, from: Self.there))
        #expect(tolerant.state("b") == .alive)
    }

    @Test("A member that is known already can block a merge, too")
    func localVersions() {
        var bench = CoreBench()
        bench.hear(.alive(CoreBench.alive("serf", 1, versions: .serf)))
        bench.give(.streamRequest(.pushPull(Self.view(CoreBench.node("a", 1))), stream: 1, from: Self.there))
        #expect(bench.state("a") == nil && bench.core.counters.refusedMerges == 1)
        var serf = CoreBench(dialect: .serf)
        serf.give(
            .streamRequest(.pushPull(Self.view(CoreBench.node("a", 1, versions: .serf))), stream: 1, from: Self.there))
        #expect(serf.state("a") == .alive)
    }

    @Test("Other streams")
    func others() {
        var bench = CoreBench()
        let user = bench.give(.streamRequest(.user([5, 6]), stream: 2, from: Self.there))
        #expect(user.contains(.close(stream: 2)) && user.notices == [.userMessage([5, 6], from: Self.there)])
        for message in [StreamMessage.ack(Ack(sequence: 1)), .error([1]), .own(type: 208, body: [])] {
            #expect(bench.give(.streamRequest(message, stream: 2, from: Self.there)).contains(.close(stream: 2)))
        }
    }

    // MARK: Repair

    @Test("Push/pulls of the usual pace")
    func repair() {
        var bench = CoreBench()
        bench.know("a", "b")
        let before = bench.core.counters.pushPulls
        bench.runAnsweringProbes(for: 300_000)
        #expect((9...11).contains(bench.core.counters.pushPulls - before))
    }

    // MARK: Calling lost peers

    /// Candidates that are called within a time, none of which answers.
    static func called(_ bench: inout CoreBench, for time: Milliseconds) -> [GossipAddress] {
        bench.run(for: time).pushPulls.filter(\.state.join).map(\.address)
    }

    @Test("A node that is alone calls its seeds every five seconds")
    func alone() {
        var bench = CoreBench()
        bench.give(.join([Self.there, CoreBench.address("me")]))
        let called = Self.called(&bench, for: 60_000)
        #expect((11...13).contains(called.count) && Set(called) == [Self.there])
    }

    @Test("A lost peer is called every five seconds for an hour, then every thirty")
    func lost() {
        // Slow probes, for a day is long.
        var timing = GossipTiming.lan
        (timing.probeInterval, timing.gossipInterval) = (60_000, 60_000)
        var bench = CoreBench(timing: timing)
        bench.know("a", "b")
        bench.hear(.dead(Accusation(incarnation: 1, node: "a", from: "x")))
        bench.runAnsweringProbes(for: 10_000)
        func calls(_ time: Milliseconds) -> Int {
            let before = bench.core.counters.pushPulls
            bench.runAnsweringProbes(for: time)
            return bench.core.counters.pushPulls - before
        }
        let quick = calls(60_000)
        // Twelve calls, and two for repair.
        #expect((12...16).contains(quick))
        _ = calls(3_700_000)
        let slow = calls(60_000)
        #expect((3...5).contains(slow))
        // After a day it is not called at all.
        _ = calls(24 * 3_600_000)
        #expect((19...21).contains(calls(600_000)), "only repair")
    }

    @Test("Who left is not called, a seed always is")
    func leftPeers() {
        var bench = CoreBench()
        bench.know("a", "b", "keep")
        bench.give(.join([CoreBench.address("b")]))
        for name in ["a", "b"] as [NodeName] { bench.hear(.dead(Accusation(incarnation: 1, node: name, from: name))) }
        bench.runAnsweringProbes(for: 11_000)
        let called = Self.called(&bench, for: 900)
        #expect(called.allSatisfy { $0 == CoreBench.address("b") })
    }

    @Test("A candidate that answers brings its peers back")
    func comesBack() throws {
        var bench = CoreBench()
        bench.know("a")
        bench.hear(.dead(Accusation(incarnation: 1, node: "a", from: "x")))
        let dial = try #require(bench.run(atMost: 6_000) { [$0].pushPulls.first })
        #expect(dial.address == CoreBench.address("a"))
        let effects = bench.give(
            .pushPullAnswer(dial: dial.dial, state: Self.view(CoreBench.node("a", 2), CoreBench.node("b", 1))))
        #expect(bench.state("a") == .alive && bench.state("b") == .alive)
        #expect(effects.pushPulls.count == 2, "and the rest of the gaps is closed quickly")
    }
}
