import EtcdAPI
import EtcdMessages
import Foundation
import GRPC
import HTTPTypes
import RegistryStore
import Testing

@testable import EtcdStore

/// Directories of the v2 API with a real cluster as the store.
@Suite("Directories of v2 in a real cluster", .serialized, .timeLimit(.minutes(2)))
struct ProxiedDirectoryTests {
    /// Two nodes in front of one cluster.
    private func withNodes(_ body: (ProxyFixture, ProxyFixture, EtcdProbe) async throws -> Void) async throws {
        let cluster = try await EtcdCluster(1)
        let probe = EtcdProbe(cluster.members[0])
        let one = try await ProxyFixture([cluster.members[0].endpoint])
        let other = try await ProxyFixture([cluster.members[0].endpoint])
        for node in [one, other] { try await node.fixture.untilLive() }
        try await body(one, other, probe)
        for node in [one, other] {
            try await node.fixture.untilEqual(probe)
            await node.stop()
        }
    }

    private let directory = "/skydns/local/skydns/d"
    private func path(_ name: String = "") -> String { "/v2/keys\(directory)\(name)" }

    private func watch(_ node: ProxyFixture, _ path: String, _ query: String = "&recursive=true") async throws
        -> EtcdEvents
    {
        let reply = await node.begin(.get, "\(path)?wait=true\(query)")
        guard case .events(let events) = reply.body else {
            Issue.record("no events")
            throw CancellationError()
        }
        return events
    }

    private func line(_ events: EtcdEvents) async throws -> String {
        String(decoding: try #require(await events.next()), as: UTF8.self)
    }

    /// Waits until a node has come as far as another's answer.
    private func catchUp(_ node: ProxyFixture, with answer: ProxyFixture.Answer) async throws {
        let name = try #require(HTTPField.Name("X-Etcd-Index"))
        let index = try #require(answer.fields[name].flatMap { Int64($0) })
        try await node.fixture.until("the other node's write") { node.fixture.registry.revision >= index }
    }

    @Test("a directory that one node puts is the other's too, and a node's that starts later")
    func shared() async throws {
        let cluster = try await EtcdCluster(1)
        let probe = EtcdProbe(cluster.members[0])
        let one = try await ProxyFixture([cluster.members[0].endpoint])
        let other = try await ProxyFixture([cluster.members[0].endpoint])
        for node in [one, other] { try await node.fixture.untilLive() }
        let made = try await one.http(.put, path("/e"), "dir=true")
        #expect(made.status == 201 && made.value("node", "dir") == "1")
        let index = try #require(made.value("node", "createdIndex"))
        try await catchUp(other, with: made)
        let read = try await other.http(.get, path("/e"))
        #expect(read.value("node", "createdIndex") == index)
        #expect(try await other.http(.put, path("/e"), "dir=true").value("errorCode") == "102")
        #expect(try await other.http(.put, path("/e"), "value=1").value("errorCode") == "102")
        #expect(try await other.http(.put, path("/e"), "dir=true&prevExist=false").value("errorCode") == "105")

        // Other clients of the cluster see two keys, which are JSON; the doors of names see none.
        let kvs = try await probe.range("/skydns/_regdns/").kvs
        #expect(
            kvs.map { String(decoding: $0.key, as: UTF8.self) } == [
                "/skydns/_regdns/directories/local/skydns/d/e", "/skydns/_regdns/last",
            ])
        for kv in kvs {
            let value = try JSONSerialization.jsonObject(with: kv.value)
            #expect(value is [String: Any])
        }
        #expect(try await probe.range("/skydns/local/").kvs.isEmpty)
        #expect(one.fixture.registry.range(namespace: .default, lower: [], upper: nil).entries.isEmpty)
        #expect(one.fixture.registry.skippedValues().isEmpty)
        let root = try await other.http(.get, "/v2/keys/skydns")
        #expect(!root.text.contains("_regdns"))
        #expect(try await other.http(.get, "/v2/keys/skydns/_regdns").status == 404)

        let later = try await ProxyFixture([cluster.members[0].endpoint])
        try await later.fixture.untilLive()
        #expect(try await later.http(.get, path("/e")).value("node", "createdIndex") == index)
        let deleted = try await later.http(.delete, path("/e?dir=true"))
        #expect(deleted.status == 200)
        try await catchUp(one, with: deleted)
        #expect(try await one.http(.get, path("/e")).status == 404)
        for node in [one, other, later] {
            try await node.fixture.untilEqual(probe)
            await node.stop()
        }
    }

