import NIOCore
import NIOEmbedded
import NIOHPACK
import NIOHTTP2
import Synchronization
import Testing

@testable import GRPC

/// A server and an HTTP/2 client on one virtual event loop.
final class Wire {
    let loop = EmbeddedEventLoop()
    let server: EmbeddedChannel
    let client: EmbeddedChannel
    let log = FrameLog()
    let grpc: GRPCServer
    let held: HeldBytes
    private var nextID = 1

    /// - Parameters:
    ///   - heldBytes: what all requests and answers may hold.
    ///   - speaksHTTP2: false for a client whose bytes the test writes itself, the preface included.
    init(
        _ routes: GRPCRoutes = .forTests(), heldBytes: Int = 268_435_456, speaksHTTP2: Bool = true,
        _ change: (inout GRPCServerConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = GRPCServerConfiguration()
        change(&configuration)
        held = HeldBytes(bound: heldBytes)
        grpc = GRPCServer(routes: routes, configuration: configuration, held: held)
        server = EmbeddedChannel(loop: loop)
        client = EmbeddedChannel(loop: loop)
        try server.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try grpc.configure(server) { $0.close(promise: nil) }
        if speaksHTTP2 {
            // Its limits go by the real clock, and the test's does not.
            var limits = NIOHTTP2Handler.ConnectionConfiguration()
            limits.controlFrameRateLimit.maximumCount = 1_000_000
            try client.pipeline.syncOperations.addHandlers(
                NIOHTTP2Handler(mode: .client, connectionConfiguration: limits), log)
            try client.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 2)).wait()
            try pump()
        }
    }

    /// Carries bytes both ways until there are none; drops what the server says when `toClient` is false.
    func pump(toClient: Bool = true) throws {
        var moved = true
        while moved {
            moved = false
            loop.run()
            while server.isActive, let bytes = try client.readOutbound(as: ByteBuffer.self) {
                moved = true
                try server.writeInbound(bytes)
            }
            while let bytes = try server.readOutbound(as: ByteBuffer.self) {
                moved = true
                if toClient { try client.writeInbound(bytes) }
            }
        }
    }

    /// Lets time pass, a second at a time.
    func pass(_ seconds: Int64) throws {
        for _ in 0..<seconds {
            loop.advanceTime(by: .seconds(1))
            try pump()
        }
    }

    func write(_ payload: HTTP2Frame.FramePayload, on id: HTTP2StreamID) {
        client.writeAndFlush(HTTP2Frame(streamID: id, payload: payload), promise: nil)
    }

    /// Opens a stream.
    func open(_ fields: HPACKHeaders, isEnd: Bool = false) throws -> HTTP2StreamID {
        let id = HTTP2StreamID(nextID)
        nextID += 2
        write(.headers(.init(headers: fields, endStream: isEnd)), on: id)
        try pump()
        return id
    }

    func send(_ bytes: [UInt8], isEnd: Bool = false, on id: HTTP2StreamID) throws {
        write(.data(.init(data: .byteBuffer(ByteBuffer(bytes: bytes)), endStream: isEnd)), on: id)
        try pump()
    }

    /// A whole call: fields, body, end.
    func call(_ fields: HPACKHeaders, _ body: [UInt8]) throws -> FrameLog.Stream {
        let id = try open(fields, isEnd: body.isEmpty)
        if !body.isEmpty { try send(body, isEnd: true, on: id) }
        return log.streams[id] ?? .init()
    }

    var counters: GRPCCounters { grpc.metrics.snapshot }
    var isOpen: Bool { server.isActive }

    /// The fields of a request, some of them changed or, with nil, left out.
    static func fields(_ path: String = "/test.Echo/Now", _ changes: [(String, String?)] = []) -> HPACKHeaders {
        var fields: [(String, String)] = [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
            ("te", "trailers"), ("content-type", "application/grpc"),
        ]
        for (name, value) in changes {
            let place = fields.firstIndex { $0.0 == name }
            switch (place, value) {
            case (let place?, let value?): fields[place].1 = value
            case (let place?, nil): fields.remove(at: place)
            case (nil, let value?): fields.append((name, value))
            case (nil, nil): break
            }
        }
        return HPACKHeaders(fields)
    }

    static func message(_ bytes: [UInt8], flag: UInt8 = 0) -> [UInt8] {
        var framed = ByteBuffer(bytes: [flag])
        framed.writeInteger(UInt32(bytes.count))
        framed.writeBytes(bytes)
        return Array(framed.readableBytesView)
    }

    /// A frame as bytes.
    static func frame(_ type: UInt8, flags: UInt8 = 0, on stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
        let count = payload.count
        return [UInt8(truncatingIfNeeded: count >> 16), UInt8(truncatingIfNeeded: count >> 8)]
            + [UInt8(truncatingIfNeeded: count), type, flags]
            + (0..<4).map { UInt8(truncatingIfNeeded: stream >> (24 - 8 * $0)) } + payload
    }

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4)
}

