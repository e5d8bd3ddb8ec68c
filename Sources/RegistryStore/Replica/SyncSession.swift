/// The receiver's side of a session. What it gathers counts only once every page from the first to the last has been
/// taken over: there is no way to join less. `Registry.beginSession` makes one.
package struct SyncSession: Sendable {
    /// Pages that may arrive before the ones they follow.
    static let pagesAheadMax = 64
    /// Ranges of dots that a reset may name: as many as a store has entries by default.
    static let liveMax = 1 << 22

    /// All pages below this number have been taken over.
    private(set) var nextNumber = 0
    private var ahead: Set<Int> = []
    private var lastNumber: Int?
    /// What the receiver knew when the session began: what it asks the sender with.
    package let context: CausalContext
    /// The receiver's origin then: one that has begun anew since does not have what it had.
    let origin: UInt64
    /// Whether a repair was asked for. Its pages come in order, or not at all.
    package let isRepair: Bool
    private let limits: RegistryLimits
    /// What a reset began with; nil in a delta session.
    private(set) var resetContext: CausalContext?
    /// Whether the sender gives the repair that was asked for; an older one sends an ordinary session.
    package private(set) var isRepairing = false
    private(set) var live: [DotRange] = []
    private(set) var end: SyncEnd?
    /// The sender's context in the end; nil when the end is void.
    private(set) var endContext: CausalContext?
    /// Operations that this node could not take over.
    var refused = 0
    private(set) var isOver = false

    init(context: CausalContext, origin: UInt64, isRepair: Bool = false, limits: RegistryLimits) {
        self.context = context
        self.origin = origin
        self.isRepair = isRepair
        self.limits = limits
    }

    /// The context as the sender is asked with it.
    package var rows: [SyncOrigin] {
        context.sorted.map { SyncOrigin(origin: $0.origin, head: $0.known.head, gaps: $0.known.gaps, floor: 0) }
    }

    /// Whether a page is new and has a place; notes it when so. After an error the session is as it was.
    mutating func admit(_ page: SyncPage) throws(SyncError) -> Bool {
        guard !isOver else { throw .sessionIsOver }
        guard page.number >= 0, (page.number == 0) == (page.opening != nil) else { throw .malformed }
        if let lastNumber, page.number > lastNumber || (page.end != nil && page.number != lastNumber) {
            throw .malformed
        }
        guard page.number >= nextNumber, !ahead.contains(page.number) else { return false }
        guard page.number - nextNumber <= (isRepair ? 0 : Self.pagesAheadMax) else { throw .pageTooFarAhead }
        guard live.count + page.live.count <= Self.liveMax else { throw .malformed }
        var (opened, joined) = (resetContext, endContext)
        var isRepairing = isRepairing
        if case .repair = page.opening {
            guard isRepair else { throw .malformed }
            isRepairing = true
        }
        if let rows = page.opening?.context { opened = try read(rows) }
        if case .complete(let rows) = page.end { joined = try read(rows) }
        if page.end != nil {
            guard ahead.allSatisfy({ $0 < page.number }) else { throw .malformed }
            lastNumber = page.number
            end = page.end
        }
        (resetContext, endContext, self.isRepairing) = (opened, joined, isRepairing)
        live += page.live
        ahead.insert(page.number)
        while ahead.remove(nextNumber) != nil { nextNumber += 1 }
        return true
    }

    private func read(_ rows: [SyncOrigin]) throws(SyncError) -> CausalContext {
        guard let context = CausalContext(checking: rows, limits: limits) else { throw .malformed }
        return context
    }

    /// Whether all pages are there.
    var isWhole: Bool { lastNumber.map { nextNumber == $0 + 1 } ?? false }

    mutating func close() {
        isOver = true
        live = []
    }
}

/// Why a page was not taken over. The session goes on with the right one.
package enum SyncError: Error, Hashable, Sendable {
    /// It contradicts another page, or names a context that cannot be.
    case malformed
    /// It comes before too many others.
    case pageTooFarAhead
    /// Its session has ended.
    case sessionIsOver
}

/// What a page of a session did.
package struct SyncProgress: Sendable {
    /// What it brought stays, whatever becomes of the session.
    package var receipt: MergeReceipt
    package var state: State
    /// Entries that a reset session removed.
    package var dropped = 0
    /// Entries that a reset session would have removed, had their leases not been running here: written anew.
    package var reasserted = 0

    package enum State: Hashable, Sendable {
        /// Pages are missing.
        case open
        /// All pages are there and the sender's context has been joined.
        case complete
        /// Over, and nothing joined: the sender forgot a removal on the way, or this node has begun anew.
        case void
        /// Over, and nothing joined: this node could not take over so many operations, which would be lost if it said
        /// that it had.
        case refused(Int)
    }

    package var isComplete: Bool { state == .complete }
}
