import DNSWire
import Foundation
import Logging
import Memberlist
import NIOCore
import NIOPosix
import Replication
import Synchronization
import Testing

@Suite("Finding the cluster")
struct JoiningTests {
    @Test(
        "Seeds",
        arguments: [
            ("127.0.0.1:7000", .address(GossipAddress(127, 0, 0, 1, port: 7_000))),
            ("10.1.2.3", .address(GossipAddress(10, 1, 2, 3, port: 7_946))),
            ("[::1]:99", GossipAddress(ip: [UInt8](repeating: 0, count: 15) + [1], port: 99).map(Seed.address)),
            ("::1", GossipAddress(ip: [UInt8](repeating: 0, count: 15) + [1], port: 7_946).map(Seed.address)),
            ("node-1.example.org", .host("node-1.example.org", port: 7_946)), ("node:1", .host("node", port: 1)),
            ("", nil), (":1", nil), ("node:0", nil), ("node:65536", nil), ("node:x", nil), ("[node]:1", nil),
            ("http://node", nil), ("a b", nil), ("[::1", nil),
        ] as [(String, Seed?)])
    func seeds(text: String, seed: Seed?) {
        #expect((try? Seed(text)) == seed)
    }

    /// Time that stands still until a test moves it.
    final class Time: Sendable {
        let now = Atomic<Int64>(1_000)
        var clock: @Sendable () -> Milliseconds { { self.now.load(ordering: .relaxed) } }
        func pass(_ milliseconds: Int64) { now.add(milliseconds, ordering: .relaxed) }
    }

    private static func joiner(
        _ node: GossipNode, _ settings: JoinSettings, _ time: Time, _ lookup: NameLookup = .system(servers: [])
    ) -> GossipJoiner {
        GossipJoiner(
            node, settings, lookup: lookup, clock: time.clock,
            wallClock: { time.clock() + 1_700_000_000_000 }, logger: Logger(label: "test"))
    }

