import HTTPTypes
import Testing

@testable import HTTPAdmin

struct QueryTests {
    /// a and b are up, c starts, d is out of service.
    private func filled() async throws -> Bench {
        let bench = try Bench()
        for (id, more) in [
            ("a", #","tags":["DB","NoSQL"]"#), ("b", #","tags":["DB"]"#), ("c", #","tags":["DB"],"status":"STARTING""#),
            ("d", #","tags":["DB","NoSQL"],"status":"OUT_OF_SERVICE""#),
        ] { _ = try await bench.register("web", id, #","instance_id":"\#(id)"\#(more)"#) }
        _ = try await bench.register("api", "e", #","instance_id":"e""#)
        return bench
    }

    @Test(arguments: [
        ("", "abe"), ("?", "abe"), ("?fields=ttl", "abe"), ("?service_name=web", "abcd"), ("?service_name=none", ""),
        ("?service_name=Web", ""), ("?status=up", "abe"), ("?status=starting", "c"), ("?status=Out_of_Service", "d"),
        ("?status=all", "abcde"), ("?status=DOWN", ""), ("?status=", ""), ("?tags=DB", "abcd"),
        ("?tags=NoSQL,DB,DB", "ad"), ("?tags=DB,zz", ""), ("?tags=", ""), ("?tags=db", ""), ("?tags=DB%2CNoSQL", "ad"),
        ("?id=c", "c"), ("?id=none", ""), ("?id=c&service_name=api", ""), ("?status=UP&tags=DB,NoSQL", "a"),
        ("?service_name=api&service_name=web", "e"), ("?status=UP&status=STARTING", "abe"),
    ])
    func filters(query: String, expected: String) async throws {
        let bench = try await filled()
        #expect(try await bench.ids(query).joined() == expected)
    }

    @Test(arguments: [
        "?foo=bar", "?ttl=30", "?endpoint=x", "?Status=UP", "?=x", "?status=%zz", "?service_name=web&links=1",
        "?last_heartbeat=1", "?dns=true",
    ])
    func wrongFilters(query: String) async throws {
        let answer = await (try Bench()).ask(.get, "/api/v1/instances" + query)
        #expect(answer.status == .badRequest)
        #expect(answer.text == #"{"Error":"Malformed or invalid instance selection criteria"}"#)
    }

    @Test(arguments: ["bogus", "ttl,%20tags", "TTL", "ttl,", ",", "ServiceName", "%20"])
    func wrongFields(fields: String) async throws {
        let answer = await (try Bench()).ask(.get, "/api/v1/instances?fields=" + fields)
        #expect(answer.status == .badRequest)
        #expect(answer.text == #"{"Error":"Undefined or malformed instance fields in filter"}"#)
    }

    @Test(arguments: [
        ("", ""), ("id,endpoint,links", ""), ("ttl", #","ttl":30"#), ("status,ttl,status", #","ttl":30,"status":"UP""#),
        ("service_name", #","service_name":"web""#), ("tags", #","tags":["t"]"#), ("metadata", #","metadata":{"k":1}"#),
        ("last_heartbeat", #","last_heartbeat":"2023-11-14T22:30:00Z""#), ("dns", #","dns":true"#), ("dns_reason", ""),
        ("key", #","key":"/skydns/local/skydns/web/i""#), ("priority,weight", ""),
    ])
    func fields(names: String, expected: String) async throws {
        let bench = try Bench()
        _ = try await bench.register("web", "h:80", #","instance_id":"i","metadata":{"k":1},"tags":["t"]"#)
        let text = await bench.ask(.get, "/api/v1/instances?fields=" + names).text
        // Members have one order, whatever the order asked for.
        let object = #""id":"i""# + (names == "service_name" ? expected : "")
        let rest = names == "service_name" ? "" : expected
        #expect(text == #"{"instances":[{\#(object),"endpoint":{"type":"tcp","value":"h:80"}\#(rest)}]}"#)
    }

    @Test(arguments: [
        ("not an address", "UP", "endpoint value: a host name has letters, digits, \\\"-\\\" and \\\"_\\\" only"),
        ("h:99999", "UP", "endpoint value: \\\"99999\\\" is no port from 0 to 65535"),
        ("h:80", "STARTING", "status is STARTING, only UP is answered"),
    ])
    func silenceIsExplained(value: String, status: String, reason: String) async throws {
        let bench = try Bench()
        _ = try await bench.register("web", value, #","status":"\#(status)""#)
        let text = await bench.ask(.get, "/api/v1/instances?service_name=web&fields=dns").text
        #expect(text.contains(#""dns":false,"dns_reason":"\#(reason)"}"#))
    }

    @Test func servicesIgnoreTheQueryAndListEveryStatus() async throws {
        let bench = try await filled()
        #expect(await bench.ask(.get, "/api/v1/services?x=%zz").text == #"{"services":["api","web"]}"#)
        let web = await bench.ask(.get, "/api/v1/services/web?status=UP").text
        #expect(web.ranges(of: #""id":"#).count == 4)
        let none = await bench.ask(.get, "/api/v1/services/none")
        #expect(none.status == .notFound)
        #expect(none.text == #"{"Error":"Failed to enumerate service names"}"#)
    }

    @Test func namesInPathsAreDecoded() async throws {
        let bench = try Bench()
        _ = try await bench.register("a/b é%", "x")
        #expect(await bench.ask(.get, "/api/v1/services/a%2Fb%20%C3%A9%25").status == .ok)
    }

    @Test func textsAreComparedByOctets() async throws {
        let bench = try Bench()
        _ = try await bench.register("\u{e9}", "x")
        #expect(try await bench.ids("?service_name=%C3%A9").count == 1)
        #expect(try await bench.ids("?service_name=e%CC%81") == [])
    }
}
