/// A part of a session in which one node tells another what that one lacks. The session counts only when all its parts
/// have arrived: `Registry.receive`.
package struct SyncPage: Hashable, Sendable {
    /// From 0.
    package var number: Int
    /// In page 0: how the receiver has to treat what it has.
    package var opening: SyncOpening?
    /// Of a reset session: dots of entries that the sender shows.
    package var live: [DotRange] = []
    package var operations: [RemoteOperation] = []
    /// In the last page.
    package var end: SyncEnd?

    package init(number: Int) { self.number = number }
}

/// How a session begins.
package enum SyncOpening: Hashable, Sendable {
    /// The sender remembers every removal that the receiver lacks.
    case delta
    /// It does not: what the receiver shows, and this context names, and no page's `live` does, has been removed.
    case reset([SyncOrigin])
    /// A reset for a receiver that asked for a repair: all that the sender shows and remembers follows, whatever the
    /// receiver knows of.
    case repair([SyncOrigin])

    /// What a reset or a repair names.
    package var context: [SyncOrigin]? {
        switch self {
        case .delta: nil
        case .reset(let rows), .repair(let rows): rows
        }
    }
}

/// How a session ends.
package enum SyncEnd: Hashable, Sendable {
    /// Whoever has taken over all pages knows of all these operations.
    case complete([SyncOrigin])
    /// A removal that the receiver lacks was forgotten meanwhile: begin a new session.
    case void
}

/// One origin of a context as it travels.
package struct SyncOrigin: Hashable, Sendable {
    package var origin: UInt64
    package var head: UInt64
    /// Ascending and below the head.
    package var gaps: [ClosedRange<UInt64>]
    package var floor: UInt64
    /// How long the origin has had neither entry nor tombstone at the sender; nil when it has one.
    package var idleMilliseconds: Int64?

    package init(
        origin: UInt64, head: UInt64, gaps: [ClosedRange<UInt64>], floor: UInt64, idleMilliseconds: Int64? = nil
    ) {
        self.origin = origin
        self.head = head
        self.gaps = gaps
        self.floor = floor
        self.idleMilliseconds = idleMilliseconds
    }
}

extension CausalContext {
    /// The context of rows that a peer sent; nil when a row makes no sense. Origins beyond the bound are left out.
    package init?(checking rows: [SyncOrigin], limits: RegistryLimits) {
        self.init(limits: limits)
        for row in rows {
            guard let known = Origin(head: row.head, checking: row.gaps) else { return nil }
            join(row.origin, known)
        }
    }
}

extension RemoteOperation: Hashable {
    package static func == (a: RemoteOperation, b: RemoteOperation) -> Bool {
        a.version == b.version && a.key == b.key && a.namespace == b.namespace && a.lease == b.lease
            && a.wasLeased == b.wasLeased && a.hasSameValue(as: b)
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(version) }

    private func hasSameValue(as other: RemoteOperation) -> Bool {
        switch (value, other.value) {
        case (nil, nil): true
        case (.bytes(let a)?, .bytes(let b)?): a == b
        case (.registration(let a)?, .registration(let b)?): a.hasSameBytes(as: b)
        default: false
        }
    }
}
