import DNSServer
import DNSWire
import RegdnsTestKit
import Testing

@Suite struct ZoneFileParserTests {
    static let head = "$ORIGIN example.test.\n$TTL 1h\n@ SOA ns1 host.master 7 2h 15m 2w 60\n@ NS ns1\n"

    static func parse(_ text: String, file: String = "zones/example.test.zone") throws -> Zone {
        try ZoneFileParser.parse(Array(text.utf8), file: file)
    }

    /// One line per record, as `owner ttl type data`.
    static func lines(_ zone: Zone) -> [String] {
        zone.rrsets.flatMap { set in
            set.rdata.map { "\(set.owner) \(set.ttl) \(set.type) \(RecordText.format(type: set.type, rdata: $0))" }
        }
    }

    @Test func aPlainZone() throws {
        let zone = try Self.parse(
            Self.head + """
                ns1 A 192.0.2.1
                    AAAA 2001:db8::1 ; its owner is the one above
                www 60 IN CNAME web.other.test.
                web IN 1m A 192.0.2.2
                web 60 A 192.0.2.3
                $ORIGIN sub
                @ MX 10 mail.example.test.
                x.y TXT ( "one"
                    two ; and a comment with ) in it
                ) "th;r\\"ee"
                $TTL 30
                z TYPE65400 \\# 2 AB cd
                """)
        #expect(zone.origin == (try OwnerName("example.test")))
        #expect([zone.soa.serial, zone.soa.refresh, zone.soa.retry] == [7, 7_200, 900])
        #expect([zone.soa.expire, zone.soa.minimum, zone.soa.ttl] == [1_209_600, 60, 3_600])
        #expect(zone.soa.mname == (try OwnerName("ns1.example.test").wire))
        #expect(zone.soa.rname == (try OwnerName("host.master.example.test").wire))
        #expect(zone.warnings.isEmpty)
        #expect(
            Self.lines(zone) == [
                "example.test. 3600 NS ns1.example.test.", "ns1.example.test. 3600 A 192.0.2.1",
                "ns1.example.test. 3600 AAAA 2001:db8::1", "www.example.test. 60 CNAME web.other.test.",
                "web.example.test. 60 A 192.0.2.2", "web.example.test. 60 A 192.0.2.3",
                "sub.example.test. 3600 MX 10 mail.example.test.",
                "x.y.sub.example.test. 3600 TXT \"one\" \"two\" \"th;r\\\"ee\"",
                "z.sub.example.test. 30 TYPE65400 \\# 2 ABCD",
            ])
    }

    @Test func theOriginComesFromTheFileName() throws {
        let zone = try Self.parse("@ 60 IN SOA a b 1 2 3 4 5\n NS a\na A 192.0.2.1\n", file: "zones/Example.org.zone")
        #expect(zone.origin == (try OwnerName("example.org")))
        let other = try ZoneFileParser.parse(
            Array("@ 60 SOA a b 1 2 3 4 5".utf8), file: "x.zone", origin: OwnerName("given.test"))
        #expect(other.origin == (try OwnerName("given.test")))
    }

    @Test func timesToLiveAreFound() throws {
        // Without $TTL the last one given counts, and the SOA's own minimum before there is any.
        let zone = try Self.parse("@ SOA a b 1 2 3 4 300\n NS a\na 9 A 192.0.2.1\nb A 192.0.2.1\n$TTL 8\nc A 192.0.2.1")
        #expect(zone.soa.ttl == 300)
        #expect(zone.rrsets.map(\.ttl) == [300, 9, 9, 8])
    }

    @Test func oneTTLForAnRRset() throws {
        let zone = try Self.parse(Self.head + "a 100 A 192.0.2.1\na 50 A 192.0.2.2\na 70 A 192.0.2.3\n")
        #expect(zone.rrsets.last?.ttl == 50 && zone.rrsets.last?.rdata.count == 3)
        #expect(
            zone.warnings.map(\.description) == [
                "zones/example.test.zone:5: TTL: \"a.example.test. A\": expected one TTL per RRset; 50 is used"
            ])
    }

    @Test func repeatedRecordsCollapse() throws {
        let zone = try Self.parse(Self.head + "A A 192.0.2.1\na A 192.0.2.1\nm MX 1 Mail\nm MX 1 mail\nm MX 2 mail\n")
        #expect(
            Self.lines(zone).dropFirst() == [
                "a.example.test. 3600 A 192.0.2.1", "m.example.test. 3600 MX 1 Mail.example.test.",
                "m.example.test. 3600 MX 2 mail.example.test.",
            ])
    }

    @Test func oddNames() throws {
        let zone = try Self.parse(Self.head + "*.wild A 192.0.2.1\nd\\.ot\\000\\032 A 192.0.2.2\n\\@ A 192.0.2.3\n")
        #expect(
            zone.rrsets.dropFirst().map(\.owner.description) == [
                "*.wild.example.test.", "d\\.ot\\000\\032.example.test.", "\\@.example.test.",
            ])
    }

    @Test func aZoneWithoutServersIsOdd() throws {
        let zone = try Self.parse("@ 60 SOA a b 1 2 3 4 5\n")
        #expect(zone.warnings.count == 1)
    }

    static let problems: [(text: String, message: String)] = [
        ("", "1: file: \"\": expected an SOA record: a zone begins with one"),
        ("a 60 A 192.0.2.1", "1: file: \"\": expected an SOA record: a zone begins with one"),
        (head + "a A 192.0.2.256", "5: A data: \"192.0.2.256\": expected an IPv4 address"),
        (head + "\n\na ( A\n 192.0.2.1 5 )", "7: A data: \"5\": expected nothing more"),
        (head + "a B 1", "5: type: \"B\": expected a record type, a TTL or class IN"),
        (head + "a", "5: type: \"\": expected a record type"),
        (head + "a CH TXT x", "5: class: \"CH\": expected IN"),
        (head + "a 1x A 192.0.2.1", "5: TTL: \"1x\": expected seconds up to 2147483647, or a time such as 1h30m"),
        (
            head + "a 2147483648 A 192.0.2.1",
            "5: TTL: \"2147483648\": expected seconds up to 2147483647, or a time such as 1h30m"
        ),
        (head + "a..b A 192.0.2.1", "5: owner: \"a..b\": expected a domain name (empty label at octet 2)"),
        (head + "a AXFR x", "5: type: \"AXFR\": expected a type that zones hold"),
        (head + "a TYPE41 \\# 0", "5: type: \"TYPE41\": expected a type that zones hold"),
        (head + "x.other. A 192.0.2.1", "5: owner: \"x.other.\": expected a name in the zone example.test."),
        (head + "@ SOA a b 1 2 3 4 5", "5: type: \"SOA\": expected one SOA record in a zone"),
        (head + "@ SOA a b 1 2 3 4", "5: SOA data: \"\": expected a time such as 3600 or 1h"),
        (
            head + "a CNAME b\nc A 192.0.2.1\na A 192.0.2.1",
            "7: type: \"A\": expected no other data beside the CNAME of a.example.test."
        ),
        (head + "a CNAME b\na CNAME c", "5: type: \"CNAME\": expected one CNAME record at a.example.test."),
        (head + "@ CNAME b", "5: type: \"CNAME\": expected no CNAME at the zone's apex"),
        (head + "a TXT \"x", "5: entry: \"\"\": expected a closing quote on the same line"),
        (head + "a TXT ( x\ny", "5: entry: \"(\": expected parentheses in pairs"),
        (head + "a TXT x )", "5: entry: \"(\": expected parentheses in pairs"),
        (" A 192.0.2.1", "1: owner: \"\": expected a name: no entry comes before this one"),
        ("a A 192.0.2.1", "1: TTL: \"\": expected a TTL here, or a $TTL before"),
        (
            "$INCLUDE other.zone",
            "1: control entry: \"$INCLUDE\": expected $ORIGIN or $TTL; $INCLUDE is not supported, write the records out"
        ),
        (
            "$GENERATE 1-9 a$ A 192.0.2.$",
            "1: control entry: \"$GENERATE\": expected $ORIGIN or $TTL; "
                + "$GENERATE is not supported, write the records out"
        ),
        ("$FOO", "1: control entry: \"$FOO\": expected $ORIGIN or $TTL"),
        ("$TTL x", "1: $TTL: \"x\": expected seconds up to 2147483647, or a time such as 1h30m"),
        ("$ORIGIN", "1: $ORIGIN: \"$ORIGIN\": expected one domain name"),
    ]

    @Test(arguments: problems)
    func problemsNameThePlace(text: String, message: String) {
        let error = #expect(throws: ZoneFileProblem.self) { try Self.parse(text) }
        #expect(error?.description == "zones/example.test.zone:" + message)
    }

    @Test func noFileEverTraps() throws {
        var random = SeededRandom(test: #function)
        let words = [
            "$ORIGIN", "$TTL", "@", "a", "b.c", "x.test.", "IN", "CH", "60", "1h", "A", "AAAA", "SOA", "NS", "TXT",
            "MX", "SRV",
            "CNAME", "TYPE65400", "\\#", "192.0.2.1", "::1", "\"q\"", "(", ")", ";c", "\n", "\n", "\n ", "\t", "\\",
            "\\300", "1",
        ]
        for _ in 0..<20_000 * SeededRandom.effort {
            let start = random.oneIn(2) ? Array(Self.head.utf8) : []
            let text = (0..<Int.random(in: 0...25, using: &random)).map { _ in words.randomElement(using: &random) ?? ""
            }
            let octets = start + Array(text.joined(separator: " ").utf8) + random.octets(upTo: 3)
            if let zone = try? ZoneFileParser.parse(octets, file: "x.zone") {
                #expect(zone.rrsets.allSatisfy { $0.owner.isSubdomain(of: zone.origin) }, "seed \(random.seed)")
            }
        }
    }
}
