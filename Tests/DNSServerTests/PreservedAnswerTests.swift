import DNSWire
import RegistryStore
import Testing

@testable import DNSServer

/// Answers from leases that are over and kept by preservation.
struct PreservedAnswerTests {
    /// Three addresses; those of `preserved` are over and kept.
    private static func harness(preserved: Set<String>, all: [String] = ["a", "b", "c"]) throws -> ViewHarness {
        let server = try ViewHarness()
        for (place, id) in all.enumerated() {
            try server.register(
                "web", id, host: .ipv4(0x0a00_0001 + UInt32(place)), leaseSeconds: preserved.contains(id) ? 10 : 100)
        }
        server.time.advance(20_000)
        let due = server.registry.dueLeases(limit: 100)
        server.registry.preserve(due.map(\.id), countedBy: server.registry.node)
        #expect(due.count == preserved.count)
        return server
    }

    /// EDNS option 15 with info code 3 (RFC 8914).
    private static let staleAnswer: [UInt8] = [0, 15, 0, 2, 0, 3]

    @Test(arguments: [false, true])
    func anAnswerOfPreservedDataIsShortLivedAndSaysThatItIsStale(tcp: Bool) throws {
        let server = try Self.harness(preserved: ["a", "b", "c"])
        for type in [RRType.a, .srv] {
            for _ in 0..<3 {
                let answer = try server.ask("web.skydns.local", type, edns: 1232, tcp: tcp)
                #expect(answer.answers.map(\.ttl) == [5, 5, 5])
                #expect(answer.additionals.allSatisfy { $0.ttl == 5 })
                #expect(answer.options == Self.staleAnswer)
                #expect(answer.flags.contains(.authoritative))
            }
        }
        #expect(server.engine.value.counters.preserved == 6)
        let plain = try server.ask("web.skydns.local", .a)
        #expect(plain.answers.map(\.ttl) == [5, 5, 5])
        #expect(!plain.hasOPT, "who does not know EDNS gets the TTL alone")
        let reverse = try server.ask("1.0.0.10.in-addr.arpa", .ptr, edns: 1232, tcp: tcp)
        #expect(reverse.answers.map(\.ttl) == [5])
        #expect(reverse.options == Self.staleAnswer)
    }

    @Test func oneFreshRecordMakesTheAnswerFresh() throws {
        let server = try Self.harness(preserved: ["a", "b"])
        let answer = try server.ask("web.skydns.local", .a, edns: 1232)
        #expect(answer.answers.count == 3)
        #expect(answer.options.isEmpty)
        #expect(answer.answers.allSatisfy { $0.ttl == 5 }, "one TTL for all, and none beyond a record's own bound")
        let own = try server.ask("c.web.skydns.local", .a, edns: 1232)
        #expect(own.options.isEmpty)
        #expect(try #require(own.answers.first).ttl > 5)
        #expect(try server.ask("a.web.skydns.local", .a, edns: 1232).options == Self.staleAnswer)
        #expect(server.engine.value.counters.preserved == 1)
    }

    @Test func aShorterTTLStays() throws {
        let server = try ViewHarness()
        try server.put("/skydns/local/skydns/web/a", #"{"host":"10.0.0.1","ttl":2}"#, leaseSeconds: 10)
        server.time.advance(20_000)
        let due = server.registry.dueLeases(limit: 100)
        server.registry.preserve(due.map(\.id), countedBy: server.registry.node)
        let answer = try server.ask("web.skydns.local", .a, edns: 1232)
        #expect(answer.answers.map(\.ttl) == [2])
        #expect(answer.options == Self.staleAnswer)
    }

    @Test func aRenewalMakesItFreshAtOnceAndNothingIsComposedForIt() throws {
        let server = try Self.harness(preserved: ["a", "b", "c"])
        _ = try server.ask("web.skydns.local", .a, edns: 1232)
        let composed = server.engine.value.counters.composed
        for id in ["a", "b", "c"] { try server.registry.renew(namespace: .default, id: id) }
        let answer = try server.ask("web.skydns.local", .a, edns: 1232)
        #expect(answer.options.isEmpty)
        #expect(answer.answers.map(\.ttl) == [10, 10, 10])
        #expect(server.engine.value.counters.composed == composed)
    }

    @Test func namesThatAreNotThereAreNotStale() throws {
        let server = try Self.harness(preserved: ["a", "b", "c"])
        #expect(try server.ask("none.skydns.local", .a, edns: 1232).options.isEmpty)
        #expect(try server.ask("web.skydns.local", .aaaa, edns: 1232).options.isEmpty)
        #expect(server.engine.value.counters.preserved == 0)
    }

    @Test func theErrorStaysWithinWhatTheClientTakes() throws {
        let ids = (0..<40).map { "i\($0)" }
        let server = try Self.harness(preserved: Set(ids), all: ids)
        var marked = 0
        for size in 512...700 {
            let answer = try server.ask("web.skydns.local", .a, edns: size)
            #expect(answer.octets <= size)
            #expect(answer.options.isEmpty || answer.options == Self.staleAnswer)
            #expect(answer.answers.allSatisfy { $0.ttl == 5 })
            if !answer.options.isEmpty { marked += 1 }
        }
        #expect((1..<189).contains(marked), "with room for it and without")
    }
}
