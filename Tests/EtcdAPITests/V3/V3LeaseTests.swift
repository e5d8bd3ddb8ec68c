import EtcdMessages
import FoundationEssentials
import GRPC
import NIOCore
import NIOEmbedded
import RegdnsTestKit
import RegistryStore
import Testing

@testable import EtcdAPI

@Suite("v3: leases")
struct V3LeaseTests {
    private let door: V3Door

    init() throws { door = try V3Door() }

    private func granted(_ seconds: Int64, id: Int64 = 0) throws(GRPCStatus) -> EtcdLeaseGrantResponse {
        var request = EtcdLeaseGrantRequest()
        request.ttl = seconds
        request.id = id
        return try door.v3.lease.grant(request)
    }

    private func revoke(_ id: Int64) throws(GRPCStatus) -> EtcdLeaseRevokeResponse {
        var request = EtcdLeaseRevokeRequest()
        request.id = id
        return try door.v3.lease.revoke(request)
    }

    private func keepAlive(_ id: Int64) throws(GRPCStatus) -> EtcdLeaseKeepAliveResponse {
        var request = EtcdLeaseKeepAliveRequest()
        request.id = id
        return try door.v3.lease.keepAlive(request)
    }

    @Test(
        "What is asked for and what is granted",
        arguments: [(-9, 2), (0, 2), (1, 2), (2, 2), (60, 60), (9_000_000_000, 9_000_000_000)] as [(Int64, Int64)])
    func grant(asked: Int64, granted: Int64) throws {
        let lease = try self.granted(asked)
        #expect(lease.ttl == granted && lease.id > 0)
        #expect(try door.timeToLive(lease.id).grantedTtl == granted)
    }

    @Test("Leases that are too long, or have a taken id")
    func refusals() throws {
        #expect(throws: GRPCStatus.leaseTooLong) { try granted(9_000_000_001) }
        #expect(throws: GRPCStatus.leaseTooLong) { try granted(.max) }
        #expect(try granted(60, id: -5).id == -5)
        #expect(throws: GRPCStatus.leaseExists) { try granted(60, id: -5) }
        #expect(throws: GRPCStatus.leaseNotFound) { try revoke(7) }
        #expect(throws: GRPCStatus.leaseNotFound) { try revoke(0) }
        #expect(throws: GRPCStatus.leaseNotFound) { try door.put("k", "v", lease: 7) }
        let unknown = try door.timeToLive(7)
        #expect(unknown.ttl == -1 && unknown.grantedTtl == 0 && unknown.id == 7)
        #expect(try keepAlive(7).ttl == 0)
    }

    @Test("In a cluster only leases of this node are said to be over", arguments: [UInt8(1), 77, 255])
    func elsewhere(mark: UInt8) throws {
        var configuration = EtcdV3Configuration()
        configuration.hasSeveralMembers = true
        let door = try V3Door(configuration: configuration, mark: mark)
        func keepAlive(_ id: Int64) throws(GRPCStatus) -> Int64 {
            var request = EtcdLeaseKeepAliveRequest()
            request.id = id
            return try door.v3.lease.keepAlive(request).ttl
        }
        let own = try door.grant(60)
        #expect(own > 0 && own >> 55 == Int64(mark))
        #expect(try keepAlive(own) == 60)
        door.clock.advance(milliseconds: 61_000)
        door.registry.expireDue()
        #expect(try keepAlive(own) == 0)
        for foreign in [0, 7, -5, own ^ 1 << 55] {
            #expect(throws: GRPCStatus.leaseElsewhere) { try keepAlive(foreign) }
        }
        // A client's own choice, whatever its marks are.
        _ = try door.grant(60, id: 7)
        #expect(try keepAlive(7) == 60)
        #expect(try door.put("k", "v").header.revision >> 45 == Int64(mark))
    }

    @Test("Revoking deletes the keys in order under one revision; without keys it spends none")
    func revoking() throws {
        let lease = try granted(60).id
        for key in ["b", "a"] { try door.put(key, "v", lease: lease) }
        try door.put("c", "v", lease: lease)
        try door.put("c", "v")
        #expect(try door.timeToLive(lease).keys == ["a".data, "b".data])
        #expect(try revoke(lease).header.revision == 6)
        #expect(try door.range("a", "z").kvs.map(\.text) == ["c=v"])
        #expect(try revoke(try granted(60).id).header.revision == 6)
    }

    @Test("Kept alive it stays, else it ends with its keys")
    func life() throws {
        let lease = try granted(10).id
        try door.put("k", "v", lease: lease)
        door.wait(seconds: 8)
        #expect(try door.timeToLive(lease).ttl == 2)
        #expect(try keepAlive(lease).ttl == 10)
        door.wait(seconds: 8)
        #expect(try door.range("k").count == 1)
        door.wait(seconds: 3)
        #expect(try door.range("k").count == 0)
        #expect(try door.timeToLive(lease).ttl == -1)
    }

    @Test("A v2 ttl is a lease: shown, kept alive and revoked, but not listed")
    func ownLease() throws {
        try door.registry.apply([
            .put(namespace: .default, key: [107], value: .bytes([118]), lease: .own(milliseconds: 10_000))
        ])
        let lease = try #require(try door.range("k").kvs.first).lease
        let shared = try granted(60).id
        let listed = try door.v3.lease.leases(EtcdLeaseLeasesRequest()).leases.map(\.id)
        #expect(listed == [shared])
        door.wait(seconds: 8)
        #expect(try keepAlive(lease).ttl == 10)
        door.wait(seconds: 8)
        #expect(try door.timeToLive(lease).ttl == 2)
        #expect(try revoke(lease).header.revision == 3)
        #expect(try door.range("k").kvs.isEmpty)
    }

    @Test("Leases are listed with the next to end first")
    func list() throws {
        let long = try granted(100).id
        let short = try granted(5).id
        #expect(try door.v3.lease.leases(EtcdLeaseLeasesRequest()).leases.map(\.id) == [short, long])
    }

    @Test("A stream answers each request at once, and is cut when nobody reads")
    func stream() throws {
        var configuration = EtcdV3Configuration()
        configuration.unreadAnswersMax = 3
        let door = try V3Door(configuration: configuration)
        let lease = try door.grant(60)
        let stream = FakeStream(loop: EmbeddedEventLoop())
        let handler = KeepAliveStream(stream: stream, service: door.v3.lease)
        func ask(_ id: Int64) throws {
            var request = EtcdLeaseKeepAliveRequest()
            request.id = id
            handler.received(try Messages.write(request))
        }
        for id in [lease, 9] { try ask(id) }
        let answers: [EtcdLeaseKeepAliveResponse] = try stream.takeBytes().map { try Messages.read($0) }
        #expect(answers.map(\.ttl) == [60, 0] && answers.map(\.id) == [lease, 9])
        stream.isWritable = false
        for _ in 0..<5 { try ask(lease) }
        #expect(stream.takeBytes().count == 3)
        #expect(stream.status?.code == .resourceExhausted)
        #expect(door.v3.counters.streamsUnread == 1)
        handler.received(ByteBuffer(bytes: [0xff, 0xff]))
        #expect(stream.status?.code == .internalError)
        handler.endOfRequests()
        #expect(stream.status == .ok)
    }
}
