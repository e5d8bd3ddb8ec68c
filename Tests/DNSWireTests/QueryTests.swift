import DNSWire
import RegdnsTestKit
import Testing

@Suite struct QueryTests {
    static let question = "03776562047465737400" + "0001" + "0001"

    static func query(counts: String = "0001000000000000", flags: String = "0100", _ rest: String) throws -> [UInt8] {
        try octets(hex: "1234" + flags + counts + rest)
    }

    @Test func factsOfAQuery() throws {
        let options = "000a0008" + "0102030405060708" + "00030000" + "000b0000" + "fdf30001ff"
        let octets = try Self.query(
            counts: "0001000000000001", Self.question + "0000291000000080000019" + options)
        let query = parseQuery(octets)
        #expect(query.disposition == .answer && query.id == 0x1234 && query.opcode == .query && query.recursionDesired)
        #expect(query.nameLength == 10 && query.labelCount == 2 && query.qtype == .a && query.qclass == .in)
        #expect(query.hasQuestion && query.questionEnd == 26)
        #expect(query.hasEDNS && query.udpPayloadSize == 4_096 && query.ednsVersion == 0 && query.dnssecOK)
        #expect(query.wantsNSID && query.wantsKeepalive && query.stubLoop)
        #expect(
            query.cookieLength == 8
                && Array(octets[query.cookieOffset..<query.cookieOffset + 8]) == [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(MemoryLayout<ParsedQuery>.size <= 32)
    }

    @Test(arguments: [
        ("00ff0001", QueryDisposition.refused), ("00fc0001", .refused), ("00fb0001", .refused), ("00fd0001", .refused),
        ("00fe0001", .refused), ("00290001", .formErr), ("00fa0001", .formErr), ("00800001", .formErr),
        ("00f90001", .formErr),
        ("00100003", .answer), ("00010004", .refused), ("000100ff", .refused), ("00010000", .refused),
        ("00000001", .answer), ("00f80001", .answer), ("01000001", .answer), ("ffff0001", .answer),
    ])
    func typesAndClasses(fields: String, expected: QueryDisposition) throws {
        #expect(parseQuery(try Self.query("03776562047465737400" + fields)).disposition == expected)
    }

    @Test func recordsBesideOPT() throws {
        let opt = "00002904d0000000000000"
        let address = "c00c0001000100000000000401020304"
        let both = parseQuery(try Self.query(counts: "0001000000000002", Self.question + address + opt))
        #expect(both.disposition == .answer && both.hasEDNS && both.udpPayloadSize == 1_232)
        #expect(
            parseQuery(try Self.query(counts: "0001000000000002", Self.question + opt + opt)).disposition == .formErr)
        #expect(
            parseQuery(try Self.query(counts: "0001000000000002", Self.question + address + opt + "00")).disposition
                == .formErr
        )
        #expect(parseQuery(try Self.query(counts: "0001000100000000", Self.question + address)).disposition == .formErr)
        #expect(parseQuery(try Self.query(counts: "0001000000010000", Self.question + address)).disposition == .formErr)
    }

    @Test func cookies() throws {
        for count in 0...64 {
            let data = String(repeating: "63", count: count)
            let lengths = [count + 4, count].map { hex([UInt8($0 >> 8), UInt8($0 & 255)]) }
            let octets = try Self.query(
                counts: "0001000000000001",
                Self.question + "00002904d000000000" + lengths[0] + "000a" + lengths[1] + data)
            let query = parseQuery(octets)
            let sound = count == 8 || (16...40).contains(count)
            #expect(query.disposition == (sound ? .answer : .formErr) && query.hasEDNS, "\(count)")
            #expect(query.cookieLength == (sound ? count : 0), "\(count)")
        }
    }

    @Test func whatIsNotAQuery() throws {
        #expect(parseQuery([]).disposition == .drop)
        #expect(parseQuery([UInt8](repeating: 0, count: 11)).disposition == .drop)
        #expect(parseQuery(try Self.query(flags: "8180", Self.question)).disposition == .drop)
        #expect(parseQuery(try Self.query(flags: "a800", Self.question)).disposition == .drop)
        #expect(parseQuery(try Self.query(flags: "1000", Self.question)).disposition == .notImp)
        #expect(parseQuery(try Self.query(flags: "2000", Self.question)).disposition == .notImp)
        #expect(parseQuery(try Self.query(flags: "2800", Self.question + "00")).disposition == .formErr)
        #expect(parseQuery(try Self.query(counts: "0000000000000000", "")).disposition == .formErr)
        #expect(
            parseQuery(try Self.query(counts: "0002000000000000", Self.question + Self.question)).disposition
                == .formErr)
        // A length beyond the buffer is no licence to read there.
        let short = try Self.query(Self.question)
        #expect(QueryParser.parse(short.span.octets, length: short.count + 1).disposition == .drop)
    }

    @Test func errorAnswers() throws {
        let octets = try Self.query(
            counts: "0001000000000001", flags: "0110", "03576562047465737400" + "00010001" + "00002904d0000180000000")
        let query = parseQuery(octets)
        #expect(query.disposition == .badVers)
        var out = [UInt8](repeating: 0xee, count: ErrorResponse.lengthMax)
        var span = out.mutableSpan
        var bytes = span.octets
        let count = ErrorResponse.write(
            query, message: octets.span.octets, rcode: query.disposition.rcode, into: &bytes)
        let expected =
            "1234" + "8100" + "0001000000000001" + "03576562047465737400" + "00010001" + "00002904d0010080000000"
        #expect(hex(Array(out[..<count])) == expected)
    }

    @Test func errorAnswersWithReasonAndWithoutQuestion() throws {
        let octets = try Self.query(counts: "0001000000000001", flags: "2900", Self.question + "00002904d0000000000000")
        let query = parseQuery(octets)
        var out = [UInt8](repeating: 0xee, count: ErrorResponse.lengthMax)
        var span = out.mutableSpan
        var bytes = span.octets
        var count = ErrorResponse.write(
            query, message: octets.span.octets, rcode: .notImp, extendedError: .notSupported, recursionAvailable: true,
            into: &bytes)
        let first = hex(Array(out[..<count]))
        #expect(first == "1234" + "a984" + "0001000000000001" + Self.question + "00002904d0000000000006000f00020015")

        let bare = try Self.query("c00c0001" + "0001")
        var againSpan = out.mutableSpan
        var again = againSpan.octets
        count = ErrorResponse.write(parseQuery(bare), message: bare.span.octets, rcode: .formErr, into: &again)
        #expect(hex(Array(out[..<count])) == "123481010000000000000000")
        var tiny = [UInt8](repeating: 0, count: 11)
        var tinySpan = tiny.mutableSpan
        var tinyBytes = tinySpan.octets
        #expect(
            ErrorResponse.write(parseQuery(bare), message: bare.span.octets, rcode: .formErr, into: &tinyBytes) == 0)
    }
}
