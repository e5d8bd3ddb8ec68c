import Synchronization

/// Leases of a cluster: each is counted by one node, its home, or by the steward of a home that is gone.
extension Registry {
    /// Passes heartbeats for leases of other nodes on (`takeHeartbeats`), instead of becoming their home.
    ///
    /// - Parameter heartbeatsMax: how many may wait; one beyond that makes this node the home.
    package func startForwarding(heartbeatsMax: Int = 65_536) {
        state.withLock { $0.core.forwarding = HeartbeatQueue(heartbeatsMax: heartbeatsMax) }
    }

    /// The heartbeats to be passed on, by ascending lease; they are not given again.
    package func takeHeartbeats() -> [ForwardedHeartbeat] {
        state.withLock { $0.core.forwarding?.takeAll() ?? [] }
    }

    /// Restarts leases counted here by heartbeats that came by way of other nodes, each `age` milliseconds old when
    /// they were sent: a lease runs as if it had been renewed then, and is never shortened. Gives those that are not
    /// counted here, or whose message is older than twice the lease, as a recording could be.
    package func renewForwarded(_ renewals: [(id: LeaseID, age: Int64)], sentUnix: Int64) -> [LeaseID] {
        state.withLock { $0.core.renewForwarded(renewals, sentUnix: sentUnix, now: clock.now) }
    }

    /// Makes this node the home of a lease: a write of each of its entries, and the whole length again. Throws
    /// `unknownLease`.
    @discardableResult
    package func adopt(_ id: LeaseID) throws(RegistryError) -> Receipt {
        try perform { (core, now) throws(RegistryError) -> (Receipt, StoreCore.Outcome?) in
            let outcome = try core.adopt(id, now: now)
            return (outcome?.receipt ?? Receipt(revision: core.revision, changes: []), outcome)
        }
    }

    /// The leases that a node counts, by ascending id: for its steward, or to hand over. O(leases).
    package func leases(countedBy home: String) -> [LeaseInfo] {
        state.withLock { $0.core.leases(countedBy: home, now: clock.monotonicMilliseconds()) }
    }

    /// The names of the nodes that count leases, in byte order. O(leases).
    package func homes() -> [String] { state.withLock { $0.core.leases.homesInUse() } }

    /// Ends leases in the name of the node that counts them; those that another node counts by now, or that run here,
    /// are left alone. Each expiry is bound to the version that it ends.
    @discardableResult
    package func expire(_ ids: [LeaseID], countedBy home: String) -> Receipt {
        let told = state.withLock { state in
            state.tell(state.core.expire(ids, countedBy: home, now: clock.now))
        }
        finish(told)
        return Receipt(revision: told.revision, changes: told.outcomes.flatMap(\.receipt.changes))
    }

    /// Leases counted here that have run out, at most `limit`, for somebody who decides which of them end (`expire`);
    /// instead of `expireDue`. Each is given again after a second as long as it is neither ended nor renewed.
    package func dueLeases(limit: Int) -> [DueLease] {
        state.withLock { $0.core.dueLeases(now: clock.now, limit: limit) }
    }

    /// How many leases this node counts, and how many of them are over and preserved.
    package func ownLeases() -> (counted: Int, preserved: Int) {
        state.withLock { ($0.core.leases.ownCount, $0.core.leases.ownPreservedCount) }
    }

    /// Marks leases that are over, and that somebody decided not to end, as preserved: until they are renewed, ended or
    /// counted by another node, answers that rest on them are cached for 5 s at most and can be told from others
    /// (`LeaseDeadlines.isPreserved`). Those that another node counts by now, or that run here, are left alone.
    package func preserve(_ ids: [LeaseID], countedBy home: String) {
        state.withLock { $0.core.preserve(ids, countedBy: home, now: clock.now) }
    }

    /// Takes that mark off the leases of another node, which counts them again, or for which another one stands in.
    package func endPreserving(countedBy home: String) {
        state.withLock { $0.core.leases.endPreserving(countedBy: home) }
    }

    /// What `dueLeases` tells, of leases that another node counts; those that it does not count any more are left out.
    package func describe(_ ids: [LeaseID], countedBy home: String) -> [DueLease] {
        state.withLock { $0.core.describe(ids, countedBy: home) }
    }

    /// Gives every lease counted here its whole length once more, when the process stood still for more than half of
    /// the shortest of them: clients could not renew them. To be called before anything is expired. O(leases).
    @discardableResult
    package func extendLeases(afterPause milliseconds: Int64) -> Bool {
        state.withLock { $0.core.extendLeases(afterPause: milliseconds, now: clock.now) }
    }

    /// What ages without leases running out: tombstones and origins. For those who use `dueLeases`.
    package func forgetOld() {
        state.withLock { state in
            state.core.forgetOld(now: clock.now)
            state.boundJournal()
        }
    }
}
