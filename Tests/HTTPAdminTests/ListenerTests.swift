import HTTPTypes
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Testing

@testable import HTTPAdmin

/// The listener over real sockets; ports come from the kernel.
struct ListenerTests {
    private struct Running {
        let port: Int
        let counters: HTTPCounters
    }

    /// Runs a server around a body and stops it gracefully after.
    private func withServer(
        limits: HTTPLimits = HTTPLimits(), add: (inout RouteTable<Operation>) -> Void = { _ in },
        fallback: AdminDispatcher.Fallback? = nil, _ body: (Running) async throws -> Void
    ) async throws {
        let counters = HTTPCounters()
        let (bound, continuation) = AsyncStream<[ListenAddress]>.makeStream()
        let server = AdminServer(
            addresses: [ListenAddress(host: "127.0.0.1", port: 0)],
            dispatcher: TestDispatcher.make(counters: counters, fallback: fallback, add: add),
            limits: limits, counters: counters, warnings: WarningLimiter(now: { 0 }), logger: Self.logger,
            onBound: { continuation.yield($0) })
        let group = ServiceGroup(services: [server], logger: Self.logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let addresses = await bound.first { _ in true } ?? []
            let address = try #require(addresses.first)
            #expect(address.port > 0)
            try await body(Running(port: address.port, counters: counters))
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
        #expect(counters.open.connections == 0)
    }

    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private static func get(_ path: String, _ more: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: h\r\n\(more)\r\n"
    }

    private static func count(_ text: String, _ part: String) -> Int { text.ranges(of: part).count }

    @Test func answersInOrderOnOneConnection() async throws {
        try await withServer { server in
            let text = try await RawClient.exchange(
                port: server.port,
                [
                    Self.get("/open") + Self.get("/none")
                        + "POST /echo/x HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                        + "Content-Length: 2\r\n\r\n{}", Self.get("/open", "Connection: close\r\n"),
                ])
            let statuses = text.matches(of: /HTTP\/1\.1 ([0-9]+)/).map { String($0.1) }
            #expect(statuses == ["200", "404", "201", "200"])
            #expect(text.contains("Vary: Accept-Encoding\r\n"))
            #expect(text.contains("Request_id: "))
            #expect(text.lowercased().contains("connection: close"))
        }
    }

    @Test func longAnswersComeWhole() async throws {
        try await withServer { server in
            let text = try await RawClient.exchange(port: server.port, [Self.get("/long", "Connection: close\r\n")])
            #expect(text.contains("Content-Length: 300000\r\n"))
            #expect(text.hasSuffix(String(repeating: "x", count: 300_000)))
        }
    }

    @Test func longAnswersAreBounded() async throws {
        var limits = HTTPLimits()
        limits.answerBytes = 299_999
        try await withServer(limits: limits) { server in
            let text = try await RawClient.exchange(port: server.port, [Self.get("/long", "Connection: close\r\n")])
            #expect(text.hasPrefix("HTTP/1.1 503"))
            #expect(server.counters.total(.answerRefused) == 1)
        }
    }

    @Test func oldClientsAreNotKept() async throws {
        try await withServer { server in
            let closed = try await RawClient.exchange(port: server.port, ["GET /open HTTP/1.0\r\n\r\n"])
            #expect(closed.hasPrefix("HTTP/1.0 200"))
            let kept = try await RawClient.exchange(
                port: server.port,
                ["GET /open HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /open HTTP/1.0\r\n\r\n"])
            #expect(Self.count(kept, "HTTP/1.0 200") == 2)
        }
    }

    @Test func chunkedBodiesAndContinue() async throws {
        try await withServer { server in
            let chunked = try await RawClient.exchange(
                port: server.port,
                [
                    "POST /echo/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                        + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                ])
            #expect(chunked.hasSuffix("\r\n\r\nabcde"))
            let expecting = try await RawClient.exchange(
                port: server.port,
                [
                    "POST /echo/x HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                        + "Expect: 100-continue\r\nConnection: close\r\n\r\n{}"
                ])
            #expect(expecting.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201"))
            // A refusal by the head alone comes instead of the 100.
            let refused = try await RawClient.exchange(
                port: server.port,
                [
                    "POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
                ])
            #expect(refused.hasPrefix("HTTP/1.1 404"))
        }
    }

    @Test func bodiesAboveTheLimit() async throws {
        var limits = HTTPLimits()
        limits.bodyBytes = 1000
        try await withServer(limits: limits) { server in
            let declared = try await RawClient.exchange(
                port: server.port, ["POST /echo/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n{"])
            #expect(declared.hasPrefix("HTTP/1.1 413"))
            #expect(declared.hasSuffix(#"{"Error":"Request body exceeds 1000 bytes"}"#))
            let chunk = "1f4\r\n" + String(repeating: "x", count: 500) + "\r\n"
            let chunked = try await RawClient.exchange(
                port: server.port,
                [
                    "POST /echo/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + chunk + chunk + "1\r\nx\r\n0\r\n\r\n"
                ])
            #expect(chunked.hasPrefix("HTTP/1.1 413"))
            #expect(server.counters.total(.bodyTooLarge) == 2)
        }
    }

    /// A request that is refused before any route; named, since its text is long.
    struct Malformed: CustomTestStringConvertible {
        let testDescription: String
        let text: String
        let status: String

        init(_ name: String, _ text: String, _ status: String = "400") {
            testDescription = name
            self.text = text
            self.status = status
        }
    }

    @Test(arguments: [
        Malformed("no request line", "GARBAGE\r\n\r\n"),
        Malformed("unknown version", "GET / HTTP/9.9\r\n\r\n"),
        Malformed("blank before the colon", "GET /open HTTP/1.1\r\nA : b\r\n\r\n"),
        Malformed("negative length", "POST /echo/x HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        Malformed("giant length", "POST /echo/x HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"),
        Malformed(
            "length and chunks",
            "POST /echo/x HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Malformed("no host", "GET /open HTTP/1.1\r\n\r\n"),
        Malformed("two hosts", "GET /open HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        Malformed("bad chunk", "POST /echo/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        Malformed("long field", "GET /open HTTP/1.1\r\nX: \(String(repeating: "a", count: 40_000))\r\n\r\n", "431"),
        Malformed("long target", "GET /\(String(repeating: "a", count: 40_000)) HTTP/1.1\r\n\r\n", "431"),
        Malformed("many fields", "GET /open HTTP/1.1\r\n\(String(repeating: "X: a\r\n", count: 200))\r\n", "431"),
    ])
    func malformedRequests(request: Malformed) async throws {
        try await withServer { server in
            let text = try await RawClient.exchange(port: server.port, [request.text])
            #expect(text.hasPrefix("HTTP/1.1 \(request.status)"))
            #expect(Self.count(text, "HTTP/1.1 ") == 1)
            // And the next client is served.
            let next = try await RawClient.exchange(port: server.port, [Self.get("/open", "Connection: close\r\n")])
            #expect(next.hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test func offeredProtocolsAreNotTaken() async throws {
        try await withServer { server in
            let text = try await RawClient.exchange(
                port: server.port, [Self.get("/open", "Connection: Upgrade\r\nUpgrade: h2c\r\n")])
            #expect(text.hasPrefix("HTTP/1.1 200"))
            #expect(text.lowercased().contains("connection: close"))
        }
    }

    @Test func headAnswersHaveNoBody() async throws {
        let long = Operation("Head", access: .open) { _ in TestDispatcher.long }
        try await withServer(add: { $0.add(.head, "/long", long) }) { server in
            let text = try await RawClient.exchange(
                port: server.port, ["HEAD /long HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"])
            #expect(text.contains("Content-Length: 300000\r\n"))
            #expect(text.hasSuffix("\r\n\r\n"))
        }
    }

    @Test func slowClientsAreCut() async throws {
        var limits = HTTPLimits()
        limits.headTimeout = .milliseconds(30)
        limits.bodyTimeout = .milliseconds(30)
        limits.idleTimeout = .milliseconds(30)
        try await withServer(limits: limits) { server in
            #expect(try await RawClient.exchange(port: server.port, []) == "")
            #expect(try await RawClient.exchange(port: server.port, ["GET / HTTP/1.1\r\nX: "]) == "")
            #expect(server.counters.total(.headTimeout) == 2)
            let idle = try await RawClient.exchange(port: server.port, [Self.get("/open")])
            #expect(idle.hasPrefix("HTTP/1.1 200"))
            #expect(server.counters.total(.idleTimeout) == 1)
            let body = try await RawClient.exchange(
                port: server.port, ["POST /echo/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n"])
            #expect(body.hasPrefix("HTTP/1.1 408"))
            #expect(server.counters.total(.bodyTimeout) == 1)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func clientsThatDoNotReadAreCut() async throws {
        var limits = HTTPLimits()
        limits.writeTimeout = .milliseconds(30)
        // More than the kernel's buffers take.
        let huge = Operation("Huge", access: .open) { _ in
            HTTPAnswer(status: .ok, body: .bytes([UInt8](repeating: 0, count: 32 << 20)))
        }
        try await withServer(limits: limits, add: { $0.add(.get, "/huge", huge) }) { server in
            let client = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .channelOption(.autoRead, value: false)
                .connect(host: "127.0.0.1", port: server.port).get()
            try await client.writeAndFlush(ByteBuffer(string: Self.get("/huge")))
            while server.counters.total(.writeTimeout) == 0 { await Task.yield() }
            try? await client.close()
        }
    }

    @Test func connectionsAreBounded() async throws {
        var limits = HTTPLimits()
        limits.connections = 0
        try await withServer(limits: limits) { server in
            let text = try await RawClient.exchange(port: server.port, [Self.get("/open")])
            #expect(text.hasPrefix("HTTP/1.1 503"))
            #expect(server.counters.total(.refused) == 1)
        }
    }

    @Test func streamsEndWithTheirClientAndWithTheServer() async throws {
        let (ended, continuation) = AsyncStream<Void>.makeStream()
        let stream = Operation("Stream", access: .open) { _ in
            HTTPAnswer(
                status: .ok, headers: [.contentType: "text/event-stream"],
                body: .stream { send in
                    defer { continuation.yield() }
                    try await send(Array("first\n".utf8))
                    await CloseSignal().wait()
                })
        }
        try await withServer(add: { $0.add(.get, "/stream", stream) }) { server in
            let text = try await RawClient.exchange(
                port: server.port, [Self.get("/stream")], isComplete: { $0.contains("first") })
            #expect(text.contains("6\r\nfirst\n\r\n"))
            _ = await ended.first { _ in true }
            let old = try await RawClient.exchange(
                port: server.port, ["GET /stream HTTP/1.0\r\n\r\n"], isComplete: { $0.contains("first") })
            #expect(old.hasSuffix("\r\n\r\nfirst\n"))
            _ = await ended.first { _ in true }
            // A third one is still open when the server is told to stop.
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    let text = try await RawClient.exchange(
                        port: server.port, [Self.get("/stream")], isComplete: { $0.contains("first") })
                    #expect(text.contains("first"))
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func longPollsEndWithTheirClient() async throws {
        let (ended, continuation) = AsyncStream<Void>.makeStream()
        try await withServer(
            fallback: { request, _ in
                if request.path == "/v2/wait" {
                    await CloseSignal().wait()
                    continuation.yield()
                }
                return HTTPAnswer(status: .ok, body: .bytes(Array("door".utf8)))
            },
            { server in
                // Closing the sending side is how a client that waits goes away; a quick answer still arrives.
                let waited = try await RawClient.exchange(port: server.port, [Self.get("/v2/wait")], halfClose: true)
                _ = await ended.first { _ in true }
                #expect(waited.hasSuffix("door"))
                let quick = try await RawClient.exchange(port: server.port, [Self.get("/v2/x")], halfClose: true)
                #expect(quick.hasSuffix("door"))
            })
    }

    @Test func requestInFlightFinishesBeforeTheServerStops() async throws {
        let (begun, beginning) = AsyncStream<Void>.makeStream()
        let slow = Operation("Slow", access: .open) { _ in
            beginning.yield()
            // Until the server was told to stop.
            try? await gracefulShutdown()
            return HTTPAnswer(status: .ok, body: .bytes(Array("done".utf8)))
        }
        try await withThrowingTaskGroup(of: String.self) { group in
            try await withServer(add: { $0.add(.get, "/slow", slow) }) { server in
                let port = server.port
                group.addTask { try await RawClient.exchange(port: port, [Self.get("/slow")]) }
                _ = await begun.first { _ in true }
            }
            let text = try await group.next() ?? ""
            #expect(text.hasSuffix("done"))
        }
    }

    @Test func busyPortNamesTheFlag() async throws {
        try await withServer { server in
            let second = AdminServer(
                addresses: [
                    ListenAddress(host: "127.0.0.1", port: 0), ListenAddress(host: "127.0.0.1", port: server.port),
                ], dispatcher: TestDispatcher.make(), counters: HTTPCounters(), warnings: WarningLimiter(now: { 0 }),
                logger: Self.logger)
            let error = await #expect(throws: HTTPListenError.self) { try await second.run() }
            #expect(error?.description == "--http 127.0.0.1:\(server.port): address already in use")
        }
    }

    @Test func unknownHostIsExplained() async throws {
        let server = AdminServer(
            addresses: [ListenAddress(host: "no.such.host.invalid", port: 0)], dispatcher: TestDispatcher.make(),
            counters: HTTPCounters(), warnings: WarningLimiter(now: { 0 }), logger: Self.logger)
        let error = await #expect(throws: HTTPListenError.self) { try await server.run() }
        #expect(error?.reason == "the host name does not resolve")
    }

    @Test func severalAddressesKeepTheirOrder() async throws {
        let (bound, continuation) = AsyncStream<[ListenAddress]>.makeStream()
        let server = AdminServer(
            addresses: [ListenAddress(host: "127.0.0.1", port: 0), ListenAddress(host: "::1", port: 0)],
            dispatcher: TestDispatcher.make(), counters: HTTPCounters(), warnings: WarningLimiter(now: { 0 }),
            logger: Self.logger, onBound: { continuation.yield($0) })
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await server.run() }
            let addresses = await bound.first { _ in true } ?? []
            #expect(addresses.map(\.host) == ["127.0.0.1", "::1"])
            #expect(addresses.allSatisfy { $0.port > 0 })
            #expect(addresses.last?.description.hasPrefix("[::1]:") == true)
            group.cancelAll()
        }
    }
}
