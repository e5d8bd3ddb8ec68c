import EtcdAPI
import EtcdMessages
import Foundation
import HTTPTypes
import RegistryStore
import Testing

@testable import EtcdStore

/// v2 keys beside those that are followed for names.
@Suite("v2 keys beside the prefix, in a real cluster", .serialized, .timeLimit(.minutes(2)))
struct WideKeyspaceTests {
    private func withProxy(
        keysMax: Int = 10_000, idleMilliseconds: Int64 = 600_000,
        _ body: (ProxyFixture, EtcdProbe) async throws -> Void
    ) async throws {
        let cluster = try await EtcdCluster(1)
        let probe = EtcdProbe(cluster.members[0])
        let proxy = try await ProxyFixture(
            [cluster.members[0].endpoint], wideKeysMax: keysMax, wideIdleMilliseconds: idleMilliseconds)
        try await proxy.fixture.untilLive()
        try await body(proxy, probe)
        await proxy.stop()
    }

    private func keys(_ answer: ProxyFixture.Answer) throws -> [String] {
        let value = try JSONSerialization.jsonObject(with: Data(answer.text.utf8)) as? [String: Any]
        let node = try #require(value?["node"] as? [String: Any])
        return (node["nodes"] as? [[String: Any]] ?? []).compactMap { $0["key"] as? String }
    }

