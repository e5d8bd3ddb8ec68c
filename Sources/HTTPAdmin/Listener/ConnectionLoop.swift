import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1

/// Serves the requests of one connection until one side wants it closed.
struct ConnectionLoop {
    let channel: AdminChannel
    let connection: AdminConnection
    var inbound: NIOAsyncChannelInboundStream<HTTPServerRequestPart>.AsyncIterator
    let outbound: NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>
    let logger: Logger

    /// Octets handed to the socket at once; larger answers wait for the client in between.
    private static let sliceBytes = 64 << 10
    /// An unwanted body up to this size is read away, so that the connection can be kept.
    private static let drainBytes = 64 << 10

    mutating func run() async throws {
        do {
            while let head = try await nextHead() {
                guard try await serve(head) else { break }
            }
        } catch let error as HTTPParserError {
            try await refuseMalformed(error)
        }
        // Half-close, then read until the client does the same: closing at once could reset the answer away.
        outbound.finish()
        while try await inbound.next() != nil {}
    }

    /// Skips what a previous request left; nil at the end of the connection.
    private mutating func nextHead() async throws -> HTTPRequestHead? {
        while let part = try await inbound.next() {
            if case .head(let head) = part { return head }
        }
        return nil
    }

    /// Answers one request. False when the connection must close after it.
    private mutating func serve(_ head: HTTPRequestHead) async throws -> Bool {
        let wantsContinue = HeaderText.list(head.headers.first(name: "Expect"), contains: "100-continue")
        let keepsAlive = head.isKeepAlive && connection.isAdmitted && !Self.asksForUpgrade(head)
        guard Self.namesItsHost(head), var call = HTTPCall(head, channel: connection.channel) else {
            channel.counters.count(.malformed)
            try await write(refusal(APIError(.badRequest, "Malformed request")), to: head, keepsAlive: false)
            return false
        }
        guard connection.isAdmitted else {
            let error = APIError(.serviceUnavailable, "Too many connections")
            try await write(refusal(error, of: call), to: head, keepsAlive: false)
            return false
        }
        if case .known(let length) = call.bodyLength, length > channel.limits.bodyBytes {
            try await write(tooLarge(call), to: head, keepsAlive: false)
            return false
        }
        switch await channel.dispatcher.plan(call) {
        case .answer(let answer):
            let isDrained = try await drain(call, wantsContinue: wantsContinue)
            try await write(answer, to: head, keepsAlive: keepsAlive && isDrained)
            return keepsAlive && isDrained
        case .read(let mayWait, let handle):
            if wantsContinue, call.bodyLength != .none, Self.speaksHTTP11(head) {
                try await outbound.write(.head(HTTPResponseHead(version: head.version, status: .continue)))
            }
            guard let body = try await collectBody(announced: call.bodyLength) else {
                try await write(tooLarge(call), to: head, keepsAlive: false)
                return false
            }
            call.body = body
            let answer =
                if mayWait {
                    try await connection.signal.race { [call] in await handle(call) }
                } else {
                    await handle(call)
                }
            try await write(answer, to: head, keepsAlive: keepsAlive)
            return keepsAlive
        }
    }

    private func tooLarge(_ call: HTTPCall) -> HTTPAnswer {
        channel.counters.count(.bodyTooLarge)
        channel.warnings.warn(logger, "body", "HTTP body above \(channel.limits.bodyBytes) octets refused")
        let message = "Request body exceeds \(channel.limits.bodyBytes) bytes"
        return refusal(APIError(.contentTooLarge, message), of: call)
    }

    private func refusal(_ error: APIError, of call: HTTPCall? = nil) -> HTTPAnswer {
        channel.dispatcher.refusal(error, of: call ?? HTTPCall(method: .get, path: "/"))
    }

    /// The whole body; nil when it is above the limit.
    private mutating func collectBody(announced: HTTPCall.BodyLength) async throws -> [UInt8]? {
        var body: [UInt8] = []
        if case .known(let length) = announced { body.reserveCapacity(min(length, channel.limits.bodyBytes)) }
        while let part = try await inbound.next() {
            switch part {
            case .body(let buffer):
                guard body.count + buffer.readableBytes <= channel.limits.bodyBytes else { return nil }
                body.append(contentsOf: buffer.readableBytesView)
            case .end: return body
            case .head: throw HTTPParserError.invalidInternalState
            }
        }
        throw HTTPParserError.invalidEOFState
    }

    /// Reads a small unwanted body away. False when it is too long for that, or will not come before a 100.
    private mutating func drain(_ call: HTTPCall, wantsContinue: Bool) async throws -> Bool {
        switch call.bodyLength {
        case .none: break
        case .chunked: return false
        case .known(let length): if wantsContinue || length > Self.drainBytes { return false }
        }
        while let part = try await inbound.next() {
            if case .end = part { return true }
        }
        return false
    }

    private func refuseMalformed(_ error: HTTPParserError) async throws {
        let isOverflow = error == .headerOverflow
        channel.counters.count(isOverflow ? .headTooLarge : .malformed)
        let error =
            isOverflow
            ? APIError(.requestHeaderFieldsTooLarge, "Request header fields exceed \(channel.limits.headerBytes) bytes")
            : APIError(.badRequest, "Malformed request", detail: "\(error)")
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")
        try await write(refusal(error), to: head, keepsAlive: false)
    }

