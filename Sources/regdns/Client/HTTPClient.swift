import NIOCore
import NIOHTTP1
import NIOPosix

/// A reply with its whole body.
struct HTTPReply: Sendable {
    let status: Int
    let headers: HTTPHeaders
    let body: [UInt8]
}

/// HTTP/1.1 for the client verbs: one connection per request, bounded replies, a deadline for everything.
struct HTTPClient: Sendable {
    let server: ServerURL
    /// Bearer token; nil sends none.
    let token: String?
    var connectTimeout: TimeAmount = .seconds(5)
    /// From connecting to the last octet of the reply.
    var deadline: Duration = .seconds(30)
    /// Octets of a reply's body; longer ones are an error.
    var maxBodyBytes = 256 << 20

    /// Sends a request and reads the whole reply.
    func send(_ method: HTTPMethod, _ path: String, json body: [UInt8]? = nil) async throws(UserError) -> HTTPReply {
        do {
            return try await Deadline.run(deadline) {
                try await exchange(head(method, path, body: body), content: body) { head, body in
                    var bytes: [UInt8] = []
                    while let chunk = try await body.next() {
                        guard bytes.count + chunk.readableBytes <= maxBodyBytes else { throw ReplyError.tooLong }
                        bytes.append(contentsOf: chunk.readableBytesView)
                    }
                    return HTTPReply(status: Int(head.status.code), headers: head.headers, body: bytes)
                }
            }
        } catch {
            throw failure(error)
        }
    }

    /// Sends a GET and hands on the reply as it comes, until it ends or the task is cancelled. Only connecting is
    /// under a deadline.
    func stream(
        _ path: String, headers: HTTPHeaders,
        _ consume: @escaping @Sendable (HTTPResponseHead, inout Body) async throws -> Void
    ) async throws(UserError) {
        var head = head(.GET, path, body: nil)
        head.headers.add(contentsOf: headers)
        do {
            try await exchange(head, content: nil, consume)
        } catch {
            throw failure(error)
        }
    }

    /// The body of a reply, piece by piece. There is one reader per connection.
    struct Body {
        fileprivate var parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator

        /// The next piece, nil at the end; throws when the connection ends before the reply.
        mutating func next() async throws -> ByteBuffer? {
            while let part = try await parts.next() {
                switch part {
                case .head: continue
                case .body(let buffer): return buffer
                case .end: return nil
                }
            }
            throw ReplyError.cut
        }
    }

    private enum ReplyError: Error {
        case cut
        case tooLong
    }

    private func head(_ method: HTTPMethod, _ path: String, body: [UInt8]?) -> HTTPRequestHead {
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: server.prefix + path)
        head.headers.add(name: "Host", value: server.authority)
        head.headers.add(name: "Connection", value: "close")
        head.headers.add(name: "User-Agent", value: "regdns/\(Version.number)")
        if let token { head.headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let body {
            head.headers.add(name: "Content-Type", value: "application/json")
            head.headers.add(name: "Content-Length", value: String(body.count))
        } else if method == .POST || method == .PUT {
            head.headers.add(name: "Content-Length", value: "0")
        }
        return head
    }

    private func exchange<Result: Sendable>(
        _ head: HTTPRequestHead, content: [UInt8]?,
        _ consume: @escaping @Sendable (HTTPResponseHead, inout Body) async throws -> Result
    ) async throws -> Result {
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connectTimeout(connectTimeout)
            .connect(host: server.host, port: server.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                        wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            // In one piece: a server may answer and close before an end that is written later.
            var request: [HTTPClientRequestPart] = [.head(head)]
            if let content { request.append(.body(.byteBuffer(ByteBuffer(bytes: content)))) }
            try await outbound.write(contentsOf: request + [.end(nil)])
            var parts = inbound.makeAsyncIterator()
            guard case .head(let reply)? = try await parts.next() else { throw ReplyError.cut }
            var body = Body(parts: parts)
            return try await consume(reply, &body)
        }
    }

    private func failure(_ error: any Error) -> UserError {
        if let error = error as? UserError { return error }
        let why =
            switch error {
            case is DeadlineExceeded: "did not answer within \(DurationText.format(deadline))"
            case ReplyError.cut: "closed the connection before its answer was complete"
            case ReplyError.tooLong: "answered with more than \(maxBodyBytes) bytes"
            case let error as NIOConnectionError: Self.reason(error)
            case let error as IOError: Self.reason(error)
            case is HTTPParserError: "does not speak HTTP"
            case is CancellationError: "was not waited for"
            default: "cannot be reached"
            }
        return UserError(
            .unreachable, what: "server \(server)", why: why,
            remedy: "start one with 'regdns serve', or name it with --server")
    }

    private static func reason(_ error: NIOConnectionError) -> String {
        if error.dnsAError != nil || error.dnsAAAAError != nil, error.connectionErrors.isEmpty {
            return "has a name that does not resolve"
        }
        switch error.connectionErrors.first?.error {
        case let error as IOError: return reason(error)
        case is ChannelError: return "does not accept the connection in time"
        default: return "cannot be reached"
        }
    }

    private static func reason(_ error: IOError) -> String {
        switch error.errnoCode {
        case 111: "refuses the connection"
        case 104, 32: "closed the connection"
        case 101, 113: "has no route to it"
        default: "cannot be reached (error \(error.errnoCode))"
        }
    }
}

/// The time for something ran out.
struct DeadlineExceeded: Error {}

/// Bounds in time.
enum Deadline {
    /// Runs the work; when the time is over first, cancels it and throws `DeadlineExceeded`.
    static func run<Result: Sendable>(
        _ time: Duration, _ work: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                try await Task.sleep(for: time)
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let result = first else { throw DeadlineExceeded() }
            return result
        }
    }
}
