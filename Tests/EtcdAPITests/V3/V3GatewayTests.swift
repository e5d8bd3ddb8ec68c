import EtcdMessages
import FoundationEssentials
import RegistryStore
import Testing

@testable import EtcdAPI

@Suite("v3: the JSON gateway")
struct V3GatewayTests {
    private let door: Door

    init() throws { door = try Door() }

    private func post(_ path: String, _ json: String) async throws -> Door.Answer {
        try await door.send("POST", path, body: Array(json.utf8))
    }

    private func base64(_ text: String) -> String { text.data.base64EncodedString() }

    @Test("Bytes as base64, long numbers as text, etcd's names; both spellings are read")
    func keyValues() async throws {
        for path in ["/v3/kv/put", "/v3beta/kv/put"] {
            let put = try await post(path, "{\"key\":\"\(base64("k"))\",\"value\":\"\(base64("v"))\",\"prevKv\":true}")
            #expect(put.status == 200 && put.fields["content-type"] == "application/json")
        }
        let answer = try await post(
            "/v3/kv/range", "{\"key\":\"\(base64("a"))\",\"range_end\":\"\(base64("z"))\",\"limit\":\"5\",\"x\":{}}")
        #expect(
            answer.text.hasSuffix(
                "\"kvs\":[{\"key\":\"aw==\",\"create_revision\":\"2\",\"mod_revision\":\"3\",\"version\":\"2\","
                    + "\"value\":\"dg==\"}],\"count\":\"1\"}"))
        #expect(answer.text.contains("\"raft_term\":\"2\""))
        #expect(answer.fields["access-control-allow-origin"] == "*")
        // The same key over v2 would need a path: one store, two views.
        #expect(door.registry.revision == 2)
    }

    @Test(
        "Errors as etcd 3.4's gateway gives them",
        arguments: [
            ("/v3/kv/range", "", 400, "etcdserver: key is not provided", 3),
            (
                "/v3/kv/range", "{\"key\":\"aw==\",\"revision\":\"9999\"}", 400,
                "etcdserver: mvcc: required revision is a future revision", 11
            ),
            ("/v3/lease/revoke", "{\"ID\":\"7\"}", 404, "etcdserver: requested lease not found", 5),
            ("/v3/kv/lease/revoke", "{\"ID\":7}", 404, "etcdserver: requested lease not found", 5),
            ("/v3/auth/authenticate", "{}", 412, "etcdserver: authentication is not enabled", 9),
            ("/v3/maintenance/snapshot", "{}", 501, "regdns: there is no database file; see --store etcd", 12),
            ("/v3/lock/lock", "{}", 501, "regdns: locks need --store etcd", 12),
            ("/v3/lock/unlock", "{\"key\":\"aw==\"}", 501, "regdns: locks need --store etcd", 12),
            ("/v3/election/campaign", "{}", 501, "regdns: elections need --store etcd", 12),
            ("/v3/election/resign", "{}", 501, "regdns: elections need --store etcd", 12),
            ("/v3/maintenance/hash", "{}", 501, "regdns: there is no database file; see --store etcd", 12),
            (
                "/v3/maintenance/transfer-leadership", "{}", 412,
                "regdns: a node has no leader but itself; see --store etcd", 9
            ),
            (
                "/v3/cluster/member/promote", "{\"ID\":\"7\"}", 412,
                "regdns: members are not changed by etcd's calls; see --join", 9
            ),
            ("/v3/auth/user/changepw", "{}", 412, "regdns: users are not changed by etcd's calls; see --auth", 9),
            ("/v3/auth/role/list", "{}", 412, "regdns: users are not changed by etcd's calls; see --auth", 9),
        ] as [(String, String, Int, String, Int)])
    func errors(path: String, body: String, status: Int, message: String, code: Int) async throws {
        let answer = try await post(path, body)
        #expect(answer.status == status)
        #expect(answer.text == "{\"error\":\"\(message)\",\"message\":\"\(message)\",\"code\":\(code)}")
    }

    @Test("What is no JSON, no route, no method")
    func refusals() async throws {
        #expect(try await post("/v3/kv/range", "not json").status == 400)
        #expect(try await post("/v3/kv/range", "[]").status == 400)
        #expect(try await post("/v3/kv/nothing", "{}").status == 404)
        #expect(try await post("/v3alpha/kv/range", "{}").status == 404)
        let wrong = try await door.send("GET", "/v3/kv/range")
        #expect(wrong.status == 405 && wrong.text == "Method Not Allowed\n")
    }

    @Test("A lease kept alive once")
    func keepAlive() async throws {
        #expect(try await post("/v3/lease/grant", "{\"TTL\":\"60\",\"ID\":\"77\"}").status == 200)
        let answer = try await post("/v3/lease/keepalive", "{\"ID\":77}")
        #expect(answer.text.hasPrefix("{\"result\":{\"header\":{"))
        #expect(answer.text.hasSuffix("\"ID\":\"77\",\"TTL\":\"60\"}}\n"))
    }

    @Test("A watch as lines, until the client goes", .timeLimit(.minutes(1)))
    func watch() async throws {
        let body = "{\"create_request\":{\"key\":\"\(base64("k"))\"}}"
        let reply = try await door.reply("POST", "/v3/watch", body: Array(body.utf8))
        guard case .events(let events) = reply.body else { throw Missing() }
        func next() async throws -> String { String(decoding: try required(await events.next()), as: UTF8.self) }
        #expect(try await next().hasSuffix("\"created\":true}}\n"))
        // More than the lines that may wait: the watch stops and goes on.
        for value in 0..<100 {
            try door.registry.apply([
                .put(namespace: .default, key: [107], value: .bytes(Array("\(value)".utf8)), lease: .permanent)
            ])
        }
        var seen = ""
        while !seen.contains(base64("99")) {
            let line = try await next()
            #expect(line.hasPrefix("{\"result\":{") && line.hasSuffix("\n"))
            seen += line
        }
        for value in 0..<100 { #expect(seen.contains("\"value\":\"\(base64("\(value)"))\"")) }
        events.cancel()
        #expect(await events.next() == nil)
    }
}