/// What an HTTP/2 client has been told.
final class FrameLog: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    struct Stream {
        var head: [String] = []
        var data: [UInt8] = []
        var trailers: [String] = []
        var isEnded = false
        var reset: HTTP2ErrorCode?
    }

    var streams: [HTTP2StreamID: Stream] = [:]
    var goAway: (HTTP2ErrorCode, String)?
    var pings = 0
    var pingAnswers = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        let id = frame.streamID
        switch frame.payload {
        case .headers(let headers):
            let lines = headers.headers.map { "\($0.name): \($0.value)" }
            if streams[id]?.head.isEmpty ?? true {
                streams[id, default: .init()].head = lines
            } else {
                streams[id]?.trailers = lines
            }
            if headers.endStream { streams[id]?.isEnded = true }
        case .data(let data):
            if case .byteBuffer(let bytes) = data.data {
                streams[id, default: .init()].data += Array(bytes.readableBytesView)
            }
            if data.endStream { streams[id]?.isEnded = true }
        case .rstStream(let code):
            streams[id, default: .init()].reset = code
        case .goAway(_, let code, let text):
            goAway = (code, text.map { String(buffer: $0) } ?? "")
        case .ping(_, let ack):
            if ack { pingAnswers += 1 } else { pings += 1 }
        default:
            break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// A handler that does what the test says, and writes down what it hears.
final class ScriptedHandler: GRPCStreamHandler, Sendable {
    let heard = Mutex<[String]>([])
    private let stream: NIOLoopBound<any GRPCServerStream>
    private let onMessage: @Sendable (any GRPCServerStream, ByteBuffer) -> Void
    private let onWritable: @Sendable (any GRPCServerStream) -> Void

    init(
        _ stream: any GRPCServerStream, onWritable: @escaping @Sendable (any GRPCServerStream) -> Void = { _ in },
        onMessage: @escaping @Sendable (any GRPCServerStream, ByteBuffer) -> Void
    ) {
        self.stream = NIOLoopBound(stream, eventLoop: stream.eventLoop)
        self.onMessage = onMessage
        self.onWritable = onWritable
    }

    func received(_ message: ByteBuffer) {
        heard.withLock { $0.append("message \(message.readableBytes)") }
        onMessage(stream.value, message)
    }

    func endOfRequests() {
        heard.withLock { $0.append("end") }
        stream.value.finish(.ok)
    }

    func becameWritable() {
        heard.withLock { $0.append("writable") }
        onWritable(stream.value)
    }

    func closed() { heard.withLock { $0.append("closed") } }
}

/// The handlers that were made, for tests to look into.
final class HandlerList: Sendable {
    private let handlers = Mutex<[ScriptedHandler]>([])

    func add(_ handler: ScriptedHandler) -> ScriptedHandler {
        handlers.withLock { $0.append(handler) }
        return handler
    }

    var all: [[String]] { handlers.withLock { $0.map { handler in handler.heard.withLock { $0 } } } }
}

extension GRPCRoutes {
    /// `/test.Echo/`: Now and Later give the request back, Fail a status, Stream each message, Pour fills the stream
    /// as long as it takes more, Big gives as many bytes as the request says in text, Never does not answer, Who names
    /// metadata.
    static func forTests(_ handlers: HandlerList = HandlerList()) -> GRPCRoutes {
        var routes = GRPCRoutes()
        let service = "test.Echo"
        routes.add(service: service, "Now", .immediate { request, _ in request })
        routes.add(service: service, "Later", .unary { request, _ async throws(GRPCStatus) in request })
        routes.add(
            service: service, "Fail",
            .immediate { request, _ throws(GRPCStatus) in
                throw GRPCStatus(.notFound, "100 % né\n" + String(buffer: request))
            })
        routes.add(
            service: service, "Never",
            .unary { _, _ async throws(GRPCStatus) in
                do {
                    try await Task.sleep(for: .seconds(600))
                } catch {
                    throw GRPCStatus(.cancelled, "told to")
                }
                return ByteBuffer()
            })
        routes.add(
            service: service, "Big",
            .immediate { request, _ in ByteBuffer(repeating: 7, count: Int(String(buffer: request)) ?? 0) })
        routes.add(
            service: service, "Who",
            .immediate { _, call in
                let named = call.metadata.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
                return ByteBuffer(string: "\(call.path) \(named) \(call.metadata("content-type") ?? "-")")
            })
        routes.add(
            service: service, "Stream",
            .streaming { stream, _ in
                handlers.add(
                    ScriptedHandler(stream) { stream, message in
                        stream.send(message)
                        stream.flush()
                    })
            })
        routes.add(
            service: service, "Pour",
            .streaming { stream, _ in
                let pour: @Sendable (any GRPCServerStream) -> Void = { stream in
                    while stream.isWritable { stream.send(ByteBuffer(repeating: 9, count: 4096)) }
                    stream.flush()
                }
                return handlers.add(ScriptedHandler(stream, onWritable: pour) { stream, _ in pour(stream) })
            })
        return routes
    }
}
