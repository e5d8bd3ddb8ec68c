import Memberlist
import NIOCore
import NIOPosix
import RegdnsTestKit
import Replication
import Testing

@Suite("Peers that mean no good")
struct HostilePeerTests {
    private static func ping(_ number: UInt32, _ node: NodeName = "target") throws -> [UInt8] {
        var random = SystemRandomNumberGenerator()
        return try StreamEncoder(compresses: false).encode(
            .ping(Ping(sequence: number, node: node)), side: .dialler, random: &random)
    }

    private static func answer(_ bytes: [UInt8]) throws -> StreamMessage? {
        var decoder = StreamDecoder(side: .answerer)
        return try decoder.append(bytes)
    }

    private static func pingIsAnswered(_ address: GossipAddress, _ number: UInt32) async throws -> Bool {
        try acked(try await RawPeer.ask(address, [try ping(number)])) == number
    }

    /// The number that an answer acknowledges.
    private static func acked(_ bytes: [UInt8]) throws -> UInt32? {
        if case .ack(let ack) = try answer(bytes) { ack.sequence } else { nil }
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let what: String
        let bytes: [UInt8]
        /// By an error; else the stream is closed silently.
        let isAnswered: Bool

        init(_ what: String, _ parts: [UInt8]..., isAnswered: Bool = true) {
            self.what = what
            bytes = Array(parts.joined())
            self.isAnswered = isAnswered
        }

        var testDescription: String { what }
    }

    private static func text(_ text: String) -> [UInt8] { [0xa0 | UInt8(text.utf8.count)] + text.utf8 }

    static let huge: [UInt8] = [0xce, 255, 255, 255, 255]
    static let bad = [
        Bad("unknown type", [99, 1, 2, 3], isAnswered: false),
        Bad("another's label", [244, 3, 1, 2, 3, 0], isAnswered: false),
        Bad("sealed, no key here", [10, 0, 0, 0, 40], [UInt8](repeating: 1, count: 40)),
        Bad("no map", [0, 0x93, 1, 2, 3]),
        Bad("huge push/pull", [6, 0x83], text("Join"), [0xc3], text("Nodes"), huge, text("UserStateLen"), [0]),
        Bad("huge user message", [8, 0x81], text("UserMsgLen"), huge),
        Bad("huge own message", [208, 255, 255, 255, 255]),
        Bad("compressed garbage", [9, 0x82], text("Algo"), [0], text("Buf"), [0xa3, 1, 2, 3]),
        Bad("deep", [0], [UInt8](repeating: 0x81, count: 2_000)),
    ]

    @Test("Unreadable streams are answered as memberlist does, and change nothing", arguments: bad)
    func unreadable(input: Bad) async throws {
        let node = try await TestNode.start("target")
        let heard = try await RawPeer.ask(node.node.bound, [input.bytes])
        if input.isAnswered {
            guard case .error = try Self.answer(heard) else {
                Issue.record("\(heard)")
                return
            }
        } else {
            #expect(heard.isEmpty)
        }
        #expect(try await Self.pingIsAnswered(node.node.bound, 5))
        #expect(try await node.node.members().count == 1)
        await node.node.shutdown()
    }

    @Test("A message in single octets, half a connection, two messages")
    func pieces() async throws {
        let node = try await TestNode.start("target")
        let address = node.node.bound
        let ping = try Self.ping(7)
        let single = try await RawPeer.ask(address, ping.map { [$0] }, pause: .milliseconds(2))
        #expect(try Self.acked(single) == 7)
        let half = try await RawPeer.ask(address, [ping], closing: true)
        #expect(try Self.acked(half) == 7)
        let two = try await RawPeer.ask(address, [ping + (try Self.ping(8))])
        #expect(two == single, "one answer, whole, though more came than was asked for")
        let otherName = try await RawPeer.ask(address, [try Self.ping(9, "somebody")])
        #expect(otherName.isEmpty)
        let cutShort = try await RawPeer.ask(address, [Array(ping.dropLast(3))], closing: true)
        #expect(cutShort.isEmpty)
        await node.node.shutdown()
    }

