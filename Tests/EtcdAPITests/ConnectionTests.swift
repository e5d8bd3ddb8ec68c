import GRPC
import HTTPTypes
import NIOCore
import NIOEmbedded
import RegdnsTestKit
import Synchronization
import Testing

@testable import EtcdAPI

/// One connection on a virtual event loop: protocol, deadlines, bounds.
struct ConnectionTests {
    /// A connection whose jobs are answered when the test says so.
    struct Connection {
        let loop = EmbeddedEventLoop()
        let channel: EmbeddedChannel
        let metrics = EtcdMetrics()
        let held: HeldBytes
        private let jobs = JobList()

        /// - Parameter submit: answers requests; nil to keep them for the test.
        init(
            _ change: (inout EtcdServerConfiguration) -> Void = { _ in },
            submit: (@Sendable (EtcdJob) -> Void)? = nil
        ) throws {
            var configuration = EtcdServerConfiguration(addresses: [])
            change(&configuration)
            held = HeldBytes(bound: configuration.heldBytesMax)
            channel = EmbeddedChannel(loop: loop)
            let jobs = jobs
            let factory = ConnectionFactory(
                configuration: configuration, metrics: metrics,
                connections: ConnectionSet(bound: configuration.connectionsMax), held: held,
                grpc: GRPCServer(routes: GRPCRoutes(), configuration: configuration.grpc, held: held)
            ) { job in if let submit { submit(job) } else { jobs.add(job) } }
            try factory.configure(channel)
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        func send(_ bytes: some Sequence<UInt8>) throws { try channel.writeInbound(ByteBuffer(bytes: bytes)) }

        func send(_ text: String) throws { try send(text.utf8) }

        /// The jobs submitted since the last call.
        func takeJobs() -> [EtcdJob] { jobs.take() }

        func reply(_ job: EtcdJob, _ body: String, _ status: Int = 200) {
            let answer = EtcdAnswer(status: status, contentType: .text, body: Array(body.utf8))
            let (response, bytes) = answer.response
            job.reply(response, bytes)
            loop.run()
        }

        /// What was written since the last call.
        func output() throws -> String {
            var text = ""
            while let bytes = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
            return text
        }

        var isOpen: Bool { channel.isActive }
    }

    final class JobList: Sendable {
        private let jobs = Mutex<[EtcdJob]>([])

        func add(_ job: EtcdJob) { jobs.withLock { $0.append(job) } }

        func take() -> [EtcdJob] {
            jobs.withLock { jobs in
                defer { jobs = [] }
                return jobs
            }
        }
    }

    static let get = "GET /v2/keys/a HTTP/1.1\r\nHost: x\r\n\r\n"

    @Test(arguments: 1..<24)
    func prefaceInTwoPieces(_ cut: Int) throws {
        let connection = try Connection()
        try connection.send(ProtocolSniffer.preface[..<cut])
        #expect(try connection.output().isEmpty)
        try connection.send(ProtocolSniffer.preface[cut...] + [0, 0, 0, 4, 0, 0, 0, 0, 0])
        // The server's own SETTINGS come first.
        let first = try #require(try connection.channel.readOutbound(as: ByteBuffer.self))
        #expect(Array(first.readableBytesView.dropFirst(3).prefix(6)) == [4, 0, 0, 0, 0, 0])
        #expect(connection.metrics.snapshot.http2Connections == 1)
        #expect(connection.isOpen)
        connection.loop.advanceTime(by: .seconds(301))
        _ = try connection.output()
        connection.loop.advanceTime(by: .seconds(15))
        #expect(!connection.isOpen)
    }

    @Test(arguments: ["X", "PX", "PRI * HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r\n\r\n", "G / \r\n\r\n"])
    func otherFirstBytesAreHTTP1(_ start: String) throws {
        let connection = try Connection()
        for byte in (start + "\r\n\r\n").utf8 where connection.isOpen { try? connection.send([byte]) }
        #expect(connection.metrics.snapshot.http2Connections == 0)
        #expect(try connection.output().hasPrefix("HTTP/1.1 400 "))
    }

    @Test func requestByteByByte() throws {
        let connection = try Connection()
        for byte in "PUT /v2/keys/a?x=1 HTTP/1.1\r\nhost: x\r\ncontent-length: 7\r\n\r\nvalue=1".utf8 {
            try connection.send([byte])
        }
        let job = try #require(connection.takeJobs().first)
        #expect(job.request.method == .put)
        #expect(job.request.path == "/v2/keys/a?x=1")
        #expect(job.body == Array("value=1".utf8))
        connection.reply(job, "done")
        let answer = try connection.output()
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(answer.hasSuffix("Content-Length: 4\r\n\r\ndone") || answer.hasSuffix("GMT\r\n\r\ndone"))
        #expect(connection.isOpen)
        #expect(connection.held.count == 0)
    }

