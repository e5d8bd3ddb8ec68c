import DNSWire
import NIOCore
import Testing

@testable import DNSServer

/// Lookups for this server's own chains and targets.
@Suite struct ForwardLookupTests {
    private static func run(
        _ script: @escaping ScriptedUpstream.Script, _ body: (Forwarder, ScriptedUpstream) async throws -> Void
    ) async throws {
        try await ScriptedUpstream.run(script: script) { upstream in
            try await body(forwarder(to: [upstream.address]), upstream)
        }
    }

    @Test func recordsComeWithTheirCNAMEsAndShortTTLs() async throws {
        let chain = [
            record("www.example.org", .cname, ttl: 900, "host.example.net."),
            record("host.example.net", .a, ttl: 20, "192.0.2.1"), record("host.example.net", .a, ttl: 900, "192.0.2.2"),
        ]
        try await Self.run({ [$0.message.reply(chain)] }) { forwarder, upstream in
            let name = try DomainName("www.example.org")
            #expect(forwarder.cachedLookup(name: name, type: .a) == nil)
            let found = await forwarder.lookup(name: name, type: .a)
            let expected = zip(chain, [60, 20, 60] as [UInt32]).map { pair in
                var record = pair.0
                record.ttl = pair.1
                return record
            }
            #expect(found == .records(expected))
            #expect(forwarder.cachedLookup(name: name, type: .a) == found)
            #expect(upstream.count == 1)
            #expect(upstream.seen[0].message.edns?.dnssecOK == false)
        }
    }

    @Test func serverIsSharedWithClients() async throws {
        try await Self.run({ [$0.message.address()] }) { forwarder, upstream in
            _ = try await forwarder.ask(ClientQuery("WWW.example.org"))
            let found = forwarder.cachedLookup(name: try DomainName("www.EXAMPLE.org"), type: .a)
            #expect(found == .records([record("WWW.example.org", .a, ttl: 60, "192.0.2.1")]))
        }
    }

    @Test func cnameWithoutTheTypeIsAlone() async throws {
        let alias = record("www.example.org", .cname, ttl: 30, "host.example.net.")
        try await Self.run({ [$0.message.reply([alias], authorities: [soa("example.net")])] }) { forwarder, _ in
            let found = await forwarder.lookup(name: try DomainName("www.example.org"), type: .aaaa)
            #expect(found == .records([alias]))
        }
    }

    @Test(arguments: [
        (RCODE.noError, ForwardedRRset.noData), (.nxDomain, .nxdomain), (.servFail, .failed), (.refused, .failed),
        (.yxDomain, .failed),
    ])
    func absenceIsTold(_ row: (rcode: RCODE, found: ForwardedRRset)) async throws {
        try await Self.run({ [$0.message.reply(authorities: [soa("example.org")], rcode: row.rcode)] }) {
            forwarder, _ in
            let found = await forwarder.lookup(name: try DomainName("www.example.org"), type: .a)
            #expect(found == row.found)
        }
    }

    @Test func chainThatEndsNowhereIsNXDOMAIN() async throws {
        let alias = record("www.example.org", .cname, "gone.example.net.")
        try await Self.run({ [$0.message.reply([alias], authorities: [soa("example.net")], rcode: .nxDomain)] }) {
            forwarder, _ in
            let found = await forwarder.lookup(name: try DomainName("www.example.org"), type: .a)
            #expect(found == .nxdomain)
        }
    }

    @Test func cutAnswerIsAskedForOverTCP() async throws {
        let script: ScriptedUpstream.Script = { saw in
            [saw.transport == .tcp ? saw.message.address() : saw.message.reply(flags: [.response, .truncated])]
        }
        try await Self.run(script) { forwarder, upstream in
            let found = await forwarder.lookup(name: try DomainName("big.example.org"), type: .a)
            #expect(found == .records([record("big.example.org", .a, ttl: 60, "192.0.2.1")]))
        }
    }
}
