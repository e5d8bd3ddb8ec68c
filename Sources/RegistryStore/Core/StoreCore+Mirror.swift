extension StoreCore {
    /// Takes over what happened in an external store, as one batch of `wanted` revision.
    ///
    /// - Parameter restarts: the content was listed anew and what happened before is not known: histories begin here,
    ///   and the revision may go back.
    mutating func mirror(
        _ spaces: [MirroredSpace], revision wanted: Int64, restarts: Bool, now: Moment
    ) -> (outcome: Outcome, newLeases: [LeaseID], refused: Int) {
        // A cluster that lies may give any number.
        let wanted = max(0, wanted)
        // Two batches never share a revision, also when one repairs what an earlier one should have brought.
        var batch = beginBatch(revision: restarts ? wanted : max(wanted, nextRevision))
        var mirror = MirrorBatch(ended: endedLeases(by: spaces, now: now))
        for space in spaces {
            let index = self.space(space.namespace)
            for change in space.changes {
                switch change {
                case .put(let value): put(value, in: index, &mirror, &batch, now: now)
                case .delete(let key):
                    if let entry = index.byKey.find(key) { take(entry, &mirror, &batch, now: now) }
                }
            }
        }
        for slot in mirror.touched where leases.owner(slot).isEmpty { batch.ended.append(slot) }
        for space in spaces { dropEmpty(space.namespace) }
        var outcome = commit(batch, now: now)
        if restarts || outcome.batch == nil {
            if restarts || wanted > revision { setRevision(wanted) }
            outcome.receipt = Receipt(revision: revision, changes: outcome.receipt.changes)
        }
        if restarts {
            feed.restart(through: revision)
            outcome.batch = ChangeBatch(revision: revision, changes: outcome.batch?.changes ?? [], restarts: true)
        }
        return (outcome, mirror.newLeases.filter { leases.slot(of: $0) != nil }, mirror.refused)
    }

    /// What a batch of an external store has met so far.
    private struct MirrorBatch {
        var newLeases: [LeaseID] = []
        var refused = 0
        /// Leases that a key has left.
        var touched: Set<UInt32> = []
        /// Leases that took their keys, with the milliseconds since they were to.
        let ended: [UInt32: Int64]
    }

    private mutating func put(
        _ value: MirroredValue, in index: NamespaceIndex, _ mirror: inout MirrorBatch, _ batch: inout Batch,
        now: Moment
    ) {
        let previous = index.byKey.find(value.key)
        guard !value.key.isEmpty, value.key.count <= limits.maxKeyBytes, value.value.count <= limits.maxValueBytes
        else { return refuse(previous, &mirror, &batch, now: now) }
        var draft = mirroredDraft(value, over: previous)
        if !draft.isSame { draft.shareTexts(in: index) }
        guard let lease = hold(value.lease, &mirror, of: previous) else {
            return refuse(previous, &mirror, &batch, now: now)
        }
        let isEqual = draft.isSame && previous?.lease == lease.id && previous != nil
        let version: Version
        if let previous, isEqual {
            version = previous.version
        } else {
            version = clock.next(.write, over: previous?.version.hlc ?? clock.last, unix: now.unix)
        }
        let current = Entry(
            namespace: index.namespace, key: previous?.key ?? value.key, content: draft.content,
            storedValue: draft.storedValue, lease: lease.id, deadlineSlot: lease.slot, version: version,
            createRevision: value.createRevision, modRevision: value.modRevision, putCount: value.putCount,
            registeredAt: draft.isSame ? previous?.registeredAt ?? now.unix : now.unix,
            derivedIdentity: identity(
                of: draft.content, key: value.key, version: version, modRevision: value.modRevision, over: previous,
                in: index))
        guard hasRoom(for: current, over: previous) else {
            if lease.slot != LeaseDeadlines.none { mirror.touched.insert(lease.slot) }
            return refuse(previous, &mirror, &batch, now: now)
        }
        replace(previous, by: current, in: index, &batch)
        if let reason = draft.skipReason {
            batch.skipped[batch.changes.count] = SkippedValue(
                namespace: index.namespace, key: value.key, reason: reason)
        }
        batch.changes.append(
            Change(kind: .write, previous: previous, current: current, contentChanged: !isEqual, version: version))
    }

    private func mirroredDraft(_ value: MirroredValue, over previous: Entry?) -> Draft {
        if let previous, Self.value(of: previous) == value.value { return Self.same(previous) }
        var draft = draft(value.value, key: value.key)
        guard case .service(let registration) = draft.content, let instance = registration.instance,
            !instance.id.isEmpty
        else { return draft }
        // What a dialect registered, here or at another node, is what it would be in a store of our own.
        if !ByteOrder.same(instance.origin, SkyDNSMessage.etcdOrigin),
            value.key == layout.primaryKey(service: instance.service, id: instance.id)
                || value.key == layout.hiddenKey(service: instance.service, id: instance.id),
            SkyDNSMessage.encode(registration) == value.value
        {
            draft.storedValue = nil
        }
        return draft
    }

    /// The slot of an external lease, taken when it is new; nil when there is no room.
    private mutating func hold(
        _ lease: LeaseID?, _ mirror: inout MirrorBatch, of previous: Entry?
    ) -> (id: LeaseID?, slot: UInt32)? {
        if let previous, previous.lease != nil, previous.lease != lease { mirror.touched.insert(previous.deadlineSlot) }
        guard let lease else { return (nil, LeaseDeadlines.none) }
        if let slot = leases.slot(of: lease) { return (lease, slot) }
        guard let slot = leases.allocateMirrored(lease) else { return nil }
        mirror.newLeases.append(lease)
        return (lease, slot)
    }

    private func hasRoom(for current: Entry, over previous: Entry?) -> Bool {
        let growth = current.cost - (previous?.cost ?? 0)
        return entryBytes + growth <= limits.maxMemoryBytes
            && (previous != nil || entryCount < limits.maxEntries)
    }

    /// Counts a put that cannot be kept. The value before it is not served any longer: it is not what the store has.
    private mutating func refuse(
        _ previous: Entry?, _ mirror: inout MirrorBatch, _ batch: inout Batch, now: Moment
    ) {
        mirror.refused += 1
        if let previous { take(previous, &mirror, &batch, now: now) }
    }

    /// How far from the end of its lease, as it is known here, a key may go that the lease took: ends are known to the
    /// second, and a cluster looks for those that are over twice a second, and later when it has much to do.
    private static let expiryWindow: ClosedRange<Int64> = -500...3_000

    /// The leases that ended with a batch, with the milliseconds since they were to.
    ///
    /// The external store does not say why a key went. A lease that is over takes all its keys at once, and at the time
    /// that is known of it: what goes so is taken for expired. Somebody who deletes the keys in those seconds is not
    /// told apart; what had its lease renewed elsewhere, and was not heard of since, passes for deleted.
    private func endedLeases(by spaces: [MirroredSpace], now: Moment) -> [UInt32: Int64] {
        var overdue: [UInt32: Int64] = [:]
        var gone: [UInt32: Int] = [:]
        for space in spaces {
            guard let index = namespaces[space.namespace] else { continue }
            for change in space.changes {
                guard case .delete(let key) = change, let entry = index.byKey.find(key), entry.lease != nil,
                    let late = leases.millisecondsOverdue(entry.deadlineSlot, now: now),
                    Self.expiryWindow.contains(late)
                else { continue }
                overdue[entry.deadlineSlot] = late
                gone[entry.deadlineSlot, default: 0] += 1
            }
        }
        return overdue.filter { slot, _ in gone[slot] == leases.owner(slot).entries.count }
    }

    /// Removes an entry that the external store does not have any more.
    private mutating func take(_ entry: Entry, _ mirror: inout MirrorBatch, _ batch: inout Batch, now: Moment) {
        let version: Version
        if entry.lease != nil, let overdue = mirror.ended[entry.deadlineSlot] {
            version = clock.expiry(of: entry.version, unix: now.unix)
            leases.endMirrored(entry.deadlineSlot, overdue: overdue, now: now)
        } else {
            version = clock.next(.delete, over: entry.version.hlc, unix: now.unix)
        }
        if entry.lease != nil { mirror.touched.insert(entry.deadlineSlot) }
        remove(entry, version: version, in: space(entry.namespace), &batch)
    }

    /// Notes what an external store says of a lease. False when no key has it here.
    mutating func setMirroredLease(_ id: LeaseID, length: Int64, remaining: Int64, now: Moment) -> Bool {
        guard let slot = leases.slot(of: id), leases.isMirrored(slot), length >= 0,
            length <= limits.maxLeaseMilliseconds
        else { return false }
        leases.setMirrored(slot, length: length, remaining: min(max(0, remaining), length), now: now)
        return true
    }

    // MARK: Planning writes

    /// What intents would do, found out by doing and taking back: the refusals are those of a store of our own.
    mutating func rehearse(_ intents: [Intent], now: Moment) throws(RegistryError) -> [PlannedWrite] {
        let counted = counters
        var batch = beginBatch()
        batch.isRehearsal = true
        var plan: [PlannedWrite] = []
        var refusal: RegistryError?
        do throws(RegistryError) {
            try Validation.bound("intents", intents.count, limits.maxIntentsPerBatch)
            for (place, intent) in intents.enumerated() {
                plan += try rehearse(intent, at: place, &batch, now: now)
            }
        } catch {
            refusal = error
        }
        rollBack(batch, now: now)
        for intent in intents { dropEmpty(intent.namespace) }
        counters = counted
        if let refusal {
            counters.refusals += 1
            throw refusal
        }
        return plan
    }

    private mutating func rehearse(
        _ intent: Intent, at place: Int, _ batch: inout Batch, now: Moment
    ) throws(RegistryError) -> [PlannedWrite] {
        switch intent {
        case .renew(let namespace, let key):
            guard let entry = namespaces[namespace]?.byKey.find(key) else { throw .notFound(key: key) }
            return [.renew(entry)]
        case .deleteRange(let namespace, let lower, let upper):
            let entries = range(namespace, lower: lower, upper: upper, limit: .max).entries
            try perform(intent, at: place, &batch, now: now)
            return [.deleteRange(namespace, lower: lower, upper: upper, entries)]
        case .delete(let namespace, let key, let preconditions):
            let entry = namespaces[namespace]?.byKey.find(key)
            try perform(intent, at: place, &batch, now: now)
            return entry.map { [.delete($0, isGuarded: !preconditions.isEmpty)] } ?? []
        case .put(_, let key, let value, let lease, let preconditions):
            let before = batch.changes.count
            try perform(intent, at: place, &batch, now: now)
            return Self.asked(batch.changes[before...]).compactMap { change in
                guard let current = change.current else {
                    // The entry that had the id before; somebody else may have put another one there meanwhile.
                    return change.previous.map { .delete($0, isGuarded: true) }
                }
                return .put(
                    key: key, value: value.map { _ in Self.value(of: current) }, lease: lease,
                    previous: change.previous, planned: current, isGuarded: !preconditions.isEmpty || value == nil)
            }
        }
    }

    /// A lease that the external store may know although none of our keys has it.
    mutating func pretendLease(_ id: LeaseID, _ batch: inout Batch, now: Moment) throws(RegistryError) {
        guard let slot = leases.allocateMirrored(id) else {
            throw .limitExceeded(limit: "leases", value: leases.count + 1, bound: limits.maxLeases)
        }
        batch.allocated.append(slot)
    }
}
