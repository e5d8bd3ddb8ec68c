import HTTPTypes
import RegdnsTestKit
import RegistryStore
import Testing

@testable import HTTPAdmin

struct RegistrationTests {
    @Test func createdAnswer() async throws {
        let bench = try Bench()
        let answer = await bench.ask(.post, "/api/v1/instances", Bench.body("web", "10.0.0.1:80"))
        let id = "0a4d9d9e2ac0ec54"
        let expected =
            #"{"id":"\#(SHA256.hex(Array("web/tcp/10.0.0.1:80".utf8), digits: 16))","ttl":30,"#
            + #""links":{"self":"http://regdns:8080/api/v1/instances/ID","#
            + #""heartbeat":"http://regdns:8080/api/v1/instances/ID/heartbeat"}}"#
        let real = SHA256.hex(Array("web/tcp/10.0.0.1:80".utf8), digits: 16)
        #expect(real.count == id.count)
        #expect(answer.status == .created)
        #expect(answer.text == expected.replacing("ID", with: real))
        #expect(answer.headers[.location] == "http://regdns:8080/api/v1/instances/\(real)")
    }

    @Test(arguments: [
        ("X-Forwarded-Proto", "https", "https"), ("X-Forwarded-Proto", "HTTPS", "http"), ("$WSSC", "https", "https"),
    ])
    func linksFollowTheProxy(field: String, value: String, scheme: String) async throws {
        let name = try #require(HTTPField.Name(field))
        let answer = await (try Bench()).ask(
            .post, "/api/v1/instances", Bench.body("web", "a"), headers: [name: value])
        #expect(answer.headers[.location]?.hasPrefix("\(scheme)://") == true)
    }

