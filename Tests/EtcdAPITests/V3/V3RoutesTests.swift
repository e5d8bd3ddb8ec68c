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
        guard case .now(let answer) = try begin(path, request) else { throw Missing() }
        return answer
    }

    private func begin(_ path: String, _ request: ByteBuffer) throws -> GRPCAnswer {
        switch try #require(door.v3.routes.methods[path]) {
        case .immediate(let body): return .now(try body(request, GRPCCall(path: path)))
        case .immediateOrLater(let body): return try body(request, GRPCCall(path: path))
        case .unary, .streaming: throw Missing()
        }
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

    @Test("What many keys take part in is answered away from the event loop, and alike", arguments: [1000, 1001])
    func longAnswers(count: Int) async throws {
        for number in 0..<count { try door.put("k\(number)", "value") }
        let range = EtcdRangeRequest.range("k", "l")
        var removal = EtcdDeleteRangeRequest.delete("k", "l")
        removal.prevKv = true
        let whole = try door.v3.kv.range(range)
        let requests = [
            ("Range", try Messages.write(range)),
            ("Txn", try Messages.write(EtcdTxnRequest.txn(then: [.range("k", "l")]))),
            ("DeleteRange", try Messages.write(removal)),
        ]
        for (method, request) in requests {
            let bytes: ByteBuffer
            switch try begin("/etcdserverpb.KV/\(method)", request) {
            case .now(let answer):
                #expect(count == 1000, "\(method)")
                bytes = answer
            case .later(let answer):
                #expect(count == 1001, "\(method)")
                bytes = try await answer()
            }
            switch method {
            case "Range": #expect(try Messages.read(bytes) == whole)
            case "Txn":
                let answer: EtcdTxnResponse = try Messages.read(bytes)
                #expect(answer.responses.first?.responseRange.kvs == whole.kvs)
            default:
                let answer: EtcdDeleteRangeResponse = try Messages.read(bytes)
                #expect(answer.deleted == Int64(count) && answer.prevKvs == whole.kvs)
            }
        }
    }

    @Test("One key, a count and a page are short, however many keys there are")
    func shortAnswers() throws {
        for number in 0..<1200 { try door.put("k\(number)") }
        let requests: [EtcdRangeRequest] = [
            .range("k7"), .range("k", "l") { $0.countOnly = true }, .range("k", "l") { $0.limit = 900 },
        ]
        for request in requests {
            let answer: EtcdRangeResponse = try call("/etcdserverpb.KV/Range", request)
            #expect(answer == (try door.v3.kv.range(request)))
        }
    }

    @Test("An answer is not made longer than a connection may hold", arguments: [false, true])
    func hugeAnswers(inTransaction: Bool) async throws {
        for number in 0..<10 { try door.put("k\(number)", String(repeating: "x", count: 1 << 20)) }
        // Seven times ten MiB.
        let reads = Array(repeating: EtcdRequestOp.range("k", "l"), count: 7)
        let error = #expect(throws: GRPCStatus.self) {
            if inTransaction {
                _ = try door.txn(then: reads)
            } else {
                var room = AnswerRoom()
                for _ in 0..<7 { try room.take(10 << 20) }
            }
        }
        #expect(error?.code == .resourceExhausted)
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
