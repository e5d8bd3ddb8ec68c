import Synchronization

/// Says from any thread how much a journal has noted.
final class JournalPosition: Sendable {
    let count = Atomic<Int>(0)
}

/// The entries that were written since they were asked for last, for who keeps them on a disk. Removals are noted by
/// the table of tombstones, granted leases by theirs.
struct StoreJournal {
    let position: JournalPosition
    private(set) var entries: [(entry: Entry, ownLease: KeptLease?)] = []
    /// There was too much to note: all of the store has to be kept anew.
    private(set) var hasOverflowed = false
    private let countMax: Int

    /// - Parameter countMax: entries noted at most. Doors wait long before it; expiry and other nodes' operations do
    ///   not.
    init(position: JournalPosition, countMax: Int) {
        self.position = position
        self.countMax = countMax
    }

    mutating func note(_ batch: ChangeBatch, leases: LeaseTable) {
        var isChanged = false
        for change in batch.changes where change.contentChanged {
            isChanged = true
            guard let entry = change.current else { continue }
            if entries.count >= countMax { overflow() }
            if !hasOverflowed { entries.append((entry, leases.ownLease(of: entry))) }
        }
        if isChanged { position.count.add(1, ordering: .relaxed) }
    }

    /// A granted lease came or went.
    func noteLease() { position.count.add(1, ordering: .relaxed) }

    /// All of the store has to be kept anew.
    mutating func overflow() {
        hasOverflowed = true
        entries = []
    }

    mutating func take() -> [(entry: Entry, ownLease: KeptLease?)] {
        defer {
            entries = []
            hasOverflowed = false
        }
        return entries
    }
}

/// Tombstones that came and went since they were asked for last.
struct TombstoneNews {
    var made: [Tombstone] = []
    var forgotten: [Tombstone] = []
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
