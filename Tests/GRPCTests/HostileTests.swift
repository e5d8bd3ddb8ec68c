import NIOCore
import NIOEmbedded
import NIOHPACK
import NIOHTTP2
import RegdnsTestKit
import Testing

@testable import GRPC

/// Clients that mean no good, or do not know better: bounded, counted, cut.
struct HostileTests {
    private static let ok = Wire.message([10, 1, 97])

    // MARK: Floods

    /// Frames that ask for work and move no call, many in one read.
    static let floods: [(String, [UInt8])] = [
        ("pings", Wire.frame(6, [1, 2, 3, 4, 5, 6, 7, 8])),
        ("settings", Wire.frame(4)),
        ("settings with values", Wire.frame(4, [0, 4, 0, 1, 0, 0])),
        ("priorities", Wire.frame(2, on: 1, [0, 0, 0, 0, 1])),
        ("window updates", Wire.frame(8, [0, 0, 0, 1])),
    ]

    @Test(arguments: floods)
    func floodsAreCut(name: String, frame: [UInt8]) throws {
        let wire = try Wire(speaksHTTP2: false)
        try wire.server.writeInbound(ByteBuffer(bytes: Wire.preface))
        var sent = 0
        while wire.isOpen, sent < 10_000 {
            try wire.server.writeInbound(ByteBuffer(bytes: Array(repeatElement(frame, count: 50).joined())))
            sent += 50
        }
        #expect(!wire.isOpen)
        #expect(sent > 500)
        #expect(wire.counters.connectionsFlooding == 1)
        let code = try wire.lastGoAway()
        #expect(code == 0xB, "ENHANCE_YOUR_CALM")
    }

    /// CoreDNS pings every five seconds, whether it asks or not.
    @Test func pingsFiveSecondsApartAreAnsweredForever() throws {
        let wire = try Wire()
        _ = try wire.open(Wire.fields("/test.Echo/Stream"))
        for _ in 0..<2000 {
            wire.write(.ping(HTTP2PingData(withInteger: 5), ack: false), on: .rootStream)
            try wire.pass(5)
        }
        #expect(wire.log.pingAnswers == 2000)
        #expect(wire.isOpen)
        #expect(wire.log.goAway == nil)
    }

    /// Clients measure bandwidth by a ping for each answer.
    @Test func aPingForEachAnswerIsNoFlood() throws {
        let wire = try Wire { $0.controlFramesMax = 300 }
        for _ in 0..<1500 {
            wire.write(.ping(HTTP2PingData(withInteger: 5), ack: false), on: .rootStream)
            _ = try wire.call(Wire.fields(), Self.ok)
        }
        #expect(wire.isOpen)
        #expect(wire.counters.calls == [.ok: 1500])
    }

    /// CVE-2023-44487.
    @Test func rapidResetsAreCut() throws {
        let wire = try Wire { $0.resetsMax = 300 }
        var count = 0
        while wire.isOpen, count < 2000 {
            let id = try wire.open(Wire.fields("/test.Echo/Never"))
            wire.write(.rstStream(.cancel), on: id)
            try wire.pump()
            count += 1
        }
        #expect(count == 301)
        #expect(wire.log.goAway?.0 == .enhanceYourCalm)
        #expect(wire.counters.connectionsFlooding == 1)
        #expect(wire.counters.callsOpen == 0)
    }

    @Test func fieldsInEndlessPiecesAreCut() throws {
        let wire = try Wire(speaksHTTP2: false)
        try wire.server.writeInbound(ByteBuffer(bytes: Wire.preface + Wire.frame(1, on: 1, [0x82])))
        var count = 0
        while wire.isOpen, count < 100 {
            try wire.server.writeInbound(ByteBuffer(bytes: Wire.frame(9, on: 1, [0x84])))
            count += 1
        }
        #expect(count <= 10)
        #expect(wire.counters.connectionsFlooding + wire.counters.connectionsMalformed == 1)
    }

