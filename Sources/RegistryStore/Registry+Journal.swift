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
    package func keepWhole() {
        state.withLock { state in
            state.journal?.overflow()
            state.boundJournal()
        }
    }

    /// Grows with every write that has to be kept. Who sees the same number before and after a call has written
    /// nothing in between.
    package var journalPosition: Int { position.count.load(ordering: .relaxed) }

    /// What is noted and not taken yet: entries, or removals when there are more of those; the most there may be when
    /// all of the store is to be kept anew.
    package var journalCount: Int {
        state.withLock { max($0.journal?.count ?? 0, $0.core.tombstones.news?.count ?? 0) }
    }

    /// Refuses writes that have to be kept with this error from now on; nil takes them again. Equal puts and
    /// heartbeats change nothing that is kept and go on.
    ///
    /// - Parameter equalPutsThrough: the last revision that an equal put may take; the numbers after it are left to
    ///   what nobody can refuse, which is expiry and what comes from other nodes.
    package func refuseKeeping(_ error: RegistryError?, equalPutsThrough: Int64 = .max) {
        state.withLock { state in
            state.core.keepingFailure = error
            state.core.equalPutsThrough = equalPutsThrough
        }
    }
}

extension Registry.State {
    /// Gives up what was noted once it is too much, or once all of the store is to be kept anew.
    mutating func boundJournal() {
        guard let journal else { return }
        let waiting = max(core.tombstones.news?.count ?? 0, core.leases.touched?.count ?? 0)
        if waiting > journal.countMax { self.journal?.overflow() }
        guard self.journal?.hasOverflowed == true, waiting > 0 else { return }
        core.tombstones.news = TombstoneNews()
        core.leases.touched = []
    }
}
