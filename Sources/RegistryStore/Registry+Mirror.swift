import Synchronization

/// The registry as the copy of an external store. Everything here needs `isMirror`.
extension Registry {
    /// Takes over what happened in the external store, as one batch: readers see all of it or nothing.
    ///
    /// - Parameters:
    ///   - spaces: in the order in which the batch is to tell of them; each namespace once.
    ///   - revision: the store's.
    ///   - restarts: the content was listed anew and nothing is known of how it came to be: resumable history begins
    ///     here, and the revision may go back.
    @discardableResult
    package func mirror(spaces: [MirroredSpace], revision: Int64, restarts: Bool = false) -> MirrorReceipt {
        let (told, receipt) = state.withLock { state in
            let result = state.core.mirror(spaces, revision: revision, restarts: restarts, now: clock.now)
            var told = state.tell([result.outcome])
            if restarts {
                // Who waits for a revision of the other history would wait in vain.
                told = Told(
                    outcomes: told.outcomes, waiters: told.waiters + state.waiters.takeAll(), revision: told.revision)
            }
            let receipt = MirrorReceipt(
                receipt: result.outcome.receipt, newLeases: result.newLeases, refused: result.refused)
            return (told, receipt)
        }
        finish(told)
        return receipt
    }

    /// The same of the default namespace alone.
    @discardableResult
    package func mirror(_ changes: [MirrorChange], revision: Int64, restarts: Bool = false) -> MirrorReceipt {
        mirror(spaces: [MirroredSpace(.default, changes)], revision: revision, restarts: restarts)
    }

    /// Notes what the external store says of a lease: its length, and what is left of it, in milliseconds. Answers are
    /// not cached beyond that; when it is over and the entries are still there, somebody has renewed the lease, and
    /// half of its length bounds the answers. False when no key has the lease here.
    @discardableResult
    package func setMirroredLease(
        _ id: LeaseID, lengthMilliseconds: Int64, remainingMilliseconds: Int64
    ) -> Bool {
        state.withLock { state in
            state.core.setMirroredLease(
                id, length: lengthMilliseconds, remaining: remainingMilliseconds, now: clock.now)
        }
    }

    /// What is wrong inside the store; nil when nothing is. O(n log n): for tests.
    package var inconsistency: String? { state.withLock { $0.core.checkInvariants() } }

    /// Whether a key of this copy has the lease.
    package func hasLease(_ id: LeaseID) -> Bool { state.withLock { $0.core.leases.slot(of: id) != nil } }

    /// What intents would write, with the refusals they would meet in a store of our own; nothing is changed.
    package func plan(_ intents: [Intent]) throws(RegistryError) -> [PlannedWrite] {
        try state.withLock { (state) throws(RegistryError) in try state.core.rehearse(intents, now: clock.now) }
    }
}
