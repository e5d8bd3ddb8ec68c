import DNSWire
import Logging
import Memberlist
import RegistryStore
import Testing

@testable import Replication

/// A registry that replicates on real sockets.
private struct ReplicatedNode: Sendable {
    let registry: Registry
    let service: ReplicationService
    let node: GossipNode
    private let running: Task<Void, Never>

    static func start(_ name: String, expectsPeers: Bool, key: GossipKey?) async throws -> ReplicatedNode {
        let layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        let registry = Registry(layout: layout, node: name, origin: .random(in: 1 ... .max))
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let service = ReplicationService(
            ReplicatorSettings(node: name, expectsPeers: expectsPeers), registry: registry, clock: .system,
            sync: SyncStreams(registry: registry, node: name), logger: logger)
        var settings = GossipSettings(name: NodeName(name), bind: GossipAddress(127, 0, 0, 1, port: 0))
        settings.timing = .quick
        settings.meta = MemberTags.encode(ReplicationTags.tags(origin: registry.origin))
        if let key { settings.keys = KeyChain(keys: [key]) }
        let node = try await GossipNode.start(settings, application: service)
        let running = Task { await service.run(on: node) }
        return ReplicatedNode(registry: registry, service: service, node: node, running: running)
    }

    func stop() async {
        running.cancel()
        await running.value
        await node.shutdown()
    }

    func put(_ id: String, milliseconds: Int64 = 30_000) throws {
        let attributes = InstanceAttributes(service: "s", id: id, endpointType: "tcp", endpoint: "10.0.0.1:80")
        try registry.apply([
            .put(
                namespace: .default, key: registry.layout.primaryKey(service: "s", id: id),
                value: .registration(Registration(host: .ipv4(0x0a00_0001), instance: attributes)),
                lease: .own(milliseconds: milliseconds))
        ])
    }

    func shows(_ id: String) -> Bool { registry.entry(namespace: .default, id: id) != nil }

    func wait(_ what: String, until holds: @escaping @Sendable (ReplicatedNode) -> Bool) async throws {
        try await within(.seconds(20), "\(node.name): \(what), \(service.status)") {
            while !holds(self) { try await Task.sleep(for: .milliseconds(10)) }
        }
    }
}

@Suite("Replication on real sockets", .serialized)
struct ReplicationServiceTests {
    @Test("Three nodes have what each of them takes, and go on without one", arguments: [true, false])
    func three(isSealed: Bool) async throws {
        let key = isSealed ? GossipKey(octets: [UInt8](repeating: 7, count: 32)) : nil
        let first = try await ReplicatedNode.start("n1", expectsPeers: false, key: key)
        for number in 0..<500 { try first.put("before\(number)") }
        #expect(first.service.status.phase == .ready)
        var nodes = [first]
        for name in ["n2", "n3"] {
            let node = try await ReplicatedNode.start(name, expectsPeers: true, key: key)
            #expect(node.service.status.notReady != nil)
            try await node.node.join([first.node.address])
            nodes.append(node)
        }
        for node in nodes {
            try await node.wait("ready") { $0.service.status.phase == .ready }
            try await node.wait("has what was there") { $0.shows("before0") && $0.shows("before499") }
        }
        for (number, node) in nodes.enumerated() { try node.put("i\(number)") }
        for node in nodes {
            try await node.wait("has the new ones") { node in (0..<3).allSatisfy { node.shows("i\($0)") } }
        }
        // A heartbeat anywhere.
        try nodes[2].registry.renew(namespace: .default, id: "i0")
        try nodes[1].registry.apply([
            .delete(namespace: .default, key: first.registry.layout.primaryKey(service: "s", id: "i0"))
        ])
        for node in nodes { try await node.wait("has lost one") { !$0.shows("i0") } }

        try nodes[0].put("short", milliseconds: 1_000)
        for node in nodes { try await node.wait("sees it end") { !$0.shows("short") && $0.shows("i1") } }
        nodes[0].service.leave(on: nodes[0].node)
        await nodes[0].node.leave()
        await nodes[0].stop()
        for node in nodes.dropFirst() { try await node.wait("sees one peer") { $0.service.status.peers.count == 1 } }
        try nodes[2].put("after")
        try await nodes[1].wait("goes on") { $0.shows("after") && $0.shows("i1") && $0.shows("before7") }
        for node in nodes.dropFirst() { await node.stop() }
    }

    @Test("Who has this node's name at another address is found out by asking there")
    func namesakes() async throws {
        let first = try await ReplicatedNode.start("n1", expectsPeers: false, key: nil)
        let own = try await ReplicatedNode.start("n2", expectsPeers: false, key: nil)
        let twin = try await ReplicatedNode.start("n2", expectsPeers: false, key: nil)
        let foreign = try await TestNode.start("n2")
        let gone = try await TestNode.start("n2")
        await gone.node.shutdown()
        for (address, expected) in [
            (twin.node.address, .other), (foreign.node.address, .other), (first.node.address, .nobody),
            (gone.node.address, .nobody), (own.node.address, .itself),
        ] as [(GossipAddress, Namesake)] {
            let found = await own.service.namesake(at: address, on: own.node, patience: 5_000)
            #expect(found == expected, "\(address)")
        }
        #expect(own.service.nameClaim == nil)
        try await own.node.join([first.node.address])
        try await within(.seconds(10), "n1 knows n2") {
            while try await first.node.members().count < 2 { try await Task.sleep(for: .milliseconds(10)) }
        }
        try await twin.node.join([first.node.address])
        #expect(twin.service.nameClaim?.address == own.node.address)
        for node in [first, own, twin] { await node.stop() }
        await foreign.node.shutdown()
    }

    @Test("A member that is no regdns is left alone")
    func foreign() async throws {
        let own = try await ReplicatedNode.start("n1", expectsPeers: false, key: nil)
        let other = try await TestNode.start("plain")
        try await other.node.join([own.node.address])
        try await other.wait(forAlive: 2)
        try own.put("a")
        try await own.wait("has looked at the members") { _ in true }
        #expect(own.service.status.peers.isEmpty)
        let members = try await own.node.members()
        #expect(ReplicationTags.isPeer(try #require(members.first { $0.name == "n1" })))
        await own.stop()
        await other.node.shutdown()
    }
}
