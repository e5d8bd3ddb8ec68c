/// A heartbeat that came here for a lease that another node counts.
package struct ForwardedHeartbeat: Hashable, Sendable {
    package var id: LeaseID
    /// The node that counts the lease.
    package var home: String
    /// Monotonic milliseconds when it came.
    package var at: Int64

    package init(id: LeaseID, home: String, at: Int64) {
        self.id = id
        self.home = home
        self.at = at
    }
}

/// Heartbeats to be passed on, at most one per lease and `heartbeatsMax` in all. One beyond that makes this node the
/// home of its lease, which costs a write and loses nothing.
struct HeartbeatQueue {
    private(set) var waiting: [LeaseID: ForwardedHeartbeat] = [:]
    let heartbeatsMax: Int

    func hasRoom(for id: LeaseID) -> Bool { waiting.count < heartbeatsMax || waiting[id] != nil }

    mutating func add(_ heartbeat: ForwardedHeartbeat) { waiting[heartbeat.id] = heartbeat }

    /// All of them by ascending lease, taken out.
    mutating func takeAll() -> [ForwardedHeartbeat] {
        defer { waiting = [:] }
        return waiting.values.sorted { $0.id < $1.id }
    }
}

extension StoreCore {
    /// Whether a heartbeat of this lease goes to the node that counts it.
    func canForward(_ slot: UInt32) -> Bool {
        guard let forwarding, !leases.isHome(slot), !leases.isMirrored(slot), !leases.isSuspended(slot) else {
            return false
        }
        return forwarding.hasRoom(for: leases.id(slot))
    }

    /// Notes a heartbeat to be passed on; false when there is no room.
    mutating func forward(_ slot: UInt32, now: Moment) -> Bool {
        guard canForward(slot) else { return false }
        let id = leases.id(slot)
        // The lease may have ended with the batch that renewed it.
        guard id.rawValue != 0 else { return false }
        leases.noteHeartbeat(slot, now: now)
        forwarding?.add(ForwardedHeartbeat(id: id, home: leases.homeName(slot), at: now.monotonic))
        return true
    }

    /// Makes this node the home of a lease that runs; nil when it is the home already. A fenced node too: the home has
    /// not taken its heartbeats, perhaps just since they look old by this node's clock, and the version needs no clock.
    mutating func adopt(_ id: LeaseID, now: Moment) throws(RegistryError) -> Outcome? {
        guard let slot = leases.slot(of: id) else { throw .unknownLease(id) }
        guard !leases.isHome(slot) else { return nil }
        var batch = beginBatch()
        adopt(slot, &batch, now: now)
        return commit(batch, now: now)
    }
}
