import DNSWire
import NIOCore
import NIOPosix
import RegdnsTestKit
import RegistryStore
import Synchronization
import Testing

@testable import DNSServer

/// A query as the scripted server got it.
struct UpstreamSaw: Sendable {
    let message: Message
    let transport: ForwardTransport
    /// The client's port.
    let port: Int
    /// How many queries of this server came before it.
    let ordinal: Int
}

/// A DNS server on a port that the kernel chose, UDP and TCP, that sends what its script says.
///
/// While it is held (`isOpen` false) replies are kept back; `open()` sends them.
final class ScriptedUpstream: Sendable {
    typealias Script = @Sendable (UpstreamSaw) -> [[UInt8]]

    private struct State {
        var seen: [UpstreamSaw] = []
        var isOpen: Bool
        var held: [@Sendable () -> Void] = []
    }

    let address: SocketAddress
    private let channels: [any Channel]
    private let state: SharedState

    private final class SharedState: Sendable {
        let script: Script
        let values: Mutex<State>

        init(isOpen: Bool, script: @escaping Script) {
            self.script = script
            values = Mutex(State(isOpen: isOpen))
        }

        func received(
            _ octets: [UInt8], over transport: ForwardTransport, port: Int, send: @escaping @Sendable ([UInt8]) -> Void
        ) {
            guard let message = try? Message(reading: octets) else {
                Issue.record("the forwarder sent a message that does not parse")
                return
            }
            let saw = values.withLock { state in
                let saw = UpstreamSaw(message: message, transport: transport, port: port, ordinal: state.seen.count)
                state.seen.append(saw)
                return saw
            }
            let replies = script(saw)
            let isHeld = values.withLock { state in
                if !state.isOpen { state.held.append { for reply in replies { send(reply) } } }
                return !state.isOpen
            }
            if !isHeld { for reply in replies { send(reply) } }
        }
    }

    private init(address: SocketAddress, channels: [any Channel], state: SharedState) {
        self.address = address
        self.channels = channels
        self.state = state
    }

    var seen: [UpstreamSaw] { state.values.withLock { $0.seen } }
    var count: Int { seen.count }

    /// Keeps further replies back.
    func hold() { state.values.withLock { $0.isOpen = false } }

    func open() {
        let held = state.values.withLock { state in
            state.isOpen = true
            defer { state.held = [] }
            return state.held
        }
        for send in held { send() }
    }

    /// Runs `body` with a server, and stops the server afterwards.
    static func run<Result: Sendable>(
        isOpen: Bool = true, script: @escaping Script,
        _ body: (ScriptedUpstream) async throws -> Result
    ) async throws -> Result {
        let state = SharedState(isOpen: isOpen, script: script)
        let upstream = try await start(state)
        do {
            let result = try await body(upstream)
            for channel in upstream.channels { try await channel.close() }
            return result
        } catch {
            for channel in upstream.channels { try? await channel.close() }
            throw error
        }
    }

    private static func start(_ state: SharedState) async throws -> ScriptedUpstream {
        let group = MultiThreadedEventLoopGroup.singleton
        // The port that UDP gets may be taken for TCP; another one is tried then.
        for _ in 0..<50 {
            let udp = try await DatagramBootstrap(group: group)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(UDPScript(state: state))
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
            let address = try #require(udp.localAddress)
            let bootstrap = ServerBootstrap(group: group)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandlers([
                            ByteToMessageHandler(MessageFrameDecoder()), MessageFrameEncoder(), TCPScript(state: state),
                        ])
                    }
                }
            if let tcp = try? await bootstrap.bind(to: address).get() {
                return ScriptedUpstream(address: address, channels: [udp, tcp], state: state)
            }
            try await udp.close()
        }
        throw ChannelError.operationUnsupported
    }

    private final class UDPScript: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        let state: SharedState
        init(state: SharedState) { self.state = state }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            let (channel, peer) = (context.channel, envelope.remoteAddress)
            state.received(Array(envelope.data.readableBytesView), over: .udp, port: peer.port ?? 0) { reply in
                let packet = AddressedEnvelope(remoteAddress: peer, data: ByteBuffer(bytes: reply))
                channel.writeAndFlush(packet, promise: nil)
            }
        }
    }

    private final class TCPScript: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let state: SharedState
        init(state: SharedState) { self.state = state }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let channel = context.channel
            let octets = Array(unwrapInboundIn(data).readableBytesView)
            state.received(octets, over: .tcp, port: channel.remoteAddress?.port ?? 0) { reply in
                channel.writeAndFlush(ByteBuffer(bytes: reply), promise: nil)
            }
        }
    }
}

/// A port of this machine on which nobody listens.
func closedPort() async throws -> SocketAddress {
    let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .bind(host: "127.0.0.1", port: 0).get()
    let address = try #require(channel.localAddress)
    try await channel.close()
    return address
}

