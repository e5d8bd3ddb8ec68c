/// What is left of a removed entry: enough to refuse older writes of its key, nothing of its value.
package final class Tombstone: Sendable {
    package let namespace: Namespace
    package let key: [UInt8]
    package let version: Version
    /// Monotonic milliseconds of this node when the removal was applied here.
    package let removedAt: Int64
    /// Whether the entry had a lease, which shortens how long the tombstone is kept.
    package let wasLeased: Bool
    fileprivate let slot: UInt32

    fileprivate init(
        namespace: Namespace, key: [UInt8], version: Version, removedAt: Int64, wasLeased: Bool, slot: UInt32
    ) {
        self.namespace = namespace
        self.key = key
        self.version = version
        self.removedAt = removedAt
        self.wasLeased = wasLeased
        self.slot = slot
    }

    /// Estimated memory: object, key array, places in two trees and the order of age.
    var cost: Int { 216 + key.count }
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
    private var dots = OrderedTree<TombstoneDotOrder>()
    /// By slot; nil in free ones.
    private var slots = Column<Tombstone?>()
    private var links = SlotLinks()
    /// Slots in the order of removal, by how long they are kept, and free ones.
    private var leased = SlotList()
    private var permanent = SlotList()
    private var free = SlotList()
    private(set) var bytes = 0
    /// Given up under the memory bound.
    private(set) var evicted = 0
    /// Per origin the greatest sequence of a removal that is not remembered any more (replication's floor).
    private(set) var floors: [UInt64: UInt64] = [:]
    /// For who keeps tombstones on a disk; nil when nobody does.
    var news: TombstoneNews?
    /// A floor was not noted for want of room: no peer is known to have all that is forgotten here.
    private(set) var hasLostFloors = false

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

    /// The tombstones from a dot on, in the order of dots, until `body` gives false.
    func forEach(from dot: Dot, _ body: (Tombstone) -> Bool) { dots.forEach(from: dot.sortBytes, body) }

    /// Takes over what a peer has forgotten of an origin.
    mutating func raiseFloor(of origin: UInt64, to floor: UInt64) {
        guard floor > 0 else { return }
        let known = floors[origin] ?? 0
        guard known > 0 || floors.count < originsMax else {
            hasLostFloors = true
            return
        }
        floors[origin] = max(known, floor)
    }

    mutating func forgetFloor(of origin: UInt64) { floors[origin] = nil }

    mutating func forgetFloors() {
        floors = [:]
        hasLostFloors = false
    }

    func find(_ namespace: Namespace, _ key: [UInt8]) -> Tombstone? {
        tree.isEmpty ? nil : tree.find(TombstoneOrder.probe(namespace, key))
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

    /// Remembers a removal; an older tombstone of the key is forgotten. O(log n), and what the bound makes go.
    mutating func insert(_ namespace: Namespace, _ key: [UInt8], _ version: Version, at now: Int64, wasLeased: Bool) {
        supersede(namespace, key)
        let slot = takeSlot()
        let tombstone = Tombstone(
            namespace: namespace, key: key, version: version, removedAt: now, wasLeased: wasLeased, slot: slot)
        slots[Int(slot)] = tombstone
        tree.insert(tombstone)
        news?.made.append(tombstone)
        dots.insert(tombstone)
        bytes += tombstone.cost
        if wasLeased { links.append(slot, to: &leased) } else { links.append(slot, to: &permanent) }
        while bytes > bytesMax, let oldest = oldest() {
            forget(oldest)
            evicted += 1
        }
    }

    private mutating func takeSlot() -> UInt32 {
        if let slot = links.popFirst(&free) { return slot }
        links.grow()
        slots.append(nil)
        return UInt32(slots.count - 1)
    }

    mutating func takeNews() -> TombstoneNews {
        guard let taken = news else { return TombstoneNews() }
        news = TombstoneNews()
        return taken
    }

    /// Takes over how far an earlier process has forgotten.
    mutating func restoreFloor(of origin: UInt64, to floor: UInt64) {
        raiseFloor(of: origin, to: floor)
        // Whether one was lost is not kept: where there was no room for more, one may have been.
        if floors.count >= originsMax { hasLostFloors = true }
    }

    /// Forgets the tombstone of a key that was written again; a newer version stands for it now.
    mutating func supersede(_ namespace: Namespace, _ key: [UInt8]) {
        if let tombstone = find(namespace, key) { remove(tombstone) }
    }

    private mutating func remove(_ tombstone: Tombstone) {
        tree.remove(TombstoneOrder.probe(tombstone.namespace, tombstone.key))
        let dot = tombstone.version.dot.sortBytes
        if dots.find(dot) === tombstone { dots.remove(dot) }
        bytes -= tombstone.cost
        let slot = tombstone.slot
        if tombstone.wasLeased { links.remove(slot, from: &leased) } else { links.remove(slot, from: &permanent) }
        slots[Int(slot)] = nil
        links.append(slot, to: &free)
    }

    /// Forgets what is older than its time, at most `limit` of each kind.
    mutating func expire(now: Int64, limit: Int) {
        for _ in 0..<limit {
            guard let oldest = first(of: leased), oldest.removedAt &+ leasedKeep <= now else { break }
            forget(oldest)
        }
        for _ in 0..<limit {
            guard let oldest = first(of: permanent), oldest.removedAt &+ permanentKeep <= now else { break }
            forget(oldest)
        }
    }

    private func first(of list: SlotList) -> Tombstone? { list.isEmpty ? nil : slots[Int(list.first)] }

    private func oldest() -> Tombstone? {
        let first = first(of: leased)
        let second = self.first(of: permanent)
        guard let first, let second else {
            return first ?? second
        }
        return first.removedAt <= second.removedAt ? first : second
    }

    /// Gives up a tombstone while its key has not been written again.
    private mutating func forget(_ tombstone: Tombstone) {
        remove(tombstone)
        news?.forgotten.append(tombstone)
        raiseFloor(of: tombstone.version.origin, to: tombstone.version.sequence)
    }

    /// What is wrong with the two trees; nil when nothing is.
    func checkInvariants() -> String? {
        if let problem = dots.checkInvariants() { return "tombstones by dot: \(problem)" }
        return dots.count <= tree.count ? nil : "\(dots.count) dots of \(tree.count) tombstones"
    }
}
