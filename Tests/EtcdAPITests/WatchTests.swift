import HTTPTypes
import RegdnsTestKit
import RegistryStore
import Testing

@testable import EtcdAPI

/// `wait` and `stream`: who is woken by what, under which name, and what a watch costs.
struct WatchTests {
    /// Action and key of an event line.
    static func summary(_ line: [UInt8]?) throws -> String {
        let text = String(decoding: try required(line), as: UTF8.self)
        let found = try required(text.firstMatch(of: /^\{"action":"(\w+)","node":\{"key":"([^"]*)"/))
        return "\(found.1) \(found.2)"
    }

    private func put(_ door: Door, _ key: String, _ value: String, lease: LeaseRequest = .permanent) throws {
        _ = try door.registry.apply([
            .put(namespace: .default, key: Array(key.utf8), value: .bytes(Array(value.utf8)), lease: lease)
        ])
    }

    @Test(arguments: [
        ("PUT", "value=2", "set"), ("PUT", "value=2&prevExist=true", "update"),
        ("PUT", "value=2&prevValue=1", "compareAndSwap"), ("PUT", "ttl=5&prevExist=true", "update"),
        ("DELETE", "", "delete"), ("DELETE", "prevValue=1", "compareAndDelete"),
    ])
    func eventsAreWhatTheWriterWasTold(_ method: String, _ query: String, _ action: String) async throws {
        let door = try Door()
        try await door.put("/a/b", "value=1&ttl=50")
        let events = try await door.watch("/a", "&recursive=true")
        let written = try await door.send(method, "/v2/keys/a/b?\(query)")
        let line = try required(await events.next())
        #expect(line == written.body)
        #expect(try Self.summary(line) == "\(action) /a/b")
        #expect(await events.next() == nil)
        #expect(door.handler.counters.watches == 0)
    }

    @Test func creationsKeepTheirName() async throws {
        let door = try Door()
        let created = try await door.watch("/q", "&recursive=true&stream=true")
        let first = try await door.put("/q/x", "value=1&prevExist=false")
        let second = try await door.send("POST", "/v2/keys/q?value=2")
        #expect(await created.next() == first.body)
        #expect(await created.next() == second.body)
    }

    /// What other doors do shows under v2's names: puts as set, removals as delete, ended leases as expire.
    @Test func changesOfOtherDoors() async throws {
        let door = try Door()
        let events = try await door.watch("/", "&recursive=true&stream=true")
        try put(door, "/a", "1", lease: .own(milliseconds: 2000))
        try put(door, "/b", "2")
        try put(door, "no path", "3")
        try put(door, "/x//y", "3")
        _ = try door.registry.apply([.delete(namespace: .default, key: Array("/b".utf8))])
        door.wait(milliseconds: 2000)
        try put(door, "/c", "4")
        var lines: [String] = []
        for _ in 0..<5 { lines.append(try Self.summary(await events.next())) }
        #expect(lines == ["set /a", "set /b", "delete /b", "expire /a", "set /c"])
    }

    @Test func anExpiryShowsWhatWasThere() async throws {
        let door = try Door()
        try await door.put("/a", "value=1")
        try await door.put("/a", "value=2&ttl=2&prevExist=true")
        let events = try await door.watch("/a")
        door.wait(milliseconds: 2000)
        let line = String(decoding: try required(await events.next()), as: UTF8.self)
        let when = "\"expiration\":\"2023-11-14T22:30:02Z\""
        #expect(
            line == "{\"action\":\"expire\",\"node\":{\"key\":\"/a\",\"modifiedIndex\":4,\"createdIndex\":2},"
                + "\"prevNode\":{\"key\":\"/a\",\"value\":\"2\",\(when),\"modifiedIndex\":3,\"createdIndex\":2}}\n")
    }

    @Test func aRefreshWakesNobody() async throws {
        let door = try Door()
        try await door.put("/a", "value=1&ttl=5")
        let events = try await door.watch("/a")
        try await door.put("/a", "ttl=9&refresh=true&prevExist=true")
        try await door.put("/a", "ttl=9&refresh=true")
        try await door.put("/d/x", "value=1")
        try await door.put("/a", "value=2")
        #expect(String(decoding: try required(await events.next()), as: UTF8.self).contains("\"value\":\"2\""))
    }

    /// Which watches a write wakes: the key's own, and recursive ones above unless a hidden name lies between.
    @Test(arguments: [
        ("/w/a", false, "/w/a", true), ("/w", false, "/w/a", false), ("/w", true, "/w/a", true),
        ("/w/a", true, "/w/ab", false), ("/w/a", false, "/w/b", false), ("/", true, "/w", true),
        ("/w", true, "/w/_h/c", false), ("/w/_h", true, "/w/_h/c", true), ("/w/_h/c", false, "/w/_h/c", true),
        ("/", true, "/_h", false), ("/w", true, "/w/a_b", true), ("/w/a", true, "/w/a/b/c", true),
    ])
    func whoIsWoken(_ path: String, _ recursive: Bool, _ key: String, _ isWoken: Bool) async throws {
        let door = try Door()
        _ = try await door.watch("/kept")
        let events = try await door.watch(path, "&recursive=\(recursive)")
        try await door.put(key, "value=1")
        #expect(door.handler.counters.watches == (isWoken ? 0 : 1))
        if isWoken { #expect(try Self.summary(await events.next()) == "set \(key)") }
        events.cancel()
        #expect(door.handler.counters.watches == 0)
        #expect(await (try door.watch("/x")).cancelled() == nil)
    }

    @Test func theEndOfADirectoryWakesWhoWaitsBelow() async throws {
        let door = try Door()
        try await door.put("/d/a/b", "value=1")
        try await door.put("/d/a-c", "value=1")
        try await door.put("/d/e", "dir=true")
        try put(door, "/d/other/door", "1")
        let woken = ["/d/a/b", "/d/a", "/d", "/d/e", "/d/a-c", "/d/other"]
        var waiting: [EtcdEvents] = []
        for path in woken { waiting.append(try await door.watch(path)) }
        let sleeping = [
            try await door.watch("/d/none"), try await door.watch("/dz"), try await door.watch("/d/a/none"),
        ]
        try await door.send("DELETE", "/v2/keys/d?recursive=true")
        for events in waiting { #expect(try Self.summary(await events.next()) == "delete /d") }
        #expect(door.handler.counters.watches == 3)
        // In retrospect the end of a directory is found for every path below.
        let line = try await door.send("GET", "/v2/keys/d/none?wait=true&waitIndex=2").body
        #expect(try Self.summary(line) == "delete /d")
        for events in sleeping { events.cancel() }
    }

    // MARK: History

    @Test func aWaitIndexFindsTheFirstEventFromThereOn() async throws {
        let door = try Door()
        for value in 1...3 { try await door.put("/a", "value=\(value)") }
        try await door.delete("/a")
        for (index, mark) in [(2, "\"value\":\"1\""), (3, "\"value\":\"2\""), (4, "\"value\":\"3\""), (5, "delete")] {
            let answer = try await door.send("GET", "/v2/keys/a?wait=true&waitIndex=\(index)")
            #expect(answer.text.prefix(60).contains(mark))
            #expect(answer.fields["x-etcd-index"] == "5")
        }
        let future = try await door.watch("/a", "&waitIndex=7")
        try await door.put("/a", "value=6")
        try await door.put("/a", "value=7")
        #expect(String(decoding: try required(await future.next()), as: UTF8.self).contains("\"value\":\"7\""))
    }

    @Test func aStreamFromThePastGoesOn() async throws {
        let door = try Door()
        for value in 1...150 { try await door.put("/a", "value=\(value)") }
        let events = try await door.watch("/", "&recursive=true&stream=true&waitIndex=2")
        for value in 151...250 { try await door.put("/a", "value=\(value)") }
        for value in 1...250 {
            let line = String(decoding: try required(await events.next()), as: UTF8.self)
            #expect(line.contains("\"value\":\"\(value)\""))
        }
    }

    /// Small numbers here: the store's revision 0 is index 1.
    @Test(arguments: [
        ("0", 200), ("1", 200), ("2", 200), ("3", 200), ("35184372088833", 400), ("18446744073709551615", 400),
    ])
    func indicesOfOtherNodesAreCleared(_ index: String, _ status: Int) async throws {
        let door = try Door()
        try await door.put("/a", "value=1")
        let reply = try await door.reply("GET", "/v2/keys/a?wait=true&waitIndex=\(index)")
        #expect(reply.head.status.code == status)
    }

    @Test func indicesOfAnEarlierProcessAreCleared() async throws {
        let door = try Door()
        let later = Keyspace(
            registry: door.registry, numbers: RevisionNumbers(startUnixMilliseconds: 1_700_000_000_000),
            clock: door.clock.registryClock)
        let old = UInt64(later.index - 1)
        #expect(throws: V2Error.self) { try later.watch([], recursive: true, stream: false, since: old) }
        #expect(throws: Never.self) { try later.watch([], recursive: true, stream: false, since: old + 1) }
    }

    @Test func onlyAThousandEventsAreKept() async throws {
        let door = try Door()
        try await door.put("/a", "value=1")
        for _ in 0..<1000 { try await door.put("/b", "value=x") }
        let gone = try await door.send("GET", "/v2/keys/a?wait=true&waitIndex=2")
        #expect(gone.status == 400)
        #expect(
            gone.text == "{\"errorCode\":401,\"message\":\"The event in requested index is outdated and cleared\","
                + "\"cause\":\"the requested history has been cleared [3/2]\",\"index\":1002}\n")
        #expect(gone.fields["x-etcd-index"] == "1002")
        #expect(try await door.send("GET", "/v2/keys/b?wait=true&waitIndex=3").status == 200)
    }

    @Test func bigEventsAreKeptInFewerBytes() async throws {
        let door = try Door()
        let value = String(repeating: "x", count: 1 << 20)
        for number in 0..<70 { try put(door, "/big/\(number)", value) }
        #expect(try await door.send("GET", "/v2/keys/big/0?wait=true&waitIndex=2").text.contains("\"errorCode\":401"))
        #expect(try await door.send("GET", "/v2/keys/big/69?wait=true&waitIndex=60").status == 200)
    }

    // MARK: Bounds

    @Test func watchesAreBoundedAndFreed() async throws {
        let door = try Door(watches: 3)
        var held: [EtcdEvents] = []
        for number in 0..<3 { held.append(try await door.watch("/\(number)")) }
        let refused = try await door.send("GET", "/v2/keys/x?wait=true")
        #expect(refused.status == 503)
        #expect(refused.fields["retry-after"] == "1")
        #expect(refused.text.contains("\"errorCode\":603"))
        #expect(refused.text.contains("\"cause\":\"watchers: at most 3\""))
        #expect(door.handler.counters.watchesRefused == 1)
        // Letting go of one frees its place.
        held.removeLast()
        #expect(door.handler.counters.watches == 2)
        held.append(try await door.watch("/x"))
        held = []
        #expect(door.handler.counters.watches == 0)
    }

    @Test func aCancelledTaskFreesItsWatch() async throws {
        let door = try Door()
        let task = Task { try await door.send("GET", "/v2/keys/x?wait=true") }
        while door.handler.counters.watches == 0 { await Task.yield() }
        task.cancel()
        #expect(try await task.value.body.isEmpty)
        #expect(door.handler.counters.watches == 0)
    }

    @Test func aStreamThatIsNotReadIsCut() async throws {
        let door = try Door()
        let events = try await door.watch("/", "&recursive=true&stream=true")
        for value in 1...101 { try await door.put("/a", "value=\(value)") }
        #expect(door.handler.counters.watches == 0)
        #expect(door.handler.counters.watchesCut == 1)
        for _ in 1...100 { #expect(try Self.summary(await events.next()) == "set /a") }
        #expect(await events.next() == nil)
    }

    @Test func manyWatchersGetEveryEvent() async throws {
        let door = try Door(watches: 1000)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<1000 {
                let events = try await door.watch("/s", "&recursive=true&stream=true")
                group.addTask {
                    var count = 0
                    while count < 50, await events.next() != nil { count += 1 }
                    return count
                }
            }
            for value in 1...50 { try await door.put("/s/x", "value=\(value)") }
            for try await count in group { #expect(count == 50) }
        }
        #expect(door.handler.counters.watches == 0)
    }
}

extension EtcdEvents {
    /// What comes after the watch was ended.
    fileprivate func cancelled() async -> [UInt8]? {
        cancel()
        return await next()
    }
}
