import DNSWire
import NIOCore
import NIOPosix
import RegdnsTestKit
import Testing

@testable import DNSServer

/// Servers that fail: who is asked next, how often, and what the client is told in the end.
@Suite struct ForwardFailoverTests {
    /// For servers that say nothing; long enough for those that do, on a busy machine.
    private static let patience = Duration.milliseconds(400)

    @Test func serverFailureIsAskedOnceAgainAndPassedOn() async throws {
        let error = EDNS.Option(code: .extendedError, data: [0, 6])
        try await ScriptedUpstream.run { saw in
            [saw.message.reply(rcode: .servFail, edns: EDNS(options: [error]))]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            let outcome = await forwarder.forward(try ClientQuery("broken.example.org").request)
            #expect(outcome == .failure(.servFail, ExtendedErrorCode(rawValue: 6)))
            #expect(upstream.count == 2)
            #expect(forwarder.counters.retries == 1)
        }
    }

    @Test func serverFailureIsCuredByTheSecondTry() async throws {
        try await ScriptedUpstream.run { saw in
            [saw.ordinal == 0 ? saw.message.reply(rcode: .servFail) : saw.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            try await forwarder.expectAddress(ClientQuery("a.example.org"))
        }
    }

    /// Kinds of servers that send the question on to the next one.
    enum Fault: String, CaseIterable, Sendable {
        case servFail, refused, notAuth, referral, otherName, silence

        func reply(to query: Message) -> [[UInt8]] {
            switch self {
            case .servFail: [query.reply(rcode: .servFail)]
            case .refused: [query.reply(rcode: .refused)]
            case .notAuth: [query.reply(rcode: .notAuth)]
            case .referral: [query.reply(authorities: [record("org", .ns, "a0.org.afilias-nst.info.")])]
            case .otherName: [query.reply([record("victim.example.org", .a, "6.6.6.6")])]
            case .silence: []
            }
        }

        /// Queries that a server of this kind gets before the next one does.
        var tries: Int { self == .servFail ? 2 : 1 }

        /// What a client is told when there are only servers of this kind.
        var verdict: ForwardOutcome {
            switch self {
            case .servFail: .failure(.servFail, nil)
            case .refused: .failure(.refused, nil)
            case .notAuth: .failure(.notAuth, nil)
            case .referral, .otherName, .silence: .failure(.servFail, .noReachableAuthority)
            }
        }
    }

    @Test(arguments: Fault.allCases) func nextServerIsAsked(_ fault: Fault) async throws {
        try await ScriptedUpstream.run {
            fault.reply(to: $0.message)
        } _: { bad in
            try await ScriptedUpstream.run {
                [$0.message.address()]
            } _: { good in
                let patience = fault == .silence ? Self.patience : .seconds(20)
                let forwarder = forwarder(to: [bad.address, good.address], patience: patience)
                try await forwarder.expectAddress(ClientQuery("a.example.org"))
                #expect(bad.count == fault.tries)
                #expect(good.count == 1)
            }
        }
    }

    @Test(arguments: Fault.allCases) func lastWordIsPassedOn(_ fault: Fault) async throws {
        try await ScriptedUpstream.run {
            fault.reply(to: $0.message)
        } _: { upstream in
            let patience = fault == .silence ? Self.patience : .seconds(20)
            let forwarder = forwarder(to: [upstream.address], patience: patience)
            let outcome = await forwarder.forward(try ClientQuery("a.example.org").request)
            #expect(outcome == fault.verdict)
            #expect(forwarder.counters.failures == 1)
        }
    }

    @Test func onlyGarbageEndsInFailure() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address().dropLast(3)]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address], patience: Self.patience)
            let outcome = await forwarder.forward(try ClientQuery("badrd.example.org").request)
            #expect(outcome == .failure(.servFail, .noReachableAuthority))
            #expect(upstream.count == 2, "one try more than there are servers")
            #expect(forwarder.counters.timeouts == 2)
        }
    }

    @Test(arguments: [ForwardTransport.udp, .tcp])
    func closedPortIsANetworkError(_ transport: ForwardTransport) async throws {
        let forwarder = forwarder(to: [try await closedPort()])
        let outcome = await forwarder.forward(
            try ClientQuery("a.example.org").with { $0.transport = transport }.request)
        #expect(outcome == .failure(.servFail, .networkError))
        #expect(forwarder.counters.networkErrors == 2)
        #expect(forwarder.counters.timeouts == 0)
    }

    @Test func closedPortCostsNoTimeOnTheWayToTheNext() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [try await closedPort(), upstream.address])
            try await forwarder.expectAddress(ClientQuery("a.example.org"))
            #expect(upstream.count == 1)
        }
    }

    /// The defaults, with servers that are all silent: milliseconds of each try.
    @Test(arguments: [
        (1, [2000, 2000]), (2, [1500, 1500, 1500]), (3, [1125, 1125, 1125, 1125]), (8, Array(repeating: 500, count: 9)),
    ])
    func everyServerGetsItsShareOfTheTime(_ servers: Int, _ expected: [Int64]) async throws {
        let defaults = ForwarderConfiguration(upstreams: [])
        let group = MultiThreadedEventLoopGroup.singleton
        let round = UpstreamRound(
            request: try ClientQuery("a.example.org").request, isStub: false, servers: [], bounds: .init(),
            queryTimeout: defaults.queryTimeout, totalTimeout: defaults.totalTimeout,
            exchange: UpstreamExchange(group: group) {}, random: .system)
        var left = TimeAmount(defaults.totalTimeout)
        for (place, milliseconds) in expected.enumerated() {
            let share = round.share(of: left, triesLeft: servers + 1 - place)
            #expect(share == .milliseconds(milliseconds))
            left = left - share
        }
        #expect(left >= .zero)
        #expect(defaults.totalTimeout < .seconds(5), "stub resolvers wait so long")
    }

    @Test func silentServerComesLastForAWhile() async throws {
        try await ScriptedUpstream.run { _ in
            []
        } _: { silent in
            try await ScriptedUpstream.run {
                [$0.message.address()]
            } _: { good in
                let clock = VirtualClock()
                let forwarder = forwarder(to: [silent.address, good.address], clock: clock, patience: Self.patience)
                _ = try await forwarder.ask(ClientQuery("a.example.org"))
                #expect(silent.count == 1)
                #expect(forwarder.silentUpstreams == [silent.address])
                _ = try await forwarder.ask(ClientQuery("b.example.org"))
                #expect(silent.count == 1, "not asked again")
                clock.advance(milliseconds: 10000)
                #expect(forwarder.silentUpstreams == [])
                _ = try await forwarder.ask(ClientQuery("c.example.org"))
                #expect(silent.count == 2)
            }
        }
    }

    @Test func serverThatIsBackIsAnsweringAgain() async throws {
        try await ScriptedUpstream.run {
            $0.ordinal == 0 ? [] : [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address], patience: Self.patience)
            try await forwarder.expectAddress(ClientQuery("a.example.org"))
            #expect(forwarder.silentUpstreams == [])
        }
    }

    @Test(arguments: ["com", ".", "localhost"]) func shortNamesAreNotForwarded(_ name: String) async throws {
        try await ScriptedUpstream.run {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            let request = try ClientQuery(name, .ns).request
            #expect(forwarder.cachedAnswer(request) == .failure(.servFail, nil))
            #expect(await forwarder.forward(request) == .failure(.servFail, nil))
            #expect(upstream.count == 0)
        }
    }

    @Test func ndotsIsASetting() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address]) { $0.ndots = 3 }
            #expect(await forwarder.forward(try ClientQuery("v4.example").request) == .failure(.servFail, nil))
            #expect(await forwarder.lookup(name: try DomainName("v4.example"), type: .a) == .failed)
            #expect(upstream.count == 0)
            try await forwarder.expectAddress(ClientQuery("v4.ext.example"))
        }
    }

    @Test(arguments: ["expyuzz4wqqyqhjn.ONION", "a.b.alt", "x.Invalid"])
    func namesOutsideTheDNSStayHere(_ name: String) async throws {
        try await ScriptedUpstream.run {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            let outcome = await forwarder.forward(try ClientQuery(name).request)
            #expect(outcome == .failure(.nxDomain, .blocked))
            #expect(upstream.count == 0)
        }
    }

    @Test func withoutServersEverythingFails() async throws {
        let forwarder = forwarder(to: [])
        let outcome = await forwarder.forward(try ClientQuery("a.example.org").request)
        #expect(outcome == .failure(.servFail, .noReachableAuthority))
    }

    @Test func rawMessageThatIsNoQueryFails() async {
        let forwarder = forwarder(to: [])
        #expect(
            await forwarder.forward(query: [1, 2, 3], transport: .udp, clientLimit: 512) == .failure(.formErr, nil))
    }
}
