import DNSWire
import RegdnsTestKit
import Synchronization

@testable import RegistryStore

/// A rule that the model breaks on purpose, to show that its checks would see it.
enum ModelFault: String, CaseIterable, Sendable {
    /// Delta sessions although removals were forgotten.
    case noFloor
    /// An expiry has the present time instead of that of the write it ends.
    case expiryNow
    /// Packets claim ranges: operations that were left out count as seen.
    case claimEarly
    /// A restarted process keeps its origin and counts from 1 again.
    case reuseSequence
    /// A write takes the clock only, not what it writes over.
    case noCausalBump
    /// Operations far ahead of the own clock are refused.
    case dropFuture
    /// A node gives up a lease that runs there when others expire it.
    case noReassert
    /// The sender's context is joined with the first page of a session.
    case joinEarly
    /// A session does not bring what was written since it began, and claims it all the same.
    case noCatchUp
    /// Removals count as known up to the greatest operation of an origin, whatever is missing below it.
    case holesIgnored

    var inCore: HybridClock.PlantedFault? {
        switch self {
        case .expiryNow: .expiryNow
        case .noCausalBump: .noCausalBump
        case .noReassert: .noReassert
        case .noFloor, .claimEarly, .reuseSequence, .dropFuture, .joinEarly, .noCatchUp, .holesIgnored: nil
        }
    }
}

/// What a run of the model found wrong.
struct ModelFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Real registries under random writes, loss, delay, splits, crashes, wrong clocks and forgetting; a tick is a second.
/// Ported from the design's executable model, with sessions that take several ticks and break off in between.
final class ReplicaModel {
    struct Node {
        let number: Int
        let skew: Int64
        let clock = VirtualClock()
        var boots = 0
        var registry: Registry
        /// Keys whose clients renew them here.
        var renewed: Set<Int> = []
        /// Per key the greatest delete that was applied here.
        var deletes: [Int: Version] = [:]
        /// Per key the greatest version that was here.
        var known: [Int: Version] = [:]
    }

    struct Packet {
        let due: Int
        let from: Int
        let to: Int
        let content: Content

        enum Content {
            case operation(RemoteOperation)
            case claim(origin: UInt64, sequence: UInt64)

            var operation: RemoteOperation? {
                if case .operation(let operation) = self { return operation }
                return nil
            }
        }
    }

    struct Session {
        let from: Int
        let to: Int
        let boots: [Int]
        let pageSize: Int
        let isQuick: Bool
        var source: SyncSource
        var receiver: SyncSession
    }

    static let tombstoneTicks = 120
    static let length = 900

    let fault: ModelFault?
    /// Lets splits outlast the time of tombstones, which the design does not promise to survive.
    let hasLongSplits: Bool
    let layout: KeyLayout
    let limits: RegistryLimits
    var random: SeededRandom
    var nodes: [Node] = []
    var keyCount = 1
    var groups: [Int] = []
    var splitUntil = 0
    var lossPercent = 0
    var wire: [Packet] = []
    var sessions: [Session] = []
    /// Every operation there ever was, with its key.
    var history: [(key: Int, version: Version)] = []
    /// What each expiry ended.
    var expired: [Dot: Version] = [:]
    var now = 0
    var sessionsCompleted = 0
    /// Packets' operations that were merged with others at once, as a busy node does.
    var batchesMerged = 0
    /// By node, the tick until which packets wait for it.
    var busyUntil: [Int] = []
    var resets = 0
    /// An operation arrived after the time of tombstones: nothing is promised then.
    var hasLateArrival = false

    init(seed: UInt64, fault: ModelFault? = nil, hasLongSplits: Bool = false) throws {
        self.fault = fault
        self.hasLongSplits = hasLongSplits
        random = SeededRandom(seed: seed)
        layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        var limits = RegistryLimits()
        limits.maxLeases = 1000
        limits.feedEvents = 10
        limits.tombstoneMilliseconds = Int64(Self.tombstoneTicks) * 1000
        limits.permanentTombstoneMilliseconds = limits.tombstoneMilliseconds
        self.limits = limits
        let count = 2 + random.below(5)
        let isSkewed = random.below(10) < 6
        for number in 0..<count {
            let skew = isSkewed ? Int64(random.below(81) - 40) : 0
            var node = Node(
                number: number, skew: skew,
                registry: Registry(layout: layout, node: "", origin: 1, limits: limits))
            node.clock.shiftWallClock(milliseconds: skew * 1000)
            boot(&node)
            nodes.append(node)
        }
        keyCount = 1 + random.below(6)
        groups = [Int](repeating: 0, count: count)
        busyUntil = groups
        lossPercent = [0, 10, 50, 90][random.below(4)]
    }

    func boot(_ node: inout Node) {
        node.boots += 1
        let origin = fault == .reuseSequence ? UInt64(node.number) + 1 << 40 : random.next()
        node.registry = Registry(
            layout: layout, node: "node-\(node.number)", origin: origin, limits: limits, clock: node.clock.registryClock
        )
        node.registry.startReplicating()
        let planted = fault?.inCore
        node.registry.state.withLock { $0.core.clock.plantedFault = planted }
        node.renewed = []
        node.deletes = [:]
        node.known = [:]
    }

