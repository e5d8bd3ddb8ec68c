import Synchronization

/// The registry as one of a cluster's. Nothing here waits or talks: values go in and come out.
extension Registry {
    // MARK: Begin

    /// Begins to keep what replication asks for: about 20 bytes per entry and one hash per write. O(n log n), at once;
    /// before the node talks to others.
    ///
    /// - Parameter hashKey: the same on all nodes of the cluster.
    package func startReplicating(hashKey: KeyedHash.Key = .shared) {
        state.withLock { $0.core.startReplicating(hashKey: hashKey) }
    }

    /// The origin of this process's operations.
    package var origin: UInt64 { state.withLock { $0.core.clock.origin } }

    // MARK: Operations

    /// Takes over operations of other nodes; the greatest version of each key stays.
    @discardableResult
    package func merge(_ operations: [RemoteOperation]) -> MergeReceipt {
        let told = state.withLock { state in state.tell([state.core.merge(operations, now: clock.now)]) }
        finish(told)
        return told.outcomes[0].mergeReceipt
    }

    /// The last word on a key, as others take it over: its entry, or the tombstone of it.
    package func operation(namespace: Namespace, key: [UInt8]) -> RemoteOperation? {
        state.withLock { $0.core.operation(namespace, key) }
    }

    /// The operations that this node has taken over, and its own.
    package func context() -> CausalContext { state.withLock { $0.core.wholeContext } }

    // MARK: Digests

    /// In two numbers what this node has. O(origins).
    package func summary() -> ReplicaSummary { state.withLock { $0.core.summary() } }

    /// By origin what this node has. O(origins).
    package func digest() -> ReplicaDigest { state.withLock { $0.core.digest() } }

    /// Whether a peer has what this node has.
    package func agrees(with summary: ReplicaSummary) -> Bool {
        state.withLock { state in
            let agrees = state.core.summary() == summary
            if agrees { state.core.lastSync = clock.monotonicMilliseconds() }
            return agrees
        }
    }

    /// What a peer's digest says about this node.
    package func compare(with digest: ReplicaDigest) -> DigestVerdict {
        state.withLock { state in
            let verdict = state.core.compare(with: digest)
            if verdict == .covered { state.core.lastSync = clock.monotonicMilliseconds() }
            return verdict
        }
    }

    // MARK: Sessions

    /// Begins to tell a peer what it lacks.
    ///
    /// - Parameter isRepair: as the peer's session says: everything that is shown and remembered here.
    package func openSync(to peer: CausalContext, isRepair: Bool = false) -> SyncSource {
        state.withLock { $0.core.openSync(to: peer, isRepair: isRepair) }
    }

    /// The next page of a session: at most `operationsMax` operations and about `bytesMax` bytes. Nil after the last.
    package func nextPage(
        of source: inout SyncSource, operationsMax: Int = 1024, bytesMax: Int = 256 << 10
    ) -> SyncPage? {
        var copy = source
        let page = state.withLock { state in
            state.core.nextPage(of: &copy, operationsMax: operationsMax, bytesMax: bytesMax)
        }
        source = copy
        return page
    }

    /// Begins to take over what a peer has: `context` of the session is what to ask it with.
    ///
    /// - Parameter isRepair: for `DigestVerdict.diverged`: the sender is asked for everything, and it is taken over
    ///   even where this node's context says that it is known. Do so on one of two nodes at a time: when both repair
    ///   themselves at once, they may only change places.
    package func beginSession(isRepair: Bool = false) -> SyncSession {
        state.withLock { state in
            SyncSession(
                context: state.core.wholeContext, origin: state.core.clock.origin, isRepair: isRepair, limits: limits)
        }
    }

