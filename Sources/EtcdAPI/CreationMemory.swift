/// The index of creation that etcd's v2 updates keep and a flat store does not know.
///
/// Of a key of which nothing is noted the last write was a set, which creates it anew. Bounded: at the bound notes that
/// no longer hold are dropped, and while that does not help nothing new is noted: such keys show their last index as
/// that of their creation.
struct CreationMemory: Sendable {
    struct Note: Sendable {
        let modifiedIndex: Int64
        let createdIndex: Int64
    }

    private(set) var notes: [[UInt8]: Note] = [:]
    private var patience = 0
    /// Notes that were not taken, or dropped, at the bound.
    private(set) var forgotten = 0
    let bound: Int

    init(bound: Int) { self.bound = bound }

    /// The index at which a key was created, for its state at `modifiedIndex`.
    func createdIndex(of key: [UInt8], modifiedIndex: Int64) -> Int64 {
        guard let note = notes[key], note.modifiedIndex == modifiedIndex else { return modifiedIndex }
        return note.createdIndex
    }

    /// Whether there is room for a note only once those that no longer hold are gone.
    func needsPruning(for key: [UInt8]) -> Bool { notes[key] == nil && notes.count >= bound && patience <= 0 }

    /// Puts in the notes that still hold.
    mutating func prune(to kept: [[UInt8]: Note]) {
        forgotten += notes.count - kept.count
        notes = kept
        // A memory full of what matters is not searched again for every write.
        patience = bound / 4
    }

    mutating func keep(_ note: Note, of key: [UInt8]) {
        guard notes[key] != nil || notes.count < bound else {
            patience -= 1
            forgotten += 1
            return
        }
        notes[key] = note
    }

    /// Forgets the creation of a key that was set anew or removed.
    mutating func drop(_ key: [UInt8]) {
        if !notes.isEmpty { notes[key] = nil }
    }
}
