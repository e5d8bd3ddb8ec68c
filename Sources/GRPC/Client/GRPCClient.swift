package import NIOCore
import NIOHTTP2
import NIOPosix

/// A connection to a gRPC server: calls over one HTTP/2 connection, until it closes. Connects once; whoever needs
/// another connection makes another client.
package final class GRPCClient: Sendable {
    private let channel: any Channel
    private let connection: NIOLoopBound<ClientConnection>
    private let configuration: GRPCClientConfiguration
    /// Done when the server has begun to speak HTTP/2, or with the reason why it never will.
    private let began: EventLoopFuture<Void>

    private init(
        channel: any Channel, connection: NIOLoopBound<ClientConnection>, began: EventLoopFuture<Void>,
        configuration: GRPCClientConfiguration
    ) {
        self.channel = channel
        self.connection = connection
        self.began = began
        self.configuration = configuration
    }

    /// Connects. That a server takes the connection says nothing yet: this waits for its first frame, as grpc-go does.
    /// With TLS 1.3 a server that does not like the client's certificate says so only then.
    ///
    /// - Throws: `Unavailable`, with the address and the reason; `Cancelled` when the task is.
    package static func connect(
        host: String, port: Int, configuration: GRPCClientConfiguration = GRPCClientConfiguration(),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) async throws(GRPCStatus) -> GRPCClient {
        var configuration = configuration
        let place = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        if configuration.authority == nil { configuration.authority = place }
        let settings = configuration
        let deadline = NIODeadline.now() + TimeAmount(configuration.connectTimeout)
        let bootstrap = ClientBootstrap(group: eventLoopGroup)
            .connectTimeout(TimeAmount(configuration.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
        let client: GRPCClient
        do {
            client = try await bootstrap.connect(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try GRPCClient(channel, settings) }
            }
            try await client.begin(by: deadline)
        } catch {
            guard !Task.isCancelled else { throw .cancelledHere }
            throw GRPCStatus(.unavailable, "connection to \(place): \(ClientStatus.reason(of: error))")
        }
        guard !Task.isCancelled else {
            await client.close()
            throw .cancelledHere
        }
        return client
    }

    /// Waits for the server's first frame; closes the connection when it does not come in time.
    private func begin(by deadline: NIODeadline) async throws {
        let alarm = channel.eventLoop.scheduleTask(deadline: deadline) { [connection, configuration] in
            let protocols = configuration.scheme == "https" ? "TLS and HTTP/2" : "HTTP/2"
            connection.value.fail(
                GRPCStatus(.unavailable, "no \(protocols) from the server within \(configuration.connectTimeout)"))
        }
        defer { alarm.cancel() }
        try await withTaskCancellationHandler {
            try await began.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// Sets up a connection's pipeline; call on its event loop.
    package convenience init(_ channel: any Channel, _ configuration: GRPCClientConfiguration) throws {
        try configuration.configureTransport?(channel)
        let began = channel.eventLoop.makePromise(of: Void.self)
        let connection = ClientConnection(configuration, began: began)
        var http2 = NIOHTTP2Handler.ConnectionConfiguration()
        http2.initialSettings = [
            HTTP2Setting(parameter: .enablePush, value: 0),
            HTTP2Setting(parameter: .initialWindowSize, value: configuration.streamWindow),
            HTTP2Setting(parameter: .maxHeaderListSize, value: 65_536),
        ]
        http2.maximumRecentlyResetStreams = 256
        http2.maximumSequentialEmptyDataFrames = 16
        http2.maximumConnectionGlitches = 1_000_000
        // etcd pings for its bandwidth measurement as often as calls come.
        http2.controlFrameRateLimit.maximumCount = 2000
        http2.controlFrameRateLimit.windowLength = .milliseconds(100)
        do {
            try channel.pipeline.syncOperations.addHandlers(
                NIOHTTP2Handler(mode: .client, frameDelegate: connection, connectionConfiguration: http2), connection)
        } catch {
            began.fail(error)
            throw error
        }
        self.init(
            channel: channel, connection: NIOLoopBound(connection, eventLoop: channel.eventLoop),
            began: began.futureResult, configuration: configuration)
    }

    /// False once no further call is taken: closed, closing, or told by the server to go elsewhere.
    package func isUsable() async -> Bool {
        (try? await channel.eventLoop.submit { [connection] in connection.value.isUsable }.get()) ?? false
    }

    /// Makes a call with one request and one answer.
    ///
    /// - Parameters:
    ///   - path: `/package.Service/Method`.
    ///   - metadata: fields for the server, names in lower case.
    ///   - timeout: for the whole call; the server is told.
    /// - Throws: the call's status; `Unavailable` when the connection is no more, `Cancelled` when the task is.
    package func unary(
        _ path: String, _ message: ByteBuffer, metadata: [(String, String)] = [], timeout: Duration? = nil
    ) async throws(GRPCStatus) -> ByteBuffer {
        let stream = open(path, metadata, timeout: timeout)
        stream.start(first: message, isLast: true)
        guard let answer = try await stream.next() else {
            throw GRPCStatus(.internalError, "\(path): the server ended the call without an answer")
        }
        // The status is what counts, and it comes after the message.
        if try await stream.next() != nil {
            stream.cancel()
            throw GRPCStatus(.internalError, "\(path): the server sent more than one answer")
        }
        return answer
    }

    /// Opens a call with messages both ways. To be ended: by reading to its end, or by `cancel`.
    package func stream(
        _ path: String, metadata: [(String, String)] = [], timeout: Duration? = nil
    ) -> GRPCClientStream {
        let stream = open(path, metadata, timeout: timeout)
        stream.start(first: nil, isLast: false)
        return stream
    }

    private func open(_ path: String, _ metadata: [(String, String)], timeout: Duration?) -> GRPCClientStream {
        GRPCClientStream(
            connection: connection, eventLoop: channel.eventLoop,
            head: ClientCallHead(path: path, metadata: metadata, timeout: timeout, configuration: configuration),
            configuration: configuration)
    }

    /// Closes the connection; calls under way end with `Unavailable`.
    package func close() async {
        channel.close(promise: nil)
        await closed()
    }

    /// Returns when the connection is closed, by whomever.
    package func closed() async {
        await withCheckedContinuation { continuation in
            channel.closeFuture.whenComplete { _ in continuation.resume() }
        }
    }
}

extension GRPCStatus {
    static let cancelledHere = GRPCStatus(.cancelled, "context canceled")
    static let deadlinePassed = GRPCStatus(.deadlineExceeded, "context deadline exceeded")
}