    private static func withDirectory(_ body: (String) async throws -> Void) async throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "regdns-\(UUID())").path()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(path)
    }

    @Test("Members of a shared directory meet, and old files count no more")
    func directory() async throws {
        try await Self.withDirectory { path in
            let time = Time()
            let (first, second) = (try await TestNode.start("first"), try await TestNode.start("second"))
            var joiners: [GossipJoiner] = []
            for node in [first, second] {
                var settings = JoinSettings()
                settings.directory = MemberDirectory(path: path, own: node.node.address)
                joiners.append(Self.joiner(node.node, settings, time))
            }
            // Half written, and none of a member.
            try Data("{".utf8).write(to: URL(filePath: path + "-other"))
            #expect(try await joiners[0].step() == 6_000)
            try Data("{\"IP\":".utf8).write(to: URL(filePath: path + "/127.0.0.1:9"))
            try Data(#"{"IP":"127.0.0.1","Port":70000,"Timestamp":"2023-11-14T22:13:21Z"}"#.utf8)
                .write(to: URL(filePath: path + "/127.0.0.1:8"))
            _ = try await joiners[1].step()
            for node in [first, second] { try await node.wait(forAlive: 2) }

            let reader = MemberDirectory(path: path, own: GossipAddress(127, 0, 0, 1, port: 1))
            #expect(try reader.members(unixMilliseconds: time.clock() + 1_700_000_000_000).count == 2)
            time.pass(31_000)
            #expect(try reader.members(unixMilliseconds: time.clock() + 1_700_000_000_000).isEmpty)
            _ = try await joiners[0].step()
            #expect(try reader.members(unixMilliseconds: time.clock() + 1_700_000_000_000) == [first.node.address])

            // As an Amalgam8 registry writes it.
            try Data(#"{"IP":"127.0.0.1","Port":99,"Timestamp":"2023-11-14T23:13:52.123456789+01:00"}"#.utf8)
                .write(to: URL(filePath: path + "/127.0.0.1:99"))
            #expect(
                try reader.members(unixMilliseconds: time.clock() + 1_700_000_000_000).contains(
                    GossipAddress(127, 0, 0, 1, port: 99)))
            try? FileManager.default.removeItem(atPath: path + "-other")

            await first.node.shutdown()
            await joiners[0].run()
            #expect(!FileManager.default.fileExists(atPath: "\(path)/\(first.node.address)"))
            await second.node.shutdown()
        }
    }

    @Test("Names are asked every half minute while nobody is there, then every five minutes")
    func names() async throws {
        let (first, second) = (try await TestNode.start("first"), try await TestNode.start("second"))
        let time = Time()
        let asked = Mutex<[String]>([])
        let port = Atomic<Int>(0)
        let lookup = NameLookup(
            services: { name in
                asked.withLock { $0.append("SRV \(name)") }
                let known = port.load(ordering: .relaxed)
                return known == 0 ? [] : [("target", UInt16(known))]
            },
            addresses: { host in
                asked.withLock { $0.append(host) }
                return host == "target" ? [[127, 0, 0, 1]] : []
            })
        var settings = JoinSettings()
        settings.names = [.host("_regdns._tcp.example.org", port: 7_946)]
        settings.seeds = [.host("seed", port: 5)]
        let joiner = Self.joiner(second.node, settings, time, lookup)
        #expect(try await joiner.step() == 31_000)
        let round = ["SRV _regdns._tcp.example.org", "_regdns._tcp.example.org", "seed"]
        #expect(asked.withLock { $0 } == round)
        time.pass(29_999)
        _ = try await joiner.step()
        #expect(asked.withLock { $0 } == round)
        time.pass(1)
        port.store(Int(first.node.address.port), ordering: .relaxed)
        _ = try await joiner.step()
        #expect(asked.withLock { $0 }.contains("target"))
        try await second.wait(forAlive: 2)
        asked.withLock { $0 = [] }
        time.pass(30_000)
        _ = try await joiner.step()
        let count = asked.withLock { $0 }.count
        time.pass(299_999)
        _ = try await joiner.step()
        #expect(asked.withLock { $0 }.count == count)
        time.pass(1)
        _ = try await joiner.step()
        #expect(asked.withLock { $0 }.count > count)
        for node in [first, second] { await node.node.shutdown() }
        await #expect(throws: GossipNodeError.stopped) { try await joiner.step() }
    }

    @Test("Known peers are kept for the next start")
    func candidates() async throws {
        try await Self.withDirectory { path in
            let (first, second) = (try await TestNode.start("first"), try await TestNode.start("second"))
            let time = Time()
            var settings = JoinSettings()
            settings.candidates = CandidateFile(path: path)
            let joiner = Self.joiner(first.node, settings, time)
            _ = try await joiner.step()
            #expect(!FileManager.default.fileExists(atPath: path), "nobody is known yet")
            try await first.node.join([second.node.address])
            time.pass(5_000)
            _ = try await joiner.step()
            #expect(try CandidateFile(path: path).read() == [second.node.address])
            await first.node.shutdown()

            let again = try await TestNode.start("again")
            _ = try await Self.joiner(again.node, settings, time).step()
            try await again.wait(for: "second", toBe: .alive)
            for bad in ["{", "[1]", "[\"host:1\"]"] {
                try Data(bad.utf8).write(to: URL(filePath: path))
                #expect(throws: CandidateFile.Malformed.self) { try CandidateFile(path: path).read() }
            }
            for node in [again, second] { await node.node.shutdown() }
        }
    }

    /// Answers on UDP: SRV for `_gossip._tcp.test`, A and AAAA for its targets.
    private final class Answerer: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            do {
                let query = try DNSWire.Message(reading: Array(envelope.data.readableBytesView))
                guard let question = query.questions.first else { return }
                var writer = ResponseWriter(limit: 1_232, id: query.id, question: question)
                for rdata in try Self.answers(to: "\(question.name)", question.type) {
                    let record = ResourceRecord(owner: question.name, type: question.type, ttl: 5, rdata: rdata)
                    _ = writer.append(.answer, record)
                }
                let wrong = ByteBuffer(bytes: [1, 2, 3])
                for answer in [wrong, ByteBuffer(bytes: writer.finish())] {
                    context.write(
                        wrapOutboundOut(AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: answer)),
                        promise: nil)
                }
                context.flush()
            } catch {
                context.fireErrorCaught(error)
            }
        }

        private static func answers(to name: String, _ type: RRType) throws -> [[UInt8]] {
            switch (name.lowercased().split(separator: ".").first ?? "", type) {
            case ("_gossip", .srv):
                [
                    [0, 9, 0, 0, 0x1f, 0x0a] + (try DomainName("far.test")).wire,
                    [0, 1, 0, 5, 0x1f, 0x0b] + (try DomainName("near.test")).wire,
                ]
            case ("near", .a): [[10, 0, 0, 1], [10, 0, 0, 2]]
            case ("far", .aaaa): [[0xfd] + [UInt8](repeating: 0, count: 15)]
            default: []
            }
        }
    }

    @Test("SRV and addresses over DNS, past a server that says nothing")
    func dns() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let server = try await DatagramBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Answerer()) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let address = try #require(server.localAddress)
        let lookup = NameLookup.system(servers: [address])
        let services = try await lookup.services("_gossip._tcp.test")
        #expect(
            services.map(\.host) == ["near.test.", "far.test."] || services.map(\.host) == ["near.test", "far.test"])
        #expect(services.map(\.port) == [0x1f0b, 0x1f0a])
        #expect(try await lookup.addresses("near.test") == [[10, 0, 0, 1], [10, 0, 0, 2]])
        #expect(try await lookup.addresses("far.test") == [[0xfd] + [UInt8](repeating: 0, count: 15)])
        #expect(try await lookup.services("nothing.test").isEmpty)
        #expect(try await NameLookup.system(servers: []).services("_gossip._tcp.test").isEmpty)
        #expect(try await NameLookup.system(servers: []).addresses("localhost").contains([127, 0, 0, 1]))
        try await server.close()
    }
}
