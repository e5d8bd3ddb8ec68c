/// How a put wants its life limited.
package enum LeaseRequest: Hashable, Sendable {
    /// Stays until deleted.
    case permanent
    /// A lease of this entry alone. A put over an entry that has such a lease of its own renews or relengthens it.
    case own(milliseconds: Int64)
    /// A lease of this entry alone that does not run while suspended (Amalgam8's OUT_OF_SERVICE).
    case suspended(milliseconds: Int64)
    /// Attached to a lease that was granted before (etcd v3).
    case shared(LeaseID)
    /// Keeps whatever the entry has now; permanent for a new key.
    case keep

    /// Whether it asks for a lease of this entry alone.
    var isOfOneEntry: Bool {
        switch self {
        case .own, .suspended: true
        case .permanent, .shared, .keep: false
        }
    }
}

/// What a put writes.
package enum PutValue: Hashable, Sendable {
    /// Exact bytes; the store decodes what they mean (etcd doors).
    case bytes([UInt8])
    /// A registration of a dialect; its `instance` must be set. The value bytes are rendered when an etcd door reads.
    case registration(Registration)
}

/// What must hold for an intent, else the whole batch is refused.
package enum Precondition: Hashable, Sendable {
    case exists
    case absent
    /// The value bytes equal these.
    case value([UInt8])
    case modRevision(Int64)
}

/// One wish of a door. A batch of intents is applied as a whole, under one revision, or not at all.
package enum Intent: Sendable {
    /// Writes a key. Without a value it keeps the one it has, and must exist (`notFound`).
    case put(
        namespace: Namespace, key: [UInt8], value: PutValue?, lease: LeaseRequest, preconditions: [Precondition] = [])
    /// Restarts the lease of one entry. Publishes nothing.
    case renew(namespace: Namespace, key: [UInt8])
    case delete(namespace: Namespace, key: [UInt8], preconditions: [Precondition] = [])
    /// Deletes every key in `lower ..< upper` (`upper` nil: to the end).
    case deleteRange(namespace: Namespace, lower: [UInt8], upper: [UInt8]?)
}
