import DNSWire
import RegdnsTestKit
import RegistryStore

@testable import Replication

/// A rule of leases that the model breaks on purpose.
enum LeaseModelFault: String, CaseIterable, Sendable {
    /// Batches of heartbeats count however old they are, and somebody plays recorded ones again.
    case oldBatchesCount
}

/// Registries and keepers of leases under wrong, late and differing views of the cluster, splits, crashes with loss of
/// memory, wrong clocks and loss. Clients know the truth. Ported from the design's executable model; half a second a
/// step.
final class LeaseModel {
    struct Node {
        let name: String
        let clock = VirtualClock()
        var registry: Registry
        var keeper: LeaseKeeper
        /// Which nodes this one takes for alive.
        var view: [Bool]
        var isUp = true
        var downUntil = 0
    }

    struct Instance {
        var isOn = false
        var since = 0
        var node = 0
        var next = 0
    }

    enum Content {
        case operation(RemoteOperation)
        case frame([UInt8])

        var operation: RemoteOperation? {
            if case .operation(let operation) = self { return operation }
            return nil
        }
    }

    static let step = 500
    static let lease: Int64 = 30_000
    static let steps = 1800
    /// No new faults in the last part.
    static let calmSteps = 700

    let fault: LeaseModelFault?
    /// Somebody records batches of heartbeats and sends them again, for ever.
    let hasReplays: Bool
    var recorded: [(to: Int, bytes: [UInt8])] = []
    let layout: KeyLayout
    var limits = RegistryLimits()
    var random: SeededRandom
    var nodes: [Node] = []
    var instances = [Instance](repeating: Instance(), count: 8)
    var groups: [Int] = []
    var splitUntil = 0
    var lag = 10
    var lossPercent = 0
    var wire: [(due: Int, from: Int, to: Int, content: Content)] = []
    var now = 0
    var lastDisturbance = 0
    /// Operations that came together and were merged at once.
    var batchesMerged = 0
    /// By node, the step until which operations wait for it.
    var busyUntil: [Int] = []
    var absent: [Int] = []
    var stale: [Int] = []
    /// The longest time in calm that a renewing instance was absent, or a stopped one present, in seconds.
    private(set) var worstAbsence = 0.0
    private(set) var worstStaleness = 0.0

    init(seed: UInt64, fault: LeaseModelFault? = nil, hasReplays: Bool = false) throws {
        self.fault = fault
        self.hasReplays = hasReplays
        random = SeededRandom(seed: seed)
        layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        limits.maxLeases = 1000
        limits.feedEvents = 10
        let count = 3 + random.below(5)
        lag = [10, 24, 50][random.below(3)]
        lossPercent = [0, 10, 30][random.below(3)]
        groups = [Int](repeating: 0, count: count)
        busyUntil = groups
        absent = [Int](repeating: 0, count: count * instances.count)
        stale = absent
        for number in 0..<count {
            let clock = VirtualClock()
            var node = Node(
                name: "node-\(number)",
                registry: Registry(layout: layout, node: "", origin: 1, limits: limits, clock: clock.registryClock),
                keeper: LeaseKeeper(LeaseKeeperSettings(node: "")),
                view: [Bool](repeating: true, count: count))
            node.clock.shiftWallClock(milliseconds: Int64(random.below(41) - 20) * 1000)
            boot(&node)
            nodes.append(node)
        }
        for index in instances.indices { instances[index].node = random.below(count) }
        for index in nodes.indices { try setView(index) }
    }

    private func boot(_ node: inout Node) {
        node.registry = Registry(
            layout: layout, node: node.name, origin: random.next(), limits: limits, clock: node.clock.registryClock)
        node.registry.startReplicating()
        node.registry.startForwarding()
        node.keeper = LeaseKeeper(LeaseKeeperSettings(node: node.name))
    }

    // MARK: One run

    func run() throws {
        for step in 1...Self.steps {
            now = step
            if step < Self.steps - Self.calmSteps { disturb() }
            endDisturbances()
            try updateViews()
            for index in nodes.indices { nodes[index].clock.advance(milliseconds: Int64(Self.step)) }
            try deliver()
            for _ in 0..<2 { try syncSomebody() }
            try heartbeats()
            for index in nodes.indices where nodes[index].isUp { try tick(index) }
            measure()
        }
        // What is on its way in the last second is no difference.
        for _ in 0..<2 {
            for from in nodes.indices { for to in nodes.indices where to != from { try sync(from: from, to: to) } }
        }
    }

    /// Whether all nodes show the same in the end.
    func isEqual() -> Bool {
        let visible = nodes.map { node in
            node.registry.range(namespace: .default, lower: [], upper: nil).entries.map {
                node.registry.operation(namespace: .default, key: $0.key)
            }
        }
        return visible.allSatisfy { $0 == visible[0] }
    }

