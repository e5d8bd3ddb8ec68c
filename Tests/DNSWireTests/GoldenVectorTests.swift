import DNSWire
import RegdnsTestKit
import Testing

/// Answers of real servers, captured by `Tests/Vectors/capture.py`.
@Suite struct GoldenVectorTests {
    struct Vector: Decodable {
        var name: String
        var query: String
        var answer: String
    }

    /// A server, and the answers that this writer composes in other octets.
    struct Server: CustomTestStringConvertible, Sendable {
        var name: String
        /// Questions whose answers get shorter here: named compares names by letter case and leaves a last label that
        /// stands alone uncompressed; Knot writes out the target of the CNAME it makes from a DNAME, and lets nothing
        /// point to the target of an SVCB.
        var shorterHere: Set<String>
        var testDescription: String { name }

        func vectors() throws -> [Vector] { try TestFiles.json("Vectors/\(name).json", as: [Vector].self) }
    }

    static let servers = [
        Server(name: "knot", shorterHere: ["x.dname.vectors.test/A", "_svc.vectors.test/SVCB"]),
        Server(
            name: "named",
            shorterHere: [
                "vectors.test/NS", "vectors.test/MX", "WwW.vectors.test/A", "away.vectors.test/A",
                "ptr.vectors.test/PTR", "x.y.missing.vectors.test/AAAA", "deleg.vectors.test/A",
                "x.deleg.vectors.test/AAAA", "www/no-rd",
            ]),
    ]

    /// The message with all names in lower case, for compression may change their case (RFC 4343 §4.1).
    static func meaning(_ message: Message) -> [String] {
        let records = [message.answers, message.authorities, message.additionals].map { section in
            section.map { record in
                let data = RecordText.format(type: record.type, rdata: record.rdata)
                return "\(record.owner.folded) \(record.rrClass) \(record.type) \(record.ttl) \(data.lowercased())"
            }
        }
        let question = message.questions.map { "\($0.name) \($0.rrClass) \($0.type)" }
        let header = "\(message.id) \(message.flags.rawValue) \(message.rcode) \(String(describing: message.edns))"
        return [header] + question + records.flatMap { ["--"] + $0 }
    }

    static func rewrite(_ message: Message, limit: Int = 65_535) -> [UInt8] {
        var writer = ResponseWriter(
            limit: limit, id: message.id, flags: message.flags, opcode: message.flags.opcode, rcode: message.rcode,
            question: message.questions.first, edns: message.edns)
        for record in message.answers { writer.append(.answer, record) }
        for record in message.authorities { writer.append(.authority, record) }
        for record in message.additionals { writer.append(.additional, record) }
        return writer.finish()
    }

    @Test(arguments: servers)
    func queriesAreUnderstood(server: Server) throws {
        for vector in try server.vectors() {
            let octets = try octets(hex: vector.query)
            let query = parseQuery(octets)
            let message = try Message(reading: octets)
            let question = try #require(message.questions.first)
            #expect(query.disposition == (vector.name.hasSuffix("badvers") ? .badVers : .answer), "\(vector.name)")
            #expect(query.id == message.id && query.qtype == question.type && query.qclass == question.rrClass)
            #expect(try questionName(query, in: octets) == question.name.folded)
            #expect(query.labelCount == question.name.labelCount)
            #expect(query.hasEDNS == (message.edns != nil) && query.dnssecOK == (message.edns?.dnssecOK ?? false))
            #expect(query.wantsNSID == (message.edns?.options.contains { $0.code == .nsid } ?? false))
            #expect(query.cookieLength == (message.edns?.options.first { $0.code == .cookie }?.data.count ?? 0))
        }
    }

    @Test(arguments: servers)
    func writtenAgainTheyMeanTheSame(server: Server) throws {
        for vector in try server.vectors() {
            let message = try Message(reading: octets(hex: vector.answer))
            let again = try Message(reading: Self.rewrite(message))
            #expect(Self.meaning(again) == Self.meaning(message), "\(vector.name)")
        }
    }

    @Test(arguments: servers)
    func writtenAgainTheyHaveTheSameOctets(server: Server) throws {
        for vector in try server.vectors() {
            let message = try Message(reading: octets(hex: vector.answer))
            let again = hex(Self.rewrite(message))
            let question = vector.name.replacing("/dnssec", with: "")
            if server.shorterHere.contains(question) {
                #expect(again.count < vector.answer.count, "\(vector.name)")
            } else {
                #expect(again == vector.answer, "\(vector.name)")
            }
        }
    }

    @Test(arguments: servers)
    func dataSurvivesItsText(server: Server) throws {
        for vector in try server.vectors() {
            let message = try Message(reading: octets(hex: vector.answer))
            for record in message.answers + message.authorities + message.additionals {
                let text = RecordText.format(type: record.type, rdata: record.rdata)
                #expect(try RecordText.parse(type: record.type, text: text) == record.rdata, "\(vector.name): \(text)")
            }
        }
    }
}
