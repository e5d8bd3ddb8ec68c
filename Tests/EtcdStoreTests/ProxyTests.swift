import EtcdAPI
import EtcdMessages
import Foundation
import GRPC
import HTTPTypes
import NIOCore
import RegdnsTestKit
import RegistryStore
import SwiftProtobuf
import Testing

@testable import EtcdStore

/// The etcd port in front of a real cluster, over gRPC.
@Suite("Passing v3 calls on to a real cluster", .serialized, .timeLimit(.minutes(2)))
struct ProxyTests {
    private func withProxy(_ body: (ProxyFixture, EtcdCluster, GRPCClient) async throws -> Void) async throws {
        let cluster = try await EtcdCluster(1)
        let proxy = try await ProxyFixture([cluster.members[0].endpoint])
        try await proxy.fixture.untilLive()
        let client = try await proxy.client()
        try await body(proxy, cluster, client)
        await client.close()
        await proxy.stop()
    }

    private func put(_ key: String, _ value: String, lease: Int64 = 0) -> EtcdPutRequest {
        var request = EtcdPutRequest()
        request.key = Data(key.utf8)
        request.value = Data(value.utf8)
        request.lease = lease
        return request
    }

    private func key(_ path: String) -> String { "\(StoreFixture.prefix)local/skydns/\(path)" }

    /// Reads and refusals: what they are made of does not change the cluster.
    private var questions: [(path: String, request: any Message)] {
        var all = EtcdRangeRequest()
        all.key = Data([0])
        all.rangeEnd = Data([0])
        var future = all
        future.revision = 1 << 40
        var serializable = all
        serializable.serializable = true
        var unknown = EtcdLeaseTimeToLiveRequest()
        unknown.id = 77
        var revoke = EtcdLeaseRevokeRequest()
        revoke.id = 77
        var compaction = EtcdCompactionRequest()
        compaction.revision = 1 << 40
        var txn = EtcdTxnRequest()
        txn.success = [.with { $0.requestRange = all }]
        return [
            ("KV/Range", all), ("KV/Range", future), ("KV/Range", serializable), ("KV/Range", EtcdRangeRequest()),
            ("KV/Put", put(key("x"), "1", lease: 77)), ("KV/Put", EtcdPutRequest()), ("KV/Txn", txn),
            ("KV/Compact", compaction), ("Lease/LeaseTimeToLive", unknown), ("Lease/LeaseRevoke", revoke),
            ("Lease/LeaseLeases", EtcdLeaseLeasesRequest()), ("Cluster/MemberList", EtcdMemberListRequest()),
            ("Maintenance/Alarm", EtcdAlarmRequest()), ("Auth/Authenticate", EtcdAuthenticateRequest()),
            ("Auth/AuthStatus", EtcdAuthStatusRequest()), ("KV/Nothing", EtcdRangeRequest()),
            ("Nothing/Range", EtcdRangeRequest()),
        ]
    }

    @Test("answers and refusals are the cluster's, byte for byte")
    func sameAnswers() async throws {
        try await withProxy { proxy, cluster, client in
            let member = cluster.members[0]
            try await EtcdProbe(member).put((0..<50).map { (key("k\($0)"), "value \($0)") } + [("/else", "1")])
            let direct = try await GRPCClient.connect(host: "127.0.0.1", port: member.clientPort)
            for (path, request) in questions {
                let bytes = try ClusterConnection.bytes(of: request)
                let answers = await [direct, client].asyncMap { client in
                    await outcome(client, "/etcdserverpb.\(path)", bytes)
                }
                #expect(answers[0] == answers[1], "\(path) \(request)")
            }
            await direct.close()
        }
    }

    private func outcome(_ client: GRPCClient, _ path: String, _ bytes: ByteBuffer) async -> Result<
        ByteBuffer, GRPCStatus
    > {
        do throws(GRPCStatus) {
            return .success(try await client.unary(path, bytes, timeout: .seconds(10)))
        } catch {
            return .failure(error)
        }
    }

