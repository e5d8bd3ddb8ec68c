import DNSWire
import NIOCore
import RegdnsTestKit
import Synchronization
import Testing

@testable import DNSServer

/// The cache as a map, against a plain list.
@Suite struct AnswerCacheTests {
    private static func key(_ number: Int) -> QuestionKey {
        QuestionKey(question: [1, UInt8(number), 0, 0, 1, 0, 1], dnssecOK: false, checkingDisabled: false)
    }

    @Test func behavesLikeAListInOrderOfUse() {
        var random = SeededRandom.fromEnvironment()
        let (capacity, octetsMax) = (8, 400)
        var cache = AnswerCache<Int>(capacity: capacity, octetsMax: octetsMax)
        // Newest first.
        var model: [(key: Int, value: Int, octets: Int)] = []
        var evictions = 0
        for step in 0..<20_000 {
            let key = random.below(14)
            switch random.below(4) {
            case 0:
                cache.remove(Self.key(key))
                model.removeAll { $0.key == key }
            case 1:
                let expected = model.firstIndex { $0.key == key }
                #expect(cache.value(for: Self.key(key)) == expected.map { model[$0].value })
                if let expected { model.insert(model.remove(at: expected), at: 0) }
            default:
                let octets = 1 + random.below(60)
                cache.insert(step, octets: octets, for: Self.key(key))
                model.removeAll { $0.key == key }
                guard octets <= octetsMax / 8 else { break }
                while model.count >= capacity || model.reduce(octets, { $0 + $1.octets }) > octetsMax {
                    model.removeLast()
                    evictions += 1
                }
                model.insert((key, step, octets), at: 0)
            }
            #expect(cache.keysByUse == model.map { Self.key($0.key) }, "seed \(random.seed)")
            #expect(cache.octets == model.reduce(0) { $0 + $1.octets })
        }
        #expect(cache.count == model.count)
        #expect(cache.evictions == evictions)
    }

    @Test func keyFoldsTheNameOnly() throws {
        func key(
            _ name: String, _ type: UInt16, dnssecOK: Bool = false, checkingDisabled: Bool = false
        ) throws -> QuestionKey {
            let wire = try DomainName(name).wire
            return QuestionKey(
                question: wire + [UInt8(type >> 8), UInt8(type & 0xff), 0, 1], dnssecOK: dnssecOK,
                checkingDisabled: checkingDisabled)
        }
        #expect(try key("WWW.example", 1) == key("www.EXAMPLE", 1))
        // 0x41 and 0x61 are letters as octets of a name, not of a type.
        #expect(try key("www.example", 0x41) != key("www.example", 0x61))
        #expect(try key("www.example", 1) != key("www.example", 1, dnssecOK: true))
        #expect(try key("www.example", 1, dnssecOK: true) != key("www.example", 1, checkingDisabled: true))
        #expect(try key("[.example", 1) != key("{.example", 1))
    }
}

/// The order in which servers are asked.
@Suite struct UpstreamOrderTests {
    @Test func sequentialIsTheOrderGiven() {
        var order = UpstreamOrder(count: 3, policy: .sequential, holdDown: .seconds(10))
        for _ in 0..<3 { #expect(order.next(now: 0, random: .system) == [0, 1, 2]) }
    }

    @Test func rotateStartsOneFurtherOn() {
        var order = UpstreamOrder(count: 3, policy: .rotate, holdDown: .seconds(10))
        let seen = (0..<4).map { _ in order.next(now: 0, random: .system) }
        #expect(seen == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]])
    }

    @Test func randomComesFromTheGenerator() {
        var order = UpstreamOrder(count: 4, policy: .random, holdDown: .seconds(10))
        func seeded() -> ForwarderRandom {
            let generator = Mutex(SeededRandom(seed: 4711))
            return ForwarderRandom { generator.withLock { $0.next() } }
        }
        #expect(order.next(now: 0, random: seeded()) == order.next(now: 0, random: seeded()))
        let seen = Set((0..<500).map { _ in order.next(now: 0, random: .system) })
        #expect(seen.allSatisfy { $0.sorted() == [0, 1, 2, 3] })
        #expect(seen.count == 24)
    }

    @Test(arguments: ForwardPolicy.allCases) func silentOnesComeLast(_ policy: ForwardPolicy) {
        var order = UpstreamOrder(count: 3, policy: policy, holdDown: .seconds(10))
        order.noteSilence(of: 0, now: 1000)
        order.noteSilence(of: 7, now: 1000)
        #expect(order.next(now: 10_999, random: .system).last == 0)
        #expect(order.silent(now: 10_999) == [0])
        #expect(order.silent(now: 11_000) == [])
        order.noteSilence(of: 1, now: 2000)
        order.noteAnswer(from: 1)
        #expect(order.silent(now: 2000) == [0])
        #expect(Set(order.next(now: 2000, random: .system)) == [0, 1, 2], "everybody is still asked")
    }

    @Test func nobodyIsNobody() {
        var order = UpstreamOrder(count: 0, policy: .rotate, holdDown: .seconds(10))
        #expect(order.next(now: 0, random: .system) == [])
    }
}

/// Leaving this server itself out of its upstream servers.
@Suite struct ForwardToSelfTests {
    private static func address(_ text: String) throws -> SocketAddress {
        let colon = try #require(text.lastIndex(of: ":"))
        let host = text[..<colon].filter { $0 != "[" && $0 != "]" }
        return try SocketAddress(ipAddress: host, port: Int(text[text.index(after: colon)...]) ?? 0)
    }

