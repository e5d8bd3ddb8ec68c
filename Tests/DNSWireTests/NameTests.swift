import DNSWire
import RegdnsTestKit
import Testing

@Suite struct NameTests {
    @Test(arguments: [
        (".", "."), ("a.b", "a.b."), ("A.b.", "a.b."), (#"a\.b.c"#, #"a\.b.c."#), (#"\065.c"#, "a.c."),
        (#"\000\255 x"#, #"\000\255\032x."#), ("_http._tcp.X", "_http._tcp.x."), (#"\@\$\;"#, #"\@\$\;."#),
    ])
    func textIsReadAndWritten(text: String, expected: String) throws {
        #expect(try OwnerName(text).description == expected)
    }

    @Test(arguments: [
        ("", WireError.emptyLabel(offset: 0)), ("..", .emptyLabel(offset: 0)), ("a..b", .emptyLabel(offset: 2)),
        (".a", .emptyLabel(offset: 0)), (#"a\"#, .badEscape(offset: 1)), (#"a\25"#, .badEscape(offset: 1)),
        (#"\256"#, .badEscape(offset: 0)), (String(repeating: "a", count: 64), .labelTooLong(offset: 63)),
    ])
    func badTextIsRefused(text: String, expected: WireError) {
        #expect(throws: expected) { try OwnerName(text) }
    }

    @Test func lengthLimits() throws {
        let label = String(repeating: "a", count: 63)
        let longest = [label, label, label, String(repeating: "b", count: 61)].joined(separator: ".")
        #expect(try OwnerName(longest).wire.count == 255)
        #expect(try OwnerName(longest + ".").wire.count == 255)
        #expect(throws: WireError.self) { try OwnerName(longest + "b") }
        #expect(throws: WireError.self) { try OwnerName(longest + "b.") }
        #expect(throws: WireError.self) { try OwnerName(longest).prepending(label: [0x61]) }
        #expect(try OwnerName(String(repeating: "a.", count: 127)).labelCount == 127)
        #expect(throws: WireError.self) { try OwnerName(String(repeating: "a.", count: 128)) }
    }

    @Test(arguments: [
        ("", WireError.truncated(offset: 0)), ("0161", .truncated(offset: 2)), ("016100ff", .trailingOctets(offset: 3)),
        ("c000", .badPointer(offset: 0)), ("4000", .reservedLabelType(offset: 0)), ("0361", .truncated(offset: 2)),
    ])
    func badWireFormIsRefused(text: String, expected: WireError) throws {
        let wire = try octets(hex: text)
        #expect(throws: expected) { try OwnerName(wire: wire) }
        #expect(throws: expected) { try DomainName(wire: wire) }
    }

    @Test func relations() throws {
        let name = try OwnerName("WWW.Example.test")
        let zone = try OwnerName("example.test")
        #expect(name.isSubdomain(of: zone) && name.isSubdomain(of: name) && name.isSubdomain(of: .root))
        #expect(!zone.isSubdomain(of: name))
        // A suffix of octets is not an ancestor when it does not begin at a label.
        #expect(try !OwnerName("badexample.test").isSubdomain(of: zone))
        #expect(try !OwnerName(wire: [3, 1, 0x61, 0x62, 0]).isSubdomain(of: OwnerName(wire: [1, 0x61, 0])))
        #expect(name.parent == zone && OwnerName.root.parent == nil)
        #expect(name.droppingFirst(2).description == "test." && name.droppingFirst(9) == .root)
        #expect(name.labels.map { String(decoding: $0, as: UTF8.self) } == ["www", "example", "test"])
        #expect(try zone.prepending(label: "WWW".utf8) == name)
        #expect(name.textWithoutFinalDot == "www.example.test" && OwnerName.root.textWithoutFinalDot == ".")
        #expect(throws: WireError.self) { try zone.prepending(label: []) }
    }

    @Test func canonicalOrder() throws {
        // The example of RFC 4034 §6.1.
        let sorted = [
            "example", "a.example", "yljkjljk.a.example", "Z.a.example", "zABC.a.EXAMPLE", "z.example",
            #"\001.z.example"#, "*.z.example", #"\200.z.example"#,
        ]
        let names = try sorted.map { try OwnerName($0) }
        #expect(names.reversed().sorted() == names)
        #expect(try OwnerName.root < OwnerName("a"))
    }

    @Test func caseIsKeptOrFolded() throws {
        let name = try DomainName("WwW.Test")
        #expect(name.description == "WwW.Test.")
        #expect(name.folded == (try OwnerName("www.test")))
        #expect(try DomainName(wire: name.wire) == name)
        // Letters only; length octets and other octets stay.
        #expect(try OwnerName(wire: [4, 0x5b, 0x40, 0xc1, 0x5a, 0]).wire == [4, 0x5b, 0x40, 0xc1, 0x7a, 0])
    }
}
