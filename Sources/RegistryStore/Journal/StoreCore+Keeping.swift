extension StoreCore {
    /// Everything as it is now.
    func wholeGroup(now: Moment) -> KeptGroup {
        var group = emptyGroup(now: now)
        group.isWhole = true
        group.notes.reserveCapacity(entryCount)
        for namespace in namespaces.keys.sorted() {
            namespaces[namespace]?.byKey.forEach { entry in
                group.notes.append(.put(entry, ownLease: leases.ownLease(of: entry)))
                return true
            }
        }
        group.tombstones = tombstones.all()
        group.leases = leases.allIDs(sharedOnly: true).compactMap { id in leases.slot(of: id).map { leases.kept($0) } }
        return group
    }

    /// The state that belongs to no key.
    func emptyGroup(now: Moment) -> KeptGroup {
        KeptGroup(
            context: context, floors: tombstones.floors,
            clock: KeptClock(
                hlc: clock.last, origin: clock.origin, sequence: clock.sequence,
                syncedAt: lastSync.map { now.unix &- max(0, now.monotonic &- $0) }),
            revision: revision,
            now: now)
    }

    /// Throws when a batch changed what has to be kept while that cannot be, or takes a number that is not reserved.
    func checkKeeping(_ batch: Batch) throws(RegistryError) {
        guard let keepingFailure, !batch.changes.isEmpty else { return }
        if batch.revision > equalPutsThrough || batch.changes.contains(where: \.contentChanged) { throw keepingFailure }
    }

    // MARK: Coming back

    /// Takes over what an earlier process has kept, as the first revision of this one. Leases counted here get their
    /// whole length again.
    ///
    /// - Parameter isRenamed: the node had another name: what it counted is written anew under this one's.
    /// - Returns: what happened, and how many entries found no room.
    mutating func restore(_ content: KeptContent, isRenamed: Bool, now: Moment) -> (outcome: Outcome, refused: Int) {
        if let kept = content.clock {
            clock.restore(kept.hlc)
            context.restore(origin: kept.origin, head: kept.sequence, gaps: [])
            lastSync = kept.syncedAt.map { now.monotonic &- max(0, now.unix &- $0) }
        }
        for (origin, kept) in content.origins.sorted(by: { $0.key < $1.key }) {
            context.restore(origin: origin, head: kept.head, gaps: kept.gaps)
        }
        tombstones.restore(content, now: now)
        gaveTimeAt = now.monotonic
        for lease in content.leases { _ = hold(lease, now: now) }
        var batch = beginBatch()
        var refused = 0
        for kept in content.entries where !restore(kept, isRenamed: isRenamed, &batch, now: now) { refused += 1 }
        settleIDs(&batch)
        // Of leases that others count none is kept without keys, but a damaged file may have lost those.
        for lease in content.leases where lease.home != nil {
            guard let slot = leases.slot(of: lease.id), leases.owner(slot).isEmpty, !leases.isHome(slot) else {
                continue
            }
            leases.release(slot)
        }
        return (finishRestore(batch), refused)
    }

    private mutating func finishRestore(_ batch: Batch) -> Outcome {
        guard !batch.changes.isEmpty else { return Outcome(receipt: Receipt(revision: revision, changes: [])) }
        for notice in batch.skipped.values { skipped.add(notice) }
        setRevision(batch.revision)
        feed.restart(through: revision)
        let receipt = Receipt(revision: revision, changes: batch.changes)
        return Outcome(
            receipt: receipt, batch: ChangeBatch(revision: revision, changes: batch.changes, restarts: true),
            skipped: Array(batch.skipped.values))
    }

    private mutating func restore(
        _ kept: KeptEntry, isRenamed: Bool, _ batch: inout Batch, now: Moment
    ) -> Bool {
        guard !kept.key.isEmpty, kept.key.count <= limits.maxKeyBytes else { return false }
        let index = space(kept.namespace)
        defer { dropEmpty(kept.namespace) }
        guard index.byKey.find(kept.key) == nil else { return false }
        var slot = LeaseDeadlines.none
        if let lease = kept.lease {
            let found = kept.ownLease.map { hold($0, now: now) } ?? leases.slot(of: lease)
            guard let found else { return false }
            slot = found
        }
        var draft =
            switch kept.value {
            case .bytes(let bytes): draft(bytes, key: kept.key)
            case .registration(let registration): Draft(content: .service(registration), storedValue: nil)
            }
        draft.shareTexts(in: index)
        if slot != LeaseDeadlines.none { _ = leases.takesHome(slot, of: kept.version) }
        let isCountedHere = slot != LeaseDeadlines.none && leases.isHome(slot)
        let version =
            isRenamed && isCountedHere ? clock.next(.write, over: kept.version.hlc, unix: now.unix) : kept.version
        let entry = Entry(
            namespace: index.namespace, key: kept.key, content: draft.content, storedValue: draft.storedValue,
            lease: kept.lease, deadlineSlot: slot, version: version, createRevision: batch.revision,
            modRevision: batch.revision, putCount: 1, registeredAt: kept.registeredAt,
            derivedIdentity: identity(
                of: draft.content, key: kept.key, version: version, modRevision: batch.revision, over: nil, in: index))
        replace(nil, by: entry, in: index, &batch)
        if let reason = draft.skipReason {
            batch.skipped[batch.changes.count] = SkippedValue(
                namespace: index.namespace, key: kept.key, reason: reason)
        }
        batch.changes.append(
            Change(kind: .write, previous: nil, current: entry, contentChanged: true, version: version))
        return true
    }

    /// Makes a lease that is not there, which begins anew; nil when there is no room, or when its id is another's.
    private mutating func hold(_ lease: KeptLease, now: Moment) -> UInt32? {
        guard lease.id.rawValue != 0, lease.milliseconds >= 0, leases.slot(of: lease.id) == nil else { return nil }
        let home = lease.home.map { leases.homeNumber($0) } ?? 0
        guard
            let slot = leases.allocate(id: lease.id, shared: lease.isShared, length: lease.milliseconds, home: home)
        else { return nil }
        leases.start(slot, length: lease.milliseconds, suspended: lease.isSuspended, now: now)
        return slot
    }
}

extension TombstoneTable {
    /// Takes over what an earlier process has kept, with the ages that its removals have by now.
    fileprivate mutating func restore(_ content: KeptContent, now: Moment) {
        for (origin, kept) in content.origins.sorted(by: { $0.key < $1.key }) where kept.floor > 0 {
            restoreFloor(of: origin, to: kept.floor)
        }
        for kept in content.tombstones.sorted(by: { $0.removedAt < $1.removedAt }) {
            let age = max(0, now.unix &- kept.removedAt)
            insert(
                kept.namespace, kept.key, kept.version, at: now.monotonic &- age, wasLeased: kept.wasLeased)
        }
    }
}
