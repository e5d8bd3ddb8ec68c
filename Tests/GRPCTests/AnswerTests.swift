import NIOCore
import NIOEmbedded
import NIOHPACK
import NIOHTTP2
import Testing

@testable import GRPC

/// What is answered to whom, compared with etcd 3.4.23, whose answers are recorded here.
struct AnswerTests {
    private static let ok = Wire.message([10, 1, 97])
    private static let type = "content-type: application/grpc"

    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var path = "/test.Echo/Now"
        var changes: [(String, String?)] = []
        var body = AnswerTests.ok
        let status: Int
        let message: String
    }

    /// Answered with trailers only, under HTTP status 200.
    static let refusals: [Case] = [
        Case(
            testDescription: "method", path: "/test.Echo/Nope", status: 12,
            message: "unknown method Nope for service test.Echo"),
        Case(testDescription: "service", path: "/foo.Bar/Baz", status: 12, message: "unknown service foo.Bar"),
        Case(testDescription: "one part", path: "/foo", status: 8, message: "malformed method name: \"/foo\""),
        Case(testDescription: "slash", path: "/", status: 8, message: "malformed method name: \"/\""),
        Case(
            testDescription: "three parts", path: "/a/test.Echo/Now", status: 12, message: "unknown service a/test.Echo"
        ),
        Case(
            testDescription: "query", path: "/test.Echo/Now?x=1", status: 12,
            message: "unknown method Now?x=1 for service test.Echo"),
        Case(testDescription: "escapes", path: "/foo%20bar/Baz", status: 12, message: "unknown service foo%2520bar"),
        Case(
            testDescription: "compressed without a name", body: Wire.message([1], flag: 1), status: 13,
            message: "grpc: compressed flag set with identity or empty encoding"),
        Case(
            testDescription: "no flag", body: Wire.message([1], flag: 2), status: 13,
            message: "grpc: received unexpected payload format 2"),
        Case(
            testDescription: "too long", body: [0, 0x7f, 0xff, 0xff, 0xff], status: 8,
            message: "grpc: received message larger than max (2147483647 vs. 2097152)"),
        Case(
            testDescription: "one byte too long", body: [0, 0, 0x20, 0, 1], status: 8,
            message: "grpc: received message larger than max (2097153 vs. 2097152)"),
        Case(testDescription: "half a prefix", body: [0, 0, 0], status: 2, message: "unexpected EOF"),
        Case(testDescription: "half a message", body: [0, 0, 0, 0, 9, 1, 2], status: 2, message: "unexpected EOF"),
        Case(
            testDescription: "half a message of a stream", path: "/test.Echo/Stream", body: [0, 0, 0, 0, 9, 1],
            status: 13, message: "unexpected EOF"),
        Case(
            testDescription: "time over", changes: [("grpc-timeout", "-1S")], status: 4,
            message: "context deadline exceeded"),
        Case(
            testDescription: "no time", changes: [("grpc-timeout", "0n")], status: 4,
            message: "context deadline exceeded"),
        // Real etcd leaves this call without an answer.
        Case(testDescription: "no body", body: [], status: 2, message: "unexpected EOF"),
    ]

    @Test(arguments: refusals)
    func refusal(_ it: Case) throws {
        let wire = try Wire()
        let answer = try wire.call(Wire.fields(it.path, it.changes), it.body)
        #expect(answer.head == [":status: 200", Self.type, "grpc-status: \(it.status)", "grpc-message: \(it.message)"])
        #expect(answer.isEnded)
        #expect(answer.data.isEmpty)
        #expect(wire.counters.callsOpen == 0)
        #expect(wire.isOpen)
        #expect(try wire.call(Wire.fields(), Self.ok).data == Self.ok)
    }

    @Test(arguments: [0, 1] as [UInt8])
    func compressedMessagesAreNotUnderstood(flag: UInt8) throws {
        let wire = try Wire()
        let answer = try wire.call(
            Wire.fields(changes: [("grpc-encoding", "gzip")]), Wire.message([10, 1, 97], flag: flag))
        #expect(
            answer.head == [
                ":status: 200", Self.type, "grpc-status: 12",
                "grpc-message: grpc: Decompressor is not installed for grpc-encoding \"gzip\"",
                "grpc-accept-encoding: identity",
            ])
    }

    @Test(
        arguments: [
            ("content-type", "application/json", "415"), ("content-type", "application/grpcx", "415"),
            ("content-type", "application/grpc-web", "415"), ("content-type", nil, "415"), (":method", "GET", "405"),
        ] as [(String, String?, String)])
    func notGRPC(field: String, value: String?, status: String) throws {
        let wire = try Wire()
        let answer = try wire.call(Wire.fields(changes: [(field, value)]), Self.ok)
        #expect(answer.head.first == ":status: \(status)")
        #expect(answer.isEnded)
        #expect(wire.counters.notCalls == 1)
    }

    @Test(arguments: ["abc", "S", "1234567890S", "1x", ""])
    func badTimeoutsResetTheCall(_ timeout: String) throws {
        let wire = try Wire()
        #expect(try wire.call(Wire.fields(changes: [("grpc-timeout", timeout)]), Self.ok).reset == .protocolError)
        #expect(wire.isOpen)
        #expect(wire.counters.callsOpen == 0)
    }

    @Test(
        arguments: [
            [("te", nil)], [("content-type", "application/grpc+proto")], [("grpc-timeout", "99999999H")],
            [("grpc-encoding", "identity")], [(":path", "test.Echo/Now")], [("user-agent", "x")],
        ] as [[(String, String?)]])
    func served(_ changes: [(String, String?)]) throws {
        let wire = try Wire()
        let answer = try wire.call(Wire.fields(changes: changes), Self.ok)
        let type = changes.first { $0.0 == "content-type" }?.1 ?? "application/grpc"
        #expect(answer.head == [":status: 200", "content-type: \(type)"])
        #expect(answer.data == Self.ok)
        #expect(answer.trailers == ["grpc-status: 0", "grpc-message: "])
    }

    /// grpc-go takes the first message for the request, and does not wait for the end of the stream.
    @Test func furtherBytesOfARequestAreNotRead() throws {
        let wire = try Wire()
        #expect(try wire.call(Wire.fields(), Self.ok + Self.ok + [0, 0]).data == Self.ok)
        let id = try wire.open(Wire.fields())
        try wire.send(Self.ok, on: id)
        #expect(wire.log.streams[id]?.data == Self.ok)
        #expect(wire.log.streams[id]?.reset == .noError)
        #expect(wire.counters.callsOpen == 0)
    }

    @Test func bytesOneByOne() throws {
        let wire = try Wire()
        let id = try wire.open(Wire.fields("/test.Echo/Stream"))
        for byte in Self.ok + Self.ok + Wire.message([]) { try wire.send([byte], on: id) }
        try wire.send([], isEnd: true, on: id)
        #expect(wire.log.streams[id]?.data == Self.ok + Self.ok + Wire.message([]))
        #expect(wire.log.streams[id]?.trailers.first == "grpc-status: 0")
    }

    @Test func statusTextsAreEscaped() throws {
        let wire = try Wire()
        let answer = try wire.call(Wire.fields("/test.Echo/Fail"), Wire.message(Array("\u{7f}x".utf8)))
        #expect(answer.head.suffix(2) == ["grpc-status: 5", "grpc-message: 100 %25 n%C3%A9%0A%7Fx"])
    }

    @Test func metadataOfACall() throws {
        let wire = try Wire()
        let answer = try wire.call(
            Wire.fields("/test.Echo/Who", [("token", "a"), ("hasleader", "true"), ("grpc-timeout", "1S")]), Self.ok)
        #expect(String(decoding: answer.data.dropFirst(5), as: UTF8.self) == "/test.Echo/Who token=a,hasleader=true -")
    }

    @Test func eventsOfAStreamInOrder() throws {
        let handlers = HandlerList()
        let wire = try Wire(.forTests(handlers))
        let id = try wire.open(Wire.fields("/test.Echo/Stream"))
        try wire.send(Self.ok + Wire.message([]), on: id)
        try wire.send([], isEnd: true, on: id)
        let reset = try wire.open(Wire.fields("/test.Echo/Stream"))
        try wire.send(Self.ok, on: reset)
        wire.write(.rstStream(.cancel), on: reset)
        try wire.pump()
        _ = try wire.open(Wire.fields("/test.Echo/Stream"))
        try wire.server.close().wait()
        #expect(handlers.all == [["message 3", "message 0", "end", "closed"], ["message 3", "closed"], ["closed"]])
        #expect(wire.counters.calls == [.ok: 1, .cancelled: 2])
        #expect(wire.held.count == 0)
    }

    @Test func timeoutsEndStreams() throws {
        let handlers = HandlerList()
        let wire = try Wire(.forTests(handlers))
        let id = try wire.open(Wire.fields("/test.Echo/Stream", [("grpc-timeout", "2S")]))
        try wire.pass(1)
        #expect(wire.log.streams[id] == nil)
        try wire.pass(1)
        #expect(wire.log.streams[id]?.head.suffix(2) == ["grpc-status: 4", "grpc-message: context deadline exceeded"])
        #expect(handlers.all == [["closed"]])
    }

    /// Going down: no new call, those with an answer under way end well, streams are told, then the connection closes.
    @Test func drain() throws {
        let handlers = HandlerList()
        let wire = try Wire(.forTests(handlers))
        let stream = try wire.open(Wire.fields("/test.Echo/Stream"))
        let asking = try wire.open(Wire.fields())
        wire.server.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        try wire.pump()
        #expect(wire.log.goAway?.0 == .noError)
        #expect(
            wire.log.streams[stream]?.head.suffix(2) == ["grpc-status: 14", "grpc-message: etcdserver: server stopped"])
        #expect(handlers.all == [["closed"]])
        #expect(wire.isOpen)
        try wire.send(Self.ok, isEnd: true, on: asking)
        #expect(wire.log.streams[asking]?.trailers.first == "grpc-status: 0")
        #expect(!wire.isOpen)
        #expect(wire.counters.calls == [.ok: 1, .unavailable: 1])
    }

    @Test func drainOfAnIdleConnection() throws {
        let wire = try Wire()
        wire.server.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        try wire.pump()
        #expect(wire.log.goAway?.0 == .noError)
        #expect(!wire.isOpen)
    }
}

extension Wire {
    static func fields(changes: [(String, String?)]) -> HPACKHeaders { fields("/test.Echo/Now", changes) }
}
