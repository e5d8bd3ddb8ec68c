import DNSWire
import NIOCore
import Synchronization
import Testing

@testable import DNSServer

/// Stub zones: which names, and how their servers are asked.
@Suite struct ForwardStubTests {
    private static func zone(_ name: String, _ servers: [SocketAddress]) throws -> StubZone {
        let name = try OwnerName(name)
        return try #require(StubZones([name: servers]).match(name))
    }

    /// Asks the first server first.
    private static let inOrder = ForwarderRandom { 0 }

    @Test(arguments: [
        ("corp.example", "corp.example."), ("a.Corp.Example", "corp.example."), ("notcorp.example", nil),
        ("x.deep.corp.example", "deep.corp.example."), ("xdeep.corp.example", "corp.example."), ("example", nil),
        (".", nil), ("a.b.c.d.e.other", "other."), ("empty.example", nil),
    ])
    func longestZoneMatches(_ name: String, _ zone: String?) throws {
        let address = try SocketAddress(ipAddress: "192.0.2.1", port: 53)
        let zones = StubZones([
            try OwnerName("corp.example"): [address], try OwnerName("deep.Corp.example"): [address],
            try OwnerName("other"): [address], try OwnerName("empty.example"): [],
        ])
        #expect(zones.match(try OwnerName(name)).map { "\($0.name)" } == zone)
        #expect(zones.all.count == 3)
        #expect(StubZones.none.match(try OwnerName(name)) == nil)
    }

    @Test func rootCanBeAStubZone() throws {
        let address = try SocketAddress(ipAddress: "192.0.2.1", port: 53)
        #expect(StubZones([.root: [address]]).match(try OwnerName("a.b"))?.name == .root)
    }

    @Test(arguments: [RCODE.noError, .nxDomain]) func authorityAndCodeAreKept(_ rcode: RCODE) async throws {
        try await ScriptedUpstream.run { saw in
            let records = rcode == .noError ? [record("\(saw.message.name)", .a, ttl: 86400, "192.0.2.2")] : []
            return [saw.message.reply(records, rcode: rcode, flags: [.response, .authoritative])]
        } _: { upstream in
            let forwarder = forwarder(to: [])
            let zone = try Self.zone("corp.example", [upstream.address])
            for _ in 0..<2 {
                let outcome = await forwarder.forward(try ClientQuery("A.Corp.Example").request, to: zone)
                let answer = try outcome.message()
                #expect(
                    answer.flags.isSuperset(of: [.response, .authoritative, .recursionDesired, .recursionAvailable]))
                #expect(answer.rcode == rcode)
                #expect("\(answer.questions[0].name)" == "A.Corp.Example.")
                #expect(answer.answers.allSatisfy { $0.ttl == 86400 })
                #expect(answer.edns == nil)
            }
            #expect(upstream.count == 2, "nothing is kept")
            let mark = EDNS.Option(code: .stubLoop, data: [1])
            #expect(upstream.seen.allSatisfy { $0.message.edns == EDNS(options: [mark]) })
            #expect(forwarder.counters.cacheMisses == 0)
            #expect(forwarder.counters.queries == 2)
        }
    }

    @Test func shortNamesAreAskedForToo() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address()]
        } _: { upstream in
            let zone = try Self.zone("corp", [upstream.address])
            let outcome = await forwarder(to: []).forward(try ClientQuery("corp").request, to: zone)
            #expect(try outcome.message().addresses == ["192.0.2.1"])
        }
    }

    @Test(arguments: [ForwardTransport.udp, .tcp]) func secondServerIsAsked(_ transport: ForwardTransport) async throws
    {
        try await ScriptedUpstream.run {
            [$0.message.address()]
        } _: { upstream in
            let zone = try Self.zone("corp.example", [try await closedPort(), upstream.address])
            let forwarder = forwarder(to: [], random: Self.inOrder)
            let query = ClientQuery("a.corp.example").with { $0.transport = transport }
            let outcome = await forwarder.forward(try query.request, to: zone)
            #expect(try outcome.message().addresses == ["192.0.2.1"])
            #expect(upstream.seen.map(\.transport) == [transport])
            #expect(forwarder.counters.networkErrors == 1)
        }
    }

    @Test func startIsRandom() async throws {
        try await ScriptedUpstream.run {
            [$0.message.address()]
        } _: { first in
            try await ScriptedUpstream.run {
                [$0.message.address()]
            } _: { second in
                let zone = try Self.zone("corp.example", [first.address, second.address])
                let bits = Mutex<UInt64>(0)
                let random = ForwarderRandom { bits.withLock { $0 } }
                let forwarder = forwarder(to: [], random: random)
                for value: UInt64 in [0, 1, 1, 7] {
                    bits.withLock { $0 = value }
                    _ = await forwarder.forward(try ClientQuery("a.corp.example").request, to: zone)
                }
                #expect(first.count == 1)
                #expect(second.count == 3)
            }
        }
    }

    @Test func allDeadIsAFailure() async throws {
        let zone = try Self.zone("corp.example", [try await closedPort()])
        let forwarder = forwarder(to: [])
        for _ in 0..<2 {
            let outcome = await forwarder.forward(try ClientQuery("a.corp.example").request, to: zone)
            #expect(outcome == .failure(.servFail, .networkError))
        }
        #expect(forwarder.counters.upstreamQueries == 4, "failures are not kept either")
    }

    @Test func equalQuestionsOfDifferentZonesAreKeptApart() async throws {
        try await ScriptedUpstream.run(isOpen: false) {
            [$0.message.address()]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            let request = try ClientQuery("a.corp.example").request
            let zone = try Self.zone("corp.example", [upstream.address])
            async let plain = forwarder.forward(request)
            async let stub = forwarder.forward(request, to: zone)
            async let again = forwarder.forward(request, to: zone)
            await eventually("two are asked, one waits") {
                upstream.count == 2 && forwarder.counters.coalesced == 1
            }
            upstream.open()
            for outcome in await [plain, stub, again] { #expect(try outcome.message().addresses == ["192.0.2.1"]) }
        }
    }
}