    private func disturb() {
        if now > splitUntil, random.below(500) == 0 {
            groups = groups.map { _ in random.below(2) }
            splitUntil = now + 20 + random.below(380)
        }
        for index in nodes.indices where nodes[index].isUp && nodes.filter(\.isUp).count > 2 {
            guard random.below(2000) == 0 else { continue }
            nodes[index].isUp = false
            nodes[index].downUntil = now + 6 + random.below(294)
        }
    }

    private func endDisturbances() {
        if now == splitUntil {
            groups = groups.map { _ in 0 }
            lastDisturbance = now
        }
        for index in nodes.indices where !nodes[index].isUp && now >= nodes[index].downUntil {
            boot(&nodes[index])
            nodes[index].isUp = true
            for other in nodes.indices { nodes[index].view[other] = other == index }
            lastDisturbance = now
        }
    }

    func reaches(_ a: Int, _ b: Int) -> Bool { nodes[a].isUp && nodes[b].isUp && groups[a] == groups[b] }

    private func updateViews() throws {
        for a in nodes.indices where nodes[a].isUp {
            var hasChanged = false
            for b in nodes.indices where a != b && nodes[a].view[b] != reaches(a, b) && random.oneIn(lag) {
                nodes[a].view[b].toggle()
                hasChanged = true
            }
            if hasChanged { try setView(a) }
        }
    }

    private func setView(_ index: Int) throws {
        let names = nodes.indices.filter { nodes[index].view[$0] }.map { nodes[$0].name }
        try feed(.members(names), to: index)
    }

    private func deliver() throws {
        if hasReplays, !recorded.isEmpty {
            let old = recorded[random.below(recorded.count)]
            let from = (old.to + 1) % nodes.count
            wire.append((now, from, old.to, .frame(old.bytes)))
        }
        for index in nodes.indices where busyUntil[index] <= now && random.oneIn(4) {
            busyUntil[index] = now + 1 + random.below(5)
        }
        func waits(_ packet: (due: Int, from: Int, to: Int, content: Content)) -> Bool {
            guard packet.due <= now else { return true }
            return packet.content.operation != nil && busyUntil[packet.to] > now
        }
        var due = wire.filter { !waits($0) }
        wire = wire.filter(waits)
        due.removeAll { !reaches($0.from, $0.to) }
        // What came while a node was busy it takes over at once.
        for index in nodes.indices where busyUntil[index] == now {
            let operations = due.compactMap { $0.to == index ? $0.content.operation : nil }
            guard operations.count > 1 else { continue }
            due.removeAll { $0.to == index && $0.content.operation != nil }
            batchesMerged += 1
            pass(nodes[index].registry.merge(operations).changes, from: index)
        }
        for packet in due {
            switch packet.content {
            case .operation(let operation):
                pass(nodes[packet.to].registry.merge([operation]).changes, from: packet.to)
            case .frame(let bytes):
                let sender = nodes[packet.from].name
                switch try Frame(decoding: bytes).body {
                case .renew(let frame): try feed(.received(frame, from: sender), to: packet.to)
                case .renewAnswer(let frame): try feed(.answered(frame, from: sender), to: packet.to)
                case .handover(let leases): try feed(.handover(leases, from: sender), to: packet.to)
                default: break
                }
            }
        }
    }

    private func syncSomebody() throws {
        let a = random.below(nodes.count)
        let b = (a + 1 + random.below(nodes.count - 1)) % nodes.count
        try sync(from: a, to: b)
        try sync(from: b, to: a)
    }

    func sync(from: Int, to: Int) throws {
        guard reaches(from, to) else { return }
        var session = nodes[to].registry.beginSession()
        var source = nodes[from].registry.openSync(to: session.context)
        while let page = nodes[from].registry.nextPage(of: &source) {
            pass(try nodes[to].registry.receive(page, in: &session).receipt.changes, from: to)
        }
    }

    /// Clients renew every 10 s, at their own node or at any other on its side, and register again when told to.
    private func heartbeats() throws {
        for index in instances.indices {
            if random.below(700) == 0, now < Self.steps - 600 {
                instances[index].isOn.toggle()
                instances[index].since = now
                instances[index].node = random.below(nodes.count)
                instances[index].next = now
            }
            guard instances[index].isOn, now >= instances[index].next else { continue }
            instances[index].next = now + 20
            var side = nodes.indices.filter { nodes[$0].isUp && groups[$0] == groups[instances[index].node] }
            if side.isEmpty {
                let up = nodes.indices.filter { nodes[$0].isUp }
                instances[index].node = up[random.below(up.count)]
                side = [instances[index].node]
            }
            var node = random.below(10) < 6 ? instances[index].node : random.below(nodes.count)
            if !side.contains(node) { node = side[random.below(side.count)] }
            try heartbeat(index, at: node)
        }
    }

