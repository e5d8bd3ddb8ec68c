import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization
import Testing

@testable import GRPC

/// Client and server over sockets.
@Suite(.timeLimit(.minutes(1)))
struct ClientTests {
    /// Serves the test routes while `body` runs.
    private func serving<Result: Sendable>(
        _ routes: GRPCRoutes = .forTests(), _ change: (inout GRPCServerConfiguration) -> Void = { _ in },
        _ body: (Listener) async throws -> Result
    ) async throws -> Result {
        var configuration = GRPCServerConfiguration()
        change(&configuration)
        let server = GRPCServer(
            routes: routes, configuration: configuration, held: HeldBytes(bound: 268_435_456))
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try server.configure(channel) { $0.close(promise: nil) }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let listener = Listener(server: server, port: channel.localAddress?.port ?? 0)
        do {
            let result = try await body(listener)
            try await channel.close()
            return result
        } catch {
            try? await channel.close()
            throw error
        }
    }

    struct Listener {
        let server: GRPCServer
        let port: Int

        func connect(_ change: (inout GRPCClientConfiguration) -> Void = { _ in }) async throws -> GRPCClient {
            var configuration = GRPCClientConfiguration()
            // A loaded machine is no error here.
            configuration.connectTimeout = .seconds(20)
            change(&configuration)
            return try await GRPCClient.connect(host: "127.0.0.1", port: port, configuration: configuration)
        }
    }

