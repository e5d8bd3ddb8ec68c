import DequeModule

/// The last changes with the entries before and after, bounded by number and bytes, to resume watches from.
struct ChangeFeed {
    /// One change; batches are put together again when they are read.
    private struct Event {
        let revision: Int64
        let previous: Entry?
        let current: Entry?
        /// The version of a removal; a write's is in `current`.
        let removal: Removal?
        let contentChanged: Bool
        let isRenewal: Bool

        var change: Change? {
            guard let version = removal?.version ?? current?.version else { return nil }
            return Change(
                kind: removal?.version.kind ?? .write, previous: previous, current: current,
                contentChanged: contentChanged, version: version, isRenewal: isRenewal)
        }
    }

    /// Boxed, since most changes are writes.
    private final class Removal: Sendable {
        let version: Version
        init(_ version: Version) { self.version = version }
    }

    private var events = Deque<Event>()
    private(set) var bytes = 0
    /// Changes after this revision are all here.
    private(set) var compactedRevision: Int64 = 0
    private(set) var dropped = 0
    private let eventsMax: Int
    private let bytesMax: Int

    init(limits: RegistryLimits) {
        eventsMax = max(0, limits.feedEvents)
        bytesMax = max(0, limits.feedBytes)
        // Untouched memory costs nothing, and the ring never has to be copied.
        events.reserveCapacity(eventsMax)
    }

    var count: Int { events.count }

    /// The first revision whose changes are here; after the greatest there is none.
    var oldestRevision: Int64 { compactedRevision == .max ? .max : compactedRevision + 1 }

    /// What one event keeps alive beyond the live entries: its own place and the entry that was replaced.
    private static func cost(_ event: Event) -> Int { 48 + (event.previous?.cost ?? 0) }

    mutating func append(_ batch: ChangeBatch) {
        for change in batch.changes {
            let removal = change.current == nil ? Removal(change.version) : nil
            let event = Event(
                revision: batch.revision, previous: change.previous, current: change.current, removal: removal,
                contentChanged: change.contentChanged, isRenewal: change.isRenewal)
            // Room is made first, so that the ring never grows beyond its bound.
            drop(until: eventsMax - 1, bytesMax - Self.cost(event))
            events.append(event)
            bytes += Self.cost(event)
        }
        // A batch that is longer than the feed has lost its start; what is left of it is no whole.
        if let first = events.first, first.revision <= compactedRevision { compact(through: first.revision) }
        drop(until: eventsMax, bytesMax)
    }

    private mutating func drop(until count: Int, _ size: Int) {
        while events.count > count || bytes > size, let oldest = events.first {
            compact(through: oldest.revision)
        }
    }

    /// Forgets everything: another history begins, in which the changes up to and including `revision` are not known.
    mutating func restart(through revision: Int64) {
        dropped += events.count
        events.removeAll(keepingCapacity: true)
        bytes = 0
        compactedRevision = revision
    }

    /// Forgets all changes of revisions up to and including this one. Batches go as wholes.
    mutating func compact(through revision: Int64) {
        while let first = events.first, first.revision <= revision {
            bytes -= Self.cost(first)
            dropped += 1
            events.removeFirst()
        }
        compactedRevision = max(compactedRevision, revision)
    }

    /// The batches after a revision in order, whole, until `limit` changes are reached; at least one when there is any.
    func batches(after revision: Int64, limit: Int) -> [ChangeBatch] {
        var index = firstIndex(after: revision)
        var result: [ChangeBatch] = []
        var taken = 0
        while index < events.count, taken < max(limit, 1) {
            let batchRevision = events[index].revision
            var changes: [Change] = []
            while index < events.count, events[index].revision == batchRevision {
                if let change = events[index].change { changes.append(change) }
                index += 1
            }
            taken += changes.count
            result.append(ChangeBatch(revision: batchRevision, changes: changes))
        }
        return result
    }

    /// The changes after a revision, in order.
    func changes(after revision: Int64) -> some Sequence<Change> {
        events[firstIndex(after: revision)...].lazy.compactMap(\.change)
    }

    private func firstIndex(after revision: Int64) -> Int {
        var low = 0
        var high = events.count
        while low < high {
            let middle = (low + high) / 2
            if events[middle].revision <= revision { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
