import DNSWire
import NIOCore
import RegdnsTestKit
import Testing

@testable import DNSServer

/// What is kept of answers, for how long, and what happens when nobody answers any more.
@Suite struct ForwardCacheTests {
    private static let client = ClientQuery("www.example.org").with { $0.edns = EDNS() }

    @Test func answerIsKeptAndItsTTLCountsDown() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address(ttl: 100)]
        } _: { upstream in
            let clock = VirtualClock()
            let forwarder = forwarder(to: [upstream.address], clock: clock)
            #expect(forwarder.cachedAnswer(try Self.client.request) == nil)
            try await forwarder.expectTTLs(Self.client, [100])
            clock.advance(milliseconds: 40900)
            let other = Self.client.with {
                $0.name = "WWW.example.ORG"
                $0.id = 9
                $0.edns = nil
                $0.flags = []
            }
            let cached = try #require(forwarder.cachedAnswer(try other.request)).message()
            #expect(cached.ttls == [60])
            #expect(cached.id == 9)
            #expect("\(cached.questions[0].name)" == "WWW.example.ORG.")
            #expect(cached.flags == [.response, .recursionAvailable])
            #expect(cached.edns == nil)
            clock.advance(milliseconds: 59000)
            try await forwarder.expectTTLs(Self.client, [1])
            clock.advance(milliseconds: 100)
            #expect(forwarder.cachedAnswer(try Self.client.request) == nil)
            try await forwarder.expectTTLs(Self.client, [100])
            #expect(upstream.count == 2)
            let counters = forwarder.counters
            #expect(counters.queries == 4)
            #expect(counters.cacheHits == 2)
            #expect(counters.cacheMisses == 2)
            #expect(counters.cacheEntries == 1)
        }
    }

    @Test func differentQuestionsAreKeptApart() async throws {
        try await ScriptedUpstream.run { saw in
            [saw.message.reply([record(saw.message.name, saw.message.questions[0].type, "\\# 4 C0000201")])]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            let plain = ClientQuery("www.example.org", .a)
            let variants = [
                plain, plain.with { $0.edns = EDNS(dnssecOK: true) }, plain.with { $0.flags = .checkingDisabled },
                plain.with { $0.name = "ww.example.org" }, plain.with { $0.type = RRType(rawValue: 65400) },
            ]
            for _ in 0..<2 {
                for variant in variants { _ = try await forwarder.ask(variant) }
            }
            #expect(upstream.count == variants.count)
        }
    }

    @Test(arguments: [
        (sent: UInt32(0xffff_ffff), handed: UInt32(0), queries: 2), (0x8000_0000, 0, 2), (0x7fff_ffff, 3600, 1),
        (3601, 3600, 1), (5, 5, 1), (0, 0, 2),
    ])
    func longTTLsAreCut(_ row: (sent: UInt32, handed: UInt32, queries: Int)) async throws {
        try await ScriptedUpstream.run { saw in
            // The four octets before length and address.
            var packet = saw.message.reply([record("www.example.org", .a, ttl: 0, "192.0.2.1")], edns: nil)
            let at = packet.count - 10
            for place in 0..<4 { packet[at + place] = UInt8(truncatingIfNeeded: row.sent >> (24 - 8 * place)) }
            return [packet]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            for _ in 0..<2 { try await forwarder.expectTTLs(Self.client, [row.handed]) }
            #expect(upstream.count == row.queries)
        }
    }

    @Test func shortTTLsAreRaisedWhenAsked() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address(ttl: 0)]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address]) { $0.cacheMinTTL = .seconds(10) }
            for _ in 0..<2 { try await forwarder.expectTTLs(Self.client, [10]) }
            #expect(upstream.count == 1)
        }
    }

    @Test func shortestTTLOfTheChainCounts() async throws {
        try await ScriptedUpstream.run { saw in
            [
                saw.message.reply([
                    record("www.example.org", .cname, ttl: 900, "host.example.org."),
                    record("host.example.org", .a, ttl: 20, "192.0.2.1"),
                ])
            ]
        } _: { upstream in
            let clock = VirtualClock()
            let forwarder = forwarder(to: [upstream.address], clock: clock)
            _ = try await forwarder.ask(Self.client)
            clock.advance(milliseconds: 19000)
            try await forwarder.expectTTLs(Self.client, [881, 1])
            clock.advance(milliseconds: 1000)
            _ = try await forwarder.ask(Self.client)
            #expect(upstream.count == 2)
        }
    }

    @Test(arguments: [RCODE.nxDomain, .noError]) func negativeAnswerIsKeptForTheMinimum(_ rcode: RCODE) async throws {
        try await ScriptedUpstream.run { saw in
            [saw.message.reply(authorities: [soa("example.org", ttl: 900, minimum: 30)], rcode: rcode)]
        } _: { upstream in
            let clock = VirtualClock()
            let forwarder = forwarder(to: [upstream.address], clock: clock)
            let first = try await forwarder.ask(Self.client)
            #expect(first.rcode == rcode)
            #expect(first.authorities.map(\.type) == [.soa])
            #expect(first.ttls == [30])
            clock.advance(milliseconds: 29000)
            try await forwarder.expectTTLs(Self.client, [1])
            #expect(upstream.count == 1)
            clock.advance(milliseconds: 1000)
            _ = try await forwarder.ask(Self.client)
            #expect(upstream.count == 2)
        }
    }

    @Test(arguments: [
        soa("example.org", ttl: 20, minimum: 86400), soa("org", ttl: 20, minimum: 20), soa(".", ttl: 20, minimum: 30),
    ])
    func shorterOfMinimumAndTTLCounts(_ authority: ResourceRecord) async throws {
        try await ScriptedUpstream.run {
            [$0.message.reply(authorities: [authority], rcode: .nxDomain)]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            try await forwarder.expectTTLs(Self.client, [20])
        }
    }

    @Test func longNegativeAnswersAreCut() async throws {
        try await ScriptedUpstream.run { saw in
            [saw.message.reply(authorities: [soa("example.org", ttl: 86400, minimum: 86400)], rcode: .nxDomain)]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            try await forwarder.expectTTLs(Self.client, [3600])
        }
    }

    /// Without an SOA of a zone above the name nobody says how long (RFC 2308 §5).
    @Test(arguments: [[], [soa("example.net")], [soa("sub.www.example.org")]])
    func negativeAnswerWithoutItsSOAIsNotKept(_ authorities: [ResourceRecord]) async throws {
        try await ScriptedUpstream.run {
            [$0.message.reply(authorities: authorities, rcode: .nxDomain)]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            for _ in 0..<2 {
                let answer = try await forwarder.ask(Self.client)
                #expect(answer.rcode == .nxDomain)
                #expect(answer.authorities == [])
            }
            #expect(upstream.count == 2)
        }
    }

    @Test func failureIsRememberedForSeconds() async throws {
        try await ScriptedUpstream.run {
            [$0.message.reply(rcode: .servFail)]
        } _: { upstream in
            let clock = VirtualClock()
            let forwarder = forwarder(to: [upstream.address], clock: clock)
            #expect(await forwarder.forward(try Self.client.request) == .failure(.servFail, nil))
            clock.advance(milliseconds: 1900)
            #expect(forwarder.cachedAnswer(try Self.client.request) == .failure(.servFail, .cachedError))
            #expect(upstream.count == 2)
            clock.advance(milliseconds: 100)
            #expect(forwarder.cachedAnswer(try Self.client.request) == nil)
            _ = await forwarder.forward(try Self.client.request)
            #expect(upstream.count == 4)
        }
    }

    @Test func cacheCanBeTurnedOff() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address]) { $0.cacheSize = 0 }
            for _ in 0..<3 { _ = try await forwarder.ask(Self.client) }
            #expect(upstream.count == 3)
            #expect(forwarder.counters.cacheEntries == 0)
        }
    }

    @Test func fullCacheForgetsWhatWasUnusedLongest() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address]) { $0.cacheSize = 2 }
            for name in ["a", "b", "a", "c", "a", "b"] {
                _ = try await forwarder.ask(ClientQuery("\(name).example.org"))
            }
            #expect(upstream.seen.map(\.message.name) == ["a", "b", "c", "b"].map { "\($0).example.org." })
            #expect(forwarder.counters.cacheEvictions == 2)
            #expect(forwarder.counters.cacheEntries == 2)
        }
    }
}

