extension StoreCore {
    /// Takes over what other nodes did, as one batch: per key the greatest version stays. Operations that are known,
    /// older, or malformed (no value in a write, over a limit) change nothing.
    mutating func merge(_ operations: [RemoteOperation], now: Moment) -> Outcome {
        merge(operations, now: now) { core, operation in
            !core.isKnown(operation.version)
        } settle: { _, _, _, _ in
        }
    }

    /// - Parameters:
    ///   - isOpen: whether an operation is looked at.
    ///   - settle: what to do about one that is older than what is known of its key.
    mutating func merge(
        _ operations: [RemoteOperation], now: Moment, where isOpen: (borrowing StoreCore, RemoteOperation) -> Bool,
        settle: (inout StoreCore, RemoteOperation, _ current: Entry?, inout Batch) -> Void
    ) -> Outcome {
        var batch = beginBatch()
        batch.hasTombstones = true
        var fresh: [RemoteOperation] = []
        var refused = 0
        for operation in operations where isOpen(self, operation) {
            guard isAcceptable(operation) else {
                refused += 1
                continue
            }
            let index = space(operation.namespace)
            let current = index.byKey.find(operation.key)
            let known = current?.version ?? tombstones.find(operation.namespace, operation.key)?.version
            let wins = MergeRule.wins(operation.version, over: known)
            guard !wins || hasRoom(for: operation, over: current) else {
                refused += 1
                counters.remoteBeyondLimit += 1
                continue
            }
            clock.observe(operation.version.hlc, unix: now.unix)
            remember(operation.version)
            guard wins else {
                settle(&self, operation, current, &batch)
                continue
            }
            fresh.append(operation)
            if let value = operation.value {
                write(operation, value, over: current, in: index, &batch, now: now)
            } else if let current {
                end(current, by: operation, in: index, &batch, now: now)
            } else {
                tombstones.insert(
                    index.namespace, operation.key, operation.version, at: now.monotonic,
                    wasLeased: operation.wasLeased || operation.version.kind == .expiry)
            }
        }
        for operation in operations { dropEmpty(operation.namespace) }
        var outcome = commit(batch, now: now)
        outcome.fresh = fresh
        outcome.refused = refused
        counters.remoteRefused += refused
        return outcome
    }

    /// What has an origin of this process was made here, or is a lie.
    private func isKnown(_ version: Version) -> Bool {
        if version.origin == clock.origin { return true }
        return context.contains(origin: version.origin, sequence: version.sequence)
    }

    /// Of its own operations a node knows by their number.
    private mutating func remember(_ version: Version) {
        guard version.origin != clock.origin else { return }
        context.insert(origin: version.origin, sequence: version.sequence)
    }

    private func isAcceptable(_ operation: RemoteOperation) -> Bool {
        guard (operation.value != nil) == (operation.version.kind == .write), !operation.key.isEmpty else {
            return false
        }
        guard operation.version.sequence > 0 else { return false }
        guard operation.key.count <= limits.maxKeyBytes, !operation.namespace.name.utf8.contains(0),
            operation.namespace.name.utf8.count <= limits.maxNamespaceBytes
        else { return false }
        if let lease = operation.lease {
            guard lease.id.rawValue != 0, (0...limits.maxLeaseMilliseconds).contains(lease.milliseconds),
                (1...limits.maxNodeNameBytes).contains(lease.home.utf8.count)
            else { return false }
        }
        switch operation.value {
        case .bytes(let bytes): return bytes.count <= limits.maxValueBytes
        case .registration(let registration):
            guard let instance = registration.instance, !instance.service.utf8.contains(0) else { return false }
            return registration.textBytes <= limits.maxRegistrationBytes
        case nil: return true
        }
    }

    /// Whether a write has room: its entry within the bounds of what comes from others, and its lease, which is known
    /// or finds a free slot.
    private func hasRoom(for operation: RemoteOperation, over current: Entry?) -> Bool {
        if let lease = operation.lease, leases.isFull, leases.slot(of: lease.id) == nil { return false }
        guard let value = operation.value else { return true }
        if current == nil, entryCount >= limits.remoteEntries { return false }
        let growth = Entry.cost(of: value, key: operation.key) - (current?.cost ?? 0)
        return growth <= 0 || growth <= limits.remoteMemoryBytes - entryBytes
    }

