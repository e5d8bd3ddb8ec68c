import RegistryStore

/// Brings what the follower hears into this node's registry, the only thing that changes it.
struct ClusterTable: Sendable {
    let registry: Registry
    let range: KeyRange

    /// What a call did.
    struct Outcome {
        var newLeases: [LeaseID] = []
        /// Keys that had no room or passed a limit.
        var refused = 0
        /// Changes made.
        var changed = 0
    }

    /// Everything in the registry that is followed.
    private var entries: [Entry] {
        registry.range(
            namespace: .default, lower: range.prefix.isEmpty ? [] : range.prefix,
            upper: KeyLayout.end(ofPrefix: range.prefix)
        ).entries
    }

    /// Applies events of one revision. Those that the table has already are dropped: some versions repeat them.
    func apply(_ batch: FollowerCore.Batch) -> Outcome {
        let news = batch.changes.filter { change in
            guard let entry = registry.entry(namespace: .default, key: change.key) else {
                if case .delete = change { return false }
                return true
            }
            switch change {
            case .put(let value): return value.modRevision > entry.modRevision
            case .delete: return batch.revision > entry.modRevision
            }
        }
        return mirror(news, revision: batch.revision, restarts: false)
    }

    /// Makes the content what a list says, as one change.
    func replace(_ values: [MirroredValue], revision: Int64, restarts: Bool) -> Outcome {
        let changes = difference(to: values) { _ in true }
        return mirror(changes, revision: revision, restarts: restarts)
    }

    /// Makes good what a list of an earlier revision shows to have been missed.
    ///
    /// What came later than the list stays: puts above its revision, and deletions since it began.
    func repair(_ values: [MirroredValue], revision: Int64, deletedSince: [[UInt8]: Int64]) -> Outcome {
        let changes = difference(to: values) { difference in
            switch difference {
            case .missing(let value): deletedSince[value.key] ?? 0 <= value.modRevision
            case .different(let entry, let value): entry.modRevision <= value.modRevision
            case .surplus(let entry): entry.modRevision <= revision
            }
        }
        return mirror(changes, revision: registry.revision, restarts: false)
    }

    private func mirror(_ changes: [MirrorChange], revision: Int64, restarts: Bool) -> Outcome {
        if changes.isEmpty, !restarts, revision <= registry.revision { return Outcome() }
        let result = registry.mirror(changes, revision: revision, restarts: restarts)
        return Outcome(
            newLeases: result.newLeases, refused: result.refused,
            changed: changes.count - result.refused)
    }

    /// One key that is not the same here and in a list.
    private enum Difference {
        case missing(MirroredValue)
        case different(Entry, MirroredValue)
        case surplus(Entry)
    }

    /// What makes the entries into `values`, both in key order: removals first, then puts in the order in which the
    /// cluster took them, so that every node comes to the same names.
    private func difference(
        to values: [MirroredValue], where counts: (Difference) -> Bool
    ) -> [MirrorChange] {
        let entries = entries
        var puts: [MirroredValue] = []
        var removals: [MirrorChange] = []
        var place = 0
        func surplus(_ entry: Entry) { if counts(.surplus(entry)) { removals.append(.delete(key: entry.key)) } }
        for value in values {
            while place < entries.count, entries[place].key.lexicographicallyPrecedes(value.key) {
                surplus(entries[place])
                place += 1
            }
            guard place < entries.count, entries[place].key == value.key else {
                if counts(.missing(value)) { puts.append(value) }
                continue
            }
            if !isSame(entries[place], value), counts(.different(entries[place], value)) { puts.append(value) }
            place += 1
        }
        for entry in entries[place...] { surplus(entry) }
        puts.sort { $0.modRevision < $1.modRevision }
        return removals + puts.map { .put($0) }
    }

    private func isSame(_ entry: Entry, _ value: MirroredValue) -> Bool {
        entry.modRevision == value.modRevision && entry.createRevision == value.createRevision
            && entry.putCount == value.putCount && entry.lease == value.lease
            && registry.value(of: entry) == value.value
    }
}
