/// What replication asks of the entries: which lie at a dot, and one hash of them all. Kept by `StoreCore.swap` at the
/// cost of one tree (about 20 bytes per entry) and one hash per change.
final class ReplicaIndex {
    /// The sum of the hashes of (namespace, key, version) over the entries of one origin: equal for equal sets.
    struct OriginSum: Hashable, Sendable {
        var entries = 0
        var hash: UInt64 = 0
    }

    let key: KeyedHash.Key
    private var dots = OrderedTree<EntryDotOrder>()
    private(set) var sums: [UInt64: OriginSum] = [:]
    /// Over the entries of all origins.
    private(set) var hash: UInt64 = 0

    init(key: KeyedHash.Key) { self.key = key }

    var count: Int { dots.count }

    func insert(_ entry: Entry) {
        dots.insert(entry)
        let value = hash(of: entry)
        hash &+= value
        var sum = sums[entry.version.origin] ?? OriginSum()
        sum.entries += 1
        sum.hash &+= value
        sums[entry.version.origin] = sum
    }

    func remove(_ entry: Entry) {
        let probe = entry.version.dot.sortBytes
        // Two entries can have one dot when a peer lies; each leaves only the place it holds.
        if dots.find(probe) === entry { dots.remove(probe) }
        let value = hash(of: entry)
        hash &-= value
        guard var sum = sums[entry.version.origin] else { return }
        sum.entries -= 1
        sum.hash &-= value
        sums[entry.version.origin] = sum.entries == 0 ? nil : sum
    }

    /// Puts an entry in the place of one with the same version.
    func replace(by entry: Entry) { dots.insert(entry) }

    /// The entries from a dot on, in the order of dots, until `body` gives false.
    func forEach(from dot: Dot, _ body: (Entry) -> Bool) { dots.forEach(from: dot.sortBytes, body) }

    private func hash(of entry: Entry) -> UInt64 {
        var hash = KeyedHash(key)
        hash.append(entry.namespace.name)
        let bytes = entry.key
        hash.append(bytes.span)
        let version = entry.version
        hash.append(version.hlc)
        hash.append(version.origin)
        hash.append(version.sequence)
        return hash.value()
    }

    /// What is wrong with the tree; nil when nothing is.
    func checkInvariants() -> String? { dots.checkInvariants() }
}

/// Entries by dot.
enum EntryDotOrder: TreeOrder {
    static func sortBytes(of element: Entry) -> SortBytes { SortBytes(element.version.dot.sortBytes) }
}

/// Tombstones by dot.
enum TombstoneDotOrder: TreeOrder {
    static func sortBytes(of element: Tombstone) -> SortBytes { SortBytes(element.version.dot.sortBytes) }
}