    private func heartbeat(_ instance: Int, at index: Int) throws {
        let registry = nodes[index].registry
        let before = registry.revision
        do {
            try registry.renew(namespace: .default, id: "i\(instance)")
            // Without a home to tell, the node may have become it.
            for batch in try registry.changes(after: before) { pass(batch.changes, from: index) }
        } catch .notFound {
            let attributes = InstanceAttributes(
                service: "s", id: "i\(instance)", endpointType: "tcp", endpoint: "10.0.0.1:80")
            let receipt = try registry.apply([
                .put(
                    namespace: .default, key: layout.primaryKey(service: "s", id: "i\(instance)"),
                    value: .registration(Registration(host: .ipv4(0x0a00_0001), instance: attributes)),
                    lease: .own(milliseconds: Self.lease))
            ])
            pass(receipt.changes, from: index)
        }
    }

    // MARK: Keepers

    private func tick(_ index: Int) throws {
        let registry = nodes[index].registry
        let heartbeats = registry.takeHeartbeats()
        if !heartbeats.isEmpty { try feed(.heartbeats(heartbeats), to: index) }
        try feed(.tick, to: index)
        let due = registry.dueLeases(limit: 1000)
        let own = registry.ownLeases()
        if !due.isEmpty {
            try feed(.due(due, of: registry.node, ownCount: own.counted, preservedCount: own.preserved), to: index)
        }
    }

    func feed(_ event: LeaseEvent, to index: Int) throws {
        let effects = nodes[index].keeper.step(event, now: nodes[index].clock.registryClock.now)
        for effect in effects { try perform(effect, at: index) }
    }

    private func perform(_ effect: LeaseEffect, at index: Int) throws {
        let registry = nodes[index].registry
        switch effect {
        case .send(let frame, let name):
            guard let to = nodes.firstIndex(where: { $0.name == name }) else { return }
            let bytes = frame.encoded()
            if hasReplays, case .renew = frame.body { recorded.append((to, bytes)) }
            send(.frame(bytes), from: index, to: to)
        case .renew(let batch, let sender, let renewals, let sentUnix):
            let isBlind = fault == .oldBatchesCount
            let refused = registry.renewForwarded(
                renewals.map { (id: $0.id, age: $0.ageMilliseconds) },
                sentUnix: isBlind ? nodes[index].clock.registryClock.now.unix : sentUnix)
            var homes: [LeaseID: String] = [:]
            for id in refused { homes[id] = registry.lease(id)?.home }
            try feed(.renewed(batch: batch, from: sender, refused: refused, homes: homes), to: index)
        case .adopt(let ids, let peer):
            if let peer, let from = nodes.firstIndex(where: { $0.name == peer }) { try sync(from: from, to: index) }
            for id in ids where registry.lease(id) != nil { pass(try registry.adopt(id).changes, from: index) }
        case .listHomes: try feed(.homes(registry.homes()), to: index)
        case .list(let home):
            try feed(.leases(registry.leases(countedBy: home), of: home), to: index)
        case .describe(let ids, let home):
            try feed(.due(registry.describe(ids, countedBy: home), of: home, ownCount: 0), to: index)
        case .expire(let ids, let home):
            pass(registry.expire(ids, countedBy: home).changes, from: index)
        case .preserve(let ids, let home): registry.preserve(ids, countedBy: home)
        case .endPreserving(let home): registry.endPreserving(countedBy: home)
        case .extendOwn(let pause): registry.extendLeases(afterPause: pause)
        }
    }

    /// Tells the others what a node did itself.
    private func pass(_ changes: [Change], from index: Int) {
        let registry = nodes[index].registry
        for change in changes where change.version.origin == registry.origin {
            guard let operation = registry.operation(namespace: change.namespace, key: change.key) else { continue }
            for peer in nodes.indices where peer != index { send(.operation(operation), from: index, to: peer) }
        }
    }

    private func send(_ content: Content, from: Int, to: Int) {
        if random.below(100) >= lossPercent { wire.append((now + random.below(2), from, to, content)) }
    }

    // MARK: Truth

    private func measure() {
        let isCalm =
            now - lastDisturbance > 180 && now > splitUntil
            && nodes.allSatisfy { $0.isUp && $0.view.allSatisfy { $0 } }
        for index in instances.indices {
            for node in nodes.indices where nodes[node].isUp {
                let place = index * nodes.count + node
                let isVisible = nodes[node].registry.entry(namespace: .default, id: "i\(index)") != nil
                let isRenewing = instances[index].isOn && now - instances[index].since > 60
                absent[place] = isCalm && isRenewing && !isVisible ? absent[place] + 1 : 0
                stale[place] = isCalm && !instances[index].isOn && isVisible ? stale[place] + 1 : 0
                worstAbsence = max(worstAbsence, Double(absent[place] * Self.step) / 1000)
                worstStaleness = max(worstStaleness, Double(stale[place] * Self.step) / 1000)
            }
        }
    }
}
