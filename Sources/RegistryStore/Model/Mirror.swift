/// One key as an external store (an etcd cluster) has it.
package struct MirroredValue: Hashable, Sendable {
    package var key: [UInt8]
    package var value: [UInt8]
    /// Nil for a key that stays.
    package var lease: LeaseID?
    /// The store's revision of the first put since the key was last absent.
    package var createRevision: Int64
    /// The store's revision of the last put.
    package var modRevision: Int64
    /// Puts since creation, from 1.
    package var putCount: Int64

    package init(
        key: [UInt8], value: [UInt8], lease: LeaseID?, createRevision: Int64, modRevision: Int64, putCount: Int64
    ) {
        self.key = key
        self.value = value
        self.lease = lease
        self.createRevision = createRevision
        self.modRevision = modRevision
        self.putCount = putCount
    }
}

/// What happened to one key of an external store.
package enum MirrorChange: Sendable {
    case put(MirroredValue)
    case delete(key: [UInt8])

    package var key: [UInt8] {
        switch self {
        case .put(let value): return value.key
        case .delete(let key): return key
        }
    }
}

/// What happened to one namespace of the copy, by the keys that it has here.
package struct MirroredSpace: Sendable {
    package let namespace: Namespace
    package let changes: [MirrorChange]

    package init(_ namespace: Namespace, _ changes: [MirrorChange]) {
        self.namespace = namespace
        self.changes = changes
    }
}

/// Where an external store keeps keys of another namespace than the default one: among the default one's, under names
/// that no service has.
package struct MirrorPlace: Sendable, Hashable {
    package let namespace: Namespace
    /// What the keys begin with in their namespace.
    package let prefix: [UInt8]
    /// What they begin with in the external store instead.
    package let storePrefix: [UInt8]

    package init(namespace: Namespace, prefix: [UInt8], storePrefix: [UInt8]) {
        self.namespace = namespace
        self.prefix = prefix
        self.storePrefix = storePrefix
    }
}

/// What taking over a batch of an external store did.
package struct MirrorReceipt: Sendable {
    package var receipt: Receipt
    /// Leases that were not known before; their lengths are to be asked for.
    package var newLeases: [LeaseID]
    /// Puts that had no room or passed a limit here. What was there before under their keys is gone.
    package var refused: Int
}

/// What one intent would write to an external store.
package enum PlannedWrite: Sendable {
    /// Writes a key. `previous` is the entry that the plan was made from; `value` nil keeps the value there is.
    case put(key: [UInt8], value: [UInt8]?, lease: LeaseRequest, previous: Entry?, planned: Entry, isGuarded: Bool)
    /// Deletes a key. Guarded writes hold only while the key is as it was when the plan was made.
    case delete(Entry, isGuarded: Bool)
    /// Deletes a range; the entries are those known now.
    case deleteRange(Namespace, lower: [UInt8], upper: [UInt8]?, [Entry])
    /// Restarts the lease of an entry.
    case renew(Entry)
}

extension Entry {
    /// The entry as an external store has it once it took the write at a revision.
    package func written(over previous: Entry?, at revision: Int64, lease: LeaseID?) -> Entry {
        Entry(
            namespace: namespace, key: key, content: content, storedValue: storedValue, lease: lease,
            deadlineSlot: LeaseDeadlines.none, version: version, createRevision: previous?.createRevision ?? revision,
            modRevision: revision, putCount: (previous?.putCount ?? 0) &+ 1, registeredAt: registeredAt,
            derivedIdentity: derivedIdentity)
    }
}
