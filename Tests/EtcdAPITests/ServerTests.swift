import GRPC
import Logging
import NIOCore
import NIOPosix
import RegistryStore
import ServiceLifecycle
import Synchronization
import Testing

@testable import EtcdAPI

/// The port itself, over real sockets.
@Suite(.timeLimit(.minutes(1)))
struct ServerTests {
    /// Serves an empty store on a port of the kernel's choice while `body` runs, then shuts down.
    func serving<Result: Sendable>(
        routes: GRPCRoutes = GRPCRoutes(), _ change: (inout EtcdServerConfiguration) -> Void = { _ in },
        _ body: @Sendable (EtcdServer, Door) async throws -> Result
    ) async throws -> Result {
        var configuration = EtcdServerConfiguration(addresses: [.init(host: "127.0.0.1", port: 0)])
        change(&configuration)
        let door = try Door()
        let server = try await EtcdServer.bind(
            configuration: configuration, handler: door.handler, routes: routes, logger: Logger(label: "test"))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let result = try await body(server, door)
            group.cancelAll()
            return result
        }
    }

    /// A connection that sends what it is told and gathers what comes.
    struct Client {
        let channel: any Channel
        let received: Received

        final class Received: ChannelInboundHandler, Sendable {
            typealias InboundIn = ByteBuffer
            private let text = Mutex("")

            var all: String { text.withLock { $0 } }

            func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                let piece = String(buffer: unwrapInboundIn(data))
                text.withLock { $0 += piece }
            }
        }

        init(_ server: EtcdServer, at index: Int = 0) async throws {
            let received = Received()
            let address = server.addresses[index]
            channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .channelInitializer { $0.pipeline.addHandler(received) }
                .connect(host: address.host, port: address.port).get()
            self.received = received
        }

        func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }

        func finishSending() async throws { try await channel.close(mode: .output) }

        /// What has come once the server has closed.
        func untilClosed() async throws -> String {
            try await channel.closeFuture.get()
            return received.all
        }

        func close() async throws { try await channel.close() }
    }

    /// Waits for what other threads are about to do; gives up after 20 s.
    func eventually(_ holds: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while !holds() {
            guard ContinuousClock.now < deadline else { throw Missing() }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    private let request = "GET /version HTTP/1.1\r\nHost: x\r\n"

    @Test func severalAddressesWithTheirRealPorts() async throws {
        try await serving({ $0.addresses.append(.init(host: "::1", port: 0)) }) { server, _ in
            #expect(server.addresses.map(\.host) == ["127.0.0.1", "::1"])
            #expect(server.addresses.allSatisfy { $0.port != 0 })
            #expect(server.addresses[1].description == "[::1]:\(server.addresses[1].port)")
            for index in 0..<2 {
                let client = try await Client(server, at: index)
                try await client.send(request + "Connection: close\r\n\r\n")
                #expect(
                    try await client.untilClosed().hasSuffix("{\"etcdserver\":\"3.4.23\",\"etcdcluster\":\"3.4.0\"}"))
            }
            #expect(server.counters.connectionsAccepted == 2)
        }
    }

    @Test func pipelinedRequestsAndAClientThatHasSentAll() async throws {
        try await serving { server, door in
            let client = try await Client(server)
            let puts = (0..<50).map {
                "PUT /v2/keys/p/\($0)?value=x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            }
            try await client.send(puts.joined() + request + "Connection: close\r\n\r\n")
            let answers = try await client.untilClosed()
            #expect(answers.matches(of: /HTTP\/1.1 201 Created/).count == 50)
            #expect(answers.matches(of: /"createdIndex":(\d+)/).map { Int($0.1) } == Array(2...51))
            #expect(door.registry.revision == 50)
            try await eventually { server.counters.connectionsOpen == 0 }
        }
    }

    @Test func halfClosedClientsGetTheirAnswer() async throws {
        try await serving { server, _ in
            let client = try await Client(server)
            try await client.send(request + "\r\n")
            try await client.finishSending()
            #expect(try await client.untilClosed().hasPrefix("HTTP/1.1 200 OK\r\n"))
        }
    }

    /// The same port takes gRPC calls; going down ends what does not end by itself.
    @Test func grpcCallsOnTheSamePort() async throws {
        var routes = GRPCRoutes()
        routes.add(service: "test.Echo", "Now", .immediate { request, _ in request })
        routes.add(service: "test.Echo", "Wait", .streaming { stream, _ in Waiting(stream) })
        let waiting = try await serving(routes: routes) { server, _ in
            let address = server.addresses[0]
            let client = try await GRPCClient.connect(host: address.host, port: address.port)
            #expect(try await client.unary("/test.Echo/Now", ByteBuffer(string: "x")) == ByteBuffer(string: "x"))
            await #expect(throws: GRPCStatus(.unimplemented, "unknown service a.B")) {
                try await client.unary("/a.B/C", ByteBuffer())
            }
            let http1 = try await Client(server)
            try await http1.send(request + "Connection: close\r\n\r\n")
            #expect(try await http1.untilClosed().hasPrefix("HTTP/1.1 200 OK"))
            #expect(server.counters.http2Connections == 1)
            #expect(server.counters.grpc.calls == [.ok: 1, .unimplemented: 1])
            let stream = client.stream("/test.Echo/Wait")
            try await stream.send(ByteBuffer(string: "hello"))
            #expect(try await stream.next() == ByteBuffer(string: "hello"))
            return stream
        }
        await #expect(throws: GRPCStatus(.unavailable, "etcdserver: server stopped")) { try await waiting.next() }
    }

    final class Waiting: GRPCStreamHandler {
        private let stream: any GRPCServerStream

        init(_ stream: any GRPCServerStream) { self.stream = stream }

        func received(_ message: ByteBuffer) {
            stream.send(message)
            stream.flush()
        }

        func endOfRequests() {}
        func becameWritable() {}
        func closed() {}
    }

    enum Slowness: CaseIterable {
        case silent, undecided, withinARequest, betweenRequests

        var start: String {
            switch self {
            case .silent: ""
            case .undecided: "PRI"
            case .withinARequest: "GET / HTTP/1.1\r\nHost:"
            case .betweenRequests: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
            }
        }

        /// Makes one deadline short, so that a slow machine meets no other.
        func shorten(_ configuration: inout EtcdServerConfiguration) {
            switch self {
            case .silent, .undecided: configuration.undecidedDeadline = .milliseconds(50)
            case .withinARequest: configuration.receivingDeadline = .milliseconds(50)
            case .betweenRequests: configuration.idleDeadline = .milliseconds(50)
            }
        }

        func count(_ counters: EtcdCounters) -> Int {
            switch self {
            case .silent, .undecided: counters.deadlinesUndecided
            case .withinARequest: counters.deadlinesReceiving
            case .betweenRequests: counters.deadlinesIdle
            }
        }
    }

    @Test(arguments: Slowness.allCases)
    func slowClientsAreCut(_ slowness: Slowness) async throws {
        try await serving({ slowness.shorten(&$0) }) { server, _ in
            let client = try await Client(server)
            // May come too late for a deadline that runs from the start, and is none the worse for it.
            if !slowness.start.isEmpty { try? await client.send(slowness.start) }
            _ = try await client.untilClosed()
            #expect(slowness.count(server.counters) == 1)
        }
    }

    @Test func aClientThatDoesNotReadIsCut() async throws {
        try await serving({ $0.sendingDeadline = .milliseconds(100) }) { server, door in
            let value = [UInt8](repeating: 0x78, count: 1_000_000)
            for number in 0..<24 {
                _ = try door.registry.apply([
                    .put(namespace: .default, key: Array("/v/\(number)".utf8), value: .bytes(value), lease: .permanent)
                ])
            }
            let client = try await Client(server)
            try await client.channel.setOption(.autoRead, value: false).get()
            try await client.send("GET /v2/keys/v?recursive=true HTTP/1.1\r\nHost: x\r\n\r\n")
            try await eventually { server.counters.deadlinesSending == 1 }
            try? await client.close()
        }
    }

    @Test func connectionsOverTheBoundAreClosed() async throws {
        try await serving({ $0.connectionsMax = 2 }) { server, _ in
            let first = try await Client(server)
            let second = try await Client(server)
            try await first.send(request + "\r\n")
            try await second.send(request + "\r\n")
            try await eventually { !first.received.all.isEmpty && !second.received.all.isEmpty }
            let third = try await Client(server)
            #expect(try await third.untilClosed().isEmpty)
            #expect(server.counters.connectionsOverLimit == 1)
            try await first.close()
            try await eventually { server.counters.connectionsOpen == 1 }
            let fourth = try await Client(server)
            try await fourth.send(request + "Connection: close\r\n\r\n")
            #expect(try await fourth.untilClosed().hasPrefix("HTTP/1.1 200 OK\r\n"))
            try await second.close()
        }
    }

    @Test func goingDownEndsIdleConnectionsAndTakesNoMore() async throws {
        let configuration = EtcdServerConfiguration(addresses: [.init(host: "127.0.0.1", port: 0)])
        let logger = Logger(label: "test")
        let server = try await EtcdServer.bind(
            configuration: configuration, handler: try Door().handler, logger: logger)
        let services = ServiceGroup(services: [server], logger: logger)
        async let running: Void = services.run()
        let client = try await Client(server)
        try await client.send(request + "\r\n")
        try await eventually { !client.received.all.isEmpty }
        await services.triggerGracefulShutdown()
        #expect(try await client.untilClosed().hasPrefix("HTTP/1.1 200 OK\r\n"))
        try await running
        await #expect(throws: (any Error).self) { _ = try await Client(server) }
        #expect(server.counters.connectionsOpen == 0)
    }

    @Test func aServerThatNeverRunsIsClosed() async throws {
        let configuration = EtcdServerConfiguration(addresses: [.init(host: "127.0.0.1", port: 0)])
        let server = try await EtcdServer.bind(
            configuration: configuration, handler: try Door().handler, logger: Logger(label: "test"))
        let client = try await Client(server)
        try await client.send(request + "\r\n")
        await server.close()
        #expect(try await client.untilClosed().isEmpty)
    }

    @Test func aBusyPortSaysWhichAndWhy() async throws {
        try await serving { server, door in
            let busy = server.addresses[0]
            var configuration = EtcdServerConfiguration(addresses: [.init(host: "127.0.0.1", port: 0), busy])
            configuration.addresses.append(busy)
            let error = await #expect(throws: EtcdServerError.self) {
                _ = try await EtcdServer.bind(
                    configuration: configuration, handler: door.handler, logger: Logger(label: "test"))
            }
            #expect(error?.description == "--etcd \(busy): cannot listen: address already in use")
        }
    }

    @Test func bytesThatAreNoTextInATargetAreRefused() async throws {
        try await serving { server, door in
            let client = try await Client(server)
            var bytes = ByteBuffer(string: "PUT /v2/keys/")
            bytes.writeBytes([0xFF, 0xFE])
            bytes.writeString("?value=x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            try await client.channel.writeAndFlush(bytes)
            #expect(try await client.untilClosed().hasPrefix("HTTP/1.1 400 "))
            #expect(door.registry.revision == 0)
        }
    }
}