/// Expired answers when no server answers (RFC 8767).
@Suite struct ForwardStaleTests {
    private static let client = ClientQuery("www.example.org").with { $0.edns = EDNS() }

    private static func reason(_ message: Message) -> ExtendedErrorCode? {
        message.edns?.options.first { $0.code == .extendedError }
            .map { ExtendedErrorCode(rawValue: $0.data.span.octets.uint16(at: 0)) }
    }

    @Test func expiredAnswerIsUsedWhenServersFail() async throws {
        try await ScriptedUpstream.run { saw in
            [1, 2, 3, 4].contains(saw.ordinal) ? [saw.message.reply(rcode: .servFail)] : [saw.message.address(ttl: 100)]
        } _: { upstream in
            let clock = VirtualClock()
            let forwarder = forwarder(to: [upstream.address], clock: clock)
            #expect(Self.reason(try await forwarder.ask(Self.client)) == nil)
            clock.advance(milliseconds: 100000)
            let stale = try await forwarder.ask(Self.client)
            #expect(stale.addresses == ["192.0.2.1"])
            #expect(stale.answers.map(\.ttl) == [30])
            #expect(Self.reason(stale) == .staleAnswer)
            #expect(upstream.count == 3)

            clock.advance(milliseconds: 29900)
            let held = try #require(forwarder.cachedAnswer(try Self.client.request)).message()
            #expect(Self.reason(held) == .staleAnswer)
            let plain = try await forwarder.ask(ClientQuery("www.example.org"))
            #expect(plain.answers.map(\.ttl) == [30])
            #expect(plain.edns == nil)
            #expect(upstream.count == 3, "nobody is asked for 30 seconds")

            clock.advance(milliseconds: 100)
            #expect(Self.reason(try await forwarder.ask(Self.client)) == .staleAnswer)
            #expect(upstream.count == 5)
            clock.advance(milliseconds: 30000)
            let fresh = try await forwarder.ask(Self.client)
            #expect(Self.reason(fresh) == nil)
            #expect(fresh.answers.map(\.ttl) == [100])
            #expect(forwarder.counters.cacheStale == 4)
            #expect(forwarder.counters.failures == 0)
        }
    }