    @Test("keys that regdns needs for itself are refused, in either copy")
    func reserved() async throws {
        try await withNodes { one, _, _ in
            for (path, form) in [
                ("/v2/keys/skydns/_regdns/last", "value=1"), ("/v2/keys/skydns/_regdns/directories/x", "value=1"),
                ("/v2/keys/_regdns/last", "value=1"), ("/v2/keys/_regdns/directories/x", "value=1"),
            ] {
                let refused = try await one.http(.put, path, form)
                #expect(refused.status == 400 && refused.value("errorCode") == "210", "\(path): \(refused.text)")
            }
        }
    }

    @Test("a directory's time takes all below it, in one transaction, whoever put it")
    func expiry() async throws {
        try await withNodes { one, other, probe in
            let events = try await watch(other, path())
            let made = try await one.http(.put, path("/t"), "dir=true&ttl=2")
            #expect(made.value("node", "ttl") == "2")
            #expect(try await line(events).hasPrefix(#"{"action":"set","node":{"key":"\#(directory)/t","dir":true"#))
            try await catchUp(other, with: made)
            _ = try await other.http(.put, path("/t/a"), "value=1")
            _ = try await other.http(.put, path("/t/b/c"), "value=1&ttl=100")
            let deep = try await one.http(.put, path("/t/deep"), "dir=true&ttl=60")
            try await catchUp(other, with: deep)
            let below = try await watch(other, path("/t/deep"))
            let ended = try await line(below)
            #expect(ended.hasPrefix(#"{"action":"expire","node":{"key":"\#(directory)/t","dir":true"#), "\(ended)")
            #expect(ended.contains(#""prevNode":{"key":"\#(directory)/t","dir":true,"expiration":""#))
            #expect(try await probe.range(directory).kvs.isEmpty)
            #expect(try await probe.range("/skydns/_regdns/directories/").kvs.isEmpty)
            for name in ["/t", "/t/a", "/t/deep"] {
                #expect(try await other.http(.get, path(name)).status == 404)
            }
        }
    }

    @Test("a directory whose time ended while no node was there ends when one comes")
    func expiryWhileAway() async throws {
        let cluster = try await EtcdCluster(1)
        let probe = EtcdProbe(cluster.members[0])
        let one = try await ProxyFixture([cluster.members[0].endpoint])
        try await one.fixture.untilLive()
        _ = try await one.http(.put, path("/t"), "dir=true&ttl=1")
        _ = try await one.http(.put, path("/t/a"), "value=1")
        await one.stop()
        try await Task.sleep(for: .milliseconds(1200))
        #expect(try await probe.range(directory).kvs.count == 1)
        let later = try await ProxyFixture([cluster.members[0].endpoint])
        try await later.fixture.until("the end") { try await probe.range(directory).kvs.isEmpty }
        try await later.fixture.untilEqual(probe)
        await later.stop()
    }

    @Test("a ttl is set anew and taken away by another node")
    func update() async throws {
        try await withNodes { one, other, _ in
            let made = try await one.http(.put, path("/t"), "dir=true&ttl=1")
            try await catchUp(other, with: made)
            let longer = try await other.http(.put, path("/t"), "dir=true&prevExist=true&ttl=50")
            #expect(longer.value("action") == "update" && longer.value("node", "ttl") == "50")
            #expect(longer.value("node", "createdIndex") == made.value("node", "createdIndex"))
            #expect(longer.value("prevNode", "ttl") == "1")
            try await Task.sleep(for: .milliseconds(1300))
            #expect(try await one.http(.get, path("/t")).value("node", "ttl") == "49")
            let events = try await watch(one, path("/t"), "")
            let refreshed = try await other.http(.put, path("/t"), "dir=true&prevExist=true&ttl=70&refresh=true")
            try await catchUp(one, with: refreshed)
            #expect(try await one.http(.get, path("/t")).value("node", "ttl") == "70")
            let stays = try await other.http(.put, path("/t"), "prevExist=true")
            // A refresh wakes nobody.
            let line = try await line(events)
            let index = try #require(stays.value("node", "modifiedIndex"))
            #expect(line.contains(#""modifiedIndex":\#(index),"#), "\(line)")
            #expect(try await one.http(.get, path("/t")).value("node", "ttl") == nil)
        }
    }

