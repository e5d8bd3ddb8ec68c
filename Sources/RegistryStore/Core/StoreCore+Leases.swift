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
        tombstones.expire(now: now.monotonic, limit: limits.expiriesPerCall)
        forgetIdleOrigins(now: now)
        return outcomes
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

    mutating func expire(_ ids: [LeaseID], countedBy home: String, now: Moment) -> [Outcome] {
        var outcomes: [Outcome] = []
        for id in ids {
            guard let slot = leases.slot(of: id), !leases.isHome(slot), !leases.isSuspended(slot),
                ByteOrder.same(leases.homeName(slot), home)
            else { continue }
            if let outcome = expire(slot, now: now) { outcomes.append(outcome) }
        }
        return outcomes
    }

    mutating func renewForwarded(_ renewals: [(id: LeaseID, age: Int64)], now: Moment) -> [LeaseID] {
        var unknown: [LeaseID] = []
        for renewal in renewals {
            guard let slot = leases.slot(of: renewal.id), leases.isHome(slot) else {
                unknown.append(renewal.id)
                continue
            }
            counters.renewals += 1
            leases.renew(slot, age: renewal.age, now: now)
        }
        return unknown
    }
}
