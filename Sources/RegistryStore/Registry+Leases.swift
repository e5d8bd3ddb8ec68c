import Synchronization

extension Registry {
    /// Makes a lease that may own many keys (etcd v3). Nil lets the store choose an id. Throws `leaseExists`.
    package func grantLease(id: LeaseID?, milliseconds: Int64) throws(RegistryError) -> LeaseInfo {
        try checkWritable()
        return try state.withLock { (state) throws(RegistryError) in
            let lease = try state.core.grant(id, milliseconds: milliseconds, now: clock.now)
            state.journal?.noteOther()
            return lease
        }
    }

    /// Ends a lease and deletes its keys in key order under one revision. Throws `unknownLease`.
    @discardableResult
    package func revokeLease(_ id: LeaseID) throws(RegistryError) -> Receipt {
        let receipt = try write { (core, now) throws(RegistryError) in try core.revoke(id, now: now) }
        // A lease without keys ends without a batch.
        position.count.add(1, ordering: .relaxed)
        return receipt
    }

    /// Restarts a lease, a granted one or that of one entry. Throws `unknownLease`.
    package func keepAlive(_ id: LeaseID) throws(RegistryError) -> LeaseInfo {
        try perform { (core, now) throws(RegistryError) -> (LeaseInfo, StoreCore.Outcome?) in
            let result = try core.keepAlive(id, now: now)
            return (result.info, result.outcome)
        }
    }

    /// What is known of a lease; nil when it does not exist (any more), or when its external store has not told its
    /// length yet.
    package func lease(_ id: LeaseID) -> LeaseInfo? {
        state.withLock { state in
            guard let slot = state.core.leases.slot(of: id), state.core.leases.hasLength(slot) else { return nil }
            return state.core.leases.info(slot, now: clock.monotonicMilliseconds())
        }
    }

    /// The ids of the leases that were granted by themselves, ascending. Those of single entries are left out unless
    /// asked for. O(n log n).
    package func leases(includingOwn: Bool = false) -> [LeaseID] {
        state.withLock { $0.core.leases.allIDs(sharedOnly: !includingOwn) }
    }

    /// The entries of a lease in the order of namespace and key.
    package func keys(of id: LeaseID) -> [Entry] {
        state.withLock { state in
            state.core.leases.slot(of: id).map { state.core.leases.owner($0).entries } ?? []
        }
    }

    /// The lease of an entry as it is now; nil when it has none or the entry is gone.
    package func leaseInfo(of entry: Entry) -> LeaseInfo? { entry.lease.flatMap { lease($0) } }

    /// Monotonic milliseconds of the earliest deadline; nil when no lease runs. O(leases): for the simulator.
    package func nextDeadline() -> Int64? { state.withLock { $0.core.leases.nextDeadline() } }
}