    @Test("watches at another node hear of directories what the writer's hear")
    func told() async throws {
        try await withNodes { one, other, _ in
            try await catchUp(other, with: try await one.http(.put, path("/f"), "value=x"))
            let heard = try await watch(one, path(), "&recursive=true&stream=true")
            let elsewhere = try await watch(other, path(), "&recursive=true&stream=true")
            var last = try await one.http(.put, path("/f"), "dir=true")
            #expect(last.status == 200 && last.value("prevNode", "value") == "x")
            _ = try await one.http(.put, path("/f"), "dir=true&prevExist=true&ttl=90")
            _ = try await one.http(.put, path("/g"), "dir=true&prevExist=false")
            _ = try await one.http(.post, path("/q"), "dir=true")
            _ = try await one.http(.put, path("/f/a/b"), "value=1")
            _ = try await one.http(.delete, path("/f/a/b"))
            // A directory without keys and without a marker.
            _ = try await one.http(.delete, path("/f/a?dir=true"))
            _ = try await one.http(.put, path("/f/a/b"), "value=2")
            _ = try await one.http(.delete, path("/f?recursive=true"))
            last = try await one.http(.delete, path("/g?dir=true"))
            #expect(last.value("action") == "delete")
            var names: [String] = []
            while names.count < 10 {
                let (line, same) = (try await line(heard), try await line(elsewhere))
                // The index of creation of what other nodes update is not known everywhere.
                #expect(line == same)
                let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
                let event = try #require(value as? [String: Any])
                let node = try #require(event["node"] as? [String: Any])
                let key = (node["key"] as? String ?? "").dropFirst(directory.count)
                let name = key.hasPrefix("/q") ? "/q" : String(key)
                names.append("\(event["action"] ?? "") \(name)\(node["dir"] == nil ? "" : "/")")
            }
            #expect(
                names == [
                    "set /f/", "update /f/", "create /g/", "create /q/", "set /f/a/b", "delete /f/a/b", "delete /f/a/",
                    "set /f/a/b", "delete /f/", "delete /g/",
                ])
        }
    }

    @Test("deleting everything below the prefix leaves nothing, and the copy goes on")
    func deleteAll() async throws {
        try await withNodes { one, other, probe in
            _ = try await one.http(.put, path("/e"), "dir=true")
            _ = try await one.http(.put, path("/k"), "value=1")
            let deleted = try await one.http(.delete, "/v2/keys/skydns?recursive=true")
            #expect(deleted.status == 200)
            #expect(
                try await probe.range("/skydns/").kvs.map { String(decoding: $0.key, as: UTF8.self) } == [
                    "/skydns/_regdns/last"
                ])
            try await catchUp(other, with: deleted)
            #expect(try await other.http(.get, path("/e")).status == 404)
            // As another client of the cluster does it.
            let again = try await one.http(.put, path("/e"), "dir=true")
            try await catchUp(other, with: again)
            let client = try await one.client()
            var delete = EtcdDeleteRangeRequest()
            delete.key = Data("/skydns/".utf8)
            delete.rangeEnd = Data("/skydns0".utf8)
            let answer: EtcdDeleteRangeResponse = try await client.call("KV/DeleteRange", delete)
            #expect(answer.deleted == 2)
            await client.close()
            #expect(try await one.http(.get, path("/e")).status == 404)
            #expect(try await one.http(.put, path("/k/b"), "value=1").status == 201)
        }
    }

    @Test("one of many nodes' writers who create a directory wins")
    func race() async throws {
        try await withNodes { one, other, probe in
            let created = await withTaskGroup(of: Int.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        let node = number % 2 == 0 ? one : other
                        let answer = try? await node.http(.put, path("/one"), "dir=true&prevExist=false")
                        return answer?.status ?? 0
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(created.sorted() == [201] + Array(repeating: 412, count: 11))
            let markers = try await probe.range("/skydns/_regdns/directories/").kvs
            #expect(markers.count == 1)
        }
    }

    @Test("a key whose lease ran out ends with an expiry, one that was deleted with a deletion")
    func keyExpiry() async throws {
        try await withNodes { one, other, probe in
            let events = try await watch(one, path(), "&recursive=true&stream=true")
            let elsewhere = try await watch(other, path(), "&recursive=true&stream=true")
            _ = try await one.http(.put, path("/short"), "value=1&ttl=2")
            _ = try await one.http(.put, path("/long"), "value=1&ttl=60")
            _ = try await probe.delete("\(directory)/long")
            for stream in [events, elsewhere] {
                var lines: [String] = []
                for _ in 0..<4 { lines.append(try await line(stream)) }
                #expect(lines[2].hasPrefix(#"{"action":"delete","node":{"key":"\#(directory)/long""#), "\(lines[2])")
                #expect(lines[3].hasPrefix(#"{"action":"expire","node":{"key":"\#(directory)/short""#), "\(lines[3])")
            }
        }
    }
}
