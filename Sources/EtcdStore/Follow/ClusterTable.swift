import RegistryStore

/// Brings what the follower hears into this node's registry, the only thing that changes it.
struct ClusterTable: Sendable {
    let registry: Registry
    let keys: ClusterKeys

    /// What a call did.
    struct Outcome {
        var newLeases: [LeaseID] = []
        /// Keys that had no room or passed a limit.
        var refused = 0
        /// Changes made.
        var changed = 0
    }

    /// Everything of a namespace that is followed.
    private func entries(_ namespace: Namespace) -> [Entry] {
        let followed = namespace == .default ? keys.range : .all
        return registry.range(namespace: namespace, lower: followed.lower, upper: followed.upper).entries
    }

    /// Applies events of one revision. Those that the table has already are dropped: some versions repeat them.
    func apply(_ batch: FollowerCore.Batch) -> Outcome {
        var news: [Namespace: [MirrorChange]] = [:]
        for change in batch.changes {
            let (namespace, change) = here(change)
            let entry = registry.entry(namespace: namespace, key: change.key)
            let isNew =
                switch change {
                case .put(let value): entry.map { value.modRevision > $0.modRevision } ?? true
                case .delete: entry.map { batch.revision > $0.modRevision } ?? false
                }
            if isNew { news[namespace, default: []].append(change) }
        }
        return mirror(news, revision: batch.revision, restarts: false)
    }

    /// Makes the content what a list says, as one change.
    func replace(_ values: [MirroredValue], revision: Int64, restarts: Bool) -> Outcome {
        let changes = differences(to: values) { _ in true }
        return mirror(changes, revision: revision, restarts: restarts)
    }

    /// Makes good what a list of an earlier revision shows to have been missed.
    ///
    /// What came later than the list stays: puts above its revision, and deletions since it began.
    func repair(_ values: [MirroredValue], revision: Int64, deletedSince: [[UInt8]: Int64]) -> Outcome {
        var deletions: [Namespace: [[UInt8]: Int64]] = [:]
        for (key, revision) in deletedSince {
            let (namespace, key) = keys.here(key)
            deletions[namespace, default: [:]][key] = revision
        }
        let changes = differences(to: values) { difference in
            switch difference {
            case .missing(let namespace, let value): deletions[namespace]?[value.key] ?? 0 <= value.modRevision
            case .different(let entry, let value): entry.modRevision <= value.modRevision
            case .surplus(let entry): entry.modRevision <= revision
            }
        }
        return mirror(changes, revision: registry.revision, restarts: false)
    }

    private func mirror(_ changes: [Namespace: [MirrorChange]], revision: Int64, restarts: Bool) -> Outcome {
        if changes.isEmpty, !restarts, revision <= registry.revision { return Outcome() }
        let spaces = keys.namespaces.compactMap { namespace in
            changes[namespace].map { MirroredSpace(namespace, $0) }
        }
        let result = registry.mirror(spaces: spaces, revision: revision, restarts: restarts)
        return Outcome(
            newLeases: result.newLeases, refused: result.refused,
            changed: spaces.reduce(0) { $0 + $1.changes.count } - result.refused)
    }

    private func here(_ change: MirrorChange) -> (Namespace, MirrorChange) {
        let (namespace, key) = keys.here(change.key)
        switch change {
        case .put(var value):
            value.key = key
            return (namespace, .put(value))
        case .delete: return (namespace, .delete(key: key))
        }
    }

    /// One key that is not the same here and in a list.
    private enum Difference {
        case missing(Namespace, MirroredValue)
        case different(Entry, MirroredValue)
        case surplus(Entry)
    }

    /// What makes the entries into `values`, by namespace.
    private func differences(
        to values: [MirroredValue], where counts: (Difference) -> Bool
    ) -> [Namespace: [MirrorChange]] {
        var wanted: [Namespace: [MirroredValue]] = [:]
        for value in values {
            let (namespace, key) = keys.here(value.key)
            var value = value
            value.key = key
            wanted[namespace, default: []].append(value)
        }
        var changes: [Namespace: [MirrorChange]] = [:]
        for namespace in keys.namespaces {
            var values = wanted[namespace] ?? []
            // Keys in their order there need not be so here.
            if namespace != .default { values.sort { $0.key.lexicographicallyPrecedes($1.key) } }
            let found = difference(to: values, of: namespace, where: counts)
            if !found.isEmpty { changes[namespace] = found }
        }
        return changes
    }

    /// What makes the entries into `values`, both in key order: removals first, then puts in the order in which the
    /// cluster took them, so that every node comes to the same names.
    private func difference(
        to values: [MirroredValue], of namespace: Namespace, where counts: (Difference) -> Bool
    ) -> [MirrorChange] {
        let entries = entries(namespace)
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
                if counts(.missing(namespace, value)) { puts.append(value) }
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
