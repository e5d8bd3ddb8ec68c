import DNSWire
import EtcdMessages
import GRPC
import NIOCore
import NIOEmbedded
import RegdnsTestKit
import RegistryStore

@testable import EtcdAPI

/// The v3 services over a store of their own, without any listener. The store's revision 0 is etcd's 1, as in a new
/// etcd.
struct V3Door {
    let clock = VirtualClock()
    let registry: Registry
    let keyspace: Keyspace
    let v3: EtcdV3

    init(limits: RegistryLimits = .init(), configuration: EtcdV3Configuration = .init(), mark: UInt8 = 0) throws {
        let layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        registry = Registry(layout: layout, node: "test", origin: 7, limits: limits, clock: clock.registryClock)
        keyspace = Keyspace(
            registry: registry, numbers: RevisionNumbers(startUnixMilliseconds: 1).tagged(mark),
            clock: clock.registryClock)
        v3 = EtcdV3(
            keyspace: keyspace, configuration: configuration,
            etcdAddresses: { [EtcdAddress(host: "127.0.0.1", port: 2379), EtcdAddress(host: "::", port: 2379)] })
    }

    @discardableResult
    func put(
        _ key: String, _ value: String = "", lease: Int64 = 0, _ change: (inout EtcdPutRequest) -> Void = { _ in }
    ) throws(GRPCStatus) -> EtcdPutResponse {
        try v3.kv.put(.put(key, value, lease: lease, change))
    }

    @discardableResult
    func delete(_ key: String, _ end: String = "", prevKv: Bool = false) throws(GRPCStatus) -> EtcdDeleteRangeResponse {
        var request = EtcdDeleteRangeRequest.delete(key, end)
        request.prevKv = prevKv
        return try v3.kv.deleteRange(request)
    }

    func range(
        _ key: String, _ end: String = "", _ change: (inout EtcdRangeRequest) -> Void = { _ in }
    ) throws(GRPCStatus) -> EtcdRangeResponse {
        try v3.kv.range(.range(key, end, change))
    }

    func txn(
        if compare: [EtcdCompare] = [], then success: [EtcdRequestOp] = [], else failure: [EtcdRequestOp] = []
    ) throws(GRPCStatus) -> EtcdTxnResponse {
        try v3.kv.txn(.txn(if: compare, then: success, else: failure))
    }

    func grant(_ seconds: Int64, id: Int64 = 0) throws(GRPCStatus) -> Int64 {
        var request = EtcdLeaseGrantRequest()
        request.ttl = seconds
        request.id = id
        return try v3.lease.grant(request).id
    }

    func timeToLive(_ id: Int64) throws(GRPCStatus) -> EtcdLeaseTimeToLiveResponse {
        var request = EtcdLeaseTimeToLiveRequest()
        request.id = id
        request.keys = true
        return try v3.lease.timeToLive(request)
    }

    func compact(_ revision: Int64) throws(GRPCStatus) {
        var request = EtcdCompactionRequest()
        request.revision = revision
        _ = try v3.kv.compact(request)
    }

    /// Lets time pass and ends what is due.
    func wait(seconds: Int64) {
        clock.advance(milliseconds: seconds * 1000)
        _ = registry.expireDue()
    }
}

extension EtcdPutRequest {
    static func put(
        _ key: String, _ value: String = "", lease: Int64 = 0, _ change: (inout EtcdPutRequest) -> Void = { _ in }
    ) -> EtcdPutRequest {
        var request = EtcdPutRequest()
        request.key = key.data
        request.value = value.data
        request.lease = lease
        change(&request)
        return request
    }
}

extension EtcdRangeRequest {
    static func range(
        _ key: String, _ end: String = "", _ change: (inout EtcdRangeRequest) -> Void = { _ in }
    ) -> EtcdRangeRequest {
        var request = EtcdRangeRequest()
        request.key = key.data
        request.rangeEnd = end.data
        change(&request)
        return request
    }
}

extension EtcdDeleteRangeRequest {
    static func delete(_ key: String, _ end: String = "") -> EtcdDeleteRangeRequest {
        var request = EtcdDeleteRangeRequest()
        request.key = key.data
        request.rangeEnd = end.data
        return request
    }
}

extension EtcdTxnRequest {
    static func txn(
        if compare: [EtcdCompare] = [], then success: [EtcdRequestOp] = [], else failure: [EtcdRequestOp] = []
    ) -> EtcdTxnRequest {
        var request = EtcdTxnRequest()
        request.compare = compare
        request.success = success
        request.failure = failure
        return request
    }
}