    @Test("Silent and slow streams end at the deadline")
    func silent() async throws {
        let node = try await TestNode.start("target") { $0.timing.streamTimeout = 300 }
        let start = ContinuousClock.now
        let heard = try await RawPeer.ask(node.node.bound, [])
        #expect(heard.isEmpty)
        let slow = try await RawPeer.ask(
            node.node.bound, [[208, 0, 0, 1, 0]] + [[UInt8]](repeating: [6], count: 40), pause: .milliseconds(20))
        #expect(slow.isEmpty)
        #expect(ContinuousClock.now - start < .seconds(5))
        #expect(try await node.node.counters().transport.streamsTimedOut == 2)
        await node.node.shutdown()
    }

    @Test("More streams than taken: silent ones make room, others are closed at once")
    func tooMany() async throws {
        let limit = 16
        let node = try await TestNode.start("target") {
            $0.limits.streams = limit
            $0.limits.silenceMilliseconds = 200
        }
        let address = node.node.bound
        try await withThrowingTaskGroup(of: [UInt8].self) { group in
            for _ in 0..<limit { group.addTask { try await RawPeer.ask(address, []) } }
            try await within(.seconds(5), "all connected") {
                while try await node.node.counters().transport.streamsIn < limit {
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
            // All are fresh: the next one is closed at once.
            #expect(try await RawPeer.ask(address, [try Self.ping(1)]).isEmpty)
            #expect(try await node.node.counters().transport.streamsBeyondLimit == 1)
            try await within(.seconds(5), "room") {
                while try await !Self.pingIsAnswered(address, 2) { try await Task.sleep(for: .milliseconds(50)) }
            }
            for try await heard in group { #expect(heard.isEmpty) }
        }
        let counters = try await node.node.counters().transport
        #expect(counters.silentStreamsEvicted > 0)
        await node.node.shutdown()
    }

    @Test("Unfinished streams share a bound of octets")
    func octets() async throws {
        let node = try await TestNode.start("target") { $0.limits.streamBytes = 100_000 }
        // A push/pull that announces more than the bound.
        let head = [208, 0, 10, 0, 0] as [UInt8]
        let heard = try await RawPeer.ask(node.node.bound, [head, [UInt8](repeating: 1, count: 200_000)])
        #expect(heard.isEmpty)
        #expect(try await node.node.counters().transport.streamBytesBeyondLimit == 1)
        #expect(try await Self.pingIsAnswered(node.node.bound, 3))
        await node.node.shutdown()
    }

    @Test("Packets of random bytes are dropped and counted", arguments: [true, false])
    func packets(isKeyed: Bool) async throws {
        var random = SeededRandom(test: "packets")
        let key = GossipNodeTests.key
        let node = try await TestNode.start("target") {
            if isKeyed { $0.keys = KeyChain(keys: [key].compactMap { $0 }) }
        }
        let socket = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let target = try SocketAddress(ipAddress: "127.0.0.1", port: Int(node.node.bound.port))
        let count = 300
        for _ in 0..<count {
            let bytes = random.octets(upTo: 1_500)
            let envelope = AddressedEnvelope(remoteAddress: target, data: ByteBuffer(bytes: bytes))
            try await socket.writeAndFlush(envelope)
        }
        try await socket.close()
        try await within(.seconds(5), "all packets") {
            while try await node.node.counters().transport.packetsIn < count {
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        let counters = try await node.node.counters().transport
        #expect(counters.undecryptable + counters.malformedPackets + counters.malformedParts + counters.wrongLabel > 0)
        if isKeyed { #expect(counters.undecryptable > count / 2, "seed \(random.seed)") }
        #expect(try await node.node.members().count == 1, "seed \(random.seed)")
        await node.node.shutdown()
    }

    @Test("Senders outside of the admitted networks are not heard")
    func strangers() async throws {
        let network = AddressBlock(ip: [10, 0, 0, 0], bits: 8)
        let node = try await TestNode.start("target") { $0.admitted = [network].compactMap { $0 } }
        #expect(try await RawPeer.ask(node.node.bound, [try Self.ping(1)]).isEmpty)
        #expect(try await node.node.counters().transport.strangersStreams == 1)
        await node.node.shutdown()
    }
}
