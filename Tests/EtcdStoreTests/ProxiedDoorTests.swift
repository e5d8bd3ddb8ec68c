import EtcdAPI
import EtcdMessages
import Foundation
import GRPC
import HTTPTypes
import NIOCore
import NIOPosix
import RegistryStore
import Testing

@testable import EtcdStore

/// The JSON gateway and the v2 API in front of a real cluster.
@Suite("The etcd port's HTTP in front of a real cluster", .serialized, .timeLimit(.minutes(2)))
struct ProxiedDoorTests {
    private func withProxy(_ body: (ProxyFixture, EtcdProbe) async throws -> Void) async throws {
        let cluster = try await EtcdCluster(1)
        let probe = EtcdProbe(cluster.members[0])
        let proxy = try await ProxyFixture([cluster.members[0].endpoint])
        try await proxy.fixture.untilLive()
        try await body(proxy, probe)
        try await proxy.fixture.untilEqual(probe)
        await proxy.stop()
    }

    private func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

    private let directory = "/skydns/local/skydns/d"
    private func path(_ name: String) -> String { "/v2/keys\(directory)/\(name)" }

    @Test("the gateway's answers are the cluster's")
    func gateway() async throws {
        try await withProxy { proxy, probe in
            let put = try await proxy.http(
                .post, "/v3/kv/put", #"{"key":"\#(base64("\(directory)/a"))","value":"\#(base64("1"))"}"#)
            #expect(put.status == 200)
            let kv = try #require(try await probe.range("\(directory)/a").kvs.first)
            #expect(put.value("header", "revision") == "\(kv.modRevision)")
            #expect(proxy.fixture.value("d/a") == "1")
            let range = try await proxy.http(.post, "/v3/kv/range", #"{"key":"\#(base64("\(directory)/a"))"}"#)
            #expect(range.value("count") == "1")
            let refused = try await proxy.http(.post, "/v3/kv/range", "{}")
            #expect(refused.status == 400 && refused.value("message") == "etcdserver: key is not provided")
            #expect(try await proxy.http(.post, "/v3/kv/nothing", "{}").status == 404)
            let grant = try await proxy.http(.post, "/v3/lease/grant", #"{"TTL":"60","ID":"77"}"#)
            #expect(grant.value("ID") == "77")
            let alive = try await proxy.http(.post, "/v3/lease/keepalive", #"{"ID":"77"}"#)
            #expect(alive.value("result", "TTL") == "60")
        }
    }

    @Test("a lock has one holder over the gateway too, and who goes away waits no more")
    func gatewayLock() async throws {
        try await withProxy { proxy, probe in
            let name = base64("lock")
            func lock(_ lease: Int) async throws -> ProxyFixture.Answer {
                try await proxy.http(.post, "/v3/lock/lock", #"{"name":"\#(name)","lease":"\#(lease)"}"#)
            }
            for lease in [71, 72] {
                _ = try await proxy.http(.post, "/v3/lease/grant", #"{"TTL":"60","ID":"\#(lease)"}"#)
            }
            let held = try await lock(71)
            #expect(held.value("key") == base64("lock/47"))

            // Over a connection, which its client then closes.
            let client = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: "127.0.0.1", port: proxy.server.addresses[0].port).get()
            let body = #"{"name":"\#(name)","lease":"72"}"#
            let request = "POST /v3/lock/lock HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            try await client.writeAndFlush(ByteBuffer(string: request)).get()
            try await proxy.fixture.until("the second in the queue") {
                try await probe.range("lock/").kvs.count == 2
            }
            try await client.close().get()
            try await proxy.fixture.until("the end of the wait") { try await probe.range("lock/").kvs.count == 1 }

            let unlocked = try await proxy.http(.post, "/v3/lock/unlock", #"{"key":"\#(base64("lock/47"))"}"#)
            #expect(unlocked.status == 200)
            let next = try await lock(72)
            #expect(next.value("key") == base64("lock/48"))
            let gone = try await lock(73)
            #expect(gone.status == 500 && gone.text.contains("requested lease not found"), "\(gone.text)")
            for lease in [71, 72] { try await probe.revoke(Int64(lease)) }
        }
    }

    @Test("users and members over the gateway are the cluster's")
    func gatewayUsers() async throws {
        try await withProxy { proxy, _ in
            #expect(try await proxy.http(.post, "/v3/auth/user/add", #"{"name":"u","password":"p"}"#).status == 200)
            #expect(try await proxy.http(.post, "/v3/auth/role/add", #"{"name":"r"}"#).status == 200)
            #expect(try await proxy.http(.post, "/v3/auth/user/grant", #"{"user":"u","role":"r"}"#).status == 200)
            let user = try await proxy.http(.post, "/v3/auth/user/get", #"{"name":"u"}"#)
            #expect(user.text.contains(#""roles":["r"]"#))
            let members = try await proxy.http(.post, "/v3/cluster/member/remove", #"{"ID":"77"}"#)
            #expect(members.status == 404 && members.value("message") == "etcdserver: member not found")
            let snapshot = try await proxy.http(.post, "/v3/maintenance/snapshot", "{}")
            #expect(snapshot.status == 200 && snapshot.text.hasPrefix(#"{"result":{"#))
            let sizes = snapshot.text.split(separator: "\n").compactMap { line -> Int? in
                let value = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: [String: Any]]
                return (value?["result"]?["blob"] as? String).flatMap { Data(base64Encoded: $0)?.count }
            }
            #expect(sizes.reduce(0, +) > 4096)
        }
    }

    @Test("a watch over the gateway")
    func gatewayWatch() async throws {
        try await withProxy { proxy, probe in
            let body = #"{"create_request":{"key":"\#(base64(directory))","range_end":"\#(base64(directory + "0"))"}}"#
            let reply = await proxy.begin(.post, "/v3/watch", body)
            guard case .events(let events) = reply.body else {
                Issue.record("no events")
                return
            }
            func line() async throws -> String { String(decoding: try #require(await events.next()), as: UTF8.self) }
            #expect(try await line().contains(#""created":true"#))
            for number in 0..<100 { try await probe.put("\(directory)/\(number)", "") }
            var seen = ""
            while !seen.contains(base64("\(directory)/99")) { seen += try await line() }
            for number in 0..<100 { #expect(seen.contains(base64("\(directory)/\(number)"))) }
            events.cancel()
            #expect(await events.next() == nil)
        }
    }

    @Test("v2 writes are the cluster's: indices, comparisons, leases")
    func v2Writes() async throws {
        try await withProxy { proxy, probe in
            let set = try await proxy.http(.put, path("a"), "value=1&ttl=60")
            let kv = try #require(try await probe.range("\(directory)/a").kvs.first)
            #expect(set.status == 201 && set.value("action") == "set" && set.value("node", "ttl") == "60")
            #expect(set.value("node", "modifiedIndex") == "\(kv.modRevision)")
            #expect(String(decoding: kv.value, as: UTF8.self) == "1")
            #expect(try await probe.timeToLive(kv.lease).granted == 60)
            let get = try await proxy.http(.get, path("a"))
            #expect(get.value("node", "modifiedIndex") == "\(kv.modRevision)" && get.value("node", "ttl") == "60")

            #expect(try await proxy.http(.put, path("a"), "value=2&prevExist=false").value("errorCode") == "105")
            let wrong = try await proxy.http(.put, path("a"), "value=2&prevIndex=\(kv.modRevision - 1)")
            #expect(wrong.value("cause") == "[\(kv.modRevision - 1) != \(kv.modRevision)]")
            let swapped = try await proxy.http(.put, path("a"), "value=2&prevValue=1")
            #expect(swapped.status == 200 && swapped.value("action") == "compareAndSwap")
            #expect(swapped.value("node", "createdIndex") == "\(kv.modRevision)")
            #expect(swapped.value("prevNode", "value") == "1")
            // Without a ttl the old lease is gone.
            #expect(try await probe.range("\(directory)/a").kvs.first?.lease == 0)

            let posted = try await proxy.http(.post, path("queue"), "value=x")
            let name = try #require(posted.value("node", "key"))
            #expect(name.hasPrefix("\(directory)/queue/") && name.count == directory.count + 27)
            #expect(Int64(name.suffix(20)) == posted.value("node", "createdIndex").flatMap { Int64($0) })

            #expect(try await proxy.http(.delete, path("a")).value("action") == "delete")
            #expect(try await probe.range("\(directory)/a").kvs.isEmpty)
            let made = try await proxy.http(.put, path("dir"), "dir=true")
            #expect(made.status == 201 && made.value("node", "dir") == "1")
            let removed = try await proxy.http(.delete, "/v2/keys\(directory)?recursive=true")
            #expect(removed.status == 200 && removed.value("node", "dir") == "1")
            #expect(try await probe.range(directory).kvs.isEmpty)
        }
    }

    @Test("one of many who create or swap at once wins, past this node's copy")
    func v2Races() async throws {
        try await withProxy { proxy, probe in
            let created = await withTaskGroup(of: Int.self) { group in
                for number in 0..<16 {
                    group.addTask {
                        let answer = try? await proxy.http(.put, path("one"), "value=\(number)&prevExist=false")
                        return answer?.status ?? 0
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(created.sorted() == [201] + Array(repeating: 412, count: 15))

            // Each adds one, as long as it takes.
            _ = try await proxy.http(.put, path("count"), "value=0")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        var added = 0
                        while added < 10 {
                            let now = try await proxy.http(.get, path("count"))
                            let value = Int(now.value("node", "value") ?? "") ?? -1
                            let index = now.value("node", "modifiedIndex") ?? ""
                            let swap = try await proxy.http(
                                .put, path("count"), "value=\(value + 1)&prevIndex=\(index)")
                            if swap.status == 200 { added += 1 } else { #expect(swap.status == 412) }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await proxy.http(.get, path("count")).value("node", "value") == "40")
            let names = await withTaskGroup(of: String?.self) { group in
                for number in 0..<16 {
                    group.addTask {
                        try? await proxy.http(.post, path("queue"), "value=\(number)").value("node", "key")
                    }
                }
                return await group.reduce(into: Set<String>()) { names, name in name.map { _ = names.insert($0) } }
            }
            #expect(names.count == 16)
            #expect(try await probe.range("\(directory)/queue/").kvs.count == 16)
        }
    }

    @Test("v2 waits hear what v2 writers did by its name, and others' puts as set")
    func v2Waits() async throws {
        try await withProxy { proxy, probe in
            func next(_ query: String = "") async throws -> EtcdEvents {
                let reply = await proxy.begin(.get, "/v2/keys\(directory)?wait=true&recursive=true\(query)")
                guard case .events(let events) = reply.body else { throw CancellationError() }
                return events
            }
            var waiting = try await next()
            func heard() async throws -> String { String(decoding: try #require(await waiting.next()), as: UTF8.self) }
            let created = try await proxy.http(.put, path("a"), "value=1&prevExist=false&ttl=50")
            var event = try await heard()
            #expect(event.hasPrefix(#"{"action":"create""#) && event.contains(#""ttl":50"#))
            let index = Int64(created.value("node", "createdIndex") ?? "") ?? 0
            waiting = try await next()
            try await probe.put("\(directory)/a", "2")
            event = try await heard()
            #expect(event.hasPrefix(#"{"action":"set""#) && event.contains(#""value":"2""#))
            // In retrospect, from the cluster's revisions.
            waiting = try await next("&waitIndex=\(index + 1)")
            #expect(try await heard() == event)
            // What was before this node listed is not known.
            let cleared = try await proxy.http(.get, "/v2/keys\(directory)?wait=true&waitIndex=1")
            #expect(cleared.status == 400 && cleared.value("errorCode") == "401")
            waiting = try await next()
            _ = try await proxy.http(.delete, "/v2/keys\(directory)?recursive=true")
            event = try await heard()
            #expect(event.hasPrefix(#"{"action":"delete","node":{"key":"\#(directory)","dir":true"#))
        }
    }
}