    @Test("what was acknowledged is in the copy, and keys beside it need no waiting")
    func writesShow() async throws {
        try await withProxy { proxy, _, client in
            let fixture = proxy.fixture
            for number in 0..<50 {
                let _: EtcdPutResponse = try await client.call("KV/Put", put(key("a"), "\(number)"))
                #expect(fixture.value("a") == "\(number)")
            }
            var txn = EtcdTxnRequest()
            txn.success = [.with { $0.requestPut = put(key("b"), "1") }]
            let _: EtcdTxnResponse = try await client.call("KV/Txn", txn)
            #expect(fixture.value("b") == "1")
            var delete = EtcdDeleteRangeRequest()
            delete.key = Data(key("a").utf8)
            let gone: EtcdDeleteRangeResponse = try await client.call("KV/DeleteRange", delete)
            #expect(gone.deleted == 1 && fixture.entry("a") == nil)
            var grant = EtcdLeaseGrantRequest()
            grant.ttl = 60
            let lease: EtcdLeaseGrantResponse = try await client.call("Lease/LeaseGrant", grant)
            let _: EtcdPutResponse = try await client.call("KV/Put", put(key("c"), "1", lease: lease.id))
            #expect(fixture.entry("c")?.lease == LeaseID(lease.id))
            var revoke = EtcdLeaseRevokeRequest()
            revoke.id = lease.id
            let _: EtcdLeaseRevokeResponse = try await client.call("Lease/LeaseRevoke", revoke)
            #expect(fixture.entry("c") == nil)

            let before = ContinuousClock.now
            for number in 0..<20 {
                let _: EtcdPutResponse = try await client.call("KV/Put", put("/else/\(number)", ""))
                let _: EtcdDeleteRangeResponse = try await client.call("KV/DeleteRange", delete)
            }
            // Waiting for what never comes would take 1 s each.
            #expect(ContinuousClock.now - before < .seconds(10))
            #expect(fixture.count("late_writes") == 0)
        }
    }

