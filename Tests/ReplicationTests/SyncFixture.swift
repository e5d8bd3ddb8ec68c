import DNSWire
import Memberlist
import NIOCore
import RegistryStore
import Synchronization

@testable import Replication

/// What a node does with a peer's sync stream: as it should, or as a test wants.
final class SyncApplication: GossipApplication {
    typealias Service = @Sendable (SyncStreams, GossipStream) async throws -> Void

    let sync: SyncStreams
    private let service: Mutex<Service?> = Mutex(nil)

    init(_ sync: SyncStreams) { self.sync = sync }

    /// nil: as it should.
    func set(_ other: Service?) { service.withLock { $0 = other } }

    func serve(_ stream: GossipStream) async throws {
        guard let other = service.withLock({ $0 }) else { return await sync.serve(stream) }
        try await other(sync, stream)
    }
}

/// A node with a registry that it syncs.
struct SyncNode: Sendable {
    let node: GossipNode
    let registry: Registry
    let sync: SyncStreams
    let application: SyncApplication

    struct Options {
        var sync = SyncSettings()
        var environment = SyncEnvironment()
        var gossip: (inout GossipSettings) -> Void = { _ in }
    }

    static func start(_ number: Int, _ configure: (inout Options) -> Void = { _ in }) async throws -> SyncNode {
        var options = Options()
        configure(&options)
        let registry = Registry(
            layout: KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local")), node: "n\(number)",
            origin: UInt64(number), clock: options.environment.clock)
        registry.startReplicating()
        let sync = SyncStreams(
            registry: registry, node: "n\(number)", settings: options.sync, environment: options.environment)
        var settings = GossipSettings(name: NodeName("n\(number)"), bind: GossipAddress(127, 0, 0, 1, port: 0))
        settings.timing = .quick
        options.gossip(&settings)
        let application = SyncApplication(sync)
        let node = try await GossipNode.start(settings, application: application)
        sync.attach(node)
        return SyncNode(node: node, registry: registry, sync: sync, application: application)
    }

    var address: GossipAddress { node.bound }

    @discardableResult
    func pull(from other: SyncNode, isRepair: Bool = false) async throws -> SyncReport {
        let (sync, address) = (sync, other.address)
        return try await within(.seconds(60), "a sync") { try await sync.pull(from: address, isRepair: isRepair) }
    }

    /// Why a pull fails; nil when it does not.
    func failure(from other: SyncNode) async throws -> SyncFailure? {
        do {
            try await pull(from: other)
            return nil
        } catch let failure as SyncFailure {
            return failure
        }
    }

    // MARK: Content

    static func key(_ number: Int) -> [UInt8] { Array("/skydns/local/skydns/s\(number % 100)/i\(number)".utf8) }

    func put(_ numbers: Range<Int>, _ text: String = "", lease: LeaseRequest = .permanent) throws {
        for start in stride(from: numbers.lowerBound, to: numbers.upperBound, by: 1_000) {
            try registry.apply(
                (start..<min(start + 1_000, numbers.upperBound)).map { number in
                    .put(
                        namespace: .default, key: Self.key(number),
                        value: .bytes(
                            Array(#"{"host":"10.0.\#(number >> 8 & 255).\#(number & 255)","text":"\#(text)"}"#.utf8)),
                        lease: lease, preconditions: [])
                })
        }
    }

    func delete(_ numbers: some Sequence<Int>) throws {
        try registry.apply(numbers.map { .delete(namespace: .default, key: Self.key($0)) })
    }

    /// Keys with their versions.
    var content: [[UInt8]: Version] {
        let entries = registry.range(namespace: .default, lower: [], upper: nil).entries
        return Dictionary(entries.map { ($0.key, $0.version) }) { first, _ in first }
    }

    func wait(_ what: String, until isThere: @escaping @Sendable (SyncCounters) -> Bool) async throws {
        let sync = sync
        try await within(.seconds(10), "\(what) of \(node.name)") {
            while !isThere(sync.counters) { try await Task.sleep(for: .milliseconds(5)) }
        }
    }
}

/// Starts nodes, lets the test have them, and shuts them down.
func withSyncNodes(
    _ count: Int, _ configure: (inout SyncNode.Options) -> Void = { _ in },
    _ body: ([SyncNode]) async throws -> Void
) async throws {
    var nodes: [SyncNode] = []
    do {
        for number in 1...count { nodes.append(try await .start(number, configure)) }
        try await body(nodes)
    } catch {
        for node in nodes { await node.node.shutdown() }
        throw error
    }
    for node in nodes { await node.node.shutdown() }
}

/// One end of a sync stream in the hands of a test.
struct SyncEnd {
    let stream: GossipStream
    var sends: SyncCipher
    var receives: SyncCipher
    private var records: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator

    private init(_ stream: GossipStream, _ ciphers: (sends: SyncCipher, receives: SyncCipher)) {
        self.stream = stream
        (sends, receives) = ciphers
        records = stream.frames.makeAsyncIterator()
    }

    /// Answers a peer's hello.
    static func answering(_ stream: GossipStream, _ sync: SyncStreams) async throws -> SyncEnd {
        let isSealed = try !SyncGreeting.read(stream.first).publicKey.isEmpty
        let greeting = sync.greeting(isSealed: isSealed)
        let ciphers = try greeting.agree(with: stream.first, isDialler: false, label: [])
        try await stream.answer(greeting.bytes)
        return SyncEnd(stream, ciphers)
    }

    /// Says hello to a peer, and lets the body go on.
    static func dialling(
        _ other: SyncNode, from node: SyncNode, isSealed: Bool = false,
        _ body: @escaping @Sendable (inout SyncEnd) async throws -> Void
    ) async throws {
        let greeting = node.sync.greeting(isSealed: isSealed)
        try await node.node.withStream(to: other.address, first: greeting.bytes) { stream in
            let ciphers = try greeting.agree(with: stream.first, isDialler: true, label: [])
            var end = SyncEnd(stream, ciphers)
            try await body(&end)
        }
    }

    mutating func record(_ frame: Frame) throws -> [UInt8] { try sends.seal([0] + frame.encoded()) }

    func write(_ record: [UInt8]) async throws { try await stream.writer.write(ByteBuffer(bytes: record)) }

    mutating func send(_ frame: Frame) async throws { try await write(try record(frame)) }

    /// nil when the peer has closed.
    mutating func receive() async throws -> Frame? {
        guard let record = try await records.next() else { return nil }
        let text = try receives.open(Array(record.readableBytesView))
        return try Frame(decoding: Array(text.dropFirst()))
    }

    /// Reads on until the peer closes.
    mutating func untilClosed() async throws {
        do {
            while try await records.next() != nil {}
        } catch is IOError {
            // A reset is an end too.
        }
    }

    /// The want of a peer, and a session for it.
    mutating func want(of sync: SyncStreams) async throws -> (session: UInt64, source: SyncSource) {
        guard case .want(let want) = try await receive()?.body,
            let context = CausalContext(checking: want.context, limits: sync.registry.limits)
        else { throw Waited(description: "no want") }
        return (want.session, sync.registry.openSync(to: context))
    }
}
