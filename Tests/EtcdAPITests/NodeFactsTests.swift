import HTTPTypes
import Testing

@testable import EtcdAPI

/// What a node says of itself: `/v2/machines`, members, statistics, users.
struct NodeFactsTests {
    static let arrival = EtcdAddress(host: "10.0.0.5", port: 2379)

    private func get(_ door: Door, _ path: String, _ arrival: EtcdAddress?, method: String = "GET") async throws
        -> String
    {
        let reply = try await door.reply(method, path, arrival: arrival)
        guard case .bytes(let bytes) = reply.body else { throw Missing() }
        return "\(reply.head.status.code) " + String(decoding: bytes, as: UTF8.self)
    }

    /// The URL must lead the client back to this node's etcd door.
    @Test(arguments: [
        ([EtcdAddress](), EtcdAddress(host: "10.0.0.5", port: 8080), "http://10.0.0.5:8080"),
        ([EtcdAddress(host: "0.0.0.0", port: 2379)], EtcdAddress(host: "10.0.0.5", port: 2379), "http://10.0.0.5:2379"),
        ([EtcdAddress(host: "0.0.0.0", port: 2379)], EtcdAddress(host: "10.0.0.5", port: 8080), "http://10.0.0.5:2379"),
        ([EtcdAddress(host: "::", port: 2379)], EtcdAddress(host: "fd00::1", port: 8080), "http://[fd00::1]:2379"),
        (
            [EtcdAddress(host: "10.0.0.9", port: 2379), EtcdAddress(host: "::1", port: 2380)],
            EtcdAddress(host: "10.0.0.5", port: 8080), "http://10.0.0.9:2379, http://[::1]:2380"
        ),
    ])
    func machinesLeadHere(_ listening: [EtcdAddress], _ arrival: EtcdAddress, _ urls: String) async throws {
        let door = try Door(etcdAddresses: listening)
        #expect(try await get(door, "/v2/machines", arrival) == "200 \(urls)")
        let quoted = urls.split(separator: ", ").map { "\"\($0)\"" }.joined(separator: ",")
        #expect(try await get(door, "/v2/members", arrival).contains("\"clientURLs\":[\(quoted)]}]}"))
    }

    @Test func theNodeIsItsOwnLeader() async throws {
        let door = try Door()
        let leader = try await get(door, "/v2/members/leader", Self.arrival)
        let id = try required(leader.firstMatch(of: /"id":"([0-9a-f]{16})"/)).1
        let urls = "\"peerURLs\":[],\"clientURLs\":[\"http://10.0.0.5:2379\"]"
        #expect(leader == "200 {\"id\":\"\(id)\",\"name\":\"test\",\(urls)}\n")
        #expect(try await get(door, "/v2/stats/leader", nil) == "200 {\"leader\":\"\(id)\",\"followers\":{}}")
        #expect(try await get(door, "/v2/members/abc", nil) == "404 {\"message\":\"Not found\"}")
        for (method, path) in [("POST", "/v2/members"), ("DELETE", "/v2/members/\(id)"), ("PUT", "/v2/members/\(id)")] {
            #expect(try await get(door, path, nil, method: method).hasPrefix("403 {\"message\":\"regdns: "))
        }
    }

    @Test func statisticsAreCounts() async throws {
        let door = try Door()
        try await door.put("/a", "value=1&ttl=1")
        try await door.put("/a", "value=1&prevValue=2")
        try await door.put("/a", "value=1&prevExist=false")
        try await door.get("/a")
        try await door.get("/b")
        let events = try await door.watch("/b")
        door.wait(milliseconds: 1000)
        #expect(
            try await get(door, "/v2/stats/store", nil)
                == "200 {\"getsSuccess\":1,\"getsFail\":1,\"setsSuccess\":1,\"setsFail\":0,\"deleteSuccess\":0,"
                + "\"deleteFail\":0,\"updateSuccess\":0,\"updateFail\":0,\"createSuccess\":0,\"createFail\":1,"
                + "\"compareAndSwapSuccess\":0,\"compareAndSwapFail\":1,\"compareAndDeleteSuccess\":0,"
                + "\"compareAndDeleteFail\":0,\"expireCount\":1,\"watchers\":1}")
        events.cancel()
        let own = try await get(door, "/v2/stats/self", nil)
        #expect(own.contains("\"state\":\"StateLeader\",\"startTime\":\"2023-11-14T22:30:00Z\""))
        #expect(own.contains("\"uptime\":\"1s\""))
    }

    @Test(arguments: [(0, "0s"), (1500, "1.5s"), (61_020, "1m1.02s"), (3_600_000, "1h0m0s"), (-5, "0s")])
    func durationsAsGoWritesThem(_ milliseconds: Int64, _ text: String) {
        #expect(NodeFacts.goDuration(milliseconds) == text)
    }

    @Test(arguments: [
        ("GET", "/v2/auth/enable", "200 {\"enabled\":false}\n"), ("GET", "/v2/auth/users", "200 {\"users\":null}\n"),
        ("GET", "/v2/auth/users/x", "404 {\"message\":\"auth: User x does not exist.\"}"),
        ("POST", "/v2/auth/users", "405 Method Not Allowed\n"), ("HEAD", "/v2/stats/self", "405 Method Not Allowed\n"),
        ("PUT", "/v2/machines", "405 Method Not Allowed\n"),
    ])
    func answersAsEtcd(_ method: String, _ path: String, _ answer: String) async throws {
        #expect(try await get(try Door(), path, nil, method: method) == answer)
    }

    @Test(arguments: [("PUT", "enable"), ("DELETE", "enable"), ("PUT", "users/u"), ("DELETE", "roles/r")])
    func usersAreNotChangedHere(_ method: String, _ path: String) async throws {
        let answer = try await get(try Door(), "/v2/auth/\(path)", nil, method: method)
        #expect(answer.hasPrefix("403 {\"errorCode\":110,"))
    }
}