extension EtcdRequestOp {
    static func make(_ set: (inout EtcdRequestOp) -> Void) -> EtcdRequestOp {
        var operation = EtcdRequestOp()
        set(&operation)
        return operation
    }

    static func put(_ key: String, _ value: String = "", lease: Int64 = 0) -> EtcdRequestOp {
        make { $0.requestPut = .put(key, value, lease: lease) }
    }
    static func range(_ key: String, _ end: String = "", revision: Int64 = 0) -> EtcdRequestOp {
        make { $0.requestRange = .range(key, end) { $0.revision = revision } }
    }
    static func delete(_ key: String, _ end: String = "") -> EtcdRequestOp {
        make { $0.requestDeleteRange = .delete(key, end) }
    }
    static func txn(
        if compare: [EtcdCompare] = [], then success: [EtcdRequestOp] = [], else failure: [EtcdRequestOp] = []
    ) -> EtcdRequestOp {
        make { $0.requestTxn = .txn(if: compare, then: success, else: failure) }
    }
}

extension EtcdCompare {
    static func compare(
        _ key: String, to end: String = "", _ target: EtcdCompare.CompareTarget, _ result: EtcdCompare.CompareResult,
        _ value: EtcdCompare.OneOf_TargetUnion? = nil
    ) -> EtcdCompare {
        var compare = EtcdCompare()
        compare.key = key.data
        compare.rangeEnd = end.data
        compare.target = target
        compare.result = result
        compare.targetUnion = value
        return compare
    }

    /// The key must be new.
    static func absent(_ key: String) -> EtcdCompare { compare(key, .create, .equal, .createRevision(0)) }
}

extension EtcdKeyValue {
    var text: String { "\(String(decoding: key, as: UTF8.self))=\(String(decoding: value, as: UTF8.self))" }
}

extension EtcdEvent {
    /// `+key=value@revision` or `-key@revision`.
    var text: String {
        type == .put ? "+\(kv.text)@\(kv.modRevision)" : "-\(String(decoding: kv.key, as: UTF8.self))@\(kv.modRevision)"
    }
}

/// A stream of a transport that takes what the test lets it take.
final class FakeStream: GRPCServerStream {
    let loop: EmbeddedEventLoop
    var eventLoop: any EventLoop { loop }
    var isWritable = true
    var status: GRPCStatus?
    /// Sends that the stream takes before it is full; nil for no end.
    var room: Int?
    private var sent: [ByteBuffer] = []
    private(set) var flushes = 0

    init(loop: EmbeddedEventLoop) { self.loop = loop }

    func send(_ message: ByteBuffer) {
        sent.append(message)
        if let left = room {
            room = left - 1
            if left <= 1 { isWritable = false }
        }
    }
    func flush() { flushes += 1 }
    func finish(_ status: GRPCStatus) { self.status = status }

    /// The bytes sent since the last call.
    func takeBytes() -> [ByteBuffer] {
        defer { sent = [] }
        return sent
    }
}

/// A client's end of `Watch/Watch`.
struct WatchClient {
    let stream: FakeStream
    let handler: WatchStream
    let loop: EmbeddedEventLoop

    init(_ v3: EtcdV3, on loop: EmbeddedEventLoop) {
        self.loop = loop
        stream = FakeStream(loop: loop)
        handler = WatchStream(stream: stream, hub: v3.watch.hub(on: loop), context: v3.context)
    }

    func send(_ request: EtcdWatchRequest) throws { handler.received(try Messages.write(request)) }

    func create(
        _ key: String, _ end: String = "", start: Int64 = 0, id: Int64 = 0,
        _ change: (inout EtcdWatchCreateRequest) -> Void = { _ in }
    ) throws {
        var create = EtcdWatchCreateRequest()
        create.key = key.data
        create.rangeEnd = end.data
        create.startRevision = start
        create.watchID = id
        change(&create)
        var request = EtcdWatchRequest()
        request.createRequest = create
        try send(request)
    }

    func cancel(_ id: Int64) throws {
        var cancel = EtcdWatchCancelRequest()
        cancel.watchID = id
        var request = EtcdWatchRequest()
        request.cancelRequest = cancel
        try send(request)
    }

    func askProgress() throws {
        var request = EtcdWatchRequest()
        request.progressRequest = EtcdWatchProgressRequest()
        try send(request)
    }

    /// The responses since the last call, once the loop has done what it has to.
    func responses() throws -> [EtcdWatchResponse] {
        loop.run()
        return try stream.takeBytes().map { try Messages.read($0) }
    }

    /// The events since the last call, as texts.
    func events() throws -> [String] { try responses().flatMap { $0.events.map(\.text) } }
}
