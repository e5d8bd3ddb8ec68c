/// Entries of a key range.
package struct RangeResult: Sendable {
    /// In key order, at most as many as asked for.
    package let entries: [Entry]
    /// All entries of the range, those beyond the limit included.
    package let totalCount: Int
    /// Whether the limit cut something off.
    package let more: Bool
    /// Revision of the store when it was read.
    package let revision: Int64
}

extension StoreCore {
    /// Entries with keys in `lower ..< upper` (`upper` nil: to the end). O(log n + entries given).
    func range(_ namespace: Namespace, lower: [UInt8], upper: [UInt8]?, limit: Int) -> RangeResult {
        guard let tree = namespaces[namespace], upper.map({ ByteOrder.compare(lower, $0) < 0 }) ?? true else {
            return RangeResult(entries: [], totalCount: 0, more: false, revision: revision)
        }
        let end = upper.map { tree.byKey.rank($0) } ?? tree.byKey.count
        let total = end - tree.byKey.rank(lower)
        let wanted = min(total, max(limit, 0))
        var entries: [Entry] = []
        entries.reserveCapacity(wanted)
        if wanted > 0 {
            tree.byKey.forEach(from: lower) { entry in
                entries.append(entry)
                return entries.count < wanted
            }
        }
        return RangeResult(entries: entries, totalCount: total, more: wanted < total, revision: revision)
    }

    func entry(_ namespace: Namespace, key: [UInt8]) -> Entry? { namespaces[namespace]?.byKey.find(key) }

    func entry(_ namespace: Namespace, id: String) -> Entry? { namespaces[namespace]?.find(id: id) }

    /// Everything as one batch of writes at the present revision, ordered by namespace and key.
    func snapshot() -> ChangeBatch {
        var changes: [Change] = []
        changes.reserveCapacity(entryCount)
        for namespace in namespaces.keys.sorted() {
            namespaces[namespace]?.byKey.forEach { entry in
                changes.append(
                    Change(kind: .write, previous: nil, current: entry, contentChanged: true, version: entry.version))
                return true
            }
        }
        return ChangeBatch(revision: revision, changes: changes)
    }

    /// Whole batches after a revision, until `limit` changes are reached.
    func changes(after: Int64, limit: Int) throws(RegistryError) -> [ChangeBatch] {
        guard after <= revision else { throw .futureRevision(current: revision) }
        guard after >= feed.compactedRevision else { throw .compacted(oldest: feed.oldestRevision) }
        return feed.batches(after: after, limit: limit)
    }

    /// Forgets the history up to and including a revision.
    mutating func compact(through: Int64) throws(RegistryError) {
        guard through <= revision else { throw .futureRevision(current: revision) }
        guard through > feed.compactedRevision else { throw .compacted(oldest: feed.oldestRevision) }
        feed.compact(through: through)
    }

    func counts() -> RegistryCounts {
        var counts = RegistryCounts()
        counts.revision = revision
        counts.compactedRevision = feed.compactedRevision
        counts.namespaces = namespaces.count
        counts.entries = entryCount
        counts.instances = instanceCount
        counts.services = serviceCount
        counts.entryBytes = entryBytes
        counts.leases = leases.count
        counts.tombstones = tombstones.count
        counts.tombstoneBytes = tombstones.bytes
        counts.feedEvents = feed.count
        counts.feedBytes = feed.bytes
        counts.skippedValues = skipped.count
        counts.skippedValuesTotal = skipped.total
        counts.puts = counters.puts
        counts.deletes = counters.deletes
        counts.renewals = counters.renewals
        counts.expirations = counters.expirations
        counts.refusals = counters.refusals
        counts.remoteRefused = counters.remoteRefused
        counts.remoteBeyondLimit = counters.remoteBeyondLimit
        counts.origins = context.origins.count
        counts.gaps = context.origins.values.reduce(0) { $0 + $1.gaps.count }
        counts.tombstonesEvicted = tombstones.evicted
        counts.feedEventsDropped = feed.dropped
        return counts
    }
}
