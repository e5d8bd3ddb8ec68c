import DNSWire
import RegdnsTestKit
import Testing

@testable import RegistryStore

/// Keys, owner names and the names of the HTTP dialects.
struct KeyLayoutTests {
    static let layout: KeyLayout? = try? KeyLayout(prefix: "skydns", domain: OwnerName("skydns.local"))

    private func layout() throws -> KeyLayout { try #require(Self.layout) }

    @Test(
        "primary keys",
        arguments: [
            ("web", "a1", "web/a1"), ("a/b", "x%y", "a%2Fb/x%25y"), ("Ünï", "日", "%C3%9Cn%C3%AF/%E6%97%A5"),
            ("a b", "~:@!$&'()*+,;=-._", "a%20b/~:@!$&'()*+,;=-._"), (".", "..", "%2E/%2E%2E"), ("dns", "x", "%64ns/x"),
            ("DNS", "\u{0}", "DNS/%00"),
        ])
    func primaryKey(service: String, id: String, path: String) throws {
        let key = try layout().primaryKey(service: service, id: id)
        #expect(text(key) == "/skydns/local/skydns/\(path)")
    }

    @Test(
        "aliases: at the names that the primary key does not have",
        arguments: [
            ("web", "a1", ["east", "v1.2"], ["east/web/a1", "v1-2/web/a1"]), ("web", "a1", [], []),
            ("Web", "a.1", ["East"], ["web/a-1", "east/web/a-1"]), ("a/b", "x", [], ["a-b/x"]),
            ("web", "a1", ["east", "East", "", "dns"], ["east/web/a1"]), ("dns", "x", ["t"], ["t/dns/x"]),
            ("web", "", ["t"], []),
        ])
    func aliasKeys(service: String, id: String, tags: [String], paths: [String]) throws {
        let keys = try layout().aliasKeys(service: service, id: id, tags: tags)
        #expect(keys.map { text($0) } == paths.map { "/skydns/local/skydns/\($0)" })
    }

    @Test("hidden keys have the names of the primary ones and are no names of the domain")
    func hiddenKey() throws {
        let layout = try layout()
        let key = layout.hiddenKey(service: "a/b", id: "dns")
        #expect(text(key) == "/skydns/.hidden/local/skydns/a%2Fb/dns")
        let identity = try #require(layout.identity(ofKey: key))
        #expect((identity.service, identity.id) == ("a/b", "dns"))
        #expect(!layout.isServiceKey(Array("/skydns/.hidden/local/skydns/".utf8)))
        #expect(!layout.isServiceKey(Array("/skydns/.hidden/local/other/a".utf8)))
    }

    @Test("encoded parts decode to what they were and hold no slash", arguments: 0..<50 * SeededRandom.effort)
    func roundTrip(round: Int) throws {
        var random = SeededRandom(seed: UInt64(round))
        for _ in 0..<50 {
            let scalars = (0..<random.below(6)).map { _ in
                Unicode.Scalar(UInt32(1 + random.below(round % 2 == 0 ? 0x7f : 0xd000))) ?? "x"
            }
            var original = ""
            original.unicodeScalars.append(contentsOf: scalars)
            let encoded = KeyLayout.encode(original.utf8)
            #expect(!encoded.contains(UInt8(ascii: "/")))
            #expect(Array(KeyLayout.decode(encoded).utf8) == Array(original.utf8), "seed \(round)")
            guard !original.isEmpty else { continue }
            let key = try layout().primaryKey(service: original, id: original)
            let identity = try #require(try layout().identity(ofKey: key))
            #expect(identity.service == original)
            #expect(identity.id == original)
        }
    }

    @Test(
        "what is no escape stands for itself",
        arguments: [
            ("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("a%2fb%2F", "a/b/"), ("%00", "%00"), ("%ff", "\u{fffd}"),
        ])
    func decoding(part: String, expected: String) {
        #expect(KeyLayout.decode(part.utf8) == expected)
    }

    @Test(
        "the owner name, leaf first, its labels exactly as in the key",
        arguments: [
            ("/skydns/local/skydns/east/Rails", ["Rails", "east", "skydns", "local"]),
            ("/skydns/arpa/in-addr/10/0", ["0", "10", "in-addr", "arpa"]), ("/skydns/a%20b", ["a%20b"]),
            ("/skydns/a.b", ["a.b"]), ("/skydns/", nil), ("/skydns", nil), ("/skydnsx/a", nil), ("/other/a", nil),
            ("/skydns/a//b", nil), ("/skydns/a/", nil), ("/skydns//a", nil),
            ("", nil),
        ] as [(String, [String]?)])
    func ownerName(key: String, labels: [String]?) throws {
        let name = labels.map { labels -> [UInt8] in
            labels.reduce(into: []) { $0 += [UInt8($1.utf8.count)] + Array($1.utf8) } + [0]
        }
        #expect(try layout().ownerName(ofKey: Array(key.utf8)) == name)
    }

    @Test("labels and names that DNS cannot hold are none")
    func longNames() throws {
        let part = { (count: Int) in [UInt8](repeating: UInt8(ascii: "a"), count: count) }
        let prefix = Array("/skydns/".utf8)
        let slash = [UInt8(ascii: "/")]
        #expect(try layout().hasOwnerName(prefix + part(63)))
        #expect(try !layout().hasOwnerName(prefix + part(64)))
        // 63 + 63 + 63 + 61 octets and their lengths and the root: 255.
        let long = prefix + part(63) + slash + part(63) + slash + part(63) + slash
        #expect(try !layout().hasOwnerName(long + part(62)))
        let name = try #require(try layout().ownerName(ofKey: long + part(61)))
        #expect(try OwnerName(wire: name).wire.count == 255)
    }

    @Test(
        "identity by the last three labels",
        arguments: [
            ("a", ("a", "a", [])), ("web/a", ("web", "a", [])), ("t/web/a", ("web", "a", ["t"])),
            ("t3/t2/t1/web/a", ("web", "a", ["t1", "t2", "t3"])), ("a%20b/x", ("a b", "x", [])),
            ("", nil), ("web/", nil), ("/a", nil), ("dns/ns/a", nil), ("dns/stub/z/a", nil),
            ("dns", ("dns", "dns", [])), ("dnsx/a", ("dnsx", "a", [])), ("config", ("config", "config", [])),
        ] as [(String, (String, String, [String])?)])
    func identity(path: String, expected: (String, String, [String])?) throws {
        let identity = try layout().identity(ofKey: Array("/skydns/local/skydns/\(path)".utf8))
        #expect(identity?.service == expected?.0)
        #expect(identity?.id == expected?.1)
        #expect(identity?.tags == expected?.2)
    }

    @Test("a zero octet in a name shows nothing")
    func zeroOctet() throws {
        #expect(try layout().identity(ofKey: Array("/skydns/local/skydns/a\0b/c".utf8)) == nil)
    }

    @Test("below the root of all domains SkyDNS's own keys stay apart")
    func rootDomain() {
        let layout = KeyLayout(prefix: "/a/b/", domain: .root)
        #expect(layout.prefix == "a/b")
        #expect(text(layout.primaryKey(service: "s", id: "i")) == "/a/b/s/i")
        for (key, isService) in [
            ("/a/b/s/i", true), ("/a/b/config", false), ("/a/b/arpa/x", false), ("/a/b/dns/ns/x", false),
            ("/a/b/config/x", true), ("/a/c", false),
        ] {
            #expect(layout.isServiceKey(Array(key.utf8)) == isService, "\(key)")
        }
    }

    @Test(
        "names become labels",
        arguments: [
            ("Web", "web"), ("a.b", "a-b"), ("a__b", "a__b"), ("a..b/c", "a-b-c"), ("a-.-b", "a-b"), ("日本", "-"),
            ("-x-", "-x-"), ("", ""), (String(repeating: "ab.", count: 40), String(repeating: "ab-", count: 21)),
        ])
    func dnsLabel(name: String, label: String) {
        #expect(text(KeyLayout.dnsLabel(name)) == label)
    }
}