    @Test(arguments: [
        ("127.0.0.1:53", "127.0.0.1:53", false), ("127.0.0.1:54", "127.0.0.1:53", true),
        ("127.0.0.53:53", "127.0.0.1:53", true), ("0.0.0.0:53", "127.0.0.1:53", false),
        ("10.0.0.5:53", "0.0.0.0:53", false), ("10.0.0.6:53", "0.0.0.0:53", true), ("10.0.0.5:54", "0.0.0.0:53", true),
        ("127.0.0.53:53", "0.0.0.0:53", false), ("0.0.0.0:53", "0.0.0.0:53", false), ("[::1]:53", "0.0.0.0:53", true),
        ("[2001:db8::5]:53", "[::]:53", false), ("[2001:db8::6]:53", "[::]:53", true), ("[::1]:53", "[::]:53", false),
        ("10.0.0.5:53", "[::]:53", false), ("127.0.0.1:53", "[::]:53", false), ("10.0.0.6:53", "[::]:53", true),
        ("[::ffff:10.0.0.5]:53", "0.0.0.0:53", false), ("[::ffff:127.0.0.1]:53", "127.0.0.1:53", false),
        ("[2001:db8::5]:53", "[2001:db8:0::5]:53", false), ("[::]:53", "[::1]:53", false),
    ])
    func ownAddressesAreLeftOut(_ upstream: String, _ listener: String, _ isKept: Bool) throws {
        let local = try ["10.0.0.5:0", "127.0.0.1:0", "[2001:db8::5]:0", "[::1]:0"].map(Self.address)
        let upstream = try Self.address(upstream)
        let kept = Forwarder.excluding([upstream], listeners: [try Self.address(listener)], localAddresses: local)
        #expect(kept == (isKept ? [upstream] : []))
    }

    @Test func addressesOfThisMachineAreFound() throws {
        let loopback = try Self.address("127.0.0.1:53")
        let others = try ["192.0.2.1:53", "127.0.0.1:54"].map(Self.address)
        let kept = Forwarder.excluding([loopback] + others, listeners: [try Self.address("0.0.0.0:53")])
        #expect(kept == others)
        for device in try System.enumerateDevices() {
            guard var own = device.address else { continue }
            own.port = 53
            #expect(Forwarder.excluding([own], listeners: [try Self.address("[::]:53")]) == [])
        }
    }

    @Test func withoutListenersNothingIsLeftOut() throws {
        let upstream = try Self.address("127.0.0.1:53")
        #expect(Forwarder.excluding([upstream], listeners: []) == [upstream])
    }
}

/// Reading resolv.conf.
@Suite struct ResolvConfTests {
    @Test func ordinaryFile() throws {
        let text = """
            # made by NetworkManager
            ; old comment
            domain example.org
            search example.org example.net
            options ndots:2 edns0 trust-ad
            nameserver 192.0.2.1
            \tnameserver\t2001:db8::1   # comment
            nameserver 192.0.2.1
            nameserver [192.0.2.3]:5353
            nameserver [2001:db8::3]
            """
        let conf = ResolvConf.parse(text)
        let expected = [
            ("192.0.2.1", 53), ("2001:db8::1", 53), ("192.0.2.3", 5353), ("2001:db8::3", 53),
        ]
        #expect(conf.nameservers == (try expected.map { try SocketAddress(ipAddress: $0.0, port: $0.1) }))
        #expect(conf.ignored == [])
    }

