import DNSWire
import RegdnsTestKit
import RegistryStore

@testable import Replication

/// Replicators in virtual time: messages take a step or two and may be lost, pulls take some steps and are whole.
final class ReplicatorNet {
    static let step: Int64 = 50

    struct Node {
        let clock: VirtualClock
        let registry: Registry
        var replicator: Replicator
        /// Whether the others see it.
        var isUp = true
    }

    private enum Content {
        case message([UInt8])
        case pull(id: UInt64, by: Int)
    }

    private(set) var nodes: [Node] = []
    var lossPercent = 0
    private var paused: Int?
    private(set) var messages = 0
    private(set) var messageBytes = 0
    private(set) var pulls = 0
    private var wire: [(due: Int64, to: Int, content: Content)] = []
    private var random: SeededRandom
    private var now: Int64 = 0
    private let layout: KeyLayout

    init(count: Int, seed: UInt64 = 1, configure: (inout ReplicatorSettings) -> Void = { _ in }) throws {
        random = SeededRandom(seed: seed)
        layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        for _ in 0..<count { add(expectsPeers: false, configure) }
        tellPeers()
    }

    static func name(_ number: Int) -> String { "n\(number)" }

    @discardableResult
    func add(expectsPeers: Bool, _ configure: (inout ReplicatorSettings) -> Void = { _ in }) -> Int {
        let clock = VirtualClock()
        clock.advance(milliseconds: now)
        let name = Self.name(nodes.count)
        let registry = Registry(layout: layout, node: name, origin: random.next(), clock: clock.registryClock)
        var settings = ReplicatorSettings(node: name, expectsPeers: expectsPeers)
        configure(&settings)
        let replicator = Replicator(settings, registry: registry, now: clock.registryClock.now)
        nodes.append(Node(clock: clock, registry: registry, replicator: replicator))
        return nodes.count - 1
    }

    subscript(number: Int) -> Node { nodes[number] }

    func registry(_ number: Int) -> Registry { nodes[number].registry }

    /// Brings a node in or out of sight of the others, and of itself.
    func set(_ number: Int, isUp: Bool) {
        nodes[number].isUp = isUp
        tellPeers()
    }

    func tellPeers() {
        let up = nodes.indices.filter { nodes[$0].isUp }
        let ready = up.filter { nodes[$0].replicator.phase == .ready }
        for index in nodes.indices {
            give(.peers(nodes[index].isUp ? up.map(Self.name) : [], ready: ready.map(Self.name)), to: index)
        }
    }

    func put(_ id: String, at number: Int, text: String = "", lease: LeaseRequest = .own(milliseconds: 30_000)) throws {
        let attributes = InstanceAttributes(
            service: "s", id: id, endpointType: "tcp", endpoint: "10.0.0.1:80",
            metadata: text.isEmpty ? nil : Array("\"\(text)\"".utf8))
        try nodes[number].registry.apply([
            .put(
                namespace: .default, key: layout.primaryKey(service: "s", id: id),
                value: .registration(Registration(host: .ipv4(0x0a00_0001), instance: attributes)), lease: lease)
        ])
    }

    func delete(_ id: String, at number: Int) throws {
        try nodes[number].registry.apply([
            .delete(namespace: .default, key: layout.primaryKey(service: "s", id: id))
        ])
    }

    func shows(_ id: String, at number: Int) -> Bool {
        nodes[number].registry.entry(namespace: .default, id: id) != nil
    }

    var areEqual: Bool {
        let up = nodes.filter(\.isUp).map { $0.registry.summary() }
        return up.allSatisfy { $0 == up[0] }
    }

    // MARK: Time

    func give(_ event: ReplicatorEvent, to number: Int) {
        let time = nodes[number].clock.registryClock.now
        for effect in nodes[number].replicator.step(event, now: time, random: &random) { perform(effect, of: number) }
    }

    private func perform(_ effect: ReplicatorEffect, of number: Int) {
        switch effect {
        case .send(let bytes, let name):
            messages += 1
            messageBytes += bytes.count
            guard random.below(100) >= lossPercent, let to = nodes.indices.first(where: { Self.name($0) == name })
            else { return }
            wire.append((now + Self.step * Int64(random.below(2)), to, .message(bytes)))
        case .pull(let id, let name, _):
            pulls += 1
            guard let from = nodes.indices.first(where: { Self.name($0) == name }) else { return }
            wire.append((now + 2 * Self.step, from, .pull(id: id, by: number)))
        }
    }

    func run(milliseconds: Int64) throws {
        for _ in 0..<(milliseconds / Self.step) { try step() }
    }

    /// Lets time pass for all but one node, whose process stands still; messages to it are lost.
    func run(milliseconds: Int64, without paused: Int, doing: () throws -> Void) throws {
        self.paused = paused
        defer { self.paused = nil }
        try doing()
        try run(milliseconds: milliseconds)
    }

    /// Cuts a node off, without anybody having noticed yet.
    func hide(_ number: Int) { nodes[number].isUp = false }

    /// Runs until a condition holds.
    ///
    /// - Returns: after how many milliseconds; nil when it did not within `limit`.
    func run(atMost limit: Int64, until holds: () -> Bool) throws -> Int64? {
        let start = now
        while !holds() {
            guard now - start < limit else { return nil }
            try step()
        }
        return now - start
    }

    private func step() throws {
        now += Self.step
        for node in nodes { node.clock.advance(milliseconds: Self.step) }
        let due = wire.filter { $0.due <= now }
        wire.removeAll { $0.due <= now }
        for (_, to, content) in due {
            switch content {
            case .message(let bytes): if nodes[to].isUp, to != paused { give(.message(bytes), to: to) }
            case .pull(let id, let puller):
                give(.pulled(id: id, try pull(from: to, by: puller)), to: puller)
            }
        }
        for index in nodes.indices where index != paused { give(.tick, to: index) }
    }

    private func pull(from: Int, by puller: Int) throws -> PullOutcome {
        guard nodes[from].isUp, nodes[puller].isUp else { return .failed(reason: "cut") }
        var session = nodes[puller].registry.beginSession()
        var source = nodes[from].registry.openSync(to: session.context)
        var state = SyncProgress.State.open
        while let page = nodes[from].registry.nextPage(of: &source) {
            state = try nodes[puller].registry.receive(page, in: &session).state
        }
        return state == .complete ? .complete : .failed(reason: "\(state)")
    }
}