    @Test(arguments: [100, 4000]) func tooManyFieldsAreRefused(_ valueBytes: Int) throws {
        let wire = try Wire()
        let many = (0..<(40_000 / valueBytes)).map {
            ("x-\($0)", String?(String(repeating: "v", count: valueBytes)))
        }
        _ = try? wire.call(Wire.fields("/test.Echo/Now", many), Self.ok)
        #expect(wire.counters.calls[.ok] == nil)
        #expect(!wire.isOpen)
    }

    @Test func tinyPiecesOfAMessageAreCut() throws {
        let wire = try Wire()
        let id = try wire.open(Wire.fields("/test.Echo/Stream"))
        try wire.send([0, 0, 0x10, 0, 0], on: id)
        var count = 0
        while wire.isOpen, count < 5000 {
            try wire.send([1], on: id)
            count += 1
        }
        #expect(count < 1100)
        #expect(wire.log.goAway?.0 == .enhanceYourCalm)
    }

    // MARK: Many and slow

    @Test func callsAtOnceAreBounded() throws {
        let wire = try Wire { $0.streamsMax = 20 }
        let ids = try (0..<30).map { _ in try wire.open(Wire.fields("/test.Echo/Stream")) }
        #expect(wire.counters.callsOpen == 20)
        wire.write(.rstStream(.cancel), on: ids[0])
        try wire.pump()
        #expect(wire.counters.callsOpen == 20, "one ended, one that waited began")
        #expect(wire.isOpen)
    }

    @Test func callsThatTheMemoryCannotHoldAreRefused() throws {
        let wire = try Wire(heldBytes: 20_000)
        let refused = try (0..<100).map { _ in try wire.open(Wire.fields("/test.Echo/Stream")) }
            .filter { wire.log.streams[$0]?.reset == .refusedStream }
        // 32 KiB of the connection's own and one chunk of 16 KiB, each call counted as 512 bytes.
        #expect(refused.count == 100 - 96)
        #expect(wire.counters.memoryOverLimit == 4)
        #expect(wire.isOpen)
    }

    @Test func requestsThatTheMemoryCannotHoldAreRefused() throws {
        let wire = try Wire(heldBytes: 10_000)
        let id = try wire.open(Wire.fields())
        try wire.send([0, 0, 1, 0, 0] + [UInt8](repeating: 1, count: 50_000), on: id)
        #expect(wire.log.streams[id]?.head.contains("grpc-status: 8") == true)
        #expect(wire.counters.memoryOverLimit == 1)
        #expect(try wire.call(Wire.fields(), Self.ok).data == Self.ok)
    }

    @Test(
        arguments: [("/test.Echo/Now", []), ("/test.Echo/Now", [0, 0, 0, 0, 9]), ("/test.Echo/Stream", [0, 0])]
            as [(String, [UInt8])])
    func slowSendersAreTold(path: String, start: [UInt8]) throws {
        let wire = try Wire()
        let id = try wire.open(Wire.fields(path))
        if !start.isEmpty { try wire.send(start, on: id) }
        try wire.pass(40)
        #expect(wire.log.streams[id]?.head.contains("grpc-status: 4") == true)
        #expect(wire.counters.deadlinesReceiving == 1)
        #expect(wire.counters.callsOpen == 0)
        #expect(wire.isOpen)
    }

    @Test func silentStreamsStay() throws {
        let wire = try Wire()
        let id = try wire.open(Wire.fields("/test.Echo/Stream"))
        try wire.send(Self.ok, on: id)
        try wire.pass(3600)
        #expect(wire.isOpen)
        #expect(wire.counters.callsOpen == 1)
        #expect(wire.log.pings > 20, "the client is asked whether it is there")
    }

    @Test func silentClientsAreCut() throws {
        let wire = try Wire()
        _ = try wire.open(Wire.fields("/test.Echo/Stream"))
        for _ in 0..<160 {
            wire.loop.advanceTime(by: .seconds(1))
            while try wire.server.readOutbound(as: ByteBuffer.self) != nil {}
        }
        #expect(!wire.isOpen)
        #expect(wire.counters.deadlinesKeepalive == 1)
    }