    /// Takes over a page. With the last missing one the session ends: entries that the sender of a reset session knew
    /// and does not have go, then its whole context is joined. A page that was there before does nothing.
    @discardableResult
    package func receive(_ page: SyncPage, in session: inout SyncSession) throws(SyncError) -> SyncProgress {
        guard try session.admit(page) else { return SyncProgress(receipt: .nothing(revision: revision), state: .open) }
        guard let receipt = take(page, in: session) else {
            session.close()
            return SyncProgress(receipt: .nothing(revision: revision), state: .void)
        }
        var progress = SyncProgress(receipt: receipt, state: .open)
        session.refused += progress.receipt.refused
        guard session.isWhole, let end = session.end else { return progress }
        defer { session.close() }
        guard case .complete(let rows) = end, let joined = session.endContext, session.origin == origin else {
            progress.state = .void
            return progress
        }
        guard session.refused == 0 else {
            progress.state = .refused(session.refused)
            return progress
        }
        if let context = session.resetContext { drop(context, live: DotSet(session.live), &progress) }
        let isJoined = state.withLock { state in
            // Somebody may have begun anew since the look above.
            guard state.core.clock.origin == session.origin else { return false }
            state.core.join(rows, joined, isReset: session.resetContext != nil, now: clock.now)
            return true
        }
        progress.state = isJoined ? .complete : .void
        return progress
    }

    /// Nil for a repair by somebody who lacks removals that are forgotten here: what was removed would come back.
    private func take(_ page: SyncPage, in session: SyncSession) -> MergeReceipt? {
        guard session.isRepairing, let heard = session.resetContext else { return merge(page.operations) }
        let told = state.withLock { state -> Told? in
            guard page.opening == nil || state.core.remembersAll(heard) else { return nil }
            let last = state.core.clock.sequence
            let told = state.tell([state.core.repair(page.operations, heard: heard, now: clock.now)])
            // A number that was given must be kept, also where no entry shows it.
            if state.core.clock.sequence != last { state.journal?.noteOther() }
            return told
        }
        guard let told else { return nil }
        finish(told)
        return told.outcomes[0].mergeReceipt
    }

    /// Entries looked at while the store is locked.
    private static let dropSteps = 2000

    private func drop(_ context: CausalContext, live: DotSet, _ progress: inout SyncProgress) {
        var position: Dot? = .first
        while let from = position {
            let (told, resume, reasserted) = state.withLock { state in
                let result = state.core.drop(
                    from: from, context: context, live: live, steps: Self.dropSteps, now: clock.now)
                return (state.tell([result.outcome]), result.resume, result.reasserted)
            }
            finish(told)
            progress.reasserted += reasserted
            progress.dropped += told.outcomes[0].receipt.changes.count - reasserted
            progress.receipt.add(told.outcomes[0].receipt)
            position = resume
        }
    }

    // MARK: Rules of time

    /// Refuses what would make versions, with `unavailable`, or allows it again (nil).
    package func setFence(_ fence: WriteFence?) { state.withLock { $0.core.fence = fence } }

    /// Whether the last agreement with a peer is longer ago than tombstones are kept: then others may have forgotten
    /// removals that this node never heard of, and it has to `startFresh` before it syncs.
    package var wasAloneTooLong: Bool { state.withLock { $0.core.wasAloneTooLong(now: clock.now) } }

    /// Drops what others may have removed, under a new origin; keeps and writes anew what is renewed here.
    @discardableResult
    package func startFresh(origin: UInt64) -> Receipt {
        let told = state.withLock { state in
            state.tell([state.core.startFresh(origin: origin, now: clock.now)])
        }
        finish(told)
        return told.outcomes[0].receipt
    }
}

extension StoreCore {
    mutating func startReplicating(hashKey: KeyedHash.Key) {
        let index = ReplicaIndex(key: hashKey)
        for change in snapshot().changes { if let entry = change.current { index.insert(entry) } }
        replica = index
    }
}

extension StoreCore.Outcome {
    var mergeReceipt: MergeReceipt { MergeReceipt(receipt: receipt, fresh: fresh, refused: refused) }
}

extension MergeReceipt {
    static func nothing(revision: Int64) -> MergeReceipt {
        MergeReceipt(receipt: Receipt(revision: revision, changes: []), fresh: [], refused: 0)
    }

    /// Takes in what a further step did.
    mutating func add(_ other: Receipt) {
        receipt = Receipt(revision: other.revision, changes: receipt.changes + other.changes)
    }
}
