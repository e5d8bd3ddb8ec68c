import DNSWire
import Logging
import Memberlist
import NIOCore
import NIOPosix
import RegistryStore
import Replication
import Synchronization

/// Seconds on the monotonic clock.
func now() -> Double { Double(NIODeadline.now().uptimeNanoseconds) / 1e9 }

/// What a node saw.
final class Sight: Sendable {
    struct Content: Sendable {
        var members: Set<NodeName> = []
        /// When each name was seen to go last, and to change last.
        var gone: [NodeName: Double] = [:]
        var updated: [NodeName: Double] = [:]
        var deaths = 0
        /// When each message, or key of a registration, came first.
        var heard: [[UInt8]: Double] = [:]
        var copies = 0
    }

    private let content = Mutex(Content())

    func see<Value: Sendable>(_ body: (inout sending Content) -> sending Value) -> Value { content.withLock(body) }

    func take(_ event: GossipEvent) {
        let at = now()
        see { content in
            switch event {
            case .joined(let member): content.members.insert(member.name)
            case .updated(let member): content.updated[member.name] = at
            case .left(let member), .failed(let member):
                content.members.remove(member.name)
                content.gone[member.name] = at
                content.deaths += 1
            default: break
            }
        }
    }
}

/// Passes on what is new, once.
struct Relaying: GossipApplication {
    let sight: Sight

    func receive(_ message: [UInt8], from sender: GossipAddress) -> Bool {
        let at = now()
        return sight.see { content in
            content.copies += 1
            guard content.heard[message] == nil else { return false }
            content.heard[message] = at
            return true
        }
    }
}

extension Sight: RegistryObserver {
    func registryDidChange(_ batch: ChangeBatch) {
        let at = now()
        see { content in
            for change in batch.changes {
                if let key = change.current?.key, content.heard[key] == nil { content.heard[key] = at }
            }
        }
    }
}

/// One member and what it saw.
final class BenchNode: Sendable {
    /// Sixteen octets: AES-128. mlbench has the same.
    private static let key = Array("regdns-benchmark".utf8)
    /// Two threads for all nodes, as Go has for two processors.
    private static let loops = MultiThreadedEventLoopGroup(numberOfThreads: 2)

    let node: GossipNode
    let sight: Sight
    let registry: Registry?
    private let service: ReplicationService?
    private let tasks: [Task<Void, Never>]

    var name: NodeName { node.name }

    static func start(_ name: String, at bind: GossipAddress, replicates: Bool) async throws -> BenchNode {
        let sight = Sight()
        var settings = GossipSettings(name: NodeName(name), bind: bind)
        guard let key = GossipKey(octets: key) else { throw BadOption("a key of 16 octets") }
        settings.keys = KeyChain(keys: [key])
        settings.meta = Array("role=regdns;v1".utf8)
        var environment = GossipEnvironment()
        environment.eventLoop = loops.next()
        environment.logger.logLevel = .error
        guard replicates else {
            let node = try await GossipNode.start(
                settings, application: Relaying(sight: sight), environment: environment)
            return try await BenchNode(node, sight, nil)
        }
        let origin = UInt64.random(in: 1...UInt64.max)
        settings.meta = MemberTags.encode(ReplicationTags.tags(origin: origin))
        let registry = Registry(layout: try Self.layout(), node: name, origin: origin)
        let service = ReplicationService(
            ReplicatorSettings(node: name, expectsPeers: false), registry: registry, clock: .system,
            sync: SyncStreams(registry: registry, node: name), logger: environment.logger)
        registry.addObserver(sight)
        let node = try await GossipNode.start(settings, application: service, environment: environment)
        return try await BenchNode(node, sight, (registry, service))
    }

    static func layout() throws -> KeyLayout { KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local")) }

    private init(
        _ node: GossipNode, _ sight: Sight, _ replication: (registry: Registry, service: ReplicationService)?
    ) async throws {
        self.node = node
        self.sight = sight
        registry = replication?.registry
        service = replication?.service
        // Nobody knows this node yet, so that no event was missed but its own.
        sight.see { _ = $0.members.insert(node.name) }
        let events = try await node.events()
        var tasks = [Task { for await event in events { sight.take(event) } }]
        if let service { tasks.append(Task { await service.run(on: node) }) }
        self.tasks = tasks
    }

    func dial(_ other: BenchNode) async throws {
        let joined = try await node.join([other.node.address])
        guard !joined.isEmpty else { throw Stuck(description: "\(name) could not join \(other.name)") }
    }

    /// Closes all sockets without a word.
    func stop() async {
        await node.shutdown()
        for task in tasks { task.cancel() }
    }

    /// Deliveries by the gossip, doubled ones included: messages, or operations of announcements.
    var copies: Int {
        guard let counters = service?.status.counters else { return sight.see { $0.copies } }
        return counters.applied + counters.known
    }

    func put(_ id: String) throws -> [UInt8] {
        guard let registry else { throw BadOption("nodes that replicate") }
        let layout = try Self.layout()
        let key = layout.primaryKey(service: "s", id: id)
        let attributes = InstanceAttributes(service: "s", id: id, endpointType: "tcp", endpoint: "10.0.0.1:80")
        try registry.apply([
            .put(
                namespace: .default, key: key,
                value: .registration(Registration(host: .ipv4(0x0a00_0001), instance: attributes)),
                lease: .own(milliseconds: 600_000))
        ])
        return key
    }
}