    @Test func idleConnectionsAreClosedWithAWord() throws {
        let wire = try Wire()
        _ = try wire.call(Wire.fields(), Self.ok)
        try wire.pass(320)
        #expect(wire.log.goAway?.0 == .noError)
        #expect(!wire.isOpen)
        #expect(wire.counters.deadlinesIdle == 1)
    }

    // MARK: Answers that nobody reads

    /// A window that is never opened again.
    @Test func handlersWaitForTheWindow() throws {
        let handlers = HandlerList()
        let wire = try Wire(.forTests(handlers))
        let id = try wire.open(Wire.fields("/test.Echo/Pour"))
        try wire.send(Self.ok, on: id)
        // The client's window, and what waits behind it.
        #expect(wire.log.streams[id]?.data.count == 65_535)
        #expect(wire.held.count < 65_536 + 4 * 16_384)
        let before = handlers.all
        try wire.pass(5)
        #expect(handlers.all == before, "nobody is asked for more while nothing goes")
        wire.write(.windowUpdate(windowSizeIncrement: 100_000), on: .rootStream)
        wire.write(.windowUpdate(windowSizeIncrement: 100_000), on: id)
        try wire.pump()
        #expect(wire.log.streams[id]?.data.count == 165_535)
        #expect(handlers.all[0].count > before[0].count)
        try wire.pass(40)
        #expect(wire.log.streams[id]?.reset == .enhanceYourCalm)
        #expect(wire.counters.deadlinesSending == 1)
        #expect(handlers.all[0].last == "closed")
        #expect(handlers.all[0].filter { $0 == "closed" }.count == 1)
        #expect(wire.isOpen)
    }

    /// Handlers that wait for what other calls have not sent go on when those are gone.
    @Test func handlersWaitForOtherCalls() throws {
        let handlers = HandlerList()
        let wire = try Wire(.forTests(handlers))
        let ids = try (0..<80).map { _ in
            let id = try wire.open(Wire.fields("/test.Echo/Pour"))
            try wire.send(Self.ok, on: id)
            return id
        }
        let sent = wire.counters.messagesSent
        #expect(wire.held.count < 4_500_000)
        #expect(handlers.all[79] == ["message 3"])
        for id in ids.prefix(50) { wire.write(.rstStream(.cancel), on: id) }
        try wire.pump()
        #expect(handlers.all[79] == ["message 3", "writable"])
        #expect(wire.counters.messagesSent > sent)
    }

    @Test func unreadAnswersAreBoundedPerConnection() throws {
        let wire = try Wire { $0.connectionHeldBytesMax = 3_000_000 }
        let answers = try (0..<5).map { _ in
            try wire.call(Wire.fields("/test.Echo/Big"), Wire.message(Array("1000000".utf8)))
        }
        #expect(answers.filter { $0.head.contains("grpc-status: 8") }.count == 2)
        #expect(wire.counters.memoryOverLimit == 2)
        #expect(wire.held.count < 3_100_000)
        try wire.pass(40)
        #expect(wire.counters.callsOpen == 0)
        try wire.server.close().wait()
        #expect(wire.held.count == 0)
    }

    /// A socket that takes nothing: nothing is read from it either.
    @Test func clientsThatDoNotReadAreNotRead() throws {
        let wire = try Wire()
        let reads = ReadCounter()
        try wire.server.pipeline.syncOperations.addHandler(reads, position: .first)
        wire.server.read()
        #expect(reads.count == 1)
        wire.server.isWritable = false
        wire.server.pipeline.fireChannelWritabilityChanged()
        wire.server.read()
        #expect(reads.count == 1)
        wire.server.isWritable = true
        wire.server.pipeline.fireChannelWritabilityChanged()
        #expect(reads.count == 2)
        wire.server.isWritable = false
        wire.server.pipeline.fireChannelWritabilityChanged()
        try wire.pass(40)
        #expect(!wire.isOpen)
        #expect(wire.counters.deadlinesUnread == 1)
    }

