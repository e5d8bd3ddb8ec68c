import DNSWire
import NIOCore
import Testing

@testable import DNSServer

/// What of an upstream server's message reaches the client.
@Suite struct ForwardRelevanceTests {
    private static let evil = "6.6.6.6"
    /// Any sound RRSIG: covers, signer.
    private static func signature(_ owner: String, _ type: RRType, signer: String) -> ResourceRecord {
        record(owner, .rrsig, "\(type) 13 2 300 20300101000000 20200101000000 1 \(signer) AAAA")
    }

    private static func relevant(
        _ answers: [ResourceRecord], _ authorities: [ResourceRecord] = [], asked: RRType = .a, rcode: RCODE = .noError,
        dnssecOK: Bool = false
    ) throws -> RelevantRecords {
        let question = Question(name: try DomainName("www.Example.org"), type: asked)
        let empty = ResponseWriter(limit: 512, id: 1, question: question).finish()
        var message = try Message(reading: empty)
        message.answers = answers
        message.authorities = authorities
        message.rcode = rcode
        return RelevantRecords(message, question: question, dnssecOK: dnssecOK)
    }

    @Test func recordsOfOtherNamesAreNotHandedOn() async throws {
        try await ScriptedUpstream.run { saw in
            [
                saw.message.reply(
                    [record(saw.message.name, .a, "192.0.2.1"), record("victim.example.org", .a, Self.evil)],
                    authorities: [record("example.org", .ns, "ns.evil.test.")],
                    additionals: [record("ns.evil.test", .a, Self.evil), record("1.web.skydns.local", .a, Self.evil)])
            ]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            let answer = try await forwarder.ask(ClientQuery("stray.example.org"))
            #expect(answer.addresses == ["192.0.2.1"])
            #expect(answer.authorities == [])
            #expect(answer.additionals == [])
            for name in ["victim.example.org", "ns.evil.test", "1.web.skydns.local"] {
                #expect(forwarder.cachedLookup(name: try DomainName(name), type: .a) == nil)
            }
        }
    }

    @Test func chainIsKeptInItsOrder() throws {
        let chain = [
            record("b.example.net", .a, "192.0.2.1"), record("a.example.net", .cname, "B.example.net."),
            record("WWW.example.org", .cname, "a.Example.net."), record("b.example.net", .a, "192.0.2.2"),
        ]
        let others = [
            record("c.example.net", .a, Self.evil), record("b.example.net", .txt, "evil"),
            record("c.example.net", .cname, "b.example.net."),
        ]
        let relevant = try Self.relevant([others[0], chain[0], chain[1], others[1], chain[2], others[2], chain[3]])
        #expect(relevant.answers == chain)
        #expect(relevant.meaning == .data)
    }

    @Test func recordsOfAnotherClassAreNotUsed() throws {
        var chaos = record("www.example.org", .a, Self.evil)
        chaos.rrClass = .ch
        #expect(try Self.relevant([chaos]).meaning == .lame)
    }

    @Test(arguments: [1, 2, 3, 30]) func loopIsHandedOnAndNotKept(_ length: Int) async throws {
        let loop = (0..<length).map { place in
            let owner = place == 0 ? "www.example.org" : "n\(place).example.org"
            let target = place == length - 1 ? "www.example.org." : "n\(place + 1).example.org."
            return record(owner, .cname, target)
        }
        try await ScriptedUpstream.run {
            [$0.message.reply(loop)]
        } _: { upstream in
            let forwarder = forwarder(to: [upstream.address])
            for _ in 0..<2 {
                let answer = try await forwarder.ask(ClientQuery("www.example.org").with { $0.limit = 0xffff })
                #expect(answer.answers == loop)
            }
            #expect(upstream.count == 2)
        }
    }

