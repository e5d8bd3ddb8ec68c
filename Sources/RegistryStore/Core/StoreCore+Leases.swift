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
        return renew(slot: entry.deadlineSlot, now: now)
    }

    private mutating func renew(slot: UInt32, now: Moment) -> Outcome? {
        counters.renewals += 1
        guard !leases.isHome(slot) else {
            leases.renew(slot, now: now)
            return nil
        }
        var batch = beginBatch()
        adopt(slot, &batch, now: now)
        return commit(batch, now: now)
    }

    /// Makes a lease that may own many keys.
    mutating func grant(_ id: LeaseID?, milliseconds: Int64, now: Moment) throws(RegistryError) -> LeaseInfo {
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
        let outcome = renew(slot: slot, now: now)
        return (leases.info(slot, now: now.monotonic), outcome)
    }

    /// Ends a lease and deletes its keys, in key order and under one revision.
    mutating func revoke(_ id: LeaseID, now: Moment) throws(RegistryError) -> Outcome {
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
                continue
            }
            var batch = beginBatch()
            for entry in leases.owner(slot).entries {
                remove(entry, version: clock.expiry(of: entry.version), in: space(entry.namespace), &batch)
                dropEmpty(entry.namespace)
            }
            batch.ended.append(slot)
            let outcome = commit(batch, now: now)
            if outcome.batch != nil { outcomes.append(outcome) }
        }
        tombstones.expire(now: now.monotonic, limit: limits.expiriesPerCall)
        return outcomes
    }
}
