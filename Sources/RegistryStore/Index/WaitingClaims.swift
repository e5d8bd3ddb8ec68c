/// An entry that would be shown under an id which another one has.
final class WaitingClaim {
    let entry: Entry
    /// Before that of who comes later.
    let order: [UInt8]

    init(entry: Entry, order: [UInt8]) {
        self.entry = entry
        self.order = order
    }
}

/// Those who wait for one id, in the order in which they get it.
final class WaitingClaims {
    private var tree = OrderedTree<WaitingClaimOrder>()

    var isEmpty: Bool { tree.isEmpty }
    var first: Entry? { tree.first(atOrAfter: [])?.entry }
    func insert(_ claim: WaitingClaim) { tree.insert(claim) }
    func remove(_ order: [UInt8]) { tree.remove(order) }
}

enum WaitingClaimOrder: TreeOrder {
    static func sortBytes(of element: WaitingClaim) -> SortBytes { SortBytes(element.order) }
}

extension NamespaceIndex {
    /// By what an entry is compared with others that claim its id: less for those written later.
    func claimOrder(key: [UInt8], version: Version, modRevision: Int64) -> [UInt8] {
        let numbers =
            ranksByRevision
            ? [UInt64(bitPattern: modRevision)] : [version.hlc, version.origin, version.sequence]
        return numbers.flatMap { number in
            stride(from: 56, through: 0, by: -8).map { ~UInt8(truncatingIfNeeded: number >> UInt64($0)) }
        } + key
    }

    /// Whether an entry may have an id: nobody else has it, or who does comes after this one.
    ///
    /// - Parameters:
    ///   - isClaim: whether its value names the id; what a key alone makes comes after all claims.
    ///   - order: `claimOrder`.
    func mayTake(_ id: String, isClaim: Bool, _ order: [UInt8], key: [UInt8]) -> Bool {
        guard let holder = find(id: id), holder.key != key else { return true }
        let claims = holder.claims(id)
        guard claims == isClaim else { return isClaim }
        let other = claimOrder(key: holder.key, version: holder.version, modRevision: holder.modRevision)
        return ByteOrder.compare(order, other) < 0
    }

    /// What a waiting entry is found by: claims come first.
    static func waitingOrder(isClaim: Bool, _ order: [UInt8]) -> [UInt8] { [isClaim ? 0 : 1] + order }
}