    @Test func expiredNXDOMAINSaysSo() async throws {
        try await ScriptedUpstream.run { saw in
            guard saw.ordinal == 0 else { return [saw.message.reply(rcode: .servFail)] }
            return [saw.message.reply(authorities: [soa("example.org", minimum: 5)], rcode: .nxDomain)]
        } _: { upstream in
            let clock = VirtualClock()
            let forwarder = forwarder(to: [upstream.address], clock: clock)
            _ = try await forwarder.ask(Self.client)
            clock.advance(milliseconds: 6000)
            let stale = try await forwarder.ask(Self.client)
            #expect(stale.rcode == .nxDomain)
            #expect(Self.reason(stale) == .staleNXDomain)
            #expect(stale.authorities.map(\.ttl) == [30])
        }
    }

    @Test func expiredAnswersEndAtLast() async throws {
        try await ScriptedUpstream.run { saw in
            saw.ordinal == 0 ? [saw.message.address(ttl: 10)] : [saw.message.reply(rcode: .servFail)]
        } _: { upstream in
            let clock = VirtualClock()
            let forwarder = forwarder(to: [upstream.address], clock: clock)
            _ = try await forwarder.ask(Self.client)
            clock.advance(milliseconds: 3610000)
            #expect(await forwarder.forward(try Self.client.request) == .failure(.servFail, nil))
        }
    }

    @Test func zeroTurnsItOff() async throws {
        try await ScriptedUpstream.run { saw in
            saw.ordinal == 0 ? [saw.message.address(ttl: 10)] : [saw.message.reply(rcode: .servFail)]
        } _: { upstream in
            let clock = VirtualClock()
            let forwarder = forwarder(to: [upstream.address], clock: clock) { $0.serveStale = .zero }
            _ = try await forwarder.ask(Self.client)
            clock.advance(milliseconds: 10000)
            #expect(await forwarder.forward(try Self.client.request) == .failure(.servFail, nil))
        }
    }

    @Test func clientsWaitLessWhenThereIsAnExpiredAnswer() async throws {
        try await ScriptedUpstream.run {
            $0.ordinal == 0 ? [$0.message.address(ttl: 10)] : []
        } _: { upstream in
            let clock = VirtualClock()
            // The time limit of the test would be passed with the ordinary patience.
            let forwarder = forwarder(to: [upstream.address], clock: clock, patience: .seconds(600)) {
                $0.totalTimeout = .seconds(600)
                $0.totalTimeoutWhenStale = .milliseconds(80)
            }
            _ = try await forwarder.ask(Self.client)
            clock.advance(milliseconds: 10000)
            #expect(Self.reason(try await forwarder.ask(Self.client)) == .staleAnswer)
        }
    }

    @Test func expiredAnswerIsBetterThanRefusal() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address(ttl: 10)]
        } _: { upstream in
            let clock = VirtualClock()
            let forwarder = forwarder(to: [upstream.address], clock: clock) { $0.maxInFlight = 1 }
            _ = try await forwarder.ask(Self.client)
            clock.advance(milliseconds: 10_000)
            upstream.hold()
            async let other = forwarder.ask(ClientQuery("other.example.org"))
            await eventually("another question is under way") { upstream.count == 2 }
            let stale = try await forwarder.ask(Self.client)
            #expect(Self.reason(stale) == .staleAnswer)
            #expect(forwarder.counters.dropped == 1)
            upstream.open()
            _ = try await other
        }
    }
}