    private func eventually(_ holds: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while !holds() {
            try #require(ContinuousClock.now < deadline)
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    @Test(arguments: ["/test.Echo/Now", "/test.Echo/Later"], [0, 1, 8192, 8193, 300_000, 2_097_152])
    func answers(path: String, count: Int) async throws {
        try await serving { listener in
            let client = try await listener.connect()
            let message = ByteBuffer(repeating: 3, count: count)
            for _ in 0..<3 { #expect(try await client.unary(path, message) == message) }
            await client.close()
        }
    }

    @Test func errorsOfACall() async throws {
        try await serving { listener in
            let client = try await listener.connect { $0.messageBytesMax = 1000 }
            await #expect(throws: GRPCStatus(.notFound, "100 % né\nx")) {
                try await client.unary("/test.Echo/Fail", ByteBuffer(string: "x"))
            }
            await #expect(throws: GRPCStatus(.unimplemented, "unknown method X for service test.Echo")) {
                try await client.unary("/test.Echo/X", ByteBuffer())
            }
            await #expect(
                throws: GRPCStatus(
                    .resourceExhausted, "grpc: received message larger than max (3000000 vs. 2097152)")
            ) { try await client.unary("/test.Echo/Now", ByteBuffer(repeating: 0, count: 3_000_000)) }
            await #expect(
                throws: GRPCStatus(.resourceExhausted, "grpc: received message larger than max (1001 vs. 1000)")
            ) { try await client.unary("/test.Echo/Big", ByteBuffer(string: "1001")) }
            await #expect(throws: GRPCStatus(.deadlineExceeded, "context deadline exceeded")) {
                try await client.unary("/test.Echo/Never", ByteBuffer(), timeout: .milliseconds(50))
            }
            #expect(try await client.unary("/test.Echo/Now", ByteBuffer(string: "on")) == ByteBuffer(string: "on"))
            await client.close()
            await #expect(throws: GRPCStatus(.unavailable, "connection closed")) {
                try await client.unary("/test.Echo/Now", ByteBuffer())
            }
            #expect(await !client.isUsable())
            try await eventually { listener.server.metrics.snapshot.callsOpen == 0 }
        }
    }

    @Test func manyCallsAtOnce() async throws {
        try await serving { listener in
            let client = try await listener.connect()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<500 {
                    group.addTask {
                        let path = number % 2 == 0 ? "/test.Echo/Now" : "/test.Echo/Later"
                        let message = ByteBuffer(string: "\(number)")
                        let answer = try await client.unary(path, message, metadata: [("n", "\(number)")])
                        #expect(answer == message)
                    }
                }
                try await group.waitForAll()
            }
            #expect(listener.server.metrics.snapshot.calls == [.ok: 500])
            await client.close()
        }
    }

    @Test func messagesBothWays() async throws {
        try await serving { listener in
            let client = try await listener.connect()
            let stream = client.stream("/test.Echo/Stream", metadata: [("token", "t")])
            for number in 0..<100 { try await stream.send(ByteBuffer(string: "\(number)")) }
            stream.finishSending()
            var received: [String] = []
            for try await message in stream { received.append(String(buffer: message)) }
            #expect(received == (0..<100).map { "\($0)" })
            await #expect(throws: GRPCStatus.self) { try await stream.send(ByteBuffer()) }
            await client.close()
        }
    }

    /// A reader that does not read has the server wait, and loses nothing.
    @Test func slowReadersHoldTheServerBack() async throws {
        try await serving { listener in
            let client = try await listener.connect { $0.streamWindow = 100_000 }
            let stream = client.stream("/test.Echo/Pour")
            try await stream.send(ByteBuffer())
            #expect(try await stream.next()?.readableBytes == 4096)
            // Quiet when window and the server's bound are full.
            var last = -1
            while last != listener.server.metrics.snapshot.messagesSent {
                last = listener.server.metrics.snapshot.messagesSent
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(last < 60)
            for _ in 0..<1000 { #expect(try await stream.next()?.readableBytes == 4096) }
            stream.cancel()
            await #expect(throws: GRPCStatus(.cancelled, "context canceled")) {
                while try await stream.next() != nil {}
            }
            try await eventually { listener.server.metrics.snapshot.calls[.cancelled] == 1 }
            #expect(try await client.unary("/test.Echo/Now", ByteBuffer(string: "x")) == ByteBuffer(string: "x"))
            await client.close()
        }
    }

    @Test func cancelledTasksEndTheirCalls() async throws {
        try await serving { listener in
            let client = try await listener.connect()
            for path in ["/test.Echo/Never", "/test.Echo/Stream"] {
                let isUnary = path.hasSuffix("Never")
                let task = Task {
                    if isUnary { return try await client.unary(path, ByteBuffer()) }
                    return try await client.stream(path).next() ?? ByteBuffer()
                }
                try await eventually { listener.server.metrics.snapshot.callsOpen == 1 }
                task.cancel()
                await #expect(throws: GRPCStatus(.cancelled, "context canceled")) { try await task.value }
                try await eventually { listener.server.metrics.snapshot.callsOpen == 0 }
            }
            await client.close()
        }
    }

    @Test func diedConnectionsEndTheirCalls() async throws {
        let reasons = Mutex<[GRPCStatus]>([])
        try await serving { listener in
            let client = try await listener.connect {
                $0.onClose = { reason in reasons.withLock { $0.append(reason) } }
            }
            async let call = client.unary("/test.Echo/Never", ByteBuffer())
            let stream = client.stream("/test.Echo/Stream")
            try await eventually { listener.server.metrics.snapshot.callsOpen == 2 }
            await client.close()
            await #expect(throws: GRPCStatus(.unavailable, "connection closed")) { try await stream.next() }
            do {
                _ = try await call
                Issue.record("no error")
            } catch {
                #expect(error as? GRPCStatus == GRPCStatus(.unavailable, "connection closed"))
            }
            try await eventually { listener.server.metrics.snapshot.callsOpen == 0 }
        }
        #expect(reasons.withLock { $0 } == [GRPCStatus(.unavailable, "connection closed")])
    }

    /// A server that takes connections and says this to them, and nothing else.
    private func speaker(
        _ words: [UInt8], thenCloses: Bool = false
    ) async throws -> (channel: any Channel, port: Int) {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                let said = channel.writeAndFlush(ByteBuffer(bytes: words))
                if thenCloses { said.whenComplete { _ in channel.close(promise: nil) } }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return (listener, try #require(listener.localAddress?.port))
    }

    @Test func silentServersAreFoundByPings() async throws {
        let (listener, port) = try await speaker(Wire.frame(4))
        var configuration = GRPCClientConfiguration()
        configuration.keepaliveInterval = .milliseconds(50)
        configuration.keepaliveDeadline = .milliseconds(100)
        let client = try await GRPCClient.connect(host: "127.0.0.1", port: port, configuration: configuration)
        await #expect(throws: GRPCStatus(.unavailable, "keepalive: no answer within 0.1 seconds")) {
            try await client.unary("/test.Echo/Now", ByteBuffer())
        }
        await client.closed()
        try await listener.close()
    }

    @Test(
        arguments: [
            ([], false, "http", "no HTTP/2 from the server within 0.2 seconds"),
            ([], false, "https", "no TLS and HTTP/2 from the server within 0.2 seconds"),
            ([], true, "http", "closed by the server before it spoke HTTP/2; does it want TLS?"),
            ([], true, "https", "closed by the server before it spoke HTTP/2"),
            (Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), false, "http", "the server speaks no HTTP/2"),
        ])
    func connectionsThatAreNone(words: [UInt8], closes: Bool, scheme: String, expected: String) async throws {
        let (listener, port) = try await speaker(words, thenCloses: closes)
        var configuration = GRPCClientConfiguration()
        configuration.connectTimeout = .milliseconds(200)
        configuration.scheme = scheme
        configuration.onClose = { Issue.record("told of the end of what never was: \($0)") }
        await #expect(throws: GRPCStatus(.unavailable, "connection to 127.0.0.1:\(port): \(expected)")) {
            _ = try await GRPCClient.connect(host: "127.0.0.1", port: port, configuration: configuration)
        }
        try await listener.close()
    }

    @Test func whoIsCancelledWaitsNoLongerForASilentServer() async throws {
        let (listener, port) = try await speaker([])
        let before = ContinuousClock.now
        var configuration = GRPCClientConfiguration()
        configuration.connectTimeout = .seconds(30)
        let task = Task { [configuration] in
            try await GRPCClient.connect(host: "127.0.0.1", port: port, configuration: configuration)
        }
        task.cancel()
        await #expect(throws: GRPCStatus(.cancelled, "context canceled")) { _ = try await task.value }
        #expect(ContinuousClock.now - before < .seconds(10))
        try await listener.close()
    }

    /// etcd closes connections that ping while nothing is called.
    @Test(arguments: [(false, false, 0), (false, true, 1), (true, false, 1)])
    func pingsOnlyForCalls(always: Bool, hasCall: Bool, pings: Int) throws {
        let channel = EmbeddedChannel()
        var configuration = GRPCClientConfiguration()
        configuration.keepaliveWithoutCalls = always
        let client = try GRPCClient(channel, configuration)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try channel.writeInbound(ByteBuffer(bytes: Wire.frame(4)))
        if hasCall { _ = client.stream("/a.B/C") }
        channel.embeddedEventLoop.run()
        _ = try channel.readAllOutbound()
        channel.embeddedEventLoop.advanceTime(by: .seconds(14))
        let ping = Wire.frame(6, [0, 0, 0, 0, 0, 0, 0, 1])
        #expect(try channel.readAllOutbound() == (0..<pings).flatMap { _ in ping })
        channel.embeddedEventLoop.advanceTime(by: .seconds(3600))
        #expect(channel.isActive == (pings == 0), "no answer")
    }

    @Test func nobodyThere() async throws {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = listener.localAddress?.port ?? 0
        try await listener.close()
        await #expect { try await GRPCClient.connect(host: "127.0.0.1", port: port) } throws: { error in
            let status = error as? GRPCStatus
            return status?.code == .unavailable && status?.message.contains("127.0.0.1:\(port)") == true
        }
    }

    /// Other clients notice nothing of one that floods.
    @Test func oneFloodsAndOthersAreServed() async throws {
        try await serving { listener in
            let client = try await listener.connect()
            let attacker = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: "127.0.0.1", port: listener.port).get()
            let pings = Array(repeatElement(Wire.frame(6, [UInt8](repeating: 1, count: 8)), count: 200).joined())
            try await attacker.writeAndFlush(ByteBuffer(bytes: Wire.preface))
            let flood = Task {
                while attacker.isActive { try? await attacker.writeAndFlush(ByteBuffer(bytes: pings)) }
            }
            for number in 0..<200 {
                let message = ByteBuffer(string: "\(number)")
                #expect(try await client.unary("/test.Echo/Now", message) == message)
            }
            try await eventually { listener.server.metrics.snapshot.connectionsFlooding == 1 }
            await flood.value
            await client.close()
        }
    }

    @Test func aPortWhereNobodyListensIsSaidSo() async throws {
        // Bound and closed again: the port is free.
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(channel.localAddress?.port)
        try await channel.close()
        await #expect(throws: GRPCStatus(.unavailable, "connection to 127.0.0.1:\(port): connection refused")) {
            _ = try await GRPCClient.connect(host: "127.0.0.1", port: port)
        }
    }
}

extension EmbeddedChannel {
    func readAllOutbound() throws -> [UInt8] {
        var all: [UInt8] = []
        while let bytes = try readOutbound(as: ByteBuffer.self) { all += Array(bytes.readableBytesView) }
        return all
    }
}
