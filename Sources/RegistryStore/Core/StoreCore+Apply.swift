extension StoreCore {
    /// Applies a batch of wishes as a whole, or none of it. O(log n) per intent and per key deleted.
    mutating func apply(_ intents: [Intent], now: Moment) throws(RegistryError) -> Outcome {
        var batch = beginBatch()
        do throws(RegistryError) {
            try Validation.bound("intents", intents.count, limits.maxIntentsPerBatch)
            for (index, intent) in intents.enumerated() { try perform(intent, at: index, &batch, now: now) }
            if batch.changes.contains(where: \.contentChanged) { try checkFence() }
            try checkKeeping(batch)
        } catch {
            rollBack(batch, now: now)
            for intent in intents { dropEmpty(intent.namespace) }
            throw error
        }
        if batch.hasRemovals || batch.changes.isEmpty {
            for intent in intents { dropEmpty(intent.namespace) }
        }
        return commit(batch, now: now)
    }

    mutating func perform(
        _ intent: Intent, at place: Int, _ batch: inout Batch, now: Moment
    ) throws(RegistryError) {
        switch intent {
        case .put(let namespace, let key, let value, let lease, let preconditions):
            try put(namespace, key, value, lease, preconditions, at: place, &batch, now: now)
        case .renew(let namespace, let key):
            guard let entry = namespaces[namespace]?.byKey.find(key) else { throw .notFound(key: key) }
            try renew(entry, &batch, now: now)
        case .delete(let namespace, let key, let preconditions):
            let entry = namespaces[namespace]?.byKey.find(key)
            try check(preconditions, entry, at: place)
            if let entry { delete(entry, &batch, now: now) }
        case .deleteRange(let namespace, let lower, let upper):
            for entry in range(namespace, lower: lower, upper: upper, limit: .max).entries {
                delete(entry, &batch, now: now)
            }
        }
    }

    private func check(
        _ preconditions: [Precondition], _ current: Entry?, at place: Int
    ) throws(RegistryError) {
        for precondition in preconditions {
            let holds: Bool
            switch precondition {
            case .exists: holds = current != nil
            case .absent: holds = current == nil
            case .value(let bytes): holds = current.map { Self.value(of: $0) == bytes } ?? false
            case .modRevision(let revision): holds = current?.modRevision == revision
            }
            if !holds { throw .preconditionFailed(index: place, precondition: precondition, current: current) }
        }
    }

    mutating func delete(_ entry: Entry, _ batch: inout Batch, now: Moment) {
        let version = clock.next(.delete, over: entry.version.hlc, unix: now.unix)
        remove(entry, version: version, in: space(entry.namespace), &batch)
    }

    /// Restarts the lease of an entry. One that another node counts is adopted, which is a write.
    private mutating func renew(_ entry: Entry, _ batch: inout Batch, now: Moment) throws(RegistryError) {
        guard entry.lease != nil else { return }
        let slot = entry.deadlineSlot
        batch.changed.append(leases.record(slot))
        batch.renewals += 1
        if leases.isHome(slot) {
            leases.renew(slot, now: now)
        } else if canForward(slot) {
            batch.forwarded.append(slot)
        } else {
            try checkFence()
            adopt(slot, &batch, now: now)
        }
    }

    /// Makes this node the home of a lease: it counts from a heartbeat `age` milliseconds ago, and each entry of the
    /// lease is written anew, with a version over `hlc`.
    mutating func adopt(_ slot: UInt32, age: Int64 = 0, over hlc: UInt64 = 0, _ batch: inout Batch, now: Moment) {
        leases.setHome(slot, 0)
        leases.start(slot, length: leases.length(slot), suspended: false, age: age, now: now)
        for entry in leases.owner(slot).entries {
            rewrite(entry, over: hlc, &batch)
            if let version = batch.changes.last?.version { _ = leases.takesHome(slot, of: version) }
        }
    }

    /// Writes an entry again as it is, with the least version that wins: nobody asked for this, so it must not win over
    /// what somebody asks for elsewhere.
    mutating func rewrite(_ entry: Entry, over hlc: UInt64, _ batch: inout Batch) {
        let index = space(entry.namespace)
        let version = clock.least(.write, over: max(hlc, entry.version.hlc))
        let current = Entry(
            namespace: entry.namespace, key: entry.key, content: entry.content, storedValue: entry.storedValue,
            lease: entry.lease, deadlineSlot: entry.deadlineSlot, version: version,
            createRevision: entry.createRevision, modRevision: batch.revision, putCount: entry.putCount &+ 1,
            registeredAt: entry.registeredAt,
            derivedIdentity: identity(
                of: entry.content, key: entry.key, version: version, modRevision: batch.revision, over: entry,
                in: index))
        replace(entry, by: current, in: index, &batch)
        batch.changes.append(
            Change(
                kind: .write, previous: entry, current: current, contentChanged: true, version: version,
                isRenewal: true))
    }

    // MARK: Put

    private mutating func put(
        _ namespace: Namespace, _ key: [UInt8], _ value: PutValue?, _ request: LeaseRequest,
        _ preconditions: [Precondition], at place: Int, _ batch: inout Batch, now: Moment
    ) throws(RegistryError) {
        try Validation.check(namespace: namespace, key: key, limits: limits)
        try Validation.check(lease: request, limits: limits)
        let index = space(namespace)
        let previous = index.byKey.find(key)
        try check(preconditions, previous, at: place)
        var draft: Draft
        if let value {
            draft = try self.draft(value, key: key, over: previous, in: index)
        } else if let previous {
            draft = Self.same(previous)
        } else {
            throw .notFound(key: key)
        }
        if let loser = draft.displaced { delete(loser, &batch, now: now) }
        let lease = try take(request, of: previous, isSameValue: draft.isSame, &batch, now: now)
        let isEqual = draft.isSame && lease.isSame && previous != nil
        let version: Version
        if let previous, isEqual {
            version = previous.version
        } else {
            var known = known(previous, namespace, key, batch)
            // Who registers an id gets it, also from those that are ahead of this clock.
            if case .registration(let registration)? = value, let id = registration.claimedID,
                let other = index.firstWaiting(for: id)
            {
                known = max(known ?? 0, other.version.hlc)
            }
            version = clock.next(.write, over: known, unix: now.unix)
        }
        if !draft.isSame { draft.shareTexts(in: index) }
        let current = Entry(
            namespace: index.namespace, key: previous?.key ?? key, content: draft.content,
            storedValue: draft.storedValue, lease: lease.id, deadlineSlot: lease.slot, version: version,
            createRevision: previous?.createRevision ?? batch.revision, modRevision: batch.revision,
            putCount: (previous?.putCount ?? 0) &+ 1,
            registeredAt: draft.isSame ? previous?.registeredAt ?? now.unix : now.unix,
            derivedIdentity: identity(
                of: draft.content, key: key, version: version, modRevision: batch.revision, over: previous, in: index))
        try checkRoom(for: current, over: previous, in: index)
        replace(previous, by: current, in: index, &batch)
        if let reason = draft.skipReason {
            batch.skipped[batch.changes.count] = SkippedValue(namespace: namespace, key: key, reason: reason)
        }
        batch.changes.append(
            Change(
                kind: .write, previous: previous, current: current, contentChanged: !isEqual, version: version,
                isRenewal: value == nil && request.isOfOneEntry && previous?.lease == lease.id))
    }

    /// The hybrid time that a write of this key must be newer than.
    private func known(_ previous: Entry?, _ namespace: Namespace, _ key: [UInt8], _ batch: Batch) -> UInt64? {
        if let previous { return previous.version.hlc }
        if batch.hasRemovals { return clock.last }
        return tombstones.find(namespace, key)?.version.hlc
    }

    private func checkRoom(
        for current: Entry, over previous: Entry?, in index: NamespaceIndex
    ) throws(RegistryError) {
        let growth = current.cost - (previous?.cost ?? 0)
        if growth > 0 { try Validation.bound("memory_bytes", entryBytes + growth, limits.maxMemoryBytes) }
        if previous == nil { try Validation.bound("entries", entryCount + 1, limits.maxEntries) }
        if limits.namespaceCapacity >= 0, current.isVisibleInstance, previous?.isVisibleInstance != true {
            try Validation.bound("namespace_capacity", index.byID.count + 1, limits.namespaceCapacity)
        }
    }

    // MARK: Leases of puts

    private mutating func take(
        _ request: LeaseRequest, of previous: Entry?, isSameValue: Bool, _ batch: inout Batch, now: Moment
    ) throws(RegistryError) -> (id: LeaseID?, slot: UInt32, isSame: Bool) {
        switch request {
        case .keep:
            return (previous?.lease, previous?.deadlineSlot ?? LeaseDeadlines.none, true)
        case .permanent:
            leave(previous, &batch)
            return (nil, LeaseDeadlines.none, previous?.lease == nil)
        case .shared(let id):
            if let previous, previous.lease == id { return (id, previous.deadlineSlot, true) }
            if batch.isRehearsal, leases.slot(of: id) == nil { try pretendLease(id, &batch, now: now) }
            guard let slot = leases.slot(of: id), leases.isShared(slot) else { throw .unknownLease(id) }
            leave(previous, &batch)
            return (id, slot, false)
        case .own(let milliseconds):
            if isSameValue, let same = forwardedOwn(milliseconds, of: previous, &batch) { return same }
            return try takeOwn(milliseconds, suspended: false, of: previous, &batch, now: now)
        case .suspended(let milliseconds):
            return try takeOwn(milliseconds, suspended: true, of: previous, &batch, now: now)
        }
    }

    /// A put that repeats what is there is a heartbeat, which the lease's home is told of.
    private func forwardedOwn(
        _ length: Int64, of previous: Entry?, _ batch: inout Batch
    ) -> (id: LeaseID?, slot: UInt32, isSame: Bool)? {
        guard let previous, let lease = previous.lease else { return nil }
        let slot = previous.deadlineSlot
        guard canForward(slot), !leases.isShared(slot), leases.length(slot) == length, !leases.isSuspended(slot)
        else { return nil }
        batch.forwarded.append(slot)
        return (lease, slot, true)
    }

    private mutating func takeOwn(
        _ length: Int64, suspended: Bool, of previous: Entry?, _ batch: inout Batch, now: Moment
    ) throws(RegistryError) -> (id: LeaseID?, slot: UInt32, isSame: Bool) {
        if let previous, previous.lease != nil, !leases.isShared(previous.deadlineSlot) {
            let slot = previous.deadlineSlot
            let isSame =
                leases.isHome(slot) && leases.length(slot) == length && leases.isSuspended(slot) == suspended
            batch.changed.append(leases.record(slot))
            leases.setHome(slot, 0)
            leases.start(slot, length: length, suspended: suspended, now: now)
            return (previous.lease, slot, isSame)
        }
        guard let slot = leases.allocate(id: nil, shared: false, length: length) else {
            throw .limitExceeded(limit: "leases", value: leases.count + 1, bound: limits.maxLeases)
        }
        batch.allocated.append(slot)
        leases.start(slot, length: length, suspended: suspended, now: now)
        return (leases.id(slot), slot, false)
    }

    /// Ends the lease that an entry has for itself, once the batch is done.
    private mutating func leave(_ previous: Entry?, _ batch: inout Batch) {
        guard let previous, previous.lease != nil, !leases.isShared(previous.deadlineSlot) else { return }
        batch.ended.append(previous.deadlineSlot)
    }
}

extension Intent {
    var namespace: Namespace {
        switch self {
        case .put(let namespace, _, _, _, _), .renew(let namespace, _), .delete(let namespace, _, _),
            .deleteRange(let namespace, _, _):
            return namespace
        }
    }
}
