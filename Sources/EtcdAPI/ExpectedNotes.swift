import RegistryStore

/// Notes of v2 writes that are under way to a cluster, whose events come back with those of everybody else.
struct ExpectedNotes: Sendable {
    private var notes: [UInt64: WriteNote] = [:]
    /// The last one of each key.
    private var byKey: [[UInt8]: UInt64] = [:]
    private var last: UInt64 = 0

    mutating func add(_ note: WriteNote) -> UInt64 {
        last += 1
        notes[last] = note
        byKey[note.key] = last
        return last
    }

    mutating func remove(_ token: UInt64) {
        guard let note = notes.removeValue(forKey: token), byKey[note.key] == token else { return }
        byKey[note.key] = nil
    }

    /// The note of the write that made a change.
    func note(of change: Change) -> WriteNote? {
        guard !notes.isEmpty, let note = byKey[change.key].flatMap({ notes[$0] }), note.directory == nil,
            note.action.removes == (change.current == nil)
        else { return nil }
        return note
    }

    /// The note of the write of a directory that an operation tells of.
    func note(of operation: DirectoryOperation) -> WriteNote? {
        notes.values.first { DirectoryOperation($0) == operation }
    }
}

extension KeyspaceEvent.Action {
    fileprivate var removes: Bool {
        switch self {
        case .delete, .compareAndDelete, .expire: true
        case .get, .set, .create, .update, .compareAndSwap: false
        }
    }
}
