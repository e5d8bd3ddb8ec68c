import Synchronization

/// Says from any thread how much a journal has noted.
final class JournalPosition: Sendable {
    let count = Atomic<Int>(0)
}

/// What happened to entries since it was asked for last, for who keeps them on a disk. Tombstones and granted leases
/// are noted by their tables.
struct StoreJournal {
    let position: JournalPosition
    private(set) var notes: [EntryNote] = []
    /// There was too much to note: all of the store has to be kept anew.
    private(set) var hasOverflowed = false
    let countMax: Int

    /// - Parameter countMax: entries noted at most. Doors wait long before it; expiry and other nodes' operations do
    ///   not.
    init(position: JournalPosition, countMax: Int) {
        self.position = position
        self.countMax = countMax
    }

    mutating func note(_ batch: ChangeBatch, leases: LeaseTable) {
        var isChanged = false
        for change in batch.changes where change.contentChanged && !change.isReshown {
            isChanged = true
            if notes.count >= countMax { overflow() }
            guard !hasOverflowed else { continue }
            if let entry = change.current {
                notes.append(.put(entry, ownLease: leases.ownLease(of: entry)))
            } else if let previous = change.previous {
                notes.append(.gone(previous))
            }
        }
        if isChanged { position.count.add(1, ordering: .relaxed) }
    }

    /// How much waits.
    var count: Int { hasOverflowed ? countMax : notes.count }

    /// Something other than an entry: a granted lease came or went, a removal was said again.
    func noteOther() { position.count.add(1, ordering: .relaxed) }

    /// All of the store has to be kept anew.
    mutating func overflow() {
        hasOverflowed = true
        notes = []
    }

    mutating func take() -> [EntryNote] {
        defer {
            notes = []
            hasOverflowed = false
        }
        return notes
    }
}

/// Tombstones that came and went since they were asked for last.
struct TombstoneNews {
    var made: [Tombstone] = []
    var forgotten: [Tombstone] = []

    var count: Int { made.count + forgotten.count }
}

extension LeaseTable {
    /// A lease as it is kept.
    func kept(_ slot: UInt32) -> KeptLease {
        KeptLease(
            id: id(slot), milliseconds: length(slot), isShared: isShared(slot), isSuspended: isSuspended(slot),
            home: isHome(slot) ? nil : homeName(slot))
    }

    /// The lease that an entry has for itself. One that ended within the batch gives its last numbers.
    func ownLease(of entry: Entry) -> KeptLease? {
        guard let id = entry.lease, !isShared(entry.deadlineSlot) else { return nil }
        var lease = kept(entry.deadlineSlot)
        lease.id = id
        return lease
    }
}
