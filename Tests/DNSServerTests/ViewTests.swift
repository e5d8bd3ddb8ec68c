import DNSWire
import RegistryStore
import Testing

@testable import DNSServer

/// Names and answers of registrations, in process: what a black box cannot force (time, sizes, collisions).
@Suite struct ViewTests {
    @Test func registrationHasTheNamesOfTheInterface() throws {
        let server = try ViewHarness()
        try server.register("redis", "r1", host: .ipv4(0x0A00_0001), port: 6379, tags: ["v1"])
        for name in ["redis", "redis.v1", "r1.redis", "r1.redis.v1", "_redis._tcp", "_redis._tcp.v1", "v1"] {
            let answer = try server.ask("\(name).skydns.local", .a)
            #expect(answer.texts == ["\(name).skydns.local. A 10.0.0.1"], "\(name)")
            #expect(answer.flags.contains(.authoritative))
        }
        let service = try server.ask("redis.v1.skydns.local", .srv)
        #expect(service.texts == ["redis.v1.skydns.local. SRV 10 100 6379 r1.redis.v1.skydns.local."])
        #expect(service.additionals.map(ViewHarness.text) == ["r1.redis.v1.skydns.local. A 10.0.0.1"])
        let reverse = try server.ask("1.0.0.10.in-addr.arpa", .ptr)
        #expect(reverse.texts == ["1.0.0.10.in-addr.arpa. PTR r1.redis.skydns.local."])
        #expect(try server.ask("_redis._udp.skydns.local", .srv).rcode == .nxDomain)
        #expect(
            try server.ask("_services._dns-sd._udp.skydns.local", .ptr).texts
                == ["_services._dns-sd._udp.skydns.local. PTR _redis._tcp.skydns.local."])
        #expect(
            try server.ask("_redis._tcp.skydns.local", .ptr).texts
                == ["_redis._tcp.skydns.local. PTR r1._redis._tcp.skydns.local."])
        #expect(try server.ask("r1._redis._tcp.skydns.local", .srv).answers.count == 1)
        #expect(try server.ask("r1._redis._tcp.skydns.local", .txt).answers.count == 1)
    }

    @Test func emptyNonTerminalsAndMissingTypesAreNoData() throws {
        let server = try ViewHarness()
        try server.register("redis", "r1", host: .ipv4(1), tags: ["v1"])
        for (name, type) in [
            ("redis.skydns.local", RRType.aaaa), ("redis.skydns.local", .mx), ("_tcp.skydns.local", .a),
            ("skydns.local", .mx), ("r1.redis.skydns.local", .https),
        ] {
            let answer = try server.ask(name, type)
            #expect(answer.rcode == .noError, "\(name)")
            #expect(answer.answers.isEmpty)
            #expect(answer.authorities.map(\.type) == [.soa])
        }
        let missing = try server.ask("nothing.skydns.local", .a)
        #expect(missing.rcode == .nxDomain)
        #expect(missing.authorities.map { $0.owner.description } == ["skydns.local."])
        #expect(missing.authorities.first?.ttl == 60)
    }

    @Test func collidingLabelsAnswerTogetherAndKeepTheirIdentities() throws {
        let server = try ViewHarness()
        try server.register("a.b", "x", host: .ipv4(1))
        try server.register("a-b", "y", host: .ipv4(2))
        #expect(try server.ask("a-b.skydns.local", .a).answers.count == 2)
        try server.delete(String(decoding: server.registry.layout.primaryKey(service: "a.b", id: "x"), as: UTF8.self))
        #expect(try server.ask("a-b.skydns.local", .a).texts == ["a-b.skydns.local. A 0.0.0.2"])
    }

    @Test func onlyUpIsAnswered() throws {
        let server = try ViewHarness()
        try server.register("web", "a", host: .ipv4(1), status: "UP")
        try server.register("web", "b", host: .ipv4(2), status: "OUT_OF_SERVICE")
        #expect(try server.ask("web.skydns.local", .a).answers.count == 1)
        try server.register("web", "a", host: .ipv4(1), status: "STARTING")
        #expect(try server.ask("web.skydns.local", .a).rcode == .nxDomain)
    }

    @Test func textAloneHasNoShareOfTheWeights() throws {
        let server = try ViewHarness()
        try server.put("/skydns/local/skydns/web/a", #"{"host":"10.0.0.1"}"#)
        try server.put("/skydns/local/skydns/web/b", #"{"host":"10.0.0.2","weight":300}"#)
        try server.put("/skydns/local/skydns/web/t", #"{"text":"about it"}"#)
        #expect(
            try server.ask("web.skydns.local", .srv).texts == [
                "web.skydns.local. SRV 10 25 0 a.web.skydns.local.",
                "web.skydns.local. SRV 10 75 0 b.web.skydns.local.",
            ])
        #expect(try server.ask("web.skydns.local", .txt).texts == [#"web.skydns.local. TXT "about it""#])
    }

    @Test func theRestOfTheLeaseBoundsTheTTL() throws {
        let server = try ViewHarness()
        try server.register("web", "a", host: .ipv4(1), leaseSeconds: 30)
        #expect(try server.ask("web.skydns.local", .a).answers.first?.ttl == 30)
        server.advance(seconds: 12)
        #expect(try server.ask("web.skydns.local", .a).answers.first?.ttl == 18)
        try server.registry.renew(namespace: .default, id: "a")
        // A renewal publishes nothing, and still the same composed answer shows the new rest.
        #expect(try server.ask("web.skydns.local", .a).answers.first?.ttl == 30)
        server.advance(seconds: 31)
        #expect(try server.ask("web.skydns.local", .a).rcode == .nxDomain)
    }

    @Test func aLeaseOfAnExternalStoreBoundsTheTTLAsFarAsItIsKnown() throws {
        let server = try ViewHarness(isMirror: true)
        let lease = LeaseID(9)
        let value = MirroredValue(
            key: Array("/skydns/local/skydns/web/a".utf8), value: Array(#"{"host":"10.0.0.1"}"#.utf8), lease: lease,
            createRevision: 2, modRevision: 2, putCount: 1)
        server.registry.mirror([.put(value)], revision: 2, restarts: true)
        func ttl() throws -> UInt32? { try server.ask("web.skydns.local", .a).answers.first?.ttl }
        let known = try ttl()
        #expect(known == server.view.configuration.ttl, "nothing is known of the lease, so the value's TTL counts")
        server.registry.setMirroredLease(lease, lengthMilliseconds: 200_000, remainingMilliseconds: 150_000)
        #expect(try ttl() == 150)
        server.advance(seconds: 151)
        #expect(try ttl() == 100, "renewed elsewhere: half of its length")
        server.registry.deadlines.answerSecondsMax = 30
        #expect(try ttl() == 30, "the store cannot be followed")
        server.registry.deadlines.answerSecondsMax = .max
        #expect(try ttl() == 100)
    }

    @Test func anEqualPutRenewsWithoutComposingAgain() throws {
        let server = try ViewHarness()
        let key = "/skydns/local/skydns/web/a"
        try server.put(key, #"{"host":"10.0.0.1"}"#, leaseSeconds: 60)
        _ = try server.ask("web.skydns.local", .a)
        let composed = server.engine.value.counters.composed
        server.time.advance(30_000)
        try server.put(key, #"{"host":"10.0.0.1"}"#, leaseSeconds: 60)
        #expect(try server.ask("web.skydns.local", .a).answers.first?.ttl == 60)
        #expect(server.engine.value.counters.composed == composed)
    }

    @Test(arguments: [512, 1232]) func largeSetsAreCutToWholeRecordsWithTC(size: Int) throws {
        let server = try ViewHarness()
        for number in 0..<200 { try server.register("big", "i\(number)", host: .ipv4(UInt32(number) + 1)) }
        let answer = try server.ask("big.skydns.local", .a, edns: size)
        #expect(answer.flags.contains(.truncated))
        #expect(answer.octets <= size)
        #expect(answer.answers.count > size / 20)
        #expect(answer.hasOPT)
        let whole = try server.ask("big.skydns.local", .a, tcp: true)
        #expect(!whole.flags.contains(.truncated))
        #expect(whole.answers.count == 200)
    }

    @Test func additionalsGoFirstAndWithoutTC() throws {
        let server = try ViewHarness()
        for number in 0..<8 { try server.register("some", "service-number-\(number)", host: .ipv4(UInt32(number) + 1)) }
        let answer = try server.ask("some.skydns.local", .srv)
        #expect(!answer.flags.contains(.truncated))
        #expect(answer.answers.count == 8)
        #expect(answer.additionals.isEmpty)
    }

    @Test func aVeryLargeSetIsAnsweredFromRotatingSamples() throws {
        let server = try ViewHarness()
        for number in 0..<9000 { try server.register("huge", "i\(number)", host: .ipv4(UInt32(number) + 1)) }
        var seen = Set<[UInt8]>()
        for _ in 0..<12 {
            let answer = try server.ask("huge.skydns.local", .a, tcp: true)
            #expect(answer.flags.contains(.truncated), "the answer says that it is not the whole set")
            #expect(answer.octets <= 65_535)
            seen.formUnion(answer.answers.map(\.rdata))
            server.time.advance(60)
        }
        #expect(seen.count == 9000)
    }

    @Test func roundRobinStartsAtEveryRecord() throws {
        let server = try ViewHarness()
        for number in 0..<4 { try server.register("rr", "i\(number)", host: .ipv4(UInt32(number) + 1)) }
        var first = Set<[UInt8]>()
        for _ in 0..<200 { first.insert(try server.ask("rr.skydns.local", .a).answers[0].rdata) }
        #expect(first.count == 4)
    }

    @Test func nothingIsDeniedBeforeTheRegistryIsFilled() throws {
        let server = try ViewHarness()
        server.view.setHasContent(false)
        for (name, type) in [("web.skydns.local", RRType.a), ("skydns.local", .soa), ("*.skydns.local", .srv)] {
            let answer = try server.ask(name, type, edns: 1232)
            #expect(answer.rcode == .servFail, "\(name)")
            #expect(answer.answers.isEmpty && answer.authorities.isEmpty)
        }
        server.view.setHasContent(true)
        #expect(try server.ask("web.skydns.local", .a).rcode == .nxDomain)
        #expect(try server.ask("skydns.local", .soa).rcode == .noError)
    }

    @Test func nothingIsAnsweredThatNobodyVouchesFor() throws {
        let server = try ViewHarness()
        try server.register("web", "i", host: .ipv4(1))
        #expect(try server.ask("web.skydns.local", .a).answers.count == 1)
        server.view.vouch(until: .min)
        for (name, type) in [("web.skydns.local", RRType.a), ("none.skydns.local", .a), ("*.skydns.local", .srv)] {
            let answer = try server.ask(name, type, edns: 1232)
            #expect(answer.rcode == .servFail, "\(name)")
            #expect(answer.answers.isEmpty && answer.authorities.isEmpty)
        }
        server.view.vouch(until: .max)
        #expect(try server.ask("web.skydns.local", .a).answers.count == 1)
        #expect(try server.ask("none.skydns.local", .a).rcode == .nxDomain)
    }

    @Test func hostileChainsDoNotMultiplyTheWork() throws {
        let server = try ViewHarness()
        for level in 0..<8 {
            for number in 0..<40 {
                try server.put(
                    "/skydns/local/skydns/l\(level)/n\(number)",
                    #"{"host":"l\#(level + 1).skydns.local","port":\#(number)}"#)
            }
        }
        try server.put("/skydns/local/skydns/l8/end", #"{"host":"10.0.0.1"}"#)
        let answer = try server.ask("l0.skydns.local", .a)
        #expect(answer.rcode == .noError)
        #expect(server.engine.value.counters.queries == 1)
    }
}