    func key(_ number: Int) -> [UInt8] { layout.primaryKey(service: "s", id: "i\(number)") }

    func number(ofKey key: [UInt8]) -> Int { Int(text(Array(key.suffix(1)))) ?? -1 }

    func entry(_ node: Int, _ key: Int) -> Entry? {
        nodes[node].registry.entry(namespace: .default, key: self.key(key))
    }

    // MARK: One run

    /// Runs to the end and checks; throws what is wrong.
    func run() throws {
        for tick in 1..<Self.length {
            now = tick
            changeGroups()
            for index in nodes.indices { try act(index) }
            try deliverPackets()
            try advanceSessions()
            if hasLateArrival { return }
        }
        try checkContexts()
        try settle()
        try checkEnd()
    }

    private var isQuietSoon: Bool { now >= Self.length - 50 }

    private func changeGroups() {
        if splitUntil <= now, random.below(100) < 2 {
            groups = groups.map { _ in random.below(2) }
            splitUntil = now + 5 + random.below(hasLongSplits ? 396 : Self.tombstoneTicks / 2 - 4)
        } else if splitUntil <= now {
            groups = groups.map { _ in 0 }
        }
    }

    private func act(_ index: Int) throws {
        nodes[index].clock.advance(milliseconds: 1000)
        if now % 4 == 0 { renew(index) }
        if let receipt = nodes[index].registry.expireDue() { try after(receipt.changes, at: index) }
        guard !isQuietSoon else { return }
        // Where splits are long, a key is left alone for long, so that what was forgotten can matter.
        if random.below(1000) < (hasLongSplits ? 6 : 40) { try write(index) }
        if random.below(2000) < 3 { boot(&nodes[index]) }
    }

    private func renew(_ index: Int) {
        for key in nodes[index].renewed.sorted() {
            guard let entry = entry(index, key), let lease = entry.lease,
                nodes[index].registry.lease(lease)?.home == nodes[index].registry.node
            else {
                nodes[index].renewed.remove(key)
                continue
            }
            // It exists: it was just read, and one thread does all this.
            _ = try? nodes[index].registry.keepAlive(lease)
        }
    }

    private func write(_ index: Int) throws {
        let key = random.below(keyCount)
        let registry = nodes[index].registry
        let chance = random.below(100)
        guard let entry = entry(index, key), chance >= 55 else {
            let instance = InstanceAttributes(
                service: "s", id: "i\(key)", endpointType: "tcp", endpoint: "\(index) \(now)")
            let value = PutValue.registration(Registration(host: .ipv4(UInt32(now)), instance: instance))
            let lease = LeaseRequest.own(milliseconds: Int64(5 + random.below(40)) * 1000)
            let receipt = try registry.apply([
                .put(namespace: .default, key: self.key(key), value: value, lease: lease)
            ])
            nodes[index].renewed.insert(key)
            try after(receipt.changes, at: index)
            let found = self.entry(index, key)?.version
            if found != receipt.changes.last?.version { throw ModelFailure("node \(index) does not read its write") }
            return
        }
        if chance < 80 {
            nodes[index].renewed.remove(key)
            try after(registry.apply([.delete(namespace: .default, key: self.key(key))]).changes, at: index)
        } else if let lease = entry.lease, let home = registry.lease(lease)?.home {
            // A lease counted here runs out when nobody renews it any more; others are expired as a steward does.
            nodes[index].renewed.remove(key)
            try after(registry.expire([lease], countedBy: home).changes, at: index)
        }
    }

    // MARK: What a change entails

    /// Notes what a node did or took over; what it did itself goes to the others.
    func after(_ changes: [Change], at index: Int) throws {
        for change in changes {
            let key = number(ofKey: change.key)
            try note(change, key, at: index)
            guard change.version.origin == nodes[index].registry.origin else { continue }
            if change.kind == .expiry { nodes[index].renewed.remove(key) }
            // The entry that a reset dropped has no operation of its own.
            guard change.current != nil || change.kind != .write else { continue }
            if history.contains(where: { $0.version.dot == change.version.dot }), fault != .reuseSequence { continue }
            history.append((key, change.version))
            if change.kind == .expiry { expired[change.version.dot] = change.previous?.version }
            guard let operation = nodes[index].registry.operation(namespace: .default, key: self.key(key)) else {
                continue
            }
            for peer in nodes.indices where peer != index {
                if random.below(100) >= lossPercent { send(.operation(operation), from: index, to: peer) }
                if fault == .claimEarly, random.below(100) < 30 {
                    let claim = Packet.Content.claim(
                        origin: change.version.origin, sequence: change.version.sequence)
                    send(claim, from: index, to: peer)
                }
            }
        }
    }

    private func send(_ content: Packet.Content, from: Int, to: Int) {
        wire.append(Packet(due: now + 1 + random.below(20), from: from, to: to, content: content))
    }

