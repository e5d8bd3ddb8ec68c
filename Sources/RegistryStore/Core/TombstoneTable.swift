import DequeModule

/// What is left of a removed entry: enough to refuse older writes of its key, nothing of its value.
package final class Tombstone: Sendable {
    package let namespace: Namespace
    package let key: [UInt8]
    package let version: Version
    /// Monotonic milliseconds of this node when the removal was applied here.
    package let removedAt: Int64
    /// Whether the entry had a lease, which shortens how long the tombstone is kept.
    package let wasLeased: Bool

    init(namespace: Namespace, key: [UInt8], version: Version, removedAt: Int64, wasLeased: Bool) {
        self.namespace = namespace
        self.key = key
        self.version = version
        self.removedAt = removedAt
        self.wasLeased = wasLeased
    }

    /// Estimated memory: object, key array, places in tree and queue.
    var cost: Int { 176 + key.count }
}

/// Tombstones by namespace and key.
enum TombstoneOrder: TreeOrder {
    static func sortBytes(of element: Tombstone) -> SortBytes { SortBytes(element.namespace.name, then: element.key) }

    static func probe(_ namespace: Namespace, _ key: [UInt8]) -> [UInt8] {
        SortBytes(namespace.name, then: key).joined
    }
}

/// All tombstones: found by key in O(log n), given up by age or, oldest first, under the memory bound.
struct TombstoneTable: ~Copyable {
    private var tree = OrderedTree<TombstoneOrder>()
    /// In the order of removal; those that a write has superseded stay until they come to the front or are swept.
    private var leased = Deque<Tombstone>()
    private var permanent = Deque<Tombstone>()
    private(set) var bytes = 0
    /// Given up under the memory bound.
    private(set) var evicted = 0
    /// Per origin the greatest sequence of a removal that is not remembered any more (replication's floor).
    private(set) var floors: [UInt64: UInt64] = [:]

    private let bytesMax: Int
    private let leasedKeep: Int64
    private let permanentKeep: Int64
    private let originsMax: Int

    init(limits: RegistryLimits) {
        bytesMax = limits.tombstoneBytes
        leasedKeep = limits.tombstoneMilliseconds
        permanentKeep = limits.permanentTombstoneMilliseconds
        originsMax = limits.maxOrigins
    }

    var count: Int { tree.count }
    /// Places in the queues, superseded ones included: at most twice `count` and some.
    var queued: Int { leased.count + permanent.count }

    func find(_ namespace: Namespace, _ key: [UInt8]) -> Tombstone? {
        tree.find(TombstoneOrder.probe(namespace, key))
    }

    /// All tombstones in key order. O(n); for a full sync and for tests.
    func all() -> [Tombstone] {
        var result: [Tombstone] = []
        result.reserveCapacity(tree.count)
        tree.forEach { tombstone in
            result.append(tombstone)
            return true
        }
        return result
    }

    /// Remembers a removal; an older tombstone of the key is forgotten.
    mutating func insert(_ tombstone: Tombstone) {
        if let replaced = tree.insert(tombstone) { bytes -= replaced.cost }
        bytes += tombstone.cost
        if tombstone.wasLeased { leased.append(tombstone) } else { permanent.append(tombstone) }
        while bytes > bytesMax, let oldest = oldest() {
            forget(oldest)
            evicted += 1
        }
        sweepWhenStale()
    }

    /// Forgets the tombstone of a key that was written again; a newer version stands for it now.
    mutating func supersede(_ namespace: Namespace, _ key: [UInt8]) {
        guard !tree.isEmpty, let removed = tree.remove(TombstoneOrder.probe(namespace, key)) else {
            return
        }
        bytes -= removed.cost
    }

    /// Forgets what is older than its time, at most `limit` of each kind.
    mutating func expire(now: Int64, limit: Int) {
        var left = limit
        while left > 0, let oldest = Self.front(of: &leased, in: tree), oldest.removedAt &+ leasedKeep <= now {
            forget(oldest)
            left -= 1
        }
        left = limit
        while left > 0, let oldest = Self.front(of: &permanent, in: tree), oldest.removedAt &+ permanentKeep <= now {
            forget(oldest)
            left -= 1
        }
    }

    private static func isCurrent(_ tombstone: Tombstone, in tree: borrowing OrderedTree<TombstoneOrder>) -> Bool {
        tree.find(TombstoneOrder.probe(tombstone.namespace, tombstone.key)) === tombstone
    }

    private static func front(
        of queue: inout Deque<Tombstone>, in tree: borrowing OrderedTree<TombstoneOrder>
    ) -> Tombstone? {
        while let first = queue.first {
            if isCurrent(first, in: tree) { return first }
            queue.removeFirst()
        }
        return nil
    }

    private mutating func oldest() -> Tombstone? {
        let first = Self.front(of: &leased, in: tree)
        let second = Self.front(of: &permanent, in: tree)
        guard let first, let second else { return first ?? second }
        return first.removedAt <= second.removedAt ? first : second
    }

    private mutating func forget(_ tombstone: Tombstone) {
        tree.remove(TombstoneOrder.probe(tombstone.namespace, tombstone.key))
        bytes -= tombstone.cost
        let origin = tombstone.version.origin
        let floor = floors[origin] ?? 0
        guard floor > 0 || floors.count < originsMax else { return }
        floors[origin] = max(floor, tombstone.version.sequence)
    }

    /// Drops superseded tombstones from the queues once they are the greater part: amortised O(log n) per write.
    private mutating func sweepWhenStale() {
        guard queued > 2 * tree.count + 1024 else { return }
        Self.sweep(&leased, in: tree)
        Self.sweep(&permanent, in: tree)
    }

    private static func sweep(_ queue: inout Deque<Tombstone>, in tree: borrowing OrderedTree<TombstoneOrder>) {
        var kept = Deque<Tombstone>()
        for tombstone in queue where isCurrent(tombstone, in: tree) { kept.append(tombstone) }
        queue = kept
    }
}
