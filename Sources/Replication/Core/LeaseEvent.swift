package import RegistryStore

/// What happens to a node's keeper of leases.
package enum LeaseEvent: Sendable {
    /// The members of the cluster that are alive and speak this protocol, this node included.
    case members([String])
    /// Time passes; every 50 to 100 ms, and before anything else after a pause.
    case tick
    /// Heartbeats that came here for leases of others (`Registry.takeHeartbeats`).
    case heartbeats([ForwardedHeartbeat])
    /// A batch of heartbeats came from another node.
    case received(RenewFrame, from: String)
    /// What became of that batch here: leases that this node does not count, and who does as far as it is known.
    case renewed(batch: UInt64, from: String, refused: [LeaseID], homes: [LeaseID: String])
    /// Another node has answered a batch.
    case answered(RenewAnswerFrame, from: String)
    /// Names of nodes that count leases (`Registry.homes`).
    case homes([String])
    /// The leases that a node counts (`Registry.leases(countedBy:)`).
    case leases([LeaseInfo], of: String)
    /// Leases that have run out: own ones (`Registry.dueLeases`) when `of` is this node, else those asked about. Of own
    /// ones also how many there are, and how many of them are preserved (`Registry.ownLeases`); while `preserves`, also
    /// when none is due.
    case due([DueLease], of: String, ownCount: Int, preservedCount: Int = 0)
    /// A node that leaves says how long its leases run.
    case handover([Handover], from: String)
    /// This node leaves: its own leases.
    case leaving([LeaseInfo])
}

/// What a keeper of leases wants done.
package enum LeaseEffect: Hashable, Sendable {
    /// Sends a frame to a member.
    case send(Frame, to: String)
    /// `Registry.renewForwarded`, answered by `renewed`.
    case renew(batch: UInt64, from: String, [RenewFrame.Renewal], sentUnix: Int64)
    /// `Registry.adopt`. After a session with `syncWith`, if that is given: it may know that the lease has ended.
    case adopt([LeaseID], syncWith: String?)
    /// `Registry.homes`, answered by `homes`.
    case listHomes
    /// `Registry.leases(countedBy:)`, answered by `leases`.
    case list(of: String)
    /// `Registry.describe`, answered by `due`.
    case describe([LeaseID], of: String)
    /// `Registry.expire`.
    case expire([LeaseID], of: String)
    /// `Registry.preserve`: they are over, and do not end yet.
    case preserve([LeaseID], of: String)
    /// `Registry.endPreserving`: this node does not count them any more.
    case endPreserving(of: String)
    /// `Registry.extendLeases(afterPause:)`, before anything is expired.
    case extendOwn(afterPause: Int64)
}
