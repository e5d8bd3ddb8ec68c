import GRPC
import HTTPTypes
import NIOCore
import NIOEmbedded
import Testing

@testable import EtcdAPI

/// Many requests on one connection at once: order, what is sent together, and clients that do not take their answers.
struct PipeliningTests {
    typealias Connection = ConnectionTests.Connection

    /// Between the connection and its socket: counts flushes, and while it is shut lets nothing out.
    final class Valve: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private(set) var flushes = 0
        private var isShut = false
        private var kept: [(NIOAny, EventLoopPromise<Void>?)] = []

        func shut() { isShut = true }

        func open(_ channel: EmbeddedChannel) throws {
            isShut = false
            let context = try channel.pipeline.syncOperations.context(handler: self)
            for (data, promise) in kept { context.write(data, promise: promise) }
            kept = []
            context.flush()
        }

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            if isShut { kept.append((data, promise)) } else { context.write(data, promise: promise) }
        }

        func handlerRemoved(context: ChannelHandlerContext) {
            for (_, promise) in kept { promise?.fail(ChannelError.ioOnClosedChannel) }
        }

        func flush(context: ChannelHandlerContext) {
            flushes += 1
            context.flush()
        }
    }

    /// A connection whose requests are answered at once, with their own path.
    private func echoing(
        _ change: (inout EtcdServerConfiguration) -> Void = { _ in }, answer: @escaping @Sendable (String) -> String
    ) throws -> (Connection, Valve) {
        let connection = try Connection(change) { job in
            let answer = EtcdAnswer(
                status: 200, contentType: .text, body: Array(answer(job.request.path ?? "").utf8))
            let (head, body) = answer.response
            job.reply(head, body)
        }
        let valve = Valve()
        try connection.channel.pipeline.syncOperations.addHandler(valve, position: .first)
        return (connection, valve)
    }

    private func requests(_ numbers: Range<Int>) -> String {
        numbers.map { "GET /\($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined()
    }

    private func paths(_ output: String) -> [Int] {
        output.matches(of: /<\/(\d+)>/).compactMap { Int($0.1) }
    }

    @Test func whatIsReadTogetherIsAnsweredTogether() throws {
        let (connection, valve) = try echoing { "<\($0)>" }
        try connection.send(requests(0..<50))
        #expect(valve.flushes == 1)
        #expect(paths(try connection.output()) == Array(0..<50))
        #expect(connection.held.count == 0)
        try connection.send(requests(50..<52))
        #expect(valve.flushes == 2)
        #expect(paths(try connection.output()) == [50, 51])
    }

    /// A burst is cut where the bytes ahead reach their bound, by many answers or by a large one.
    @Test(arguments: [(1000, 0), (10, 30_000), (3, 1_000_000)])
    func answersBeyondTheBound(_ count: Int, _ size: Int) throws {
        let (connection, _) = try echoing { "<\($0)>" + String(repeating: "x", count: size) }
        try connection.send(requests(0..<count))
        #expect(paths(try connection.output()) == Array(0..<count))
        #expect(connection.held.count == 0)
        connection.loop.advanceTime(by: .seconds(121))
        #expect(connection.metrics.snapshot.deadlinesIdle == 1)
    }

    @Test func whoDoesNotTakeItsAnswersIsAnsweredNoMore() throws {
        let (connection, valve) = try echoing { "<\($0)>" }
        valve.shut()
        try connection.send(requests(0..<3))
        #expect(connection.held.count == 12)
        // One more is taken in, and answered only when the first three are taken.
        connection.loop.advanceTime(by: .seconds(20))
        try connection.send(requests(3..<6))
        #expect(connection.held.count == 12)
        connection.loop.advanceTime(by: .seconds(9))
        #expect(connection.isOpen)
        try valve.open(connection.channel)
        #expect(paths(try connection.output()) == Array(0..<6))
        #expect(connection.held.count == 0)
        valve.shut()
        try connection.send(requests(6..<7))
        connection.loop.advanceTime(by: .seconds(29))
        #expect(connection.isOpen)
        connection.loop.advanceTime(by: .seconds(1))
        #expect(!connection.isOpen)
        #expect(connection.metrics.snapshot.deadlinesSending == 1)
        #expect(connection.held.count == 0)
    }

    /// An answer that takes long has no deadline, whatever was on its way when it began.
    @Test func anAnswerMayTakeLongBehindOthers() throws {
        let late = ConnectionTests.JobList()
        let connection = try Connection(submit: { job in
            if job.request.path == "/2" { return late.add(job) }
            job.reply(
                HTTPResponse(status: .ok, headerFields: [.contentLength: "4"]),
                Array("<\(job.request.path ?? "")>".utf8))
        })
        let valve = Valve()
        try connection.channel.pipeline.syncOperations.addHandler(valve, position: .first)
        valve.shut()
        try connection.send(requests(0..<4))
        try valve.open(connection.channel)
        connection.loop.advanceTime(by: .hours(1))
        #expect(connection.isOpen)
        connection.reply(try #require(late.take().first), "</2>")
        #expect(paths(try connection.output()) == Array(0..<4))
    }

    /// Many small requests behind one that waits must not be answered in calls within calls.
    @Test func thousandsOfRequestsAtOnce() throws {
        let (connection, valve) = try echoing { "<\($0)>" }
        valve.shut()
        try connection.send(requests(0..<1))
        try connection.send(requests(1..<20_000))
        #expect(connection.held.count == 4)
        try valve.open(connection.channel)
        #expect(paths(try connection.output()) == Array(0..<20_000))
        #expect(connection.held.count == 0)
    }

    /// What of a fourth request has come when one of the two sides ends.
    enum Fourth: String, CaseIterable {
        case nothing = ""
        case whole = "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n"
        case half = "PUT /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na"
    }

    @Test(arguments: Fourth.allCases) func goingDownWaitsForTheAnswersAhead(_ fourth: Fourth) throws {
        let (connection, valve) = try echoing { "<\($0)>" }
        valve.shut()
        try connection.send(requests(0..<3) + fourth.rawValue)
        connection.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        #expect(connection.isOpen)
        try valve.open(connection.channel)
        if fourth == .half {
            #expect(connection.isOpen)
            try connection.send("b")
        }
        let output = try connection.output()
        #expect(paths(output) == Array(0..<(fourth == .nothing ? 3 : 4)))
        #expect(!connection.isOpen)
        #expect(connection.held.count == 0)
    }

    @Test(arguments: Fourth.allCases) func aClientThatHasSentAllGetsTheAnswersAhead(_ fourth: Fourth) throws {
        let (connection, valve) = try echoing { "<\($0)>" }
        valve.shut()
        try connection.send(requests(0..<3))
        try connection.send(fourth.rawValue)
        connection.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(connection.isOpen)
        try valve.open(connection.channel)
        let output = try connection.output()
        #expect(paths(output) == Array(0..<(fourth == .whole ? 4 : 3)))
        #expect(output.contains("HTTP/1.1 400 ") == (fourth == .half))
        connection.loop.advanceTime(by: .seconds(2))
        #expect(!connection.isOpen)
        #expect(connection.held.count == 0)
    }
}
