/// The sender's side of a session: what the receiver knew when it asked, and how far the walk has come. A value: the
/// store is locked only while a page is made.
///
/// The walk goes in rounds. The first gives what the receiver lacks; each further one what has been written since the
/// one before began. A round that begins and ends in one page is the last: with it, under the same lock, goes the
/// context, of which nothing is then unsent.
package struct SyncSource: Sendable {
    /// The receiver's context when the session began.
    let peer: CausalContext
    let isReset: Bool
    /// Everything is sent, whatever the receiver knows of.
    let isRepair: Bool
    /// `StoreCore.resetsJoined` when the session began.
    let resetsJoined: Int
    /// What need not be sent in this round.
    var covered: CausalContext
    /// The sender's context when the round began.
    var atStart: CausalContext
    var stage: Stage
    var nextNumber = 0
    /// Rounds begun.
    var rounds = 1

    /// Rounds of one session. Each further one is as long as what was written during the one before, so that few are
    /// needed, unless there are entries here that the own context does not know of, which every round sends again.
    static let roundsMax = 64

    enum Stage: Sendable {
        /// Naming the entries there are.
        case live(Dot)
        case entries(Dot)
        case tombstones(Dot)
        case finished
    }

    /// Whether the last page has been made.
    package var isFinished: Bool {
        if case .finished = stage { return true }
        return false
    }
}

extension Dot {
    static let first = Dot(origin: 0, sequence: 0)
}

extension StoreCore {
    /// Begins to tell a peer what it lacks.
    ///
    /// - Parameters:
    ///   - isRepair: resets the peer, and sends what it knows of too.
    ///   - delta: for tests: false or true whatever has been forgotten.
    func openSync(to peer: CausalContext, isRepair: Bool = false, delta: Bool? = nil) -> SyncSource {
        // Also for a peer that knows nothing yet: until the session ends, others may tell it what was removed long ago.
        let isReset = isRepair || !(delta ?? remembersAll(peer))
        return SyncSource(
            peer: peer, isReset: isReset, isRepair: isRepair, resetsJoined: resetsJoined,
            covered: isRepair ? CausalContext(limits: limits) : peer, atStart: wholeContext,
            stage: isReset ? .live(.first) : .entries(.first))
    }

    /// Whether every removal that the peer lacks is remembered here.
    func remembersAll(_ peer: CausalContext) -> Bool {
        guard !tombstones.hasLostFloors else { return false }
        return tombstones.floors.allSatisfy { origin, floor in peer.completeHead(origin: origin) >= floor }
    }

    /// The next page: at most `operationsMax` operations and about `bytesMax` bytes, of which one operation may be
    /// more. Nil after the last. O(page) and one look-up per gap of the receiver.
    func nextPage(of source: inout SyncSource, operationsMax: Int, bytesMax: Int) -> SyncPage? {
        guard !source.isFinished else { return nil }
        var page = SyncPage(number: source.nextNumber)
        var budget = SyncBudget(operations: max(operationsMax, 1), bytes: max(bytesMax, 1))
        var beganHere = source.nextNumber == 0
        if beganHere { page.opening = opening(of: source) }
        source.nextNumber += 1
        while true {
            switch source.stage {
            case .live(let dot):
                let next = nameLive(from: dot, in: &page, &budget)
                source.stage = next.map { .live($0) } ?? .entries(.first)
            case .entries(let dot):
                let next = collectEntries(from: dot, lackedBy: source.covered, in: &page, &budget)
                source.stage = next.map { .entries($0) } ?? .tombstones(.first)
            case .tombstones(let dot):
                if let next = collectTombstones(from: dot, lackedBy: source.covered, in: &page, &budget) {
                    source.stage = .tombstones(next)
                } else if beganHere {
                    return finish(&source, page)
                } else if source.rounds >= SyncSource.roundsMax {
                    source.stage = .finished
                    page.end = .void
                    return page
                } else {
                    source.rounds += 1
                    source.covered.join(source.atStart)
                    source.atStart = wholeContext
                    source.stage = .entries(.first)
                    beganHere = true
                    // This round can end the session only within this page, however many stretches it jumps over.
                    budget.steps = .max
                }
            case .finished: return nil
            }
            if budget.isSpent { return page }
        }
    }

    private func opening(of source: SyncSource) -> SyncOpening {
        guard source.isReset else { return .delta }
        let rows = rows(of: source.atStart)
        return source.isRepair ? .repair(rows) : .reset(rows)
    }

    private func finish(_ source: inout SyncSource, _ page: SyncPage) -> SyncPage {
        var page = page
        source.stage = .finished
        // The list of a reset was made before what another reset removed here meanwhile.
        let isSound = source.isReset ? source.resetsJoined == resetsJoined : remembersAll(source.peer)
        page.end = isSound ? .complete(rows(of: wholeContext)) : .void
        return page
    }

