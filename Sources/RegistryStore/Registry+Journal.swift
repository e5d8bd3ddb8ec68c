import Synchronization

/// What a keeper of the registry on a disk needs.
extension Registry {
    /// Puts back what an earlier process has kept. To be called before anything else is written. Gives how many
    /// entries found no room.
    package func restore(_ content: KeptContent, isRenamed: Bool) -> Int {
        let (told, refused) = state.withLock { state in
            let result = state.core.restore(content, isRenamed: isRenamed, now: clock.now)
            return (state.tell([result.outcome]), result.refused)
        }
        finish(told)
        return refused
    }

    /// Begins to note what changes.
    ///
    /// - Parameters:
    ///   - countMax: entries noted at most; when there are more, the next group is the whole content.
    ///   - isWhole: whether the first group is the whole content.
    package func startJournal(countMax: Int, isWhole: Bool) {
        state.withLock { state in
            var journal = StoreJournal(position: position, countMax: countMax)
            if isWhole { journal.overflow() }
            state.journal = journal
            state.core.tombstones.news = TombstoneNews()
            state.core.leases.touched = []
        }
    }

    /// What has changed since the last call; nil when the journal has not been started.
    package func takeGroup() -> KeptGroup? {
        state.withLock { state in
            guard let journal = state.journal else { return nil }
            let news = state.core.tombstones.takeNews()
            let touched = state.core.leases.takeTouched()
            if journal.hasOverflowed {
                _ = state.journal?.take()
                var group = state.core.wholeGroup(now: clock.now)
                group.position = journalPosition
                return group
            }
            var group = state.core.emptyGroup(now: clock.now)
            group.position = journalPosition
            group.notes = state.journal?.take() ?? []
            group.tombstones = news.made
            group.forgotten = news.forgotten
            for id in touched.sorted() {
                if let slot = state.core.leases.slot(of: LeaseID(id)) {
                    group.leases.append(state.core.leases.kept(slot))
                } else {
                    group.endedLeases.append(LeaseID(id))
                }
            }
            return group
        }
    }

    /// Makes the next group the whole content.
    package func keepWhole() { state.withLock { $0.journal?.overflow() } }

    /// Grows with every write that has to be kept. Who sees the same number before and after a call has written
    /// nothing in between.
    package var journalPosition: Int { position.count.load(ordering: .relaxed) }

    /// Entries noted and not taken yet.
    package var journalCount: Int { state.withLock { $0.journal?.notes.count ?? 0 } }

    /// Refuses writes that have to be kept with this error from now on; nil takes them again. Equal puts and
    /// heartbeats change nothing that is kept and go on.
    package func refuseKeeping(_ error: RegistryError?) { state.withLock { $0.core.keepingFailure = error } }
}