    /// HTTP/1.1 wants exactly one Host (RFC 9112 section 3.2): with none or two, proxies may disagree on the target.
    private static func namesItsHost(_ head: HTTPRequestHead) -> Bool {
        let count = head.headers["Host"].count
        return count == 1 || count == 0 && !speaksHTTP11(head)
    }

    private static func speaksHTTP11(_ head: HTTPRequestHead) -> Bool { head.version.minor >= 1 }

    /// Connections whose client offered another protocol are not kept: the decoder stops after such a request.
    private static func asksForUpgrade(_ head: HTTPRequestHead) -> Bool {
        head.method == .CONNECT || head.headers.contains(name: "Upgrade")
    }
}

// MARK: Writing answers

extension ConnectionLoop {
    /// Writes an answer, or 503 in its place when the long answers that wait already fill their bound.
    private func write(_ answer: HTTPAnswer, to request: HTTPRequestHead, keepsAlive: Bool) async throws {
        let bytes = answer.bytes.count
        guard bytes > Self.sliceBytes else { return try await send(answer, to: request, keepsAlive: keepsAlive) }
        guard channel.counters.openAnswer(bytes: bytes, bound: channel.limits.answerBytes) else {
            channel.warnings.warn(logger, "answers", "HTTP answer of \(bytes) octets withheld: too many wait")
            let refusal = refusal(APIError(.serviceUnavailable, "Too many long answers wait for their readers"))
            return try await send(refusal, to: request, keepsAlive: keepsAlive)
        }
        defer { channel.counters.closeAnswer(bytes: bytes) }
        try await send(answer, to: request, keepsAlive: keepsAlive)
    }

    private func send(_ answer: HTTPAnswer, to request: HTTPRequestHead, keepsAlive: Bool) async throws {
        let version: HTTPVersion = Self.speaksHTTP11(request) ? .http1_1 : .http1_0
        var headers = HTTPHeaders()
        for field in answer.headers { headers.add(name: field.name.rawName, value: field.value) }
        let status = HTTPResponseStatus(
            statusCode: answer.status.code, reasonPhrase: answer.status.reasonPhrase)
        let mayHaveBody = answer.status.code != 204 && answer.status.code != 304
        var keepsAlive = keepsAlive
        switch answer.body {
        case .bytes(let bytes):
            if mayHaveBody { headers.replaceOrAdd(name: "Content-Length", value: "\(bytes.count)") }
        case .stream:
            // HTTP/1.0 has no chunks: the end of the connection is the end of the body.
            if version == .http1_0 { keepsAlive = false }
        }
        if !keepsAlive {
            headers.replaceOrAdd(name: "Connection", value: "close")
        } else if version == .http1_0 {
            headers.replaceOrAdd(name: "Connection", value: "keep-alive")
        }
        let head = HTTPServerResponsePart.head(HTTPResponseHead(version: version, status: status, headers: headers))
        let isBodyWanted = request.method != .HEAD && mayHaveBody
        switch answer.body {
        case .bytes(let bytes) where isBodyWanted && !bytes.isEmpty: try await write(head, bytes)
        case .stream(let produce) where isBodyWanted: try await stream(head, produce)
        default: try await outbound.write(contentsOf: [head, .end(nil)])
        }
    }

    private func write(_ head: HTTPServerResponsePart, _ bytes: [UInt8]) async throws {
        guard bytes.count > Self.sliceBytes else {
            try await outbound.write(
                contentsOf: [head, .body(.byteBuffer(ByteBuffer(bytes: bytes))), .end(nil)])
            return
        }
        try await outbound.write(head)
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + Self.sliceBytes)
            try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: bytes[start..<end]))))
            start = end
        }
        try await outbound.write(.end(nil))
    }

    private func stream(
        _ head: HTTPServerResponsePart, _ produce: @escaping @Sendable (@escaping HTTPAnswer.Send) async throws -> Void
    ) async throws {
        try await outbound.write(head)
        let outbound = outbound
        do {
            try await connection.signal.race {
                try await produce { bytes in
                    try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: bytes))))
                }
            }
        } catch is CancellationError {
            // The client went away or the server stops; the end of the body is all that is left to say.
        }
        try await outbound.write(.end(nil))
    }
}

// MARK: Reading heads

extension HTTPCall {
    /// A call without its body; nil when the head cannot be expressed (a method or target of odd octets).
    init?(_ head: HTTPRequestHead, channel: any Channel) {
        guard let method = HTTPRequest.Method(head.method.rawValue) else { return nil }
        let target = HTTPCall.splitTarget(head.uri)
        var headers = HTTPFields()
        headers.reserveCapacity(head.headers.count)
        for (name, value) in head.headers {
            guard let fieldName = HTTPField.Name(name) else { return nil }
            headers.append(HTTPField(name: fieldName, value: value))
        }
        var length = BodyLength.none
        if head.headers.contains(name: "Transfer-Encoding") {
            length = .chunked
        } else if let field = head.headers.first(name: "Content-Length") {
            guard let octets = Int(field), octets >= 0 else { return nil }
            if octets > 0 { length = .known(octets) }
        }
        self.init(
            method: method, path: target.path, query: target.query, headers: headers,
            authority: target.authority ?? head.headers.first(name: "Host") ?? "", bodyLength: length,
            remoteAddress: channel.remoteAddress?.ipAddress,
            localAddress: channel.localAddress.flatMap { address in
                address.ipAddress.map { ListenAddress(host: $0, port: address.port ?? 0) }
            })
    }
}