    private func rows(of context: CausalContext) -> [SyncOrigin] {
        context.sorted.map { origin, known in
            SyncOrigin(
                origin: origin, head: known.head, gaps: known.gaps, floor: tombstones.floors[origin] ?? 0,
                idleMilliseconds: idleOrigins[origin].map { max(0, lastSweep &- $0) })
        }
    }

    // MARK: Walks

    /// What a page may still hold.
    private struct SyncBudget {
        var operations: Int
        var bytes: Int
        /// Looks at the trees, so that gaps without entries do not hold the lock for long.
        var steps = 4096

        var isSpent: Bool { operations <= 0 || bytes <= 0 || steps <= 0 }
    }

    /// Names the dots of entries from `dot` on. Gives where to go on; nil at the end.
    private func nameLive(from dot: Dot, in page: inout SyncPage, _ budget: inout SyncBudget) -> Dot? {
        var resume: Dot?
        var live: [DotRange] = []
        var budgetLeft = budget
        replica?.forEach(from: dot) { entry in
            let dot = entry.version.dot
            if budgetLeft.isSpent {
                resume = dot
                return false
            }
            if let last = live.last, last.origin == dot.origin, last.sequences.upperBound == dot.sequence &- 1 {
                live[live.count - 1].sequences = last.sequences.lowerBound...dot.sequence
                // Within a range a dot costs next to nothing on the wire.
                budgetLeft.steps -= 1
            } else {
                live.append(DotRange(origin: dot.origin, sequences: dot.sequence...dot.sequence))
                budgetLeft.bytes -= 4
                budgetLeft.steps -= 1
            }
            return true
        }
        page.live += live
        budget = budgetLeft
        return resume
    }

    private func collectEntries(
        from dot: Dot, lackedBy peer: CausalContext, in page: inout SyncPage, _ budget: inout SyncBudget
    ) -> Dot? {
        guard let replica else { return nil }
        return collect(from: dot, lackedBy: peer, in: &page, &budget) { start, body in
            replica.forEach(from: start) { entry in body(entry.version.dot, { operation(of: entry) }) }
        }
    }

    private func collectTombstones(
        from dot: Dot, lackedBy peer: CausalContext, in page: inout SyncPage, _ budget: inout SyncBudget
    ) -> Dot? {
        collect(from: dot, lackedBy: peer, in: &page, &budget) { start, body in
            tombstones.forEach(from: start) { tombstone in
                body(tombstone.version.dot, { Self.operation(of: tombstone) })
            }
        }
    }

    /// Walks what lies at dots that the peer lacks: along the tree while it does, and with one look-up over each
    /// stretch that it knows. Gives where to go on; nil at the end.
    private func collect(
        from start: Dot, lackedBy peer: CausalContext, in page: inout SyncPage, _ budget: inout SyncBudget,
        walk: (Dot, (Dot, () -> RemoteOperation) -> Bool) -> Void
    ) -> Dot? {
        var position: Dot? = start
        var found: [RemoteOperation] = []
        var left = budget
        while let from = position {
            position = nil
            walk(from) { dot, operation in
                if left.isSpent {
                    position = dot
                    return false
                }
                left.steps -= 1
                if peer.contains(origin: dot.origin, sequence: dot.sequence) {
                    let next = peer.firstMissing(origin: dot.origin, from: dot.sequence)
                    position =
                        next.map { Dot(origin: dot.origin, sequence: $0) }
                        ?? Dot(origin: dot.origin, sequence: .max).following
                    return false
                }
                let operation = operation()
                left.operations -= 1
                left.bytes -= operation.estimatedBytes
                found.append(operation)
                return true
            }
            if left.isSpent { break }
        }
        page.operations += found
        budget = left
        return position
    }

    // MARK: Operations

    /// The last word on a key: its entry or its tombstone.
    func operation(_ namespace: Namespace, _ key: [UInt8]) -> RemoteOperation? {
        if let entry = entry(namespace, key: key) { return operation(of: entry) }
        return tombstones.find(namespace, key).map { Self.operation(of: $0) }
    }

    func operation(of entry: Entry) -> RemoteOperation {
        var lease: RemoteOperation.RemoteLease?
        if let id = entry.lease {
            let slot = entry.deadlineSlot
            lease = RemoteOperation.RemoteLease(
                id: id, milliseconds: max(0, leases.length(slot)), isShared: leases.isShared(slot),
                isSuspended: leases.isSuspended(slot), home: leases.homeName(slot))
        }
        return RemoteOperation(
            namespace: entry.namespace, key: entry.key, version: entry.version, value: entry.putValue, lease: lease)
    }

    private static func operation(of tombstone: Tombstone) -> RemoteOperation {
        RemoteOperation(
            namespace: tombstone.namespace, key: tombstone.key, version: tombstone.version, value: nil,
            wasLeased: tombstone.wasLeased)
    }
}