    @Test(arguments: [
        ("nameserver", "nameserver without an address"), ("nameserver ns.example", "'ns.example' is not an IP address"),
        ("nameserver 300.0.0.1", "'300.0.0.1' is not an IP address"),
        ("nameservers 1.1.1.1", "unknown keyword 'nameservers'"),
        ("nameserver [192.0.2.1]:0", "bad port in '[192.0.2.1]:0'"),
        ("nameserver [192.0.2.1]:65536", "bad port in '[192.0.2.1]:65536'"),
        ("nameserver [192.0.2.1]53", "bad port in '[192.0.2.1]53'"),
        ("nameserver 192.0.2.1%eth0", "'192.0.2.1%eth0' has a scope but is not an IPv6 address"),
        ("nameserver fe80::1%nosuchif0", "no interface 'nosuchif0' for 'fe80::1%nosuchif0'"),
        ("nameserver fe80::1%", "no interface '' for 'fe80::1%'"),
    ])
    func badLineIsToldAndLeftOut(_ line: String, _ reason: String) {
        let conf = ResolvConf.parse("\n\(line)\nnameserver 192.0.2.9\n")
        #expect(conf.ignored == [ResolvConf.IgnoredLine(line: 2, reason: reason)])
        #expect(conf.nameservers.map(\.ipAddress) == ["192.0.2.9"])
    }

    @Test func scopeIsKept() throws {
        let conf = ResolvConf.parse("nameserver fe80::1%lo\nnameserver [fe80::1%lo]:5353\nnameserver fe80::1\n")
        #expect(conf.ignored == [])
        #expect(conf.nameservers.map(\.ipAddress) == ["fe80::1", "fe80::1", "fe80::1"])
        #expect(conf.nameservers.map(\.port) == [53, 5353, 53])
        #expect(conf.nameservers[0] != conf.nameservers[2])
    }

    @Test func hugeFileIsBounded() {
        let lines = (0..<1000).map { "nameserver 10.0.\($0 / 250).\($0 % 250)\nnonsense" }
        let conf = ResolvConf.parse(lines.joined(separator: "\n"))
        #expect(conf.nameservers.count == ResolvConf.nameserversMax)
        #expect(conf.ignored.count == 16)
        #expect(ResolvConf.parse("").nameservers.isEmpty)
    }
}

/// Any octets from upstream: judged, never a trap.
@Suite struct ForwardFuzzTests {
    @Test func mutatedAnswersNeverTrap() throws {
        var random = SeededRandom.fromEnvironment()
        let request = try ClientQuery("www.example.org").with { $0.edns = EDNS(dnssecOK: true) }.request
        let query = UpstreamQuery(request, id: 7, isStub: false, withEDNS: true)
        let sent = try Message(reading: query.octets)
        let good = sent.reply(
            [
                record("www.example.org", .cname, "a.example.net."), record("a.example.net", .a, "192.0.2.1"),
                record("a.example.net", .rrsig, "A 13 3 300 20300101000000 20200101000000 1 example.net. AAAA"),
            ], authorities: [soa("example.net"), record("a.example.net", .nsec, "z.example.net. A")])
        var answers = 0
        for _ in 0..<20_000 {
            var packet = random.below(10) == 0 ? random.bytes(random.below(81)) : good
            for _ in 0..<random.below(5) where !packet.isEmpty {
                packet[random.below(packet.count)] = UInt8(random.below(256))
            }
            if random.below(5) == 0 { packet = Array(packet.prefix(random.below(packet.count + 1))) }
            guard case .answer(let message) = query.judge(packet) else { continue }
            answers += 1
            let relevant = RelevantRecords(message, question: request.question, dnssecOK: true)
            let answer = ForwardedAnswer(
                message, relevant: relevant, question: request.question, bounds: .init(upper: 3600), keepsAA: true)
            guard let octets = answer?.message(for: request, age: .seconds(5)) else { continue }
            let handed = try? Message(reading: octets)
            #expect(handed?.questions == [request.question], "seed \(random.seed): \(packet)")
        }
        #expect(answers > 1000)
    }
}