    /// Keeps the books of a key, and looks for what must never happen.
    private func note(_ change: Change, _ key: Int, at index: Int) throws {
        let operation = nodes[index].registry.operation(namespace: .default, key: change.key)
        guard let version = operation?.version else { return }
        if version.kind == .write, let delete = nodes[index].deletes[key], version < delete {
            if !hasLongSplits, isLate(change) {
                hasLateArrival = true
                return
            }
            throw ModelFailure("tick \(now): key \(key) came back at node \(index)")
        }
        if version.kind == .delete { nodes[index].deletes[key] = max(version, nodes[index].deletes[key] ?? version) }
        nodes[index].known[key] = max(version, nodes[index].known[key] ?? version)
        let home = change.current?.lease.flatMap { nodes[index].registry.lease($0)?.home }
        if home != nodes[index].registry.node { nodes[index].renewed.remove(key) }
    }

    /// Whether a write is older than tombstones are kept.
    private func isLate(_ change: Change) -> Bool {
        let words = change.current?.instance?.endpoint.split(separator: " ") ?? []
        guard words.count == 2, let written = Int(words[1]) else { return false }
        return now - written > Self.tombstoneTicks
    }

    /// Merges at a node and checks the rules of expiries.
    func merge(_ operations: [RemoteOperation], at index: Int) throws {
        var operations = operations
        if fault == .dropFuture { operations.removeAll { isFuture($0, at: index) } }
        let before = operations.map { entry(index, number(ofKey: $0.key)) }
        let runs = before.map { $0.map { isRenewedHere($0, at: index) } ?? false }
        try check(nodes[index].registry.merge(operations), of: operations, before: before, runs: runs, at: index)
    }

    func isFuture(_ operation: RemoteOperation, at index: Int) -> Bool {
        Int64(operation.version.hlc >> 16) > nodes[index].clock.registryClock.now.unix + 10_000
    }

    func isRenewedHere(_ entry: Entry, at index: Int) -> Bool {
        guard let lease = entry.lease, let info = nodes[index].registry.lease(lease) else { return false }
        return info.home == nodes[index].registry.node && (info.remainingMilliseconds ?? 0) > 0
    }

    func check(
        _ receipt: MergeReceipt, of operations: [RemoteOperation], before: [Entry?], runs: [Bool], at index: Int
    ) throws {
        if receipt.refused > 0 { throw ModelFailure("tick \(now): node \(index) refused operations") }
        for (operation, (entry, runs)) in zip(operations, zip(before, runs)) where operation.version.kind == .expiry {
            // Of several words on a key in one batch it is not known which did what.
            guard operations.count(where: { $0.key == operation.key }) == 1 else { continue }
            let key = number(ofKey: operation.key)
            let isGone = self.entry(index, key) == nil
            let hasDelete = operations.contains { $0.key == operation.key && $0.version.kind == .delete }
            if let entry, isGone, !hasDelete, let ended = expired[operation.version.dot],
                entry.version.hlc > ended.hlc
            {
                throw ModelFailure("tick \(now): an expiry of key \(key) removed a later write at node \(index)")
            }
            // The expiry of a later write ends what that one replaced, whatever runs here.
            if runs, isGone, !hasDelete, let entry, operation.version.isOfSameWrite(as: entry.version) {
                throw ModelFailure("tick \(now): the lease of key \(key) ran at node \(index) and was given up")
            }
        }
        // A removal of what is not here changes nothing that shows, but it is known from now on.
        for operation in receipt.fresh {
            let key = number(ofKey: operation.key)
            let version = operation.version
            nodes[index].known[key] = max(version, nodes[index].known[key] ?? version)
            guard version.kind == .delete else { continue }
            nodes[index].deletes[key] = max(version, nodes[index].deletes[key] ?? version)
        }
        try after(receipt.changes, at: index)
    }

    private func deliverPackets() throws {
        for index in nodes.indices where busyUntil[index] <= now && random.oneIn(15) {
            busyUntil[index] = now + 1 + random.below(20)
        }
        var due = wire.filter { $0.due <= now && busyUntil[$0.to] <= now }
        wire.removeAll { $0.due <= now && busyUntil[$0.to] <= now }
        due.shuffle(using: &random)
        due.removeAll { groups[$0.from] != groups[$0.to] }
        // What came while a node was busy it takes over at once.
        for index in nodes.indices where busyUntil[index] == now {
            let operations = due.compactMap { $0.to == index ? $0.content.operation : nil }
            guard operations.count > 1 else { continue }
            due.removeAll { $0.to == index && $0.content.operation != nil }
            batchesMerged += 1
            try merge(operations, at: index)
        }
        for packet in due {
            switch packet.content {
            case .operation(let operation): try merge([operation], at: packet.to)
            case .claim(let origin, let sequence):
                nodes[packet.to].registry.state.withLock {
                    $0.core.context.setAll(origin: origin, through: sequence)
                }
            }
        }
    }
}
