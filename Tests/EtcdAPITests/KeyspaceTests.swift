import RegistryStore
import Testing

@testable import EtcdAPI

/// The v2 tree over keys that other doors write, and the bounds of what it remembers.
struct KeyspaceTests {
    private func put(_ door: Door, _ key: String, _ value: String = "v") throws {
        _ = try door.registry.apply([
            .put(namespace: .default, key: Array(key.utf8), value: .bytes(Array(value.utf8)), lease: .permanent)
        ])
    }

    private func keys(_ answer: Door.Answer) -> [String] {
        answer.text.matches(of: /"key":"([^"]*)"/).map { String($0.1) }
    }

    @Test func keysOfOtherDoorsAreInTheTree() async throws {
        let door = try Door()
        try put(door, "/a/b/c", "1")
        try put(door, "/a/b-c", "2")
        #expect(keys(try await door.get("/?recursive=true")) == ["/a", "/a/b", "/a/b/c", "/a/b-c"])
        #expect(keys(try await door.get("/a")) == ["/a", "/a/b", "/a/b-c"])
        let directory = try await door.get("/a/b")
        #expect(directory.text.contains("\"modifiedIndex\":2,\"createdIndex\":2}}"))
    }

    @Test func keysThatAreNoCleanPathsHaveNoNode() async throws {
        let door = try Door()
        for key in ["a", "/a//b", "/a/", "/a/./b", "/a/../b", "//", "/a/b//", "noslash/x"] { try put(door, key) }
        try put(door, "/a/z")
        #expect(keys(try await door.get("/?recursive=true")) == ["/a", "/a/b", "/a/z"])
        #expect(keys(try await door.get("/a")) == ["/a", "/a/b", "/a/z"])
        #expect(try await door.get("/b").status == 404)
    }

    @Test func whereAKeyAndKeysBelowItMeetTheNodeIsTheDirectory() async throws {
        let door = try Door()
        try put(door, "/a/b", "file")
        try put(door, "/a/b-", "between")
        try put(door, "/a/b/c", "below")
        #expect(keys(try await door.get("/a?recursive=true")) == ["/a", "/a/b", "/a/b/c", "/a/b-"])
        #expect(keys(try await door.get("/a")) == ["/a", "/a/b", "/a/b-"])
        #expect(try await door.get("/a/b").text.contains("\"dir\":true"))
        #expect(try await door.put("/a/b", "value=x").text.contains("\"errorCode\":102"))
        #expect(try await door.put("/a/b/d", "value=x").status == 201)
        #expect(try await door.delete("/a/b?recursive=true").status == 200)
        #expect(keys(try await door.get("/?recursive=true")) == ["/a", "/a/b-"])
    }

    @Test func aFileOfAnotherDoorReplacesARememberedDirectory() async throws {
        let door = try Door()
        try await door.put("/a/b/c", "value=x")
        try await door.delete("/a/b/c")
        #expect(keys(try await door.get("/a?recursive=true")) == ["/a", "/a/b"])
        try put(door, "/a/b", "file")
        #expect(try await door.get("/a/b").text.contains("\"value\":\"file\""))
        #expect(keys(try await door.get("/a?recursive=true")) == ["/a", "/a/b"])
        #expect(keys(try await door.get("/a")) == ["/a", "/a/b"])
        #expect(try await door.put("/a/b/d", "value=x").text.contains("\"errorCode\":104"))
        #expect(try await door.delete("/a/b").status == 200)
    }

    @Test func directoriesKeepTheIndexOfTheirFirstKey() async throws {
        let door = try Door()
        try put(door, "/a/z", "first")
        try await door.put("/a/b/x", "value=2")
        try await door.put("/a/a", "value=3")
        try await door.delete("/a/z")
        try await door.delete("/a/b/x")
        let listing = try await door.get("/?recursive=true").text
        #expect(listing.contains("\"key\":\"/a/b\",\"dir\":true,\"modifiedIndex\":3,\"createdIndex\":3}"))
        #expect(listing.hasSuffix("\"modifiedIndex\":2,\"createdIndex\":2}]}}\n"))
    }

    @Test(arguments: [255, 256, 257, 600])
    func longListingsArePagedWhole(_ count: Int) async throws {
        let door = try Door()
        for number in 0..<count { try put(door, "/many/\(1000 + number)") }
        for number in 0..<count { try put(door, "/many/d\(number % 3)/\(number)") }
        try put(door, "/many/e")
        let listed = keys(try await door.get("/many"))
        #expect(listed.count == count + 5)
        #expect(listed.suffix(4) == ["/many/d0", "/many/d1", "/many/d2", "/many/e"])
        #expect(Set(listed).count == listed.count)
        #expect(keys(try await door.get("/many?recursive=true")).count == 2 * count + 5)
    }

    @Test func registrationsOfTheHTTPDialectsHaveTheirKey() async throws {
        let door = try Door()
        let registration = Registration(
            host: .ipv4(0x0A00_0001), port: 80,
            instance: InstanceAttributes(service: "web", id: "i1", endpointType: "tcp", endpoint: "10.0.0.1:80"))
        let key = door.registry.layout.primaryKey(service: "web", id: "i1")
        _ = try door.registry.apply([
            .put(namespace: .default, key: key, value: .registration(registration), lease: .own(milliseconds: 30_000))
        ])
        let path = String(decoding: key, as: UTF8.self)
        let read = try await door.get(path).text
        #expect(read.contains("\\\"host\\\":\\\"10.0.0.1\\\""))
        #expect(read.contains("\"ttl\":30,"))
        // A refresh sets the ttl and leaves it the registration it is.
        #expect(try await door.put(path, "refresh=true&ttl=60&prevExist=true").status == 200)
        let refreshed = try #require(door.registry.entry(namespace: .default, key: key))
        #expect(refreshed.storedValue == nil)
        #expect(refreshed.registration?.instance?.id == "i1")
        #expect(try await door.get(path).text.contains("\"ttl\":60,"))
    }

    @Test func anEqualPutIsAHeartbeat() async throws {
        let door = try Door()
        try await door.put("/a", "value=x&ttl=10")
        let before = try #require(door.registry.entry(namespace: .default, key: Array("/a".utf8)))
        door.wait(milliseconds: 9500)
        #expect(try await door.get("/a").text.contains("\"ttl\":1,"))
        try await door.put("/a", "value=x&ttl=10")
        door.wait(milliseconds: 9500)
        let after = try #require(door.registry.entry(namespace: .default, key: Array("/a".utf8)))
        #expect(after.version == before.version)
        #expect(after.modRevision == before.modRevision + 1)
        door.wait(milliseconds: 500)
        #expect(try await door.get("/a").status == 404)
    }

    @Test func expirationStandsStillAndTheTTLIsRoundedUp() async throws {
        let door = try Door()
        door.wait(milliseconds: 120)
        try await door.put("/a", "value=x&ttl=2")
        let first = try await door.get("/a").text
        #expect(first.contains("\"expiration\":\"2023-11-14T22:30:02.12Z\",\"ttl\":2,"))
        for (wait, left) in [(Int64(1), 2), (998, 2), (1, 1), (999, 1)] {
            door.wait(milliseconds: wait)
            #expect(try await door.get("/a").text == first.replacing("\"ttl\":2", with: "\"ttl\":\(left)"))
        }
    }

    // MARK: Memory

    @Test func rememberedDirectoriesAreBounded() async throws {
        let door = try Door(rememberedDirectories: 8)
        try await door.put("/live/a/b/x", "value=1")
        for number in 0..<100 {
            try await door.put("/gone/\(number)/x", "value=1")
            try await door.delete("/gone/\(number)/x")
        }
        let counters = door.handler.counters
        #expect(counters.rememberedDirectories <= 8)
        #expect(counters.treeForgotten > 0)
        // What holds keys is still there, with its index; what is forgotten ends with its key.
        #expect(try await door.get("/live/a/b").text.contains("\"createdIndex\":2}}"))
        #expect(try await door.get("/gone/5").status == 404)
    }

    @Test func aFullMemoryOfLiveDirectoriesForgetsNewOnes() async throws {
        let door = try Door(rememberedDirectories: 4)
        for number in 0..<20 { try await door.put("/d\(number)/x", "value=1") }
        #expect(door.handler.counters.rememberedDirectories == 4)
        #expect(door.handler.counters.treeForgotten == 16)
        #expect(keys(try await door.get("/")).count == 20)
    }

    @Test func keptCreationsAreBounded() async throws {
        let door = try Door(rememberedDirectories: 4)
        for number in 0..<20 {
            try await door.put("/\(number)", "value=1")
            try await door.put("/\(number)", "value=2&prevExist=true")
        }
        #expect(door.handler.counters.rememberedCreations == 4)
        #expect(try await door.get("/0").text.contains("\"modifiedIndex\":3,\"createdIndex\":2}"))
        #expect(try await door.get("/19").text.contains("\"modifiedIndex\":41,\"createdIndex\":41}"))
        for number in 0..<4 { try await door.put("/\(number)", "value=3") }
        #expect(door.handler.counters.rememberedCreations == 0)
    }

    // MARK: Door

    @Test(arguments: [
        "/v2/stats", "/v2/machines/", "/v2/auth", "/v2/version", "/v3alpha/kv/range", "/v3",
    ])
    func routesThatAreNoneAreNotFound(_ path: String) async throws {
        let answer = try await Door().send("GET", path)
        #expect(answer.status == 404)
        #expect(answer.text == "404 page not found\n")
    }

    @Test func bodiesOverTheLimit() async throws {
        let door = try Door()
        let size = EtcdHTTPHandler.bodyBytesMax
        let value = "value=" + String(repeating: "x", count: size - 6)
        #expect(try await door.put("/big", value).status == 201)
        let refused = try await door.put("/big", value + "x")
        #expect(refused.status == 413)
        #expect(refused.text.contains("\"errorCode\":602"))
    }

    @Test func keysOverTheLimit() async throws {
        let answer = try await Door().put("/" + String(repeating: "k", count: 5000), "value=x")
        #expect(answer.status == 413)
        #expect(answer.text.contains("\"cause\":\"key_bytes: 5001, at most "))
    }

    @Test func healthFollowsTheServer() async throws {
        let answer = try await Door(isServing: { false }).send("GET", "/health")
        #expect(answer.status == 503)
        #expect(answer.text == "{\"health\":\"false\"}")
    }

    @Test func outcomesAreCountedByMethod() async throws {
        let door = try Door()
        try await door.put("/a", "value=1")
        try await door.get("/a")
        try await door.get("/b")
        try await door.send("PROPFIND", "/v2/keys/a")
        let requests = door.handler.counters.requests
        #expect(requests["PUT"]?.served == 1)
        #expect(requests["GET"]?.served == 1)
        #expect(requests["GET"]?.refused == 1)
        #expect(requests["OTHER"]?.refused == 1)
    }

    /// Writers of one key at once: every number is handed out once, every append has its own name.
    @Test func writersTakeTurns() async throws {
        let door = try Door()
        try await door.put("/n", "value=0")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<25 {
                        try await door.send("POST", "/v2/keys/q?value=x")
                        while true {
                            let old = try required(try await door.get("/n").text.firstMatch(of: /"value":"(\d+)"/)?.1)
                            let next = (Int(old) ?? 0) + 1
                            if try await door.put("/n", "value=\(next)&prevValue=\(old)").status == 200 { break }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await door.get("/n").text.contains("\"value\":\"200\""))
        #expect(keys(try await door.get("/q")).count == 201)
    }
}
