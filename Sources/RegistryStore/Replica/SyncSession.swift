/// The receiver's side of a session. What it gathers counts only once every page from the first to the last has been
/// taken over: there is no way to join less.
package struct SyncSession: Sendable {
    /// Pages that may arrive before the ones they follow.
    static let pagesAheadMax = 64
    /// Ranges of dots that a reset may name: as many as a store has entries by default.
    static let liveMax = 1 << 22

    /// All pages below this number have been taken over.
    private(set) var nextNumber = 0
    private var ahead: Set<Int> = []
    private var lastNumber: Int?
    private(set) var opening: SyncOpening?
    private(set) var live: [DotRange] = []
    private(set) var end: SyncEnd?
    /// Operations that this node could not take over.
    var refused = 0
    private(set) var isOver = false

    package init() {}

    /// Whether a page is new and has a place; notes it when so.
    mutating func admit(_ page: SyncPage) throws(SyncError) -> Bool {
        guard !isOver else { throw .sessionIsOver }
        guard page.number >= 0, (page.number == 0) == (page.opening != nil) else { throw .malformed }
        if let lastNumber, page.number > lastNumber || (page.end != nil && page.number != lastNumber) {
            throw .malformed
        }
        guard page.number >= nextNumber, !ahead.contains(page.number) else { return false }
        guard page.number - nextNumber <= Self.pagesAheadMax else { throw .pageTooFarAhead }
        guard live.count + page.live.count <= Self.liveMax else { throw .malformed }
        if page.end != nil {
            guard ahead.allSatisfy({ $0 < page.number }) else { throw .malformed }
            lastNumber = page.number
            end = page.end
        }
        opening = opening ?? page.opening
        live += page.live
        ahead.insert(page.number)
        while ahead.remove(nextNumber) != nil { nextNumber += 1 }
        return true
    }

    /// Whether all pages are there.
    var isWhole: Bool { lastNumber.map { nextNumber == $0 + 1 } ?? false }

    mutating func close() {
        isOver = true
        live = []
    }
}

/// Why a session cannot end. Nothing of its context has been joined; what it brought stays.
package enum SyncError: Error, Hashable, Sendable {
    /// Pages that contradict each other or name contexts that cannot be.
    case malformed
    /// A page that comes before too many others.
    case pageTooFarAhead
    /// A page of a session that has ended.
    case sessionIsOver
    /// The sender forgot a removal on the way: begin again.
    case void
    /// This node could not take over so many operations: they would be lost if it said that it had.
    case refused(Int)
}

/// What a page of a session did.
package struct SyncProgress: Sendable {
    package var receipt: MergeReceipt
    /// All pages are there and the sender's context has been joined.
    package var isComplete: Bool
    /// Entries that a reset session removed.
    package var dropped: Int
    /// Entries that a reset session would have removed, had their leases not been running here: written anew.
    package var reasserted: Int
}