    /// Ends an entry, unless it is an expiry of a lease that an owner keeps up at this node: then the entry is written
    /// anew, so that no clock but the home's can expire it. A node that has passed on a heartbeat becomes the home: the
    /// one that it was passed on to may be cut off from who has expired the lease, or gone. The expiry of a later
    /// write, which this node never saw, ends what it replaced as well: written anew, the older content would win over
    /// the later one.
    private mutating func end(
        _ entry: Entry, by operation: RemoteOperation, in index: NamespaceIndex, _ batch: inout Batch, now: Moment
    ) {
        if operation.version.kind == .expiry, operation.version.isOfSameWrite(as: entry.version),
            clock.plantedFault != .noReassert
        {
            if isKeptUp(entry, now: now) { return rewrite(entry, over: operation.version.hlc, &batch) }
            if entry.lease != nil, let age = leases.heartbeatAge(entry.deadlineSlot, now: now) {
                return adopt(entry.deadlineSlot, age: age, over: operation.version.hlc, &batch, now: now)
            }
        }
        remove(entry, version: operation.version, in: index, &batch)
        if let change = batch.changes.last { bury(change, now: now) }
        // A granted lease that others have expired ends here with its last key: who keeps it up has to hear that
        // nothing is left of it.
        if operation.version.kind == .expiry, entry.lease != nil, leases.owner(entry.deadlineSlot).isEmpty,
            leases.isShared(entry.deadlineSlot)
        {
            batch.ended.append(entry.deadlineSlot)
        }
    }

    private mutating func write(
        _ operation: RemoteOperation, _ value: PutValue, over previous: Entry?, in index: NamespaceIndex,
        _ batch: inout Batch, now: Moment
    ) {
        var draft =
            switch value {
            case .bytes(let bytes): draft(bytes, key: operation.key)
            case .registration(let registration): Draft(content: .service(registration), storedValue: nil)
            }
        draft.shareTexts(in: index)
        let lease = hold(operation.lease, as: operation.version, of: previous, &batch, now: now)
        let current = Entry(
            namespace: index.namespace, key: previous?.key ?? operation.key, content: draft.content,
            storedValue: draft.storedValue, lease: lease.id, deadlineSlot: lease.slot, version: operation.version,
            createRevision: previous?.createRevision ?? batch.revision, modRevision: batch.revision,
            putCount: (previous?.putCount ?? 0) &+ 1, registeredAt: now.unix,
            derivedIdentity: identity(
                of: draft.content, key: operation.key, version: operation.version, modRevision: batch.revision,
                over: previous, in: index))
        replace(previous, by: current, in: index, &batch)
        if let reason = draft.skipReason {
            batch.skipped[batch.changes.count] = SkippedValue(
                namespace: index.namespace, key: operation.key, reason: reason)
        }
        batch.changes.append(
            Change(
                kind: .write, previous: previous, current: current, contentChanged: true, version: operation.version))
        if let change = batch.changes.last { bury(change, now: now) }
    }

    /// The slot of the lease that an operation names: made, or taken over with what the operation says of it.
    private mutating func hold(
        _ lease: RemoteOperation.RemoteLease?, as version: Version, of previous: Entry?, _ batch: inout Batch,
        now: Moment
    ) -> (id: LeaseID?, slot: UInt32) {
        if let previous, let old = previous.lease, old != lease?.id, !leases.isShared(previous.deadlineSlot) {
            batch.ended.append(previous.deadlineSlot)
        }
        guard let lease else { return (nil, LeaseDeadlines.none) }
        let home = leases.homeNumber(lease.home)
        if let slot = leases.slot(of: lease.id), leases.isShared(slot) == lease.isShared {
            // A lease of one entry cannot be shared by a second key, whatever a peer says. Its entry may have gone
            // within this batch, as when an expiry and its home's answer to that come together.
            let isFree = lease.isShared || previous?.lease == lease.id || leases.owner(slot).isEmpty
            guard isFree else { return (nil, LeaseDeadlines.none) }
            batch.ended.removeAll { $0 == slot }
            guard leases.takesHome(slot, of: version) else { return (lease.id, slot) }
            leases.setHome(slot, home)
            leases.start(slot, length: lease.milliseconds, suspended: lease.isSuspended, now: now)
            return (lease.id, slot)
        }
        guard leases.slot(of: lease.id) == nil,
            let slot = leases.allocate(id: lease.id, shared: lease.isShared, length: lease.milliseconds, home: home)
        else { return (nil, LeaseDeadlines.none) }
        _ = leases.takesHome(slot, of: version)
        leases.start(slot, length: lease.milliseconds, suspended: lease.isSuspended, now: now)
        return (lease.id, slot)
    }
}