    private func watch(_ client: GRPCClient, from revision: Int64 = 0) async throws -> GRPCClientStream {
        let stream = client.stream("/etcdserverpb.Watch/Watch", metadata: [("hasleader", "true")])
        var request = EtcdWatchRequest()
        request.createRequest.key = Data(StoreFixture.prefix.utf8)
        request.createRequest.rangeEnd = Data(KeyRange(prefix: Array(StoreFixture.prefix.utf8)).requestEnd)
        request.createRequest.startRevision = revision
        try await stream.send(request)
        let created = try ClusterConnection.message(
            in: try #require(try await stream.next()), as: EtcdWatchResponse.self)
        #expect(created.created)
        return stream
    }

    @Test("a watch whose client reads nothing until 10,000 events are there")
    func slowWatch() async throws {
        try await withProxy { proxy, cluster, client in
            // Small, so that the events have to wait in the cluster.
            let slow = try await proxy.client { $0.streamWindow = 65_536 }
            let stream = try await watch(slow)
            let filler = String(repeating: "x", count: 1_000)
            try await EtcdProbe(cluster.members[0]).put((0..<10_000).map { (key("w\($0)"), "\($0) \(filler)") })
            // Others are not held up.
            let _: EtcdRangeResponse = try await client.call("KV/Range", rangeOfOne, timeout: .seconds(5))
            try await proxy.fixture.until("the last event in the copy") { proxy.fixture.entry("w9999") != nil }
            // Each transaction's events are a message of 100 kB; all but a few of the 100 wait in the cluster.
            #expect(proxy.server.counters.grpc.messagesSent < 20)
            var seen: [String] = []
            while seen.count < 10_000, let message = try await stream.next() {
                let answer = try ClusterConnection.message(in: message, as: EtcdWatchResponse.self)
                #expect(!answer.canceled)
                seen += answer.events.map { String(decoding: $0.kv.key, as: UTF8.self) }
            }
            #expect(seen == (0..<10_000).map { key("w\($0)") })
            stream.cancel()
            await slow.close()
        }
    }

    private var rangeOfOne: EtcdRangeRequest {
        var request = EtcdRangeRequest()
        request.key = Data("/skydns/x".utf8)
        return request
    }

    @Test("a cluster that is killed ends streams and calls with Unavailable, and is found again")
    func killed() async throws {
        try await withProxy { proxy, cluster, client in
            let member = cluster.members[0]
            let watch = try await watch(client)
            let renewals = client.stream("/etcdserverpb.Lease/LeaseKeepAlive")
            try await renewals.send(EtcdLeaseKeepAliveRequest.with { $0.id = 1 })
            #expect(try await renewals.next() != nil)
            try await member.kill()
            for stream in [watch, renewals] {
                let status = await #expect(throws: GRPCStatus.self) { while try await stream.next() != nil {} }
                #expect(status?.code == .unavailable)
            }
            for _ in 0..<5 {
                let before = ContinuousClock.now
                #expect(try await client.failure("KV/Range", rangeOfOne).code == .unavailable)
                #expect(ContinuousClock.now - before < .seconds(3))
            }
            #expect(try await proxy.http(.get, "/health").status == 200)
            let write = try await proxy.http(.put, "/v2/keys\(key("v2"))", "value=1")
            #expect(write.status == 500 && write.value("errorCode") == "300")
            let gateway = try await proxy.http(.post, "/v3/kv/range", #"{"key":"YQ=="}"#)
            #expect(gateway.status == 503 && gateway.value("code") == "14")

            try await cluster.start(member)
            try await proxy.fixture.until("a call that is answered") {
                (try? await client.call("KV/Put", put(key("a"), "1"), as: EtcdPutResponse.self)) != nil
            }
            try await proxy.fixture.untilEqual(EtcdProbe(member))
        }
    }

    @Test("where nobody listens calls end at once")
    func nobody() async throws {
        let port = try await FreePorts.take(1)[0]
        let proxy = try await ProxyFixture([.init(host: "127.0.0.1", port: port)])
        let client = try await proxy.client()
        let before = ContinuousClock.now
        #expect(try await client.failure("KV/Range", rangeOfOne).code == .unavailable)
        let watch = client.stream("/etcdserverpb.Watch/Watch")
        let status = await #expect(throws: GRPCStatus.self) { _ = try await watch.next() }
        #expect(status?.code == .unavailable)
        #expect(ContinuousClock.now - before < .seconds(3))
        await client.close()
        await proxy.stop()
    }

    @Test("a member without a quorum is left for one that has it")
    func quorumElsewhere() async throws {
        let cluster = try await EtcdCluster(3)
        let proxy = try await ProxyFixture(cluster.members.map(\.endpoint))
        try await proxy.fixture.untilLive()
        let client = try await proxy.client()
        let _: EtcdPutResponse = try await client.call("KV/Put", put(key("a"), "1"))
        let followed = proxy.fixture.store.status.endpoint
        let member = try #require(cluster.members.first { $0.endpoint.description == followed })
        try await member.kill()
        try await proxy.fixture.until("a write by way of another member") {
            (try? await client.call(
                "KV/Put", put(key("a"), "2"), as: EtcdPutResponse.self, timeout: .seconds(3))) != nil
        }
        try await proxy.fixture.until("the write in the copy") { proxy.fixture.value("a") == "2" }
        await client.close()
        await proxy.stop()
    }

    @Test("the store's credentials are its own; a client's token goes with its calls")
    func credentials() async throws {
        let cluster = try await EtcdCluster(1)
        try await cluster.control(["user", "add", "root:secret"])
        try await cluster.control(["user", "grant-role", "root", "root"])
        try await cluster.control(["auth", "enable"])
        let proxy = try await ProxyFixture(
            [cluster.members[0].endpoint], credentials: .init(user: "root", password: "secret"))
        try await proxy.fixture.untilLive()
        let client = try await proxy.client()
        let refused = try await client.failure("KV/Range", rangeOfOne)
        #expect(refused == GRPCStatus(.invalidArgument, "etcdserver: user name is empty"))
        var request = EtcdAuthenticateRequest()
        request.name = "root"
        request.password = "secret"
        let answer: EtcdAuthenticateResponse = try await client.call("Auth/Authenticate", request)
        for field in ["token", "authorization"] {
            let range: EtcdRangeResponse = try await client.call(
                "KV/Range", rangeOfOne, metadata: [(field, answer.token)])
            #expect(range.header.revision > 0)
        }
        await client.close()
        await proxy.stop()
    }
}

extension Array where Element: Sendable {
    fileprivate func asyncMap<Result>(_ body: (Element) async throws -> Result) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await body(element)) }
        return results
    }
}