    private final class ReadCounter: ChannelOutboundHandler {
        typealias OutboundIn = NIOAny
        var count = 0

        func read(context: ChannelHandlerContext) {
            count += 1
            context.read()
        }
    }

    // MARK: No HTTP/2 at all

    /// Frames of any kind with any content, and frames cut from a good conversation and changed: no trap, no growth.
    @Test func randomFrames() throws {
        var random = SeededRandom(test: "frames")
        var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
        var block = ByteBuffer()
        try encoder.encode(headers: Wire.fields("/test.Echo/Stream"), to: &block)
        let fields = Array(block.readableBytesView)
        for _ in 0..<(400 * SeededRandom.effort) {
            let wire = try Wire(speaksHTTP2: false)
            _ = try? wire.server.writeInbound(ByteBuffer(bytes: Wire.preface))
            var stream: UInt32 = 1
            for _ in 0..<30 where wire.isOpen {
                var bytes: [UInt8]
                switch random.below(5) {
                case 0:
                    bytes = Wire.frame(1, flags: random.oneIn(3) ? 5 : 4, on: stream, fields)
                    stream += 2
                case 1:
                    bytes = Wire.frame(
                        0, flags: random.oneIn(3) ? 1 : 0, on: stream, Wire.message(random.octets(upTo: 50)))
                case 2:
                    bytes = random.octets(upTo: 60)
                default:
                    bytes = Wire.frame(
                        UInt8(random.below(11)), flags: random.oneIn(2) ? 0 : UInt8(random.below(64)),
                        on: UInt32(random.below(6)), random.octets(upTo: 40))
                }
                if random.oneIn(4), !bytes.isEmpty { bytes[random.below(bytes.count)] ^= UInt8(1 + random.below(255)) }
                _ = try? wire.server.writeInbound(ByteBuffer(bytes: bytes))
                wire.loop.run()
            }
            if wire.isOpen { try wire.server.close().wait() }
            wire.loop.run()
            #expect(wire.counters.callsOpen == 0, "seed \(random.seed)")
            #expect(wire.held.count == 0, "seed \(random.seed)")
        }
    }

    /// The client's parser too.
    @Test func randomFramesForTheClient() throws {
        var random = SeededRandom(test: "answers")
        for _ in 0..<(200 * SeededRandom.effort) {
            let channel = EmbeddedChannel()
            let client = try GRPCClient(channel, GRPCClientConfiguration())
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            let stream = client.stream("/test.Echo/Stream")
            channel.embeddedEventLoop.run()
            _ = try? channel.writeInbound(ByteBuffer(bytes: Wire.frame(4)))
            for _ in 0..<20 where channel.isActive {
                let bytes =
                    random.oneIn(4)
                    ? random.octets(upTo: 40)
                    : Wire.frame(
                        UInt8(random.below(11)), flags: UInt8(random.below(64)), on: UInt32(random.below(3)),
                        random.octets(upTo: 40))
                _ = try? channel.writeInbound(ByteBuffer(bytes: bytes))
                channel.embeddedEventLoop.run()
            }
            if channel.isActive { try channel.close().wait() }
            channel.embeddedEventLoop.run()
            #expect(stream.hasEnded, "seed \(random.seed)")
        }
    }
}

extension Wire {
    /// The code of the last GOAWAY the server wrote.
    func lastGoAway() throws -> UInt32? {
        var written = ByteBuffer()
        while var bytes = try server.readOutbound(as: ByteBuffer.self) { written.writeBuffer(&bytes) }
        var code: UInt32?
        while let length = written.readBytes(length: 3), let kind = written.readBytes(length: 6) {
            let payload = written.readSlice(length: Int(length[0]) << 16 | Int(length[1]) << 8 | Int(length[2]))
            if kind[0] == 7 { code = payload?.getInteger(at: (payload?.readerIndex ?? 0) + 4) }
        }
        return code
    }
}