    @Test func endlessChainIsCut() throws {
        let chain = (0..<1000).map { place in
            record(place == 0 ? "www.example.org" : "n\(place).example.org", .cname, "n\(place + 1).example.org.")
        }
        let relevant = try Self.relevant(chain + [record("n1000.example.org", .a, "192.0.2.1")])
        #expect(relevant.answers == Array(chain.prefix(33)))
        #expect(relevant.meaning == .unsupported, "not kept")
    }

    @Test func askedForAliasesAreNotFollowed() throws {
        let aliases = [
            record("www.example.org", .cname, "a.example.net."), record("a.example.net", .cname, "b.example."),
        ]
        let relevant = try Self.relevant(aliases, asked: .cname)
        #expect(relevant.answers == [aliases[0]])
        #expect(relevant.meaning == .data)
    }

    @Test func aliasOfASubtreeIsKept() throws {
        let records = [
            record("example.org", .dname, "example.net."), record("www.example.org", .cname, "www.example.net."),
            record("www.example.net", .a, "192.0.2.1"),
        ]
        #expect(try Self.relevant(records + [record("other.org", .dname, "evil.test.")]).answers == records)
        let atTheName = record("www.example.org", .dname, "evil.test.")
        #expect(try Self.relevant([atTheName]).answers == [], "it redirects only what is below")
    }

    @Test func emptyAnswerWithoutSOAIsHandedOn() throws {
        let relevant = try Self.relevant([])
        #expect(relevant.meaning == .unsupported)
    }

    @Test(arguments: [false, true]) func signaturesComeWithDO(_ dnssecOK: Bool) throws {
        let address = record("www.example.org", .a, "192.0.2.1")
        let ours = Self.signature("www.example.org", .a, signer: "example.org.")
        let other = Self.signature("www.example.org", .txt, signer: "example.org.")
        let relevant = try Self.relevant([address, ours, other], dnssecOK: dnssecOK)
        #expect(relevant.answers == (dnssecOK ? [address, ours] : [address]))
    }

    @Test(arguments: [false, true]) func proofsComeWithDOIfSignedForTheZone(_ dnssecOK: Bool) throws {
        let authority = soa("example.org")
        let hashed = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"
        let proofs = [
            record("a.example.org", .nsec, "z.example.org. A"),
            record("\(hashed).example.org", .nsec3, "\\# 29 010000000014 \(String(repeating: "00", count: 20)) 000140"),
        ]
        let signatures = [
            Self.signature("example.org", .soa, signer: "example.org."),
            Self.signature("a.example.org", .nsec, signer: "example.org."),
            Self.signature("\(hashed).example.org", .nsec3, signer: "example.org."),
        ]
        let strays = [
            record("b.example.org", .nsec, "z.example.org. A"), record("a.example.net", .nsec, "z.example.net. A"),
            Self.signature("a.example.net", .nsec, signer: "example.net."),
            Self.signature("c.example.org", .nsec, signer: "sub.example.org."), record("example.org", .ns, "ns.test."),
            Self.signature("example.org", .ns, signer: "example.org."),
        ]
        let relevant = try Self.relevant([], strays + proofs + [authority] + signatures, dnssecOK: dnssecOK)
        #expect(relevant.authorities == (dnssecOK ? [authority] + proofs + signatures : [authority]))
        #expect(relevant.meaning == .negative)
    }

    @Test func wildcardAnswerKeepsItsProof() throws {
        let answers = [
            record("www.example.org", .a, "192.0.2.1"), Self.signature("www.example.org", .a, signer: "example.org."),
        ]
        let proof = [
            record("a.example.org", .nsec, "z.example.org. A"),
            Self.signature("a.example.org", .nsec, signer: "example.org."),
        ]
        let relevant = try Self.relevant(answers, proof + [soa("example.org")], dnssecOK: true)
        #expect(relevant.answers == answers)
        #expect(relevant.authorities == proof)
        #expect(relevant.meaning == .data)
    }

    @Test func referralIsLame() throws {
        #expect(try Self.relevant([], [record("org", .ns, "a0.nic.org.")]).meaning == .lame)
        let negative = try Self.relevant([], [record("example.org", .ns, "ns.example.org."), soa("example.org")])
        #expect(negative.meaning == .negative)
        let missing = try Self.relevant([], [record("example.org", .ns, "ns.example.org.")], rcode: .nxDomain)
        #expect(missing.meaning == .unsupported)
    }
}