/// A forwarder to `upstreams` in their order whose time limits suit a test: `patience` per try.
func forwarder(
    to upstreams: [SocketAddress], clock: VirtualClock = VirtualClock(),
    patience: Duration = .seconds(20), random: ForwarderRandom = .system,
    _ adjust: (inout ForwarderConfiguration) -> Void = { _ in }
) -> Forwarder {
    var configuration = ForwarderConfiguration(upstreams: upstreams, policy: .sequential)
    configuration.queryTimeout = patience
    configuration.totalTimeout = .seconds(60)
    configuration.totalTimeoutWhenStale = .seconds(60)
    adjust(&configuration)
    return Forwarder(
        configuration: configuration, group: MultiThreadedEventLoopGroup.singleton, clock: clock.registryClock,
        random: random)
}

/// A client's query.
struct ClientQuery {
    var name: String
    var type = RRType.a
    var id: UInt16 = 0x4711
    var flags: MessageFlags = .recursionDesired
    var edns: EDNS?
    var transport = ForwardTransport.udp
    var limit = 1232

    init(_ name: String, _ type: RRType = .a) {
        self.name = name
        self.type = type
    }

    var octets: [UInt8] {
        get throws {
            let question = Question(name: try DomainName(name), type: type)
            return ResponseWriter(limit: 512, id: id, flags: flags, question: question, edns: edns).finish()
        }
    }

    var request: ForwardRequest {
        get throws { try #require(ForwardRequest(query: try octets, transport: transport, limit: limit)) }
    }

    func with(_ change: (inout ClientQuery) -> Void) -> ClientQuery {
        var copy = self
        change(&copy)
        return copy
    }
}

extension ForwardOutcome {
    /// The answer, which must parse and be one.
    func message(_ location: SourceLocation = #_sourceLocation) throws -> Message {
        guard case .message(let octets) = self else {
            Issue.record("no message but \(self)", sourceLocation: location)
            throw WireError.truncated(offset: 0)
        }
        return try Message(reading: octets)
    }
}

extension Forwarder {
    /// Asks as a client does and expects the usual answer.
    func expectAddress(_ query: ClientQuery, _ location: SourceLocation = #_sourceLocation) async throws {
        let answer = try await ask(query, location)
        #expect(answer.addresses == ["192.0.2.1"], sourceLocation: location)
    }

    /// Asks as a client does and expects the answer's and authority's records to have these TTLs.
    func expectTTLs(
        _ query: ClientQuery, _ ttls: [UInt32], _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let answer = try await ask(query, location)
        #expect(answer.ttls == ttls, sourceLocation: location)
    }

    /// Asks as a client does and reads the answer.
    func ask(_ query: ClientQuery, _ location: SourceLocation = #_sourceLocation) async throws -> Message {
        try await forward(try query.request).message(location)
    }
}

extension Message {
    /// The first question's name, folded, as text.
    var name: String { questions.first.map { "\($0.name.folded)" } ?? "" }

    /// An answer to this query.
    func reply(
        _ answers: [ResourceRecord] = [], authorities: [ResourceRecord] = [], additionals: [ResourceRecord] = [],
        rcode: RCODE = .noError, flags: MessageFlags = [.response, .recursionDesired, .recursionAvailable],
        id: UInt16? = nil, question: Question? = nil, edns: EDNS? = EDNS()
    ) -> [UInt8] {
        var writer = ResponseWriter(
            limit: 0xffff, id: id ?? self.id, flags: flags, rcode: rcode, question: question ?? questions.first,
            edns: edns)
        for record in answers { writer.append(.answer, record) }
        for record in authorities { writer.append(.authority, record) }
        for record in additionals { writer.append(.additional, record) }
        return writer.finish()
    }

    /// The usual answer: one address for the name asked for.
    func address(ttl: UInt32 = 300, _ text: String = "192.0.2.1") -> [UInt8] {
        reply([record(questions.first.map { "\($0.name)" } ?? ".", .a, ttl: ttl, text)])
    }

    /// The TTLs of answer and authority section.
    var ttls: [UInt32] { (answers + authorities).map(\.ttl) }

    /// The addresses of the answer section as text.
    var addresses: [String] {
        answers.filter { $0.type == .a }.map { RecordText.format(type: $0.type, rdata: $0.rdata) }
    }
}

/// A record from presentation text; a mistyped one fails the test.
func record(_ owner: String, _ type: RRType, ttl: UInt32 = 300, _ text: String) -> ResourceRecord {
    do {
        return ResourceRecord(
            owner: try DomainName(owner), type: type, ttl: ttl, rdata: try RecordText.parse(type: type, text: text))
    } catch {
        Issue.record("bad record \(owner) \(type) \(text): \(error)")
        return ResourceRecord(owner: .root, type: type, ttl: ttl, rdata: [])
    }
}

/// An SOA of `zone` with the given minimum.
func soa(_ zone: String, ttl: UInt32 = 900, minimum: UInt32 = 60) -> ResourceRecord {
    record(zone, .soa, ttl: ttl, "ns.example. hostmaster.example. 1 7200 3600 1209600 \(minimum)")
}

/// Waits until `condition` holds; fails after ten seconds.
func eventually(_ what: String, _ condition: () -> Bool, _ location: SourceLocation = #_sourceLocation) async {
    let end = ContinuousClock.now + .seconds(10)
    while !condition() {
        guard ContinuousClock.now < end else {
            Issue.record("never happened: \(what)", sourceLocation: location)
            return
        }
        await Task.yield()
    }
}
