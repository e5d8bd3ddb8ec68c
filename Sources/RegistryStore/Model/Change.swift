/// One key's transition inside a revision.
package struct Change: Sendable {
    /// Why it happened; `.write` for puts.
    package let kind: OperationKind
    /// The entry before; nil when the key was absent.
    package let previous: Entry?
    /// The entry after; nil when the key is gone.
    package let current: Entry?
    /// False when only local numbers moved (an equal put): the DNS and replication have nothing to do.
    package let contentChanged: Bool
    /// Version of a removal (the tombstone's); equals `current.version` for writes.
    package let version: Version
    /// A write that kept value and lease and only set how long the lease is or who counts it, or no write at all
    /// (`isReshown`): who watches values has nothing to be told.
    package let isRenewal: Bool

    package init(
        kind: OperationKind, previous: Entry?, current: Entry?, contentChanged: Bool, version: Version,
        isRenewal: Bool = false
    ) {
        self.isRenewal = isRenewal
        self.kind = kind
        self.previous = previous
        self.current = current
        self.contentChanged = contentChanged
        self.version = version
    }

    /// The entry is as it was, and the HTTP dialects show it under another id, because of another change of the batch.
    package var isReshown: Bool { contentChanged && current != nil && previous?.version == current?.version }

    package var namespace: Namespace { (current ?? previous)?.namespace ?? .default }
    package var key: [UInt8] { (current ?? previous)?.key ?? [] }
}

/// All changes of one atomic batch. Revisions are node-local, start at 1 and have no holes; in a mirror of an external
/// store they are that store's, grow, and have holes.
package struct ChangeBatch: Sendable {
    package let revision: Int64
    package let changes: [Change]
    /// In a mirror: the content was listed anew, nothing is known of how it came to be, and the revision may have gone
    /// back. There may be no changes then.
    package let restarts: Bool

    package init(revision: Int64, changes: [Change], restarts: Bool = false) {
        self.revision = revision
        self.changes = changes
        self.restarts = restarts
    }
}

/// What applying a batch did.
package struct Receipt: Sendable {
    /// Revision of the store after the batch. Unchanged when the batch wrote nothing.
    package let revision: Int64
    /// Changes in the order of the intents; a `renew` adds none, nor does an entry that is only shown under another id.
    package let changes: [Change]

    package init(revision: Int64, changes: [Change]) {
        self.revision = revision
        self.changes = changes
    }
}
