import EtcdMessages
import GRPC
import NIOCore
import RegistryStore
import SwiftProtobuf
import Testing

@testable import EtcdAPI

@Suite("v3: routes and messages")
struct V3RoutesTests {
    private let door: V3Door

    init() throws { door = try V3Door() }

    private func call(_ path: String, _ request: ByteBuffer = ByteBuffer()) throws -> ByteBuffer {
        let method = try #require(door.v3.routes.methods[path])
        guard case .immediate(let body) = method else { throw Missing() }
        return try body(request, GRPCCall(path: path))
    }

    private func call<Request: Message, Response: Message>(_ path: String, _ request: Request) throws -> Response {
        try Messages.read(try call(path, try Messages.write(request)))
    }

    @Test("Answers written by hand are those of the message objects")
    func handWritten() throws {
        let put = EtcdPutRequest.put("k", "value") { $0.prevKv = true }
        let first: EtcdPutResponse = try call("/etcdserverpb.KV/Put", put)
        #expect(!first.hasPrevKv && first.header.revision == 2)
        let second: EtcdPutResponse = try call("/etcdserverpb.KV/Put", put)
        #expect(second.header == door.v3.context.header() && second.prevKv.text == "k=value")
        try door.put("k2", "", lease: try door.grant(60, id: -1))
        for change in [{ _ in }, { $0.keysOnly = true }, { $0.limit = 1 }, { $0.countOnly = true }]
            as [(inout EtcdRangeRequest) -> Void]
        {
            let request = EtcdRangeRequest.range("k", "l", change)
            let answer: EtcdRangeResponse = try call("/etcdserverpb.KV/Range", request)
            #expect(answer == (try door.v3.kv.range(request)))
        }
    }

    @Test(
        "Numbers as varints",
        arguments: [0, 1, 127, 128, 16_383, 16_384, 1 << 32, .max, -1, .min] as [Int64])
    func varints(number: Int64) throws {
        var message = EtcdKeyValue()
        message.version = number
        var buffer = ByteBuffer()
        buffer.writeField(4, number)
        #expect(buffer == (try Messages.write(message)))
        #expect(WireSize.field(4, number) == buffer.readableBytes)
    }

    @Test("A node is a cluster of its own")
    func node() throws {
        let members: EtcdMemberListResponse = try call("/etcdserverpb.Cluster/MemberList", EtcdMemberListRequest())
        #expect(members.members.map(\.name) == ["test"] && members.header.revision == 0)
        // An address that stands for all of them leads nowhere.
        #expect(members.members[0].clientUrls == ["http://127.0.0.1:2379"])
        let status: EtcdStatusResponse = try call("/etcdserverpb.Maintenance/Status", EtcdStatusRequest())
        #expect(status.leader == members.members[0].id && status.version == "3.4.23")
        #expect(Int64(status.raftIndex) == status.header.revision)
        let alarms: EtcdAlarmResponse = try call("/etcdserverpb.Maintenance/Alarm", EtcdAlarmRequest())
        #expect(alarms.alarms.isEmpty)
        let auth: EtcdAuthStatusResponse = try call("/etcdserverpb.Auth/AuthStatus", EtcdAuthStatusRequest())
        #expect(!auth.enabled)
        let health: EtcdHealthCheckResponse = try call("/grpc.health.v1.Health/Check", EtcdHealthCheckRequest())
        #expect(health.status == .serving)
    }

    @Test("Refusals name the way out, and are never `unavailable`, which clients try again for ever")
    func refusals() throws {
        var alarm = EtcdAlarmRequest()
        alarm.action = .activate
        let requests = [
            ("/etcdserverpb.Maintenance/Alarm", try Messages.write(alarm)),
            ("/etcdserverpb.Auth/Authenticate", ByteBuffer()),
        ]
        let refused = NodeServices.refused.flatMap { service, methods, _ in
            methods.map { ("/\(service)/\($0)", ByteBuffer()) }
        }
        for (path, request) in requests + refused {
            let error = #expect(throws: GRPCStatus.self, "\(path)") { try call(path, request) }
            #expect(error?.code == .failedPrecondition || error?.code == .unimplemented, "\(path)")
            #expect(path.hasSuffix("Authenticate") || error?.message.hasPrefix("regdns: ") == true, "\(path)")
        }
    }

    @Test("Bytes that are no message", arguments: ["KV/Put", "KV/Range", "KV/Txn", "Lease/LeaseGrant"])
    func malformed(method: String) throws {
        let error = #expect(throws: GRPCStatus.self) {
            try call("/etcdserverpb.\(method)", ByteBuffer(bytes: [0x0a, 0x7f, 1]))
        }
        #expect(error?.code == .internalError)
    }
}
