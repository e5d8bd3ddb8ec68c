/// A lease as it is kept over restarts. What is left of it is not kept: who comes back counts its whole length anew.
package struct KeptLease: Hashable, Sendable {
    package var id: LeaseID
    package var milliseconds: Int64
    /// Granted by itself, and may own many keys.
    package var isShared: Bool
    package var isSuspended: Bool
    /// The node that counts it; nil for the node that keeps it.
    package var home: String?

    package init(id: LeaseID, milliseconds: Int64, isShared: Bool, isSuspended: Bool, home: String?) {
        self.id = id
        self.milliseconds = milliseconds
        self.isShared = isShared
        self.isSuspended = isSuspended
        self.home = home
    }
}

/// An entry as it is kept over restarts: everything but the numbers of one process.
package struct KeptEntry: Hashable, Sendable {
    package var namespace: Namespace
    package var key: [UInt8]
    package var value: PutValue
    package var version: Version
    /// Unix milliseconds of the registration.
    package var registeredAt: Int64
    package var lease: LeaseID?
    /// The lease when it is of this entry alone; a granted one is kept by itself.
    package var ownLease: KeptLease?

    package init(
        namespace: Namespace, key: [UInt8], value: PutValue, version: Version, registeredAt: Int64, lease: LeaseID?,
        ownLease: KeptLease?
    ) {
        self.namespace = namespace
        self.key = key
        self.value = value
        self.version = version
        self.registeredAt = registeredAt
        self.lease = lease
        self.ownLease = ownLease
    }

    package init(_ entry: Entry, ownLease: KeptLease?) {
        self.init(
            namespace: entry.namespace, key: entry.key, value: entry.putValue, version: entry.version,
            registeredAt: entry.registeredAt, lease: entry.lease, ownLease: ownLease)
    }
}

/// A removal as it is kept over restarts.
package struct KeptTombstone: Hashable, Sendable {
    package var namespace: Namespace
    package var key: [UInt8]
    package var version: Version
    /// Unix milliseconds when the removal was applied here.
    package var removedAt: Int64
    package var wasLeased: Bool

    package init(namespace: Namespace, key: [UInt8], version: Version, removedAt: Int64, wasLeased: Bool) {
        self.namespace = namespace
        self.key = key
        self.version = version
        self.removedAt = removedAt
        self.wasLeased = wasLeased
    }
}

/// What a process has made and taken over of operations, at one moment.
package struct KeptClock: Hashable, Sendable {
    /// The greatest hybrid time given or taken over.
    package var hlc: UInt64
    /// The process, and how many operations it has made.
    package var origin: UInt64
    package var sequence: UInt64
    /// Unix milliseconds when the node last had all that some peer had; nil before it did.
    package var syncedAt: Int64?

    package init(hlc: UInt64, origin: UInt64, sequence: UInt64, syncedAt: Int64? = nil) {
        self.syncedAt = syncedAt
        self.hlc = hlc
        self.origin = origin
        self.sequence = sequence
    }
}

/// Which operations of an origin have been taken over.
package struct KeptOrigin: Hashable, Sendable {
    package var head: UInt64
    package var gaps: [ClosedRange<UInt64>]
    /// The greatest removal that is not remembered any more; 0 for none.
    package var floor: UInt64

    package init(head: UInt64, gaps: [ClosedRange<UInt64>], floor: UInt64) {
        self.head = head
        self.gaps = gaps
        self.floor = floor
    }
}

/// Everything of a store that survives a restart.
package struct KeptContent: Hashable, Sendable {
    package var entries: [KeptEntry] = []
    package var tombstones: [KeptTombstone] = []
    /// Granted leases.
    package var leases: [KeptLease] = []
    /// By origin.
    package var origins: [UInt64: KeptOrigin] = [:]
    /// Nil when nothing has been kept yet.
    package var clock: KeptClock?

    package init() {}
}

/// What happened to an entry.
package enum EntryNote: Sendable {
    /// It is there, with the lease that it has for itself.
    case put(Entry, ownLease: KeptLease?)
    /// It is not there any more. A removal that leaves a tombstone is told by that as well.
    case gone(Entry)

    package var entry: Entry {
        switch self {
        case .put(let entry, _), .gone(let entry): entry
        }
    }
}

/// What has changed in a store since the group before: to be kept as a whole or not at all.
package struct KeptGroup: Sendable {
    /// The group holds all there is: what else is kept is to go.
    package var isWhole = false
    /// In the order of the writes: the last one of a key counts.
    package var notes: [EntryNote] = []
    /// Those of one key are newer than what they removed.
    package var tombstones: [Tombstone] = []
    /// Tombstones that are not remembered any more.
    package var forgotten: [Tombstone] = []
    package var leases: [KeptLease] = []
    package var endedLeases: [LeaseID] = []
    /// As they are after all of this.
    package var context: CausalContext
    package var floors: [UInt64: UInt64]
    package var clock: KeptClock
    package var revision: Int64
    package var now: Moment
    /// The journal's position when the group was taken.
    package var position = 0

    package var changeCount: Int {
        notes.count + tombstones.count + forgotten.count + leases.count + endedLeases.count
    }
}

extension Entry {
    /// The value as it was put.
    package var putValue: PutValue {
        if let storedValue { return .bytes(storedValue) }
        return registration.map { .registration($0) } ?? .bytes([])
    }
}
