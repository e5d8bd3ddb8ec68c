import DNSWire
import RegdnsTestKit
import Testing

@Suite struct TextTests {
    static let data: [(type: RRType, text: String, hex: String)] = [
        (.a, "192.0.2.1", "c0000201"),
        (.a, ##"\# 4 C0000201"##, "c0000201"),
        (.aaaa, "2001:db8::1", "20010db8000000000000000000000001"),
        (.mx, "10 mail", "000a046d61696c016100"),
        (.ns, "@", "016100"),
        (.ns, "b.", "016200"),
        (.txt, ##""a b" c "\"\\\065""##, "03612062016303225c41"),
        (.txt, "\"\"", "00"),
        (.srv, "1 2 65535 .", "00010002ffff00"),
        (.caa, "128 tag \"v;x\"", "800374616776" + "3b78"),
        (.soa, "a b 4294967295 1h30m 1w 2D 7s", "016101610001620161" + "00ffffffff0000151800093a800002a30000000007"),
        (.ds, "1 2 3 AB cd", "00010203abcd"),
        (.dnskey, "256 3 13 AAEC Aw==", "0100030d00010203"),
        (.nsec, "b. A MX TYPE1234", "01620000024001041b" + String(repeating: "00", count: 26) + "20"),
        (.rrsig, "A 13 2 60 20240102030405 19700101000000 7 b. AA==", "00010d020000003c65937d2500000000000701620000"),
        (RRType(rawValue: 65_400), ##"\# 3 0102 03"##, "010203"),
        (RRType(rawValue: 65_401), ##"\# 0"##, ""),
        (.svcb, "0 b.", "0000016200"),
        (
            .https, ##"1 . port=8443 alpn="h2,h\\,3" no-default-alpn key300="a b" mandatory=port,alpn"##,
            "000100" + "0000000400010003" + "0001000702683203682c33" + "00020000" + "0003000220fb"
                + "012c0003612062"
        ),
        (
            .https, "1 . ipv4hint=192.0.2.1,192.0.2.2 ech=AAEC ipv6hint=::1",
            "00010000040008c0000201c0000202" + "00050003000102" + "00060010" + String(repeating: "00", count: 15) + "01"
        ),
        (.hinfo, "PDP \"UN IX\"", "03504450" + "05554e204958"),
    ]

    @Test(arguments: data)
    func dataIsRead(type: RRType, text: String, expected: String) throws {
        let origin = try OwnerName("a")
        #expect(try hex(RecordText.parse(type: type, text: text, origin: origin)) == expected)
    }

    static let badData: [(type: RRType, text: String, error: String)] = [
        (.a, "1.2.3", "A data: \"1.2.3\": expected an IPv4 address"),
        (.a, "1.2.3.4 5", "A data: \"5\": expected nothing more"),
        (.a, "", "A data: \"\": expected an IPv4 address"),
        (.a, "\"1.2.3.4\"", "A data: \"1.2.3.4\": expected an IPv4 address"),
        (.a, ##"\# 3 010203"##, "RDATA: \"010203\": expected octets in the form of type A"),
        (.a, ##"\# 4 010203"##, "RDATA: \"010203\": expected 4 octets as hexadecimal digits"),
        (.mx, "70000 a", "MX data: \"70000\": expected a number up to 65535"),
        (.ns, "a..b", "NS data: \"a..b\": expected a domain name (empty label at octet 2)"),
        (.ns, ##"\# 2 c00c"##, "RDATA: \"c00c\": expected octets in the form of type NS"),
        (.txt, ##""\300""##, ##"TXT data: "\300": expected characters and \DDD up to \255"##),
        (.txt, "\"a", "TXT data: \"\"a\": expected closed quotes and parentheses"),
        (
            .txt, String(repeating: "x", count: 256),
            "TXT data: \"\(String(repeating: "x", count: 80))…\": expected at most 255 octets"
        ),
        (.ds, "1 2 3 abc", "DS data: \"abc\": expected hexadecimal digits"),
        (RRType(rawValue: 65_400), "1 2", ##"TYPE65400 data: "1": expected \# <octets> <hexadecimal digits>"##),
        (.svcb, "1 . port=x", "SVCB data: \"port=x\": expected a value in the form of port"),
        (.svcb, "1 . colour=x", "SVCB data: \"colour=x\": expected a parameter's name, or key0 to key65534"),
        (.svcb, "1 . port=1 key3=x", "SVCB data: \"key3=x\": expected a value in the form of port"),
        (.svcb, "1 . port=1 port=2", "SVCB data: \"port=2\": expected each parameter once"),
        (.nsec, "b. NOTYPE", "NSEC data: \"NOTYPE\": expected a record type"),
    ]

    @Test(arguments: badData)
    func badDataIsRefused(type: RRType, text: String, expected: String) {
        let error = #expect(throws: RecordTextError.self) { try RecordText.parse(type: type, text: text) }
        #expect(error?.description == expected)
    }

    @Test(arguments: [
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
    ])
    func ipv6(text: String, expected: String) throws {
        #expect(try IPAddressText.format(ipv6: #require(IPAddressText.ipv6(text.utf8))) == expected)
    }

    @Test(arguments: [
        "", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1::", "1:", ":1", "12345::",
        "g::",
        "1.2.3.4", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", "::1%eth0", "::1.2.3.4:5", "1::2:3:4:5:6:7:8",
    ])
    func badIPv6(text: String) { #expect(IPAddressText.ipv6(text.utf8) == nil) }

    @Test(arguments: [
        "", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1..2.3", "1.2.3.", ".1.2.3", "1.2.3.4 ", "-1.2.3.4",
    ])
    func badIPv4(text: String) { #expect(IPAddressText.ipv4(text.utf8) == nil) }

    @Test func ipv4() {
        #expect(IPAddressText.ipv4("0.10.255.1".utf8) == 0x000a_ff01)
        #expect(IPAddressText.format(ipv4: 0x000a_ff01) == "0.10.255.1")
    }

    @Test(arguments: [
        ("0", UInt32?(0)), ("1h30m", 5_400), ("1W2d3H4M5s", 788_645), ("4294967295", .max), ("4294967296", nil),
        ("", nil),
        ("h", nil), ("1h30", nil), ("1x", nil), ("-1", nil), ("99999999999", nil), ("8000w", nil),
    ])
    func seconds(text: String, expected: UInt32?) { #expect(NumberText.seconds(Array(text.utf8)[...]) == expected) }

    @Test func codes() {
        #expect(RRType(name: "aaaa") == .aaaa && RRType(name: "type65400")?.rawValue == 65_400)
        #expect(RRType(name: "TYPE1") == .a && RRType(name: "TYPE65536") == nil && RRType(name: "TYPE") == nil)
        #expect(RRType(name: "TYPE+1") == nil && RRType(rawValue: 65_400).name == "TYPE65400")
        #expect(RRClass(name: "in") == .in && RRClass(name: "CLASS32")?.name == "CLASS32")
        #expect(RCODE.badVers.name == "BADVERS" && RCODE(rawValue: 24).name == "RCODE24")
        #expect(RCODE.badVers.headerBits == 0 && RCODE.badVers.extendedBits == 1)
        #expect(Opcode.update.name == "UPDATE" && Opcode(rawValue: 7).name == "OPCODE7")
    }

    @Test func entriesOfZoneFiles() throws {
        let text = "a b ; comment\n\n  \n; only\n\tc ( d ; x\n e\n) f\r\n\"q ; ( \\\" x\"z g\\ h\n@"
        var lexer = MasterFileLexer(Array(text.utf8))
        var tokens: [TextToken] = []
        var entries: [String] = []
        while try lexer.next(into: &tokens) {
            entries.append("\(lexer.line)\(lexer.startsWithBlank ? "-" : ":") \(tokens.map(\.text))")
        }
        #expect(
            entries == [
                #"1: ["a", "b"]"#, #"5- ["c", "d", "e", "f"]"#, #"8: ["q ; ( \\\" x", "z", "g\\ h"]"#, #"9: ["@"]"#,
            ])
    }

    @Test(arguments: [
        ("a\nb \"c\nd", MasterFileLexer.Failure.openQuote(line: 2)), ("a\n(b\nc", .unbalancedParenthesis(line: 2)),
        ("a )", .unbalancedParenthesis(line: 1)),
    ])
    func brokenZoneFiles(text: String, expected: MasterFileLexer.Failure) {
        var lexer = MasterFileLexer(Array(text.utf8))
        var tokens: [TextToken] = []
        #expect(throws: expected) { while try lexer.next(into: &tokens) {} }
    }
}
