import DNSWire
import Memberlist
import RegdnsTestKit
import RegistryStore
import Replication
import Synchronization

/// A machine of the simulated cluster: its clocks, its disk, and the process on it.
final class ClusterNode {
    let number: Int
    let name: String
    let address: GossipAddress
    let clock = VirtualClock()
    let registryClock: RegistryClock
    /// Parts in a million that the clocks run too fast.
    var drift: Int64 = 0
    var process: ClusterProcess?
    var boots = 0
    var disk = ClusterDisk()
    var isPaused = false
    var hasMissedTick = false
    /// When the process last went on after a pause, in microseconds.
    var resumedAt: Int64 = 0
    /// What has come while the process stood still.
    var inbox: [ClusterHappening] = []
    /// Ticks come up to so many milliseconds late.
    var late: Int64 = 0
    var isLeaving = false
    /// The fault that the process last fell to, by its place.
    var trouble: Int?
    /// What a stopped process has kept.
    var kept: KeptContent?
    /// Processes that ended without a word.
    var crashedBoots: Set<Int> = []

    init(number: Int) {
        self.number = number
        name = "n\(number)"
        address = GossipNetwork.address(number)
        registryClock = clock.registryClock
    }

    /// The clocks' time.
    var moment: Moment {
        Moment(monotonic: registryClock.monotonicMilliseconds(), unix: registryClock.unixMilliseconds())
    }

    /// Sets the clocks to what they show at a time of the world, in microseconds.
    func setClock(_ now: Int64) {
        let local = 1_000_000 + (now + now / 1_000 * drift / 1_000) / 1_000
        if local > clock.now { clock.advance(milliseconds: local - clock.now) }
    }

    /// The process, when it runs and does not stand still.
    var running: ClusterProcess? { isPaused ? nil : process }
}

/// A process of regdns without its sockets.
final class ClusterProcess {
    /// The membership with its codec.
    var member: SimulatedNode
    var replicator: Replicator
    let registry: Registry
    let observer: ClusterObserver
    /// Which process of the machine it is, from 1.
    let boot: Int
    /// Of the registry, as far as it is known.
    var origin: UInt64
    var peers: [String] = []
    var wake: Milliseconds?
    /// When it was started and became ready, in microseconds.
    let startedAt: Int64
    var readyAt: Int64?
    /// What others had when they, asked by this node, first gave it, while it was not ready.
    private(set) var snapshots: [(node: String, boot: Int, context: CausalContext)] = []
    /// When it last began anew, in microseconds.
    var freshAt: Int64?
    var fencedAt: Int64?
    /// What its preservation is to do.
    var keeping = ClusterKeeping()

    init(
        member: SimulatedNode, replicator: Replicator, registry: Registry, observer: ClusterObserver, boot: Int,
        startedAt: Int64
    ) {
        self.member = member
        self.replicator = replicator
        self.registry = registry
        self.observer = observer
        self.boot = boot
        self.startedAt = startedAt
        origin = registry.origin
    }

    var isReady: Bool { replicator.phase == .ready }

    /// Notes what another process has when it first begins to give it to this one.
    func note(_ process: ClusterProcess, of other: ClusterNode) {
        guard readyAt == nil else { return }
        if let place = snapshots.firstIndex(where: { $0.node == other.name }) {
            guard snapshots[place].boot != process.boot else { return }
            snapshots.remove(at: place)
        }
        snapshots.append((other.name, process.boot, process.registry.context()))
    }

    var isFenced: Bool { if case .fence = replicator.clockVerdict { true } else { false } }

    /// Whether the DNS would answer with an entry.
    func answers(_ key: [UInt8], now: Int64) -> Bool {
        guard let entry = registry.entry(namespace: .default, key: key) else { return false }
        guard entry.lease != nil else { return true }
        let deadline = registry.deadlines.deadline(entry.deadlineSlot)
        return deadline < 0 || deadline > now
    }
}

/// Keeps what a registry did until somebody looks.
final class ClusterObserver: RegistryObserver {
    private let batches = Mutex<[ChangeBatch]>([])

    func registryDidChange(_ batch: ChangeBatch) { batches.withLock { $0.append(batch) } }

    func take() -> [ChangeBatch] {
        batches.withLock { batches in
            guard !batches.isEmpty else { return [] }
            defer { batches = [] }
            return batches
        }
    }
}

/// What a node's data directory holds.
struct ClusterDisk {
    private struct Row {
        var entry: KeptEntry?
        var tombstone: KeptTombstone?
    }

    private var rows: [[UInt8]: Row] = [:]
    private var leases: [LeaseID: KeptLease] = [:]
    private var origins: [UInt64: KeptOrigin] = [:]
    private var clock: KeptClock?
    /// Written and perhaps not on the disk yet, by the time.
    private var waiting: [(at: Int64, group: KeptGroup)] = []

    /// Microseconds after which what was written is on the disk.
    private static let syncPause: Int64 = 1_000_000

    mutating func write(_ group: KeptGroup, now: Int64) {
        waiting.append((now, group))
        sync(before: now - Self.syncPause)
    }

    private mutating func sync(before time: Int64) {
        let count = waiting.prefix { $0.at < time }.count
        for (_, group) in waiting.prefix(count) { fill(group) }
        waiting.removeFirst(count)
    }

    private mutating func fill(_ group: KeptGroup) {
        if group.isWhole { (rows, leases) = ([:], [:]) }
        var notes: [[UInt8]: EntryNote] = [:]
        for note in group.notes { notes[note.entry.key] = note }
        var tombstones: [[UInt8]: Tombstone] = [:]
        for tombstone in group.tombstones { tombstones[tombstone.key] = tombstone }
        for (key, note) in notes { rows[key] = row(note, tombstones[key], group.now) }
        for (key, tombstone) in tombstones where notes[key] == nil { rows[key] = row(nil, tombstone, group.now) }
        for tombstone in group.forgotten where rows[tombstone.key]?.tombstone?.version == tombstone.version {
            rows[tombstone.key] = nil
        }
        for lease in group.leases { leases[lease.id] = lease }
        for id in group.endedLeases { leases[id] = nil }
        origins = [:]
        for origin in Set(group.context.origins.keys).union(group.floors.keys) {
            let known = group.context.origins[origin]
            origins[origin] = KeptOrigin(
                head: known?.head ?? 0, gaps: known?.gaps ?? [], floor: group.floors[origin] ?? 0)
        }
        clock = group.clock
    }

    private func row(_ note: EntryNote?, _ tombstone: Tombstone?, _ now: Moment) -> Row? {
        if case .put(let entry, let lease)? = note { return Row(entry: KeptEntry(entry, ownLease: lease)) }
        guard let tombstone, tombstone.version >= note?.entry.version ?? tombstone.version else { return nil }
        let kept = KeptTombstone(
            namespace: tombstone.namespace, key: tombstone.key, version: tombstone.version,
            removedAt: now.unix - max(0, now.monotonic - tombstone.removedAt), wasLeased: tombstone.wasLeased)
        return Row(tombstone: kept)
    }

    /// What is read after the process has ended; with the loss of power what was written last is gone.
    mutating func read(losesPower: Bool, now: Int64) -> KeptContent {
        sync(before: losesPower ? now - Self.syncPause : .max)
        waiting = []
        var content = KeptContent()
        let sorted = rows.sorted { $0.key.lexicographicallyPrecedes($1.key) }
        content.entries = sorted.compactMap(\.value.entry)
        content.tombstones = sorted.compactMap(\.value.tombstone)
        content.leases = leases.values.sorted { $0.id < $1.id }
        content.origins = origins
        content.clock = clock
        return content
    }
}