    @Test("they are the cluster's, written, read, listed, watched and deleted as others are")
    func keysAndDirectories() async throws {
        try await withProxy { proxy, probe in
            try await probe.put("/services/web/a", "10.0.0.1:80")
            #expect(proxy.handler.counters.wide == WideKeyspace.Counts())
            let read = try await proxy.http(.get, "/v2/keys/services/web/a")
            #expect(read.value("node", "value") == "10.0.0.1:80")
            let set = try await proxy.http(.put, "/v2/keys/services/web/b", "value=2&ttl=60")
            let kv = try #require(try await probe.range("/services/web/b").kvs.first)
            #expect(set.status == 201 && set.value("node", "modifiedIndex") == "\(kv.modRevision)")
            #expect(try await probe.timeToLive(kv.lease).granted == 60)
            #expect(try await proxy.http(.put, "/v2/keys/message", "value=hello").status == 201)
            #expect(try await proxy.http(.put, "/v2/keys/made", "dir=true&ttl=50").status == 201)
            #expect(try await proxy.http(.put, "/v2/keys/message/x", "value=1").value("errorCode") == "104")
            _ = try await proxy.http(.put, "/v2/keys/skydns/local/skydns/x", "value=1")
            _ = try await proxy.http(.put, "/v2/keys/skydns/local/skydns/d", "dir=true")

            // The root has all, the directories of names too, as soon as their writer was answered.
            let root = try await proxy.http(.get, "/v2/keys/")
            #expect(try keys(root) == ["/made", "/message", "/services", "/skydns"])
            let all = try await proxy.http(.get, "/v2/keys/?recursive=true")
            #expect(all.text.contains(#""key":"/skydns/local/skydns/d","dir":true"#) && !all.text.contains("_regdns"))

            let waiting = await proxy.begin(.get, "/v2/keys/services?wait=true&recursive=true")
            guard case .events(let events) = waiting.body else {
                Issue.record("no events")
                return
            }
            try await probe.put("/services/web/c", "3")
            let line = String(decoding: try #require(await events.next()), as: UTF8.self)
            #expect(line.hasPrefix(#"{"action":"set","node":{"key":"/services/web/c","value":"3""#), "\(line)")
            #expect(try await proxy.http(.delete, "/v2/keys/services?recursive=true").status == 200)
            #expect(try await probe.range("/services").kvs.isEmpty)
            let counts = try #require(proxy.handler.counters.wide)
            #expect(counts.starts == 1 && counts.isFollowed && counts.refused == 0)
            // Nothing of it is a name.
            #expect(proxy.fixture.content.allSatisfy { $0.key.starts(with: StoreFixture.prefix.utf8) })
        }
    }

    @Test("a directory of names ends once, and is told of as such in both copies", .timeLimit(.minutes(1)))
    func endsOfNames() async throws {
        try await withProxy { proxy, _ in
            for _ in 0..<3 {
                _ = try await proxy.http(.put, "/v2/keys/skydns/local/skydns/d", "dir=true&ttl=1")
                _ = try await proxy.http(.put, "/v2/keys/skydns/local/skydns/d/a", "value=1")
                for path in ["", "/skydns"] {
                    #expect(try await proxy.http(.get, "/v2/keys\(path)").status == 200)
                }
                var lines: [String] = []
                let replies = [
                    await proxy.begin(.get, "/v2/keys/?wait=true&recursive=true"),
                    await proxy.begin(.get, "/v2/keys/skydns/local?wait=true&recursive=true"),
                ]
                for reply in replies {
                    guard case .events(let events) = reply.body else { continue }
                    lines.append(String(decoding: try #require(await events.next()), as: UTF8.self))
                }
                #expect(lines.count == 2 && lines[0] == lines[1])
                #expect(lines[0].hasPrefix(#"{"action":"expire","node":{"key":"/skydns/local/skydns/d","dir":true"#))
            }
        }
    }

    @Test("a directory of names goes with its operation at the root as well")
    func operationsOfNames() async throws {
        try await withProxy { proxy, _ in
            _ = try await proxy.http(.put, "/v2/keys/skydns/local/skydns/d/a", "value=1")
            let waiting = await proxy.begin(.get, "/v2/keys/?wait=true&recursive=true")
            guard case .events(let events) = waiting.body else {
                Issue.record("no events")
                return
            }
            _ = try await proxy.http(.delete, "/v2/keys/skydns/local/skydns/d?recursive=true")
            let line = String(decoding: try #require(await events.next()), as: UTF8.self)
            #expect(line.hasPrefix(#"{"action":"delete","node":{"key":"/skydns/local/skydns/d","dir":true"#), "\(line)")
        }
    }

    @Test("more than may be followed is refused, and names are served on")
    func tooMuch() async throws {
        try await withProxy(keysMax: 20) { proxy, probe in
            for number in 0..<30 { try await probe.put("/registry/\(number)", "x") }
            for _ in 0..<2 {
                let refused = try await proxy.http(.get, "/v2/keys/services")
                #expect(refused.status >= 500, "\(refused.text)")
            }
            let refused = try await proxy.http(.put, "/v2/keys/services/a", "value=1")
            #expect(refused.status == 507 && refused.text.contains("keys beside /skydns/: too many"))
            #expect(try await probe.range("/services").kvs.isEmpty)
            #expect(try await proxy.http(.put, "/v2/keys/skydns/local/skydns/x", "value=1").status == 201)
            let counts = try #require(proxy.handler.counters.wide)
            #expect(counts.overLimit == 1 && counts.refused == 3 && !counts.isFollowed)
        }
    }

    @Test("a copy that grows beyond its bound is given up, and those who wait are told")
    func growth() async throws {
        try await withProxy(keysMax: 20) { proxy, probe in
            let waiting = await proxy.begin(.get, "/v2/keys/services?wait=true&recursive=true")
            guard case .events(let events) = waiting.body else {
                Issue.record("no events")
                return
            }
            for number in 0..<30 { try await probe.put("/registry/\(number)", "x") }
            try await proxy.fixture.until("a refusal") {
                try await proxy.http(.get, "/v2/keys/registry/1").status == 507
            }
            #expect(await events.next() == nil)
        }
    }

    @Test("what nobody asks for is let go, and followed again when somebody does")
    func idle() async throws {
        try await withProxy(idleMilliseconds: 500) { proxy, _ in
            _ = try await proxy.http(.put, "/v2/keys/a", "value=1")
            try await proxy.fixture.until("an idle copy's end") { proxy.handler.counters.wide?.isFollowed == false }
            #expect(try await proxy.http(.get, "/v2/keys/a").value("node", "value") == "1")
            let waiting = await proxy.begin(.get, "/v2/keys/a?wait=true")
            guard case .events(let events) = waiting.body else {
                Issue.record("no events")
                return
            }
            try await Task.sleep(for: .milliseconds(2500))
            #expect(proxy.handler.counters.wide?.isFollowed == true, "somebody waits")
            events.cancel()
            try await proxy.fixture.until("an idle copy's end") { proxy.handler.counters.wide?.isFollowed == false }
            #expect(proxy.handler.counters.wide?.starts == 2)
        }
    }
}