    @Test(arguments: [
        // JSON
        ("", "Failed to register instance"), ("{", "Failed to register instance"),
        ("[]", "Failed to register instance"),
        ("{} x", "Failed to register instance"), ("\u{0}", "Failed to register instance"),
        ("null", "Service name is required"),
        (String(repeating: "[", count: 100_000), "Failed to register instance"),
        (String(repeating: #"{"a":"#, count: 100_000), "Failed to register instance"),
        // Types
        (#"{"service_name":5}"#, "Failed to register instance"), (#"{"tags":"v1"}"#, "Failed to register instance"),
        (#"{"tags":[1]}"#, "Failed to register instance"), (#"{"ttl":-1}"#, "Failed to register instance"),
        (#"{"ttl":"30"}"#, "Failed to register instance"), (#"{"ttl":4294967296}"#, "Failed to register instance"),
        (#"{"ttl":1.5}"#, "Failed to register instance"), (#"{"ttl":3e1}"#, "Failed to register instance"),
        (#"{"ttl":-0}"#, "Failed to register instance"), (#"{"endpoint":"a:1"}"#, "Failed to register instance"),
        (#"{"endpoint":{"value":1}}"#, "Failed to register instance"),
        (#"{"priority":65536}"#, "Failed to register instance"),
        (#"{"weight":-1}"#, "Failed to register instance"), (#"{"text":1}"#, "Failed to register instance"),
        (#"{"ttl_answer":2147483648}"#, "Failed to register instance"),
        (#"{"instance_id":1}"#, "Failed to register instance"),
        // What is required
        ("{}", "Service name is required"), (#"{"service_name":"","endpoint":null}"#, "Service name is required"),
        (#"{"service_name":null}"#, "Service name is required"),
        (#"{"service_name":"x"}"#, "Instance endpoint is required"),
        (#"{"service_name":"x","endpoint":null}"#, "Instance endpoint is required"),
        (#"{"service_name":"x","endpoint":{}}"#, "Endpoint type or value are missing"),
        (#"{"service_name":"x","endpoint":{"type":"tcp","value":""}}"#, "Endpoint type or value are missing"),
        (#"{"service_name":"x","endpoint":{"type":"icmp","value":"a"}}"#, "Endpoint type is invalid"),
        (#"{"service_name":"x","endpoint":{"type":"TCP","value":"a"}}"#, "Endpoint type is invalid"),
        (Bench.body("x", "a", #","status":"ALL""#), "Valid statuses are: UP, STARTING, OUT_OF_SERVICE"),
        // Limits
        (
            Bench.body(String(repeating: "é", count: 33), "a"),
            "Failed to register the instance because service name exceeded 64 bytes"
        ),
        (
            Bench.body("x", String(repeating: "v", count: 129)),
            "Failed to register the instance because endpoint value exceeded 128 bytes"
        ),
        (
            Bench.body("x", "a", #","metadata":"\#(String(repeating: "m", count: 1023))""#),
            "Failed to register the instance because metadata exceeded 1024 bytes"
        ),
    ])
    func refusals(body: String, message: String) async throws {
        let bench = try Bench()
        let answer = await bench.ask(.post, "/api/v1/instances", body, headers: [.contentType: "application/json"])
        #expect(answer.status == .badRequest)
        #expect(answer.text == #"{"Error":"\#(message)"}"#)
        #expect(bench.registry.counts().entries == 0)
    }

    @Test(arguments: [
        (#"{"service_name":"x","endpoint":{"type":7}}"#, "endpoint.type: expected a string, got 7"),
        (#"{"ttl":-1}"#, "ttl: expected a whole number from 0 to 4294967295, got -1"),
        (#"{"ttl":1"#, "body at byte 8: expected ',' or '}'"),
        (#"{"tags":[true]}"#, "tags: expected strings only, got true"),
    ])
    func detailsSayWhatWasWrong(body: String, detail: String) async throws {
        let answer = await (try Bench()).ask(.post, "/api/v1/instances", body)
        #expect(answer.headers[.errorDetail] == detail)
    }

    @Test(arguments: [
        (",\"ttl\":0", 30), ("", 30), (",\"ttl\":null", 30), (",\"ttl\":10", 10), (",\"ttl\":9", 10),
        (",\"ttl\":45", 45),
        (",\"ttl\":600", 600), (",\"ttl\":601", 600), (",\"ttl\":4294967295", 600),
    ])
    func leaseIsClamped(asked: String, granted: Int) async throws {
        let bench = try Bench()
        let answer = await bench.ask(.post, "/api/v1/instances", Bench.body("web", "a", asked))
        #expect(answer.text.contains(#""ttl":\#(granted),"#))
        let list = await bench.ask(.get, "/api/v1/services/web")
        #expect(list.text.contains(#""ttl":\#(granted),"#))
    }

    @Test func defaultOutsideTheLimitsIsUsedAsItIs() {
        let policy = LeasePolicy(defaultMilliseconds: 2_000, minMilliseconds: 10_000, maxMilliseconds: 20_000)
        #expect(policy.milliseconds(askedSeconds: 0) == 2_000)
        #expect(policy.milliseconds(askedSeconds: 1) == 10_000)
        #expect(LeasePolicy.shownSeconds(500) == 1)
    }

    @Test func everyFieldComesBack() async throws {
        let bench = try Bench()
        let more =
            #","ttl":45,"status":"starting","metadata":{ "a" : [1, 2.50, null, "<\u0041>"] },"tags":["v1","x y"],"#
            + #""priority":7,"weight":9,"text":"hello","ttl_answer":5"#
        let id = try await bench.register("web", "10.0.0.1:80", more)
        let expected =
            #"{"service_name":"web","instances":[{"id":"ID","service_name":"web","#
            + #""endpoint":{"type":"tcp","value":"10.0.0.1:80"},"ttl":45,"status":"STARTING","#
            + #""metadata":{"a":[1,2.50,null,"\u003c\u0041\u003e"]},"#
            + #""last_heartbeat":"2023-11-14T22:30:00Z","tags":["v1","x y"],"#
            + #""priority":7,"weight":9,"text":"hello","ttl_answer":5}]}"#
        #expect(await bench.ask(.get, "/api/v1/services/web").text == expected.replacing("ID", with: id))
        let entry = try #require(bench.registry.entry(namespace: .default, id: id))
        let registration = try #require(entry.registration)
        #expect(registration.host == .ipv4(0x0a00_0001))
        #expect(registration.port == 80)
        #expect(registration.ttl == 5)
        #expect(entry.key == Array("/skydns/local/skydns/web/\(id)".utf8))
    }

    @Test func fieldNamesMatchInAnyCaseAndUnknownOnesAreIgnored() async throws {
        let bench = try Bench()
        let body =
            #"{"Service_Name":"web","ENDPOINT":{"Type":"tcp","VALUE":"1:1"},"id":"mine","foo":[{}],"ttl":1,"TTL":20}"#
        let answer = await bench.ask(.post, "/api/v1/instances", body)
        #expect(answer.status == .created)
        #expect(!answer.text.contains("mine"))
        #expect(answer.text.contains(#""ttl":20"#))
    }

    @Test func nullMetadataIsKept() async throws {
        let bench = try Bench()
        _ = try await bench.register("web", "a", #","metadata":null"#)
        #expect(await bench.ask(.get, "/api/v1/services/web").text.contains(#""metadata":null"#))
    }

    @Test func registeringAgainReplacesWholly() async throws {
        let bench = try Bench()
        let first = try await bench.register("web", "a", #","tags":["t"],"metadata":1,"status":"STARTING""#)
        bench.clock.advance(milliseconds: 20_000)
        let second = try await bench.register("web", "a")
        #expect(first == second)
        let text = await bench.ask(.get, "/api/v1/services/web").text
        #expect(!text.contains("tags") && !text.contains("metadata") && text.contains(#""status":"UP""#))
        bench.clock.advance(milliseconds: 20_000)
        _ = bench.registry.expireDue()
        #expect(try await bench.ids() == [first])
    }

    @Test func chosenIDMayMoveBetweenServices() async throws {
        let bench = try Bench()
        #expect(try await bench.register("web", "a", #","instance_id":"i/1 é""#) == "i/1 é")
        _ = try await bench.register("api", "b", #","instance_id":"i/1 é""#)
        #expect(await bench.ask(.get, "/api/v1/services/web").status == .notFound)
        #expect(try await bench.ids("?service_name=api") == ["i/1 é"])
        let link = await bench.ask(.post, "/api/v1/instances", Bench.body("api", "b", #","instance_id":"i/1 é""#))
            .headers[.location]
        #expect(link == "http://regdns:8080/api/v1/instances/i%2F1%20%C3%A9")
        #expect(await bench.ask(.delete, try #require(link)).status == .ok)
    }

    @Test func capacityIsOneRefusalOfTheStore() async throws {
        var limits = RegistryLimits()
        limits.namespaceCapacity = 1
        let bench = try Bench(limits: limits)
        _ = try await bench.register("web", "a")
        _ = try await bench.register("web", "a")
        let answer = await bench.ask(.post, "/api/v1/instances", Bench.body("web", "b"))
        #expect(answer.status == .forbidden)
        #expect(answer.text == #"{"Error":"Failed to register instance"}"#)
    }

    @Test(arguments: [
        (RegistryError.notFound(key: []), 410), (.unknownLease(LeaseID(1)), 410), (.leaseExists(LeaseID(1)), 409),
        (.preconditionFailed(index: 0, precondition: .exists, current: nil), 410),
        (.preconditionFailed(index: 0, precondition: .absent, current: nil), 409),
        (.limitExceeded(limit: "key_bytes", value: 2, bound: 1), 400),
        (.limitExceeded(limit: "namespace_capacity", value: 2, bound: 1), 403),
        (.limitExceeded(limit: "entries", value: 2, bound: 1), 503),
        (.invalid(field: "f", value: "v", expected: "e"), 400), (.compacted(oldest: 3), 410),
        (.futureRevision(current: 3), 400), (.unavailable(reason: "r", retryAfterSeconds: 2), 503),
    ])
    func refusalsOfTheStore(error: RegistryError, status: Int) {
        let answer = APIError(error, failing: "No").answer
        #expect(answer.status.code == status)
        #expect(answer.text == #"{"Error":"No"}"#)
    }

    /// A store whose cluster cannot be written.
    private struct Unreachable: RegistryWriter {
        private var refusal: RegistryError { .unavailable(reason: "no quorum", retryAfterSeconds: 2) }

        func apply(_ intents: [Intent]) async throws(RegistryError) -> Receipt { throw refusal }
        func renew(namespace: Namespace, id: String) async throws(RegistryError) { throw refusal }
        func grantLease(id: LeaseID?, milliseconds: Int64) async throws(RegistryError) -> LeaseInfo { throw refusal }
        func revokeLease(_ id: LeaseID) async throws(RegistryError) -> Receipt { throw refusal }
        func keepAlive(_ id: LeaseID) async throws(RegistryError) -> LeaseInfo { throw refusal }
    }

    @Test("writes to a store that cannot be reached are told when to try again")
    func unreachableStore() async throws {
        let bench = try Bench(writer: Unreachable())
        for (method, path, body) in [
            (HTTPRequest.Method.post, "/api/v1/instances", Bench.body("web", "a")),
            (.put, "/api/v1/instances/x/heartbeat", nil as String?),
        ] {
            let answer = await bench.ask(method, path, body)
            #expect(answer.status == .serviceUnavailable)
            #expect(answer.headers[.retryAfter] == "2")
            #expect(answer.headers[.errorDetail] == "no quorum")
        }
        #expect(bench.registry.counts().entries == 0)
    }
}