/// Answers put into the client's form.
@Suite struct ForwardedAnswerTests {
    private static func answer(answers: Int, authorities: Int) throws -> ForwardedAnswer {
        let name = try DomainName("www.example.org")
        let question = Question(name: name, type: .txt)
        var writer = ResponseWriter(limit: 0xffff, id: 1, question: question)
        for place in 0..<answers {
            let text = [UInt8](repeating: 0x61, count: 10 + place % 90)
            writer.append(.answer, owner: name, type: .txt, ttl: 500 + UInt32(place), rdata: RDATA.txt(text))
        }
        for _ in 0..<authorities {
            writer.append(.authority, owner: try DomainName("example.org"), type: .soa, ttl: 300, rdata: soa(".").rdata)
        }
        let message = try Message(reading: writer.finish())
        let relevant = RelevantRecords(message, question: question, dnssecOK: false)
        return try #require(
            ForwardedAnswer(
                message, relevant: relevant, question: question, bounds: .init(), keepsAA: false))
    }

    @Test(arguments: [false, true]) func everySizeIsKeptTo(_ hasEDNS: Bool) throws {
        let whole = try Self.answer(answers: 40, authorities: 0)
        for limit in [512...600, 1200...1260, 2600...2700].joined() {
            let query = ClientQuery("www.example.org", .txt).with {
                $0.limit = limit
                $0.edns = hasEDNS ? EDNS() : nil
            }
            let octets = whole.message(for: try query.request, age: .seconds(100))
            #expect(octets.count <= limit)
            let message = try Message(reading: octets)
            #expect(message.flags.contains(.truncated) == (message.answers.count < 40))
            #expect((message.edns != nil) == hasEDNS)
            for (place, record) in message.answers.enumerated() { #expect(record.ttl == UInt32(400 + place)) }
        }
    }

    @Test func extendedErrorIsInsideTheLimit() throws {
        let whole = try Self.answer(answers: 40, authorities: 0)
        let query = ClientQuery("www.example.org", .txt).with {
            $0.limit = 600
            $0.edns = EDNS()
        }
        let octets = whole.message(for: try query.request, age: .stale(ttl: 30))
        #expect(octets.count <= 600)
        let message = try Message(reading: octets)
        #expect(message.edns?.options == [EDNS.Option(code: .extendedError, data: [0, 3])])
        #expect(message.answers.allSatisfy { $0.ttl == 30 })
    }

    @Test func negativeAnswerWithoutItsSOAIsCut() throws {
        let negative = try Self.answer(answers: 0, authorities: 1)
        let query = ClientQuery("www.example.org", .txt).with { $0.limit = 40 }
        let message = try Message(reading: negative.message(for: try query.request, age: .seconds(0)))
        #expect(message.flags.contains(.truncated))
        #expect(message.authorities.isEmpty)
    }

    @Test func answerThatGrowsBeyondAMessageIsRefused() throws {
        // Compressed SRV targets are written out (RFC 3597 §4), which makes the message larger.
        let question = Question(name: try DomainName("_s._tcp.example.org"), type: .srv)
        let label = String(repeating: "a", count: 60)
        let target = try DomainName("\(label).\(label).\(label).example.org")
        var message = try Message(
            reading: ResponseWriter(limit: 512, id: 1, question: question).finish())
        message.answers = (0..<400).map { place in
            ResourceRecord(
                owner: question.name, type: .srv, ttl: 60,
                rdata: RDATA.srv(priority: 0, weight: UInt16(place), port: 1, target: target))
        }
        let relevant = RelevantRecords(message, question: question, dnssecOK: false)
        #expect(
            ForwardedAnswer(message, relevant: relevant, question: question, bounds: .init(), keepsAA: false) == nil)
    }
}