    @Test func pipelinedRequestsAreAnsweredInTurn() throws {
        let connection = try Connection()
        let requests = (0..<5).map { "GET /\($0) HTTP/1.1\r\nHost: x\r\n\r\n" }
        try connection.send(requests.joined())
        var paths: [String?] = []
        for number in 0..<5 {
            let jobs = connection.takeJobs()
            #expect(jobs.count == 1)
            paths += jobs.map(\.request.path)
            connection.reply(try #require(jobs.first), "answer \(number)")
        }
        #expect(paths == ["/0", "/1", "/2", "/3", "/4"])
        let bodies = try connection.output().matches(of: /answer (\d)/).map { String($0.1) }
        #expect(bodies == ["0", "1", "2", "3", "4"])
    }

    // MARK: Deadlines

    @Test func silenceIsCut() throws {
        let connection = try Connection()
        connection.loop.advanceTime(by: .milliseconds(4999))
        #expect(connection.isOpen)
        try connection.send("P")
        connection.loop.advanceTime(by: .milliseconds(1))
        #expect(!connection.isOpen)
        #expect(connection.metrics.snapshot.deadlinesUndecided == 1)
    }

    @Test(arguments: ["GET / HTTP/1.1\r\nHost: x\r\nA: ", "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"])
    func aDripIsCut(_ start: String) throws {
        let connection = try Connection()
        try connection.send(start)
        for _ in 0..<29 {
            connection.loop.advanceTime(by: .seconds(1))
            try connection.send("x")
        }
        #expect(connection.isOpen)
        connection.loop.advanceTime(by: .seconds(1))
        #expect(!connection.isOpen)
        #expect(connection.metrics.snapshot.deadlinesReceiving == 1)
    }

    @Test func idleConnectionsEndAndBusyOnesDoNot() throws {
        let connection = try Connection()
        try connection.send(Self.get)
        let job = try #require(connection.takeJobs().first)
        connection.loop.advanceTime(by: .hours(1))
        #expect(connection.isOpen)
        connection.reply(job, "late")
        connection.loop.advanceTime(by: .seconds(119))
        #expect(connection.isOpen)
        try connection.send(Self.get)
        connection.reply(try #require(connection.takeJobs().first), "again")
        connection.loop.advanceTime(by: .seconds(119))
        #expect(connection.isOpen)
        connection.loop.advanceTime(by: .seconds(1))
        #expect(!connection.isOpen)
        #expect(connection.metrics.snapshot.deadlinesIdle == 1)
    }

    // MARK: Bounds

    @Test(arguments: ["1572865", "9223372036854775807", "9223372036854775808", "18446744073709551615"])
    func announcedBodyOverTheLimit(_ length: String) throws {
        let connection = try Connection()
        try connection.send("PUT /v2/keys/a HTTP/1.1\r\nHost: x\r\nContent-Length: \(length)\r\n\r\n")
        let answer = try connection.output()
        #expect(answer.hasPrefix("HTTP/1.1 413 "))
        #expect(answer.contains("Connection: close\r\n"))
        #expect(answer.contains("\"errorCode\":602"))
        #expect(connection.takeJobs().isEmpty)
        #expect(connection.metrics.snapshot.bodiesOverLimit == 1)
        for _ in 0..<5 where connection.isOpen { try connection.send(repeatElement(0, count: 1_048_576)) }
        #expect(!connection.isOpen)
    }

    @Test func chunkedBodyOverTheLimit() throws {
        let connection = try Connection()
        try connection.send("PUT /v2/keys/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in 0..<2 {
            try connection.send("C0001\r\n")
            try connection.send(repeatElement(0x61, count: 0xC0001))
            try connection.send("\r\n")
        }
        #expect(try connection.output().hasPrefix("HTTP/1.1 413 "))
        #expect(connection.held.count == 0)
        connection.loop.advanceTime(by: .seconds(2))
        #expect(!connection.isOpen)
    }

    /// The cost of a body is its length, however it is cut.
    @Test(.timeLimit(.minutes(1))) func bodyOfSingleBytes() throws {
        let connection = try Connection()
        try connection.send("PUT /v2/keys/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        let chunks = Array(repeatElement(Array("1\r\na\r\n".utf8), count: 10_000).joined())
        for _ in 0..<20 { try connection.send(chunks) }
        try connection.send("0\r\n\r\n")
        #expect(connection.takeJobs().first?.body.count == 200_000)
    }

    @Test func bodyAtTheLimit() throws {
        let connection = try Connection()
        try connection.send("PUT /v2/keys/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1572864\r\n\r\n")
        for _ in 0..<24 { try connection.send(repeatElement(0x61, count: 65_536)) }
        #expect(connection.takeJobs().first?.body.count == 1_572_864)
        #expect(connection.held.count == 1_572_864)
    }

    @Test func memoryInFlightIsBounded() throws {
        let connection = try Connection { $0.heldBytesMax = 1000 }
        try connection.send("PUT /v2/keys/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
        try connection.send(repeatElement(0x61, count: 1001))
        #expect(try connection.output().hasPrefix("HTTP/1.1 503 "))
        #expect(connection.held.count == 0)
        let other = try Connection { $0.heldBytesMax = 1000 }
        try other.send(Self.get)
        other.reply(try #require(other.takeJobs().first), String(repeating: "x", count: 1001))
        let answer = try other.output()
        #expect(answer.hasPrefix("HTTP/1.1 503 "))
        #expect(answer.contains("Retry-After: 1\r\n"))
        #expect(other.metrics.snapshot.memoryOverLimit == 1)
    }

    @Test func headersOverTheLimit() throws {
        let connection = try Connection()
        try connection.send("GET / HTTP/1.1\r\nHost: x\r\nA: ")
        for _ in 0..<40 where connection.isOpen { try? connection.send(repeatElement(0x61, count: 1024)) }
        #expect(try connection.output().hasPrefix("HTTP/1.1 431 "))
        #expect(connection.metrics.snapshot.headersOverLimit == 1)
    }

    // MARK: HTTP

    @Test(arguments: [
        ("GET / HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header"),
        ("nonsense\r\n\r\n", "400 Bad Request"), ("GET / HTTP/3.7\r\nHost: x\r\n\r\n", "400 Bad Request"),
        ("FROB / HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        ("PUT / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nContent-Length: 1\r\n\r\n", "417 Expectation Failed"),
        ("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", "400 Bad Request"),
        ("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request"),
    ])
    func malformedRequests(_ request: String, _ text: String) throws {
        let connection = try Connection()
        try? connection.send(request)
        let answer = try connection.output()
        #expect(answer.hasPrefix("HTTP/1.1 \(text.prefix(3)) "))
        #expect(answer.hasSuffix("\r\n\r\n" + text))
        #expect(answer.contains("Connection: close\r\n"))
        #expect(connection.takeJobs().isEmpty)
        #expect(connection.metrics.snapshot.malformedRequests == 1)
        connection.loop.advanceTime(by: .seconds(2))
        #expect(!connection.isOpen)
    }

    @Test func continueIsSentBeforeTheBody() throws {
        let connection = try Connection()
        try connection.send("PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
        #expect(try connection.output() == "HTTP/1.1 100 Continue\r\n\r\n")
        try connection.send("ab")
        connection.reply(try #require(connection.takeJobs().first), "ok")
        #expect(try connection.output().hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    @Test func headHasTheLengthAndNoBody() throws {
        let connection = try Connection()
        try connection.send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + Self.get)
        connection.reply(try #require(connection.takeJobs().first), "12345")
        let answer = try connection.output()
        #expect(answer.contains("Content-Length: 5\r\n"))
        #expect(answer.hasSuffix("\r\n\r\n"))
        #expect(connection.takeJobs().count == 1)
    }

    @Test(arguments: [
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0", "close", false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.0", "keep-alive", true),
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1", "close", false),
    ])
    func keepAlive(_ request: String, _ version: String, _ connectionField: String, _ stays: Bool) throws {
        let connection = try Connection()
        try connection.send(request)
        connection.reply(try #require(connection.takeJobs().first), "x")
        let answer = try connection.output()
        #expect(answer.hasPrefix(version + " 200 OK\r\n"))
        #expect(answer.contains("Connection: \(connectionField)\r\n"))
        connection.loop.advanceTime(by: .seconds(2))
        #expect(connection.isOpen == stays)
    }

    @Test func quiescingEndsIdleAtOnceAndBusyAfterItsAnswer() throws {
        let idle = try Connection()
        idle.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        #expect(!idle.isOpen)
        let busy = try Connection()
        try busy.send(Self.get)
        busy.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        #expect(busy.isOpen)
        busy.reply(try #require(busy.takeJobs().first), "bye")
        #expect(try busy.output().hasSuffix("bye"))
        #expect(!busy.isOpen)
    }

    @Test func repliesAfterTheEndAreDropped() throws {
        let connection = try Connection()
        try connection.send(Self.get)
        let job = try #require(connection.takeJobs().first)
        connection.channel.close(promise: nil)
        connection.loop.run()
        connection.reply(job, "nobody reads this")
        #expect(connection.held.count == 0)
    }

    /// No bytes may stop the server: seeded, so that a failure can be seen again.
    @Test(arguments: 0..<40 * SeededRandom.effort)
    func anyBytesAreTaken(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let pieces = [
            "GET ", "PUT /v2/keys/a", " HTTP/1.1\r\n", "Host: x\r\n", "\r\n", "Content-Length: 5\r\n",
            "Expect: 100-continue\r\n",
            "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n", "0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\u{0}", "é",
        ].map { Array($0.utf8) }
        let connection = try Connection()
        for _ in 0..<60 where connection.isOpen {
            try? connection.send(pieces[random.below(pieces.count)])
            for job in connection.takeJobs() { connection.reply(job, "x") }
        }
        _ = try connection.output()
        // Longer than any deadline, that of idle HTTP/2 connections included.
        connection.loop.advanceTime(by: .minutes(10))
        #expect(!connection.isOpen)
        #expect(connection.held.count == 0)
    }
}
