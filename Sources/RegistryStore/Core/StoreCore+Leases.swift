extension StoreCore {
    /// Restarts the lease of one entry, found by the id of the HTTP dialects. Without a lease nothing happens.
    ///
    /// The fast path of heartbeats: finds the entry in O(log n), stores one deadline, allocates nothing, publishes
    /// nothing. Gives an outcome only when a lease counted elsewhere was adopted.
    mutating func renew(
        _ namespace: Namespace, id: String, now: Moment
    ) throws(RegistryError) -> Outcome? {
        guard let entry = namespaces[namespace]?.find(id: id) else {
            throw .notFound(key: Array(id.utf8.prefix(limits.maxKeyBytes)))
        }
        guard entry.lease != nil else { return nil }
        return try renew(slot: entry.deadlineSlot, now: now)
    }

    private mutating func renew(slot: UInt32, now: Moment) throws(RegistryError) -> Outcome? {
        guard !leases.isHome(slot) else {
            counters.renewals += 1
            leases.renew(slot, now: now)
            return nil
        }
        if canForward(slot), forward(slot, now: now) {
            counters.renewals += 1
            return nil
        }
        try checkFence()
        counters.renewals += 1
        var batch = beginBatch()
        adopt(slot, &batch, now: now)
        return commit(batch, now: now)
    }

    /// Makes a lease that may own many keys.
    mutating func grant(_ id: LeaseID?, milliseconds: Int64, now: Moment) throws(RegistryError) -> LeaseInfo {
        try checkFence()
        try Validation.check(leaseMilliseconds: milliseconds, limits: limits)
        if let id {
            guard id.rawValue != 0 else { throw .invalid(field: "lease", value: "0", expected: "an id other than 0") }
            if leases.slot(of: id) != nil { throw .leaseExists(id) }
        }
        if let keepingFailure { throw keepingFailure }
        guard let slot = leases.allocate(id: id, shared: true, length: milliseconds) else {
            throw .limitExceeded(limit: "leases", value: leases.count + 1, bound: limits.maxLeases)
        }
        leases.start(slot, length: milliseconds, suspended: false, now: now)
        return leases.info(slot, now: now.monotonic)
    }

    /// Restarts a lease of either kind.
    mutating func keepAlive(
        _ id: LeaseID, now: Moment
    ) throws(RegistryError) -> (info: LeaseInfo, outcome: Outcome?) {
        guard let slot = leases.slot(of: id) else { throw .unknownLease(id) }
        let outcome = try renew(slot: slot, now: now)
        return (leases.info(slot, now: now.monotonic), outcome)
    }

    /// Ends a lease and deletes its keys, in key order and under one revision.
    mutating func revoke(_ id: LeaseID, now: Moment) throws(RegistryError) -> Outcome {
        try checkFence()
        guard let slot = leases.slot(of: id) else { throw .unknownLease(id) }
        if let keepingFailure { throw keepingFailure }
        var batch = beginBatch()
        for entry in leases.owner(slot).entries {
            delete(entry, &batch, now: now)
            dropEmpty(entry.namespace)
        }
        batch.ended.append(slot)
        return commit(batch, now: now)
    }

    /// Ends the leases that have run out: one batch for each, in the order of their deadlines, at most
    /// `limits.expiriesPerCall`. Also forgets tombstones whose time is over.
    mutating func expireDue(now: Moment) -> [Outcome] {
        var outcomes: [Outcome] = []
        for slot in leases.due(now: now.monotonic, limit: limits.expiriesPerCall) {
            if leases.isMirrored(slot) {
                leases.rest(slot)
            } else if let outcome = expire(slot, now: now) {
                outcomes.append(outcome)
            }
        }
        forgetOld(now: now)
        return outcomes
    }

    /// Forgets tombstones and origins whose time is over.
    mutating func forgetOld(now: Moment) {
        tombstones.expire(now: now.monotonic, limit: limits.expiriesPerCall)
        forgetIdleOrigins(now: now)
    }

    /// Ends a lease and its entries, each by an expiry of the very version it has. Nil when nothing hung on the lease.
    mutating func expire(_ slot: UInt32, now: Moment) -> Outcome? {
        var batch = beginBatch()
        for entry in leases.owner(slot).entries {
            let version = clock.expiry(of: entry.version, unix: now.unix)
            remove(entry, version: version, in: space(entry.namespace), &batch)
            dropEmpty(entry.namespace)
        }
        batch.ended.append(slot)
        let outcome = commit(batch, now: now)
        return outcome.batch == nil ? nil : outcome
    }

    // MARK: Leases that other nodes count

    func leases(countedBy home: String, now: Int64) -> [LeaseInfo] {
        leases.slots(countedBy: home).map { leases.info($0, now: now) }.sorted { $0.id < $1.id }
    }

    /// Ends leases in the name of their home; own ones only once they have run out.
    mutating func expire(_ ids: [LeaseID], countedBy home: String, now: Moment) -> [Outcome] {
        var outcomes: [Outcome] = []
        for id in ids {
            guard let slot = slot(of: id, countedBy: home) else { continue }
            if leases.isHome(slot), leases.deadlines.deadline(slot) > now.monotonic { continue }
            if let outcome = expire(slot, now: now) { outcomes.append(outcome) }
        }
        return outcomes
    }

    /// The slot of a lease that runs and that a node counts.
    private func slot(of id: LeaseID, countedBy home: String) -> UInt32? {
        guard let slot = leases.slot(of: id), !leases.isSuspended(slot), !leases.isMirrored(slot),
            ByteOrder.same(leases.homeName(slot), home)
        else { return nil }
        return slot
    }

    mutating func renewForwarded(
        _ renewals: [(id: LeaseID, age: Int64)], sentUnix: Int64, now: Moment
    ) -> [LeaseID] {
        var refused: [LeaseID] = []
        for renewal in renewals {
            guard let slot = leases.slot(of: renewal.id), leases.isHome(slot),
                now.unix &- sentUnix <= 2 &* leases.length(slot)
            else {
                refused.append(renewal.id)
                continue
            }
            counters.renewals += 1
            leases.renew(slot, age: renewal.age, now: now)
        }
        return refused
    }

    // MARK: What is to end

    /// Leases counted here that have run out, in the order of their deadlines. Each is looked at again after a second
    /// unless it is ended.
    mutating func dueLeases(now: Moment, limit: Int) -> [DueLease] {
        let slots = leases.due(now: now.monotonic, limit: limit)
        for slot in slots { leases.lookAgain(slot, at: now.monotonic &+ 1000, now: now.monotonic) }
        return slots.filter { leases.isHome($0) }.map { describe($0) }
    }

    func describe(_ ids: [LeaseID], countedBy home: String) -> [DueLease] {
        ids.compactMap { slot(of: $0, countedBy: home) }.map { describe($0) }
    }

    private func describe(_ slot: UInt32) -> DueLease {
        let entries = leases.owner(slot).entries
        let entry = entries.first
        var due = DueLease(id: leases.id(slot), namespace: .default, service: nil, serviceCount: 0)
        due.isPreserved = leases.deadlines.isPreserved(slot)
        guard let entry, let service = entry.indexedService, let index = namespaces[entry.namespace] else { return due }
        due.namespace = entry.namespace
        due.service = service
        due.serviceCount = index.instanceCount(of: service)
        due.instances = entries.count { ByteOrder.same($0.indexedService ?? "", service) }
        return due
    }

    /// Marks leases that are over as preserved; own ones that were renewed meanwhile are not over.
    mutating func preserve(_ ids: [LeaseID], countedBy home: String, now: Moment) {
        for id in ids {
            guard let slot = slot(of: id, countedBy: home) else { continue }
            if leases.isHome(slot), leases.deadlines.deadline(slot) > now.monotonic { continue }
            leases.preserve(slot)
        }
    }

    /// Gives every lease counted here its whole length once more, when the process stood still for more than half of
    /// the shortest of them. O(slots).
    mutating func extendLeases(afterPause pause: Int64, now: Moment) -> Bool {
        let own = leases.slots(countedBy: leases.node).filter { !leases.isSuspended($0) }
        guard let shortest = own.map({ leases.length($0) }).min(), pause > shortest / 2 else { return false }
        for slot in own { leases.renew(slot, age: 0, now: now) }
        gaveTimeAt = now.monotonic
        return true
    }
}
