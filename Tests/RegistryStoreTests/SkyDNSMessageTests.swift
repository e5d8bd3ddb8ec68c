import RegdnsTestKit
import Testing

@testable import RegistryStore

/// SkyDNS values as Go's encoding/json reads them into SkyDNS's struct.
struct SkyDNSMessageTests {
    /// A value and what it means; nil when the whole value is unreadable.
    struct Case: Sendable, CustomTestStringConvertible {
        let text: String
        let meaning: Registration?

        init(_ text: String, _ meaning: Registration?) {
            self.text = text
            self.meaning = meaning
        }

        var testDescription: String { text }
    }

    static let one = Registration(host: .ipv4(0x0a00_0001))

    static let cases: [Case] = [
        Case(#"{"host":"10.0.0.1"}"#, one),
        Case(#" {"host" : "10.0.0.1" } "#, one),
        Case(#"{"HOST":"10.0.0.1"}"#, one),
        Case(#"{"HoSt":"10.0.0.1","hosts":"x"}"#, one),
        Case("{\"ho\u{17f}t\":\"10.0.0.1\"}", one),
        Case(#"{"host":"10.0.0.1","port":null,"mail":null,"text":null,"ttl":null}"#, one),
        Case(#"{"host":"x","host":"10.0.0.1"}"#, one),
        Case(#"{"host":"10.0.0.1","host":null}"#, one),
        Case(#"{"host":"10.0.0.1","Host":"10.0.0.2","HOST":"10.0.0.1"}"#, one),
        Case(#"{"host":"10.0.0.1","unknown":{"a":[1,2,{"b":null}]},"key":"/x"}"#, one),
        Case(#"{"h\u006fst":"10.0.0.1"}"#, one),
        Case(#"{"host":"::ffff:10.0.0.1"}"#, one),
        Case(#"{"host":"2001:db8::1"}"#, Registration(host: .ipv6(0x2001_0db8_0000_0000, 1))),
        Case(#"{"host":"127.0.0.257"}"#, Registration(host: .name("127.0.0.257"))),
        Case(#"{"host":"010.0.0.1"}"#, Registration(host: .name("010.0.0.1"))),
        Case(#"{"host":"Server1.Example.com."}"#, Registration(host: .name("Server1.Example.com."))),
        Case(
            #"{"host":"10.0.0.1","port":8080,"priority":-1,"weight":7,"text":"t","mail":true,"ttl":30,"targetstrip":2,"#
                + #""group":"g"}"#,
            Registration(
                host: .ipv4(0x0a00_0001), port: 8080, priority: -1, weight: 7, text: "t", mail: true, ttl: 30,
                targetStrip: 2, group: "g")),
        Case(#"{"port":-0}"#, Registration(host: .none)),
        Case(#"{"port":9223372036854775807}"#, Registration(host: .none, port: .max)),
        Case(#"{"ttl":4294967295}"#, Registration(host: .none, ttl: .max)),
        Case(#"{"text":"\ud83d\ude00\ud800x"}"#, Registration(host: .none, text: "\u{1f600}\u{fffd}x")),
        Case("{}", Registration(host: .none)),
        Case("null", Registration(host: .none)),
        // Numbers: no fraction, no exponent, no overflow, no sign for unsigned ones.
        Case(#"{"port":1.0}"#, nil),
        Case(#"{"port":1e3}"#, nil),
        Case(#"{"port":9223372036854775808}"#, nil),
        Case(#"{"ttl":4294967296}"#, nil),
        Case(#"{"ttl":-1}"#, nil),
        Case(#"{"ttl":-0}"#, nil),
        Case(#"{"ttl":1.5}"#, nil),
        Case(#"{"weight":true}"#, nil),
        Case(#"{"port":"80"}"#, nil),
        Case(#"{"port":01}"#, nil),
        Case(#"{"port":+1}"#, nil),
        // Wrong types make all of it unreadable, wherever they stand.
        Case(#"{"host":1}"#, nil),
        Case(#"{"host":["10.0.0.1"]}"#, nil),
        Case(#"{"host":1,"host":"10.0.0.1"}"#, nil),
        Case(#"{"host":"10.0.0.1","mail":"true"}"#, nil),
        Case(#"{"host":"10.0.0.1","mail":1}"#, nil),
        Case(#"{"host":"10.0.0.1","text":{}}"#, nil),
        Case(#"{"host":"10.0.0.1","GROUP":7}"#, nil),
        // No JSON object.
        Case("", nil),
        Case(" ", nil),
        Case("[]", nil),
        Case("1", nil),
        Case(#""host""#, nil),
        Case("true", nil),
        Case("nul", nil),
        Case(#"{"host":"10.0.0.1"}x"#, nil),
        Case(#"{"host":"10.0.0.1"}{}"#, nil),
        Case(#"{"host":"10.0.0.1",}"#, nil),
        Case(#"{"host":"10.0.0.1""#, nil),
        Case(#"{'host':'10.0.0.1'}"#, nil),
        Case(#"{host:"10.0.0.1"}"#, nil),
        Case("{\"host\":\"10.0\n.0.1\"}", nil),
        Case(#"{"host":"\x"}"#, nil),
        Case(#"{"host":"\u12g4"}"#, nil),
        Case(#"10.0.0.1:80"#, nil),
    ]

    @Test("values mean what SkyDNS takes them for", arguments: cases)
    func decoding(case: Case) {
        let meaning = try? SkyDNSMessage.decode(Array(`case`.text.utf8))
        #expect(meaning == `case`.meaning)
    }

    @Test("the further fields make an instance")
    func instance() throws {
        let text = #"""
            {"host":"10.0.0.1","port":80,"service":"web","id":"a","tags":["x","y"],"status":"STARTING","type":"http",
             "endpoint":"http://e/","metadata":{ "b" : [1.50, "<"] },"extra":{"e": 1},"origin":"eureka"}
            """#
        let instance = try #require(try SkyDNSMessage.decode(Array(text.utf8)).instance)
        #expect(
            instance
                == InstanceAttributes(
                    service: "web", id: "a", tags: ["x", "y"], status: "STARTING", endpointType: "http",
                    endpoint: "http://e/", metadata: Array(#"{"b":[1.50,"\u003c"]}"#.utf8),
                    extra: Array(#"{"e":1}"#.utf8), origin: "eureka"))
    }

    @Test("what an instance does not say has a default")
    func instanceDefaults() throws {
        let instance = try #require(
            try SkyDNSMessage.decode(Array(#"{"host":"2001:db8::1","port":80,"service":"web"}"#.utf8)).instance)
        #expect(
            instance
                == InstanceAttributes(
                    service: "web", id: "", status: "UP", endpointType: "tcp", endpoint: "[2001:db8::1]:80",
                    origin: "etcd"))
        #expect(instance.isAnswering)
    }

    @Test(
        "a wrong further field makes a plain value, not an unreadable one",
        arguments: [
            #""service":5"#, #""service":"""#, #""service":"web","tags":"x""#, #""service":"web","tags":["x",1]"#,
            #""service":"web","status":1"#, #""service":"web","extra":[]"#, #""id":"x","tags":["y"]"#,
            #""service":"a\u0000b""#,
        ])
    func plain(fields: String) throws {
        let value = try SkyDNSMessage.decode(Array(#"{"host":"10.0.0.1",\#(fields)}"#.utf8))
        #expect(value == Self.one)
    }

    @Test("metadata keeps null, and null takes nothing away")
    func metadataNull() throws {
        let text = #"{"service":"web","metadata":null,"tags":null,"status":null,"extra":null}"#
        let instance = try #require(try SkyDNSMessage.decode(Array(text.utf8)).instance)
        #expect(instance.metadata == Array("null".utf8))
        #expect(instance.tags.isEmpty)
        #expect(instance.status == "UP")
        #expect(instance.extra == nil)
    }

    @Test("what is written is what SkyDNS writes, its own fields first")
    func encoding() {
        let instance = InstanceAttributes(
            service: "web", id: "a", tags: ["x"], endpointType: "http", endpoint: "10.0.0.1:80", origin: "amalgam8")
        let registration = Registration(
            host: .ipv4(0x0a00_0001), port: 80, weight: 5, text: "<a>", instance: instance)
        #expect(
            text(SkyDNSMessage.encode(registration))
                == #"{"host":"10.0.0.1","port":80,"weight":5,"text":"\u003ca\u003e","service":"web","id":"a","#
                + #""tags":["x"],"status":"UP","type":"http","origin":"amalgam8"}"#)
        #expect(text(SkyDNSMessage.encode(Registration(host: .none))) == "{}")
    }

    @Test("written and read again is the same", arguments: 0..<300 * SeededRandom.effort)
    func roundTrip(round: Int) throws {
        var random = SeededRandom(seed: UInt64(round))
        let registration = Self.registration(&random)
        let bytes = SkyDNSMessage.encode(registration)
        let again = try SkyDNSMessage.decode(bytes)
        #expect(again == registration)
        #expect(again.hasSameBytes(as: registration))
        #expect(SkyDNSMessage.encode(again) == bytes)
    }

    private static func registration(_ random: inout SeededRandom) -> Registration {
        let words = ["", "a", "web-1", "\u{0}\u{1f}", "\"\\/<>&", "\u{2028}\u{2029}", "é\u{301}日本", "🙂"]
        let word = { (random: inout SeededRandom) in words[random.below(words.count)] }
        let hosts: [ServiceHost] = [
            .none, .ipv4(UInt32(truncatingIfNeeded: random.next())), .ipv6(random.next(), random.next()),
            .ipv6(0, 1), .name("x.example."), .name("300.1.1.1"),
        ]
        var registration = Registration(
            host: hosts[random.below(hosts.count)], port: random.below(70_000), priority: random.below(3) - 1,
            weight: random.below(3), text: word(&random), mail: random.below(2) == 0,
            ttl: UInt32(random.below(100)), targetStrip: random.below(3), group: word(&random))
        if random.below(4) > 0 {
            registration.instance = InstanceAttributes(
                service: "s" + word(&random).replacing("\u{0}", with: ""), id: word(&random),
                tags: (0..<random.below(3)).map { _ in word(&random) }, status: word(&random),
                endpointType: word(&random), endpoint: word(&random),
                metadata: random.below(2) == 0 ? nil : JSONValue.string(word(&random)).serialized(),
                extra: random.below(2) == 0 ? nil : Array("{}".utf8), origin: word(&random))
        }
        return registration
    }
}
