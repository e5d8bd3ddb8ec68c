import DNSWire
import RegdnsTestKit
import Testing

/// Properties over random input. Every run has a fresh seed, which is printed; REGDNS_SEED repeats a run.
@Suite struct PropertyTests {
    static let types: [RRType] = [
        .a, .aaaa, .ns, .cname, .soa, .ptr, .mx, .txt, .spf, .srv, .hinfo, .naptr, .dname, .ds, .cds, .sshfp, .tlsa,
        .rrsig, .nsec, .dnskey, .cdnskey, .caa, .svcb, .https, RRType(rawValue: 65_400),
    ]

    @Test func writtenMessagesAreReadBack() throws {
        var random = SeededRandom(test: #function)
        for round in 0..<2_000 * SeededRandom.effort {
            let message = MessageMaker.message(&random)
            let octets = GoldenVectorTests.rewrite(message)
            let again = try Message(reading: octets)
            #expect(
                GoldenVectorTests.meaning(again) == GoldenVectorTests.meaning(message), "seed \(random.seed), \(round)")
        }
    }

    @Test func limitsAreKeptByWholeRecords() throws {
        var random = SeededRandom(test: #function)
        for round in 0..<2_000 * SeededRandom.effort {
            let message = MessageMaker.message(&random)
            let limit = Int.random(in: 512...1_500, using: &random)
            let octets = GoldenVectorTests.rewrite(message, limit: limit)
            let again = try Message(reading: octets)
            #expect(octets.count <= limit, "seed \(random.seed), \(round)")
            let lost =
                again.answers.count < message.answers.count || again.authorities.count < message.authorities.count
            #expect(
                again.flags.contains(.truncated) == (lost || message.flags.contains(.truncated)), "seed \(random.seed)")
            #expect((again.edns == nil) == (message.edns == nil), "seed \(random.seed)")
        }
    }

    @Test func queriesAreUnderstoodAlikeByBothReaders() throws {
        var random = SeededRandom(test: #function)
        for round in 0..<2_000 * SeededRandom.effort {
            let question = Question(
                name: MessageMaker.name(&random), type: Self.types.randomElement(using: &random) ?? .a)
            let edns = random.oneIn(2) ? nil : MessageMaker.edns(&random)
            let writer = ResponseWriter(limit: 4_096, id: 7, flags: .recursionDesired, question: question, edns: edns)
            let octets = writer.finish()
            let query = parseQuery(octets)
            #expect(
                query.disposition == (edns.map { $0.version > 0 } == true ? .badVers : .answer), "seed \(random.seed)")
            #expect(try questionName(query, in: octets) == question.name.folded, "seed \(random.seed), \(round)")
            #expect(query.qtype == question.type && query.udpPayloadSize == Int(edns?.payloadSize ?? 0))
            #expect(query.questionEnd == octets.count - (edns?.wireLength ?? 0))
        }
    }

    @Test func namesSurviveTheirText() throws {
        var random = SeededRandom(test: #function)
        for _ in 0..<5_000 * SeededRandom.effort {
            let name = MessageMaker.name(&random)
            #expect(try DomainName(name.description) == name, "seed \(random.seed): \(name)")
            #expect(try OwnerName(name.description) == name.folded, "seed \(random.seed): \(name)")
            #expect(try OwnerName(wire: name.wire) == name.folded, "seed \(random.seed): \(name)")
        }
    }

    @Test func dataSurvivesItsText() throws {
        var random = SeededRandom(test: #function)
        for _ in 0..<5_000 * SeededRandom.effort {
            let type = Self.types.randomElement(using: &random) ?? .a
            let rdata = random.oneIn(4) ? random.octets(upTo: 40) : MessageMaker.rdata(type, &random)
            let text = RecordText.format(type: type, rdata: rdata)
            guard let again = try? RecordText.parse(type: type, text: text) else {
                // Only octets that have not the form of their type may be refused.
                #expect(
                    text.hasPrefix("\\# ") && !MessageMaker.isSound(type, rdata), "seed \(random.seed): \(type) \(text)"
                )
                continue
            }
            #expect(again == rdata, "seed \(random.seed): \(type) \(text)")
        }
    }

    @Test func noOctetsEverTrap() throws {
        var random = SeededRandom(test: #function)
        var out = [UInt8](repeating: 0, count: ErrorResponse.lengthMax)
        for _ in 0..<20_000 * SeededRandom.effort {
            var octets: [UInt8]
            if random.oneIn(4) {
                octets = random.octets(upTo: 80)
            } else {
                octets = GoldenVectorTests.rewrite(MessageMaker.message(&random), limit: 512)
                MessageMaker.damage(&octets, &random)
            }
            let query = parseQuery(octets)
            #expect(query.questionEnd <= max(octets.count, 12), "seed \(random.seed)")
            #expect(query.cookieOffset + query.cookieLength <= octets.count, "seed \(random.seed)")
            var span = out.mutableSpan
            var bytes = span.octets
            let count = ErrorResponse.write(
                query, message: octets.span.octets, rcode: .formErr, extendedError: .other, into: &bytes)
            #expect(query.disposition == .drop || count >= 12, "seed \(random.seed)")
            _ = try? Message(reading: octets)
            _ = try? OwnerName(wire: octets)
            _ = try? DomainName(wire: octets)
            let type = Self.types.randomElement(using: &random) ?? .a
            _ = RecordText.format(type: type, rdata: octets)
            _ = try? SOAData(rdata: octets)
            _ = try? SRVData(rdata: octets)
        }
    }

    @Test func noTextEverTraps() throws {
        var random = SeededRandom(test: #function)
        let alphabet = Array(" \t\n\"();\\.@#$0123456789abcxyzTYPE:-_*/+=é".utf8)
        for _ in 0..<20_000 * SeededRandom.effort {
            let octets = (0..<Int.random(in: 0...60, using: &random)).map { _ in
                alphabet.randomElement(using: &random) ?? 0
            }
            let text = String(decoding: octets, as: UTF8.self)
            let type = Self.types.randomElement(using: &random) ?? .a
            if let rdata = try? RecordText.parse(type: type, text: text) {
                #expect(MessageMaker.isSound(type, rdata), "seed \(random.seed): \(type) \(text)")
            }
            _ = try? OwnerName(text)
            _ = RRType(name: text)
            _ = RRClass(name: text)
            _ = IPAddressText.ipv6(octets)
            _ = IPAddressText.ipv4(octets)
            _ = NumberText.seconds(octets[...])
        }
    }
}
