import DNSWire
import EtcdMessages
import GRPC
import HTTPTypes
import NIOCore
import RegdnsTestKit
import RegistryStore
import SwiftProtobuf
import Synchronization
import Testing

@testable import EtcdAPI

/// A disk that takes what it is given when the test says so.
private final class Disk: RegistryDurability {
    private struct State {
        var isOpen = false
        var error: RegistryError?
        var waiting: [CheckedContinuation<RegistryError?, Never>] = []
    }

    private let registry: Registry
    private let state = Mutex(State())
    private let room = Atomic(true)
    let settles = Atomic(0)

    init(_ registry: Registry) { self.registry = registry }

    var position: Int { registry.journalPosition }
    var isSettled: Bool { state.withLock { $0.isOpen && $0.error == nil } || position == 0 }
    var hasRoom: Bool {
        get { room.load(ordering: .relaxed) }
        set { room.store(newValue, ordering: .relaxed) }
    }

    func waitForRoom() async throws(RegistryError) {
        try await settle()
        hasRoom = true
    }

    func settle() async throws(RegistryError) {
        settles.add(1, ordering: .relaxed)
        let error = await withCheckedContinuation { (continuation: CheckedContinuation<RegistryError?, Never>) in
            let answer = state.withLock { state -> RegistryError?? in
                if state.isOpen { return .some(state.error) }
                state.waiting.append(continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
        if let error { throw error }
    }

    func open(_ error: RegistryError? = nil) {
        let waiting = state.withLock { state in
            (state.isOpen, state.error) = (true, error)
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume(returning: error) }
    }
}

@Suite("With a disk behind them, the etcd doors answer writes when they are kept", .timeLimit(.minutes(1)))
struct DurabilityTests {
    private let registry: Registry
    private let disk: Disk
    private let handler: EtcdHTTPHandler

    init() throws {
        let layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        registry = Registry(layout: layout, node: "test", origin: 7)
        registry.startJournal(countMax: 100, isWhole: false)
        disk = Disk(registry)
        handler = EtcdHTTPHandler(keyspace: Keyspace(registry: registry, durability: disk))
    }

    private func begin(_ method: HTTPRequest.Method, _ path: String) -> EtcdReplying {
        handler.begin(
            HTTPRequest(method: method, scheme: "http", authority: "x", path: path), body: [], arrival: nil)
    }

    /// The status when it is there at once, else nil and how to wait for it.
    private func status(_ replying: EtcdReplying) -> (now: Int?, later: (@Sendable () async -> EtcdReply)?) {
        switch replying {
        case .now(let reply): (reply.head.status.code, nil)
        case .later(let wait), .whileThere(let wait): (nil, wait)
        }
    }

    @Test("v2: writes wait, equal ones for those before them; reads and refusals do not")
    func v2() async throws {
        let put = status(begin(.put, "/v2/keys/a?value=1"))
        let wait = try #require(put.later)
        #expect(registry.entry(namespace: .default, key: Array("/a".utf8)) != nil)
        #expect(status(begin(.get, "/v2/keys/a")).now == 200)
        #expect(status(begin(.put, "/v2/keys/a?prevExist=false&value=2")).now == 412)
        let equal = try #require(status(begin(.put, "/v2/keys/a?value=1")).later)
        disk.open()
        #expect(await wait().head.status.code == 201)
        #expect(await equal().head.status.code == 200)
        #expect(status(begin(.put, "/v2/keys/a?value=1")).now == 200)
        #expect(status(begin(.delete, "/v2/keys/a")).now == 200, "kept by now")
    }

    @Test("v2: what is not kept is 503, and says when to come again")
    func v2Failure() async throws {
        let wait = try #require(status(begin(.put, "/v2/keys/a?value=1")).later)
        disk.open(.unavailable(reason: "full", retryAfterSeconds: 1))
        let reply = await wait()
        #expect(reply.head.status.code == 503 && reply.head.headerFields[.retryAfter] == "1")
        registry.refuseKeeping(.unavailable(reason: "full", retryAfterSeconds: 1))
        #expect(status(begin(.put, "/v2/keys/b?value=1")).now == 503)
        #expect(registry.entry(namespace: .default, key: Array("/b".utf8)) == nil)
        // Said again: it is in effect, and as little kept as before.
        let again = try #require(status(begin(.put, "/v2/keys/a?value=1")).later)
        #expect(await again().head.status.code == 503)
    }

    @Test("Without room nothing is written before there is")
    func room() async throws {
        disk.hasRoom = false
        let wait = try #require(status(begin(.put, "/v2/keys/a?value=1")).later)
        #expect(registry.revision == 0)
        disk.open()
        #expect(await wait().head.status.code == 201)
        #expect(registry.revision == 1)
    }

    private func call(_ method: String, _ request: [UInt8]) throws -> GRPCAnswer {
        let path = "/etcdserverpb.\(method)"
        let call = GRPCCall(path: path)
        switch try #require(handler.routes.methods[path]) {
        case .immediateOrLater(let body): return try body(ByteBuffer(bytes: request), call)
        case .immediate(let body): return .now(try body(ByteBuffer(bytes: request), call))
        case .unary, .streaming: throw GRPCStatus(.internalError, "another kind of method")
        }
    }

    private func isNow(_ answer: GRPCAnswer) -> Bool {
        if case .now = answer { return true }
        return false
    }

    @Test("v3: puts, deletes, transactions and leases wait; reads and compactions do not")
    func v3() async throws {
        var put = EtcdPutRequest()
        put.key = .init("a".utf8)
        var grant = EtcdLeaseGrantRequest()
        (grant.id, grant.ttl) = (7, 60)
        var revoke = EtcdLeaseRevokeRequest()
        revoke.id = 7
        var delete = EtcdDeleteRangeRequest()
        delete.key = .init("a".utf8)
        var operation = EtcdRequestOp()
        operation.requestPut = put
        var txn = EtcdTxnRequest()
        txn.success = [operation]
        var range = EtcdRangeRequest()
        range.key = .init("a".utf8)
        let writes: [(String, [UInt8])] = [
            ("KV/Put", try put.serializedBytes()), ("Lease/LeaseGrant", try grant.serializedBytes()),
            ("KV/DeleteRange", try delete.serializedBytes()), ("KV/Txn", try txn.serializedBytes()),
            ("Lease/LeaseRevoke", try revoke.serializedBytes()),
        ]
        var waits: [@Sendable () async throws(GRPCStatus) -> ByteBuffer] = []
        for (method, request) in writes {
            guard case .later(let wait) = try call(method, request) else {
                Issue.record("\(method) was answered before it was kept")
                continue
            }
            waits.append(wait)
        }
        #expect(isNow(try call("KV/Range", try range.serializedBytes())))
        #expect(isNow(try call("KV/Txn", try EtcdTxnRequest().serializedBytes())))
        #expect(throws: GRPCStatus.self) { try call("Lease/LeaseRevoke", try revoke.serializedBytes()) }
        disk.open()
        for wait in waits { _ = try await wait() }
        #expect(disk.settles.load(ordering: .relaxed) == waits.count && waits.count == writes.count)
    }

    @Test("v3: what is not kept is Unavailable")
    func v3Failure() async throws {
        var put = EtcdPutRequest()
        put.key = .init("a".utf8)
        disk.open(.unavailable(reason: "full", retryAfterSeconds: 1))
        // The second one finds the first in effect.
        for _ in 0..<2 {
            guard case .later(let wait) = try call("KV/Put", try put.serializedBytes()) else {
                Issue.record("answered before it was kept")
                return
            }
            await #expect(throws: GRPCStatus(.unavailable, "regdns: full")) { try await wait() }
        }
    }
}
