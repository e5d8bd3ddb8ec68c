/// What a node has, in short: two nodes with equal summaries show the same entries and know of the same operations of
/// every process that has one of them. Equal states give equal bytes on every node.
package struct ReplicaSummary: Hashable, Sendable {
    /// Of heads and gaps of the origins that have entries.
    package var context: UInt64
    /// Of (namespace, key, version) of all entries.
    package var entries: UInt64

    package init(context: UInt64, entries: UInt64) {
        self.context = context
        self.entries = entries
    }
}

/// What a node has, by origin.
package struct ReplicaDigest: Hashable, Sendable {
    package struct Origin: Hashable, Sendable {
        package var origin: UInt64
        /// Greatest sequence taken over.
        package var head: UInt64
        /// Of the removals up to here some may be forgotten.
        package var floor: UInt64
        /// How many operations below the head have not been taken over, 2³² - 1 at most.
        package var missing: Int
        /// Sum of the hashes of its entries; tombstones are forgotten at different times and do not count.
        package var hash: UInt64

        package init(origin: UInt64, head: UInt64, floor: UInt64, missing: Int, hash: UInt64) {
            self.origin = origin
            self.head = head
            self.floor = floor
            self.missing = missing
            self.hash = hash
        }
    }

    package var summary: ReplicaSummary
    /// By ascending origin.
    package var origins: [Origin]

    package init(summary: ReplicaSummary, origins: [Origin]) {
        self.summary = summary
        self.origins = origins
    }
}

/// What a peer's digest asks for.
package enum DigestVerdict: Hashable, Sendable {
    /// This node lacks nothing that the peer has.
    case covered
    /// The peer has, or may have, operations that this node lacks: ask it for a session.
    case lacking
    /// Both know of the same operations and show different entries: a fault, here or there. Count it, and sync with
    /// reset both ways.
    case diverged
}

extension StoreCore {
    /// The context with this process's own operations, of which none is ever missing.
    var wholeContext: CausalContext {
        var whole = context
        whole.setAll(origin: clock.origin, through: clock.sequence)
        return whole
    }

    func digest() -> ReplicaDigest {
        let whole = wholeContext
        let origins = whole.sorted.map { origin, known in
            ReplicaDigest.Origin(
                origin: origin, head: known.head, floor: tombstones.floors[origin] ?? 0, missing: known.missing,
                hash: replica?.sums[origin]?.hash ?? 0)
        }
        return ReplicaDigest(summary: summary(of: whole), origins: origins)
    }

    func summary() -> ReplicaSummary { summary(of: wholeContext) }

    private func summary(of whole: CausalContext) -> ReplicaSummary {
        var hash = KeyedHash(.shared)
        for (origin, known) in whole.sorted where replica?.sums[origin] != nil {
            hash.append(origin)
            hash.append(known.head)
            hash.append(UInt64(known.gaps.count))
            for gap in known.gaps {
                hash.append(gap.lowerBound)
                hash.append(gap.upperBound)
            }
        }
        return ReplicaSummary(context: hash.value(), entries: replica?.hash ?? 0)
    }

    func compare(with digest: ReplicaDigest) -> DigestVerdict {
        let whole = wholeContext
        for row in digest.origins {
            guard let known = whole.origins[row.origin] else { return .lacking }
            // What is missing below a common head is compared by number: which it is is in the request.
            let mayLack = known.head < row.head || known.missing > row.missing
            if known.completeHead < row.head, mayLack || known.head > row.head { return .lacking }
        }
        let own = summary(of: whole)
        guard digest.summary != own else { return .covered }
        let theirs = Dictionary(digest.origins.map { ($0.origin, $0) }) { first, _ in first }
        // What differs is explained by what the peer lacks, unless it lacks nothing.
        var isMissingSome = false
        for (origin, known) in whole.origins {
            guard let row = theirs[origin], row.head == known.head, row.missing == known.missing else {
                return .covered
            }
            isMissingSome = isMissingSome || row.missing > 0
        }
        // As many need not be the same ones.
        if isMissingSome { return .lacking }
        return digest.summary.entries == own.entries ? .covered : .diverged
    }
}
