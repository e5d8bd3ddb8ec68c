import RegistryStore

/// What a v2 write puts.
struct KeyspaceWrite {
    var value: [UInt8]
    /// Seconds of a lease of the key alone; nil for a key that stays, which takes an old lease away.
    var ttl: Int64?
    /// Keeps the value there is and only sets the ttl.
    var refresh = false
    /// Puts a directory; the value has no meaning then.
    var directory = false

    var lease: LeaseRequest { ttl.map { .own(milliseconds: $0 * 1000) } ?? .permanent }
}

/// A comparison of a key with what it must be.
struct KeyspaceComparison {
    /// Empty when the value is not compared.
    var value: [UInt8]
    /// 0 when the index is not compared.
    var index: UInt64

    /// The cause of the error when a node is not as it must be: `[asked != actual]` for each that differs.
    func failure(value actual: [UInt8], index actualIndex: Int64) -> [UInt8]? {
        let valueDiffers = !value.isEmpty && value != actual
        let indexDiffers = index != 0 && index != UInt64(max(actualIndex, 0))
        var causes: [[UInt8]] = []
        if valueDiffers { causes.append(Array("[".utf8) + value + Array(" != ".utf8) + actual + Array("]".utf8)) }
        if indexDiffers { causes.append(Array("[\(index) != \(actualIndex)]".utf8)) }
        return causes.isEmpty ? nil : Array(causes.joined(separator: [UInt8(ascii: " ")]))
    }
}

extension Keyspace {
    /// How often a write is tried again when another door changes the key between look and batch.
    private static let attemptsMax = 64

    /// Creates a key or replaces it whole: `PUT` without conditions. A directory may take a key's place.
    func set(_ path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceEvent {
        try checkNotRoot(path)
        return try turn { () throws(V2Error) in
            let existing = try file(at: path)
            if existing == nil && write.refresh { throw missing(path, index: index) }
            var note = WriteNote(action: .set, key: path, isRefresh: write.refresh)
            note.existing = existing
            note.previous = existing.map { node($0) }
            if write.directory { return try putDirectory(path, write, note) }
            let event = try put(path, write, note, preconditions: write.refresh ? [.exists] : [])
            dropCreation(of: path)
            return event
        }
    }

    /// Creates a key or a directory that must not exist: `PUT` with `prevExist=false`.
    func create(_ path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceEvent {
        try checkNotRoot(path)
        return try turn { () throws(V2Error) in
            guard find(path) == nil else { throw V2Error(.keyExists, cause: path, index: index) }
            return try create(fresh: path, write)
        }
    }

    /// Creates a key or a directory below a directory, named by the next index in 20 digits: `POST`.
    func append(below path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceEvent {
        try turn { () throws(V2Error) in
            if case .file = find(path) { throw V2Error(.notADirectory, cause: path, index: index) }
            let digits = String(index &+ 1)
            let name = String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
            return try create(fresh: path + Array("/\(name)".utf8), write)
        }
    }

    private func create(fresh path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceEvent {
        let note = WriteNote(action: .create, key: path)
        if write.directory { return try putDirectory(path, write, note) }
        let event = try put(path, write, note, preconditions: [.absent])
        dropCreation(of: path)
        return event
    }

    /// Writes a key that must exist: `PUT` with `prevExist=true`. Of a directory it sets the ttl.
    func update(_ path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceEvent {
        try checkNotRoot(path)
        return try turn { () throws(V2Error) in
            guard let found = find(path) else { throw missing(path, index: index) }
            var note = WriteNote(action: .update, key: path, isRefresh: write.refresh)
            guard case .file(let entry) = found else {
                guard write.value.isEmpty else { throw V2Error(.notAFile, cause: path, index: index) }
                note.previous = directoryNode(path)
                return try putDirectory(path, write, note)
            }
            note.existing = entry
            note.previous = node(entry)
            note.keptCreation = note.previous?.createdIndex
            return try put(path, write, note, preconditions: [.exists])
        }
    }

    /// Writes a key that must be as compared.
    func compareAndSwap(
        _ path: [UInt8], _ comparison: KeyspaceComparison, _ write: KeyspaceWrite
    ) throws(V2Error) -> KeyspaceEvent {
        try checkNotRoot(path)
        return try turn { () throws(V2Error) in
            let entry = try compared(path, comparison)
            var note = WriteNote(action: .compareAndSwap, key: path, isRefresh: write.refresh)
            note.existing = entry
            note.previous = node(entry)
            note.keptCreation = note.previous?.createdIndex
            return try put(path, write, note, preconditions: [.modRevision(entry.modRevision)])
        }
    }

    /// Deletes a key that must be as compared.
    func compareAndDelete(_ path: [UInt8], _ comparison: KeyspaceComparison) throws(V2Error) -> KeyspaceEvent {
        try turn { () throws(V2Error) in
            let entry = try compared(path, comparison)
            return try delete(entry, .compareAndDelete, preconditions: [.modRevision(entry.modRevision)])
        }
    }

    /// Deletes a key or a directory.
    ///
    /// - Parameters:
    ///   - directory: whether an empty directory may be deleted.
    ///   - recursive: whether a directory may be deleted with all below it, under one index.
    func delete(_ path: [UInt8], directory: Bool, recursive: Bool) throws(V2Error) -> KeyspaceEvent {
        try checkNotRoot(path)
        return try turn { () throws(V2Error) in
            switch find(path) {
            case nil: throw missing(path, index: index)
            case .file(let entry): return try delete(entry, .delete, preconditions: [.exists])
            case .directory:
                guard directory || recursive else { throw V2Error(.notAFile, cause: path, index: index) }
                guard recursive || isEmpty(path) else { throw V2Error(.directoryNotEmpty, cause: path, index: index) }
                return try deleteDirectory(path, .delete)
            }
        }
    }

    // MARK: Steps

    /// Runs a write as the only one of the v2 API, again when another door came between its look and its batch.
    func turn(_ body: () throws(V2Error) -> KeyspaceEvent) throws(V2Error) -> KeyspaceEvent {
        let result: Result<KeyspaceEvent, V2Error> = writing {
            for _ in 1..<Self.attemptsMax {
                do throws(V2Error) {
                    return .success(try body())
                } catch {
                    if error.code != .compareFailed || !error.cause.isEmpty { return .failure(error) }
                }
            }
            return .failure(V2Error(.overloaded, cause: "the key changes all the time", index: index))
        }
        return try result.get()
    }

    func checkNotRoot(_ path: [UInt8]) throws(V2Error) {
        if path.isEmpty { throw V2Error(.rootReadOnly, cause: "/", index: index) }
    }

    /// The file at a path that is to be set; nil when nothing stands there.
    private func file(at path: [UInt8]) throws(V2Error) -> Entry? {
        switch find(path) {
        case .directory: throw V2Error(.notAFile, cause: path, index: index)
        case .file(let entry): return entry
        case nil: return nil
        }
    }

    /// The file at a path, which must be as compared.
    private func compared(_ path: [UInt8], _ comparison: KeyspaceComparison) throws(V2Error) -> Entry {
        guard let entry = try file(at: path) else { throw missing(path, index: index) }
        let failure = comparison.failure(value: registry.value(of: entry), index: index(of: entry.modRevision))
        if let failure { throw V2Error(.compareFailed, cause: failure, index: index) }
        return entry
    }

    private func isEmpty(_ path: [UInt8]) -> Bool {
        !hasKeys(below: path) && remembering { $0.directory(at: path[...]) }?.children.isEmpty != false
    }

    /// Puts a key and makes the event of it.
    private func put(
        _ path: [UInt8], _ write: KeyspaceWrite, _ note: WriteNote, preconditions: [Precondition]
    ) throws(V2Error) -> KeyspaceEvent {
        try checkDirectories(above: path)
        let parent = path[..<(path.lastIndex(of: UInt8(ascii: "/")) ?? 0)]
        let known = createdIndices(above: parent)
        let intent = Intent.put(
            namespace: namespace, key: path, value: value(of: write, over: note.existing), lease: write.lease,
            preconditions: preconditions)
        let receipt = try apply([intent], note)
        guard let change = receipt.changes.first(where: { $0.key == path && $0.current != nil }),
            let entry = change.current
        else { throw V2Error(.internalError, cause: "the put left no key", index: index(of: receipt.revision)) }
        let index = index(of: receipt.revision)
        remember(parent, known, index)
        if let kept = note.keptCreation { keep(createdIndex: kept, of: path, modifiedIndex: index) }
        var node = node(entry)
        node.createdIndex = note.keptCreation ?? index
        let previous = change.previous.map { $0 === note.existing ? note.previous ?? self.node($0) : self.node($0) }
        return KeyspaceEvent(
            action: note.action, node: node, previous: note.action == .create ? nil : previous, index: index)
    }

    func remember(_ path: ArraySlice<UInt8>, _ known: [[UInt8]: Int64], _ index: Int64) {
        remembering {
            $0.remember(path, hasKeys: { hasKeys(below: $0) }, createdIndex: { known[Array($0)] ?? index })
        }
    }

    /// The indices of the directories at and above a path that the memory does not know but the store has keys below.
    func createdIndices(above path: ArraySlice<UInt8>) -> [[UInt8]: Int64] {
        var known: [[UInt8]: Int64] = [:]
        var path = path
        while !path.isEmpty, remembering({ $0.directory(at: path) }) == nil {
            if let entry = firstEntry(below: Array(path)) { known[Array(path)] = index(of: entry.createRevision) }
            path = path[..<(path.lastIndex(of: UInt8(ascii: "/")) ?? path.startIndex)]
        }
        return known
    }

    /// What a put writes; a refresh of a registration that another door made keeps it the registration it is.
    private func value(of write: KeyspaceWrite, over existing: Entry?) -> PutValue {
        guard write.refresh, let existing else { return .bytes(write.value) }
        if let stored = existing.storedValue { return .bytes(stored) }
        return existing.registration.map { .registration($0) } ?? .bytes(registry.value(of: existing))
    }

    private func delete(
        _ entry: Entry, _ action: KeyspaceEvent.Action, preconditions: [Precondition]
    ) throws(V2Error) -> KeyspaceEvent {
        let before = node(entry)
        let note = WriteNote(action: action, key: entry.key, existing: entry, previous: before)
        let receipt = try apply(
            [.delete(namespace: namespace, key: entry.key, preconditions: preconditions)], note)
        dropCreation(of: entry.key)
        return removal(of: before, action, revision: receipt.revision)
    }

    func removal(of before: KeyspaceNode, _ action: KeyspaceEvent.Action, revision: Int64) -> KeyspaceEvent {
        let index = index(of: revision)
        var node = before.removed
        node.modifiedIndex = index
        return KeyspaceEvent(action: action, node: node, previous: before, index: index)
    }

    /// Applies a batch; the only place where errors of the store become errors of the v2 API.
    func apply(_ intents: [Intent], _ note: WriteNote) throws(V2Error) -> Receipt {
        let result = WriteNote.$current.withValue(note) { () -> Result<Receipt, RegistryError> in
            do throws(RegistryError) {
                return .success(try registry.apply(intents))
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let receipt): return receipt
        case .failure(let error):
            switch error {
            case .preconditionFailed, .notFound:
                // Without a cause: the key is not as it was looked at, so `turn` looks again.
                throw V2Error(.compareFailed, cause: [])
            case .limitExceeded(let limit, let value, let bound):
                let isOfRequest = ["key_bytes", "value_bytes", "lease_milliseconds", "intents"].contains(limit)
                throw V2Error(
                    isOfRequest ? .tooLarge : .storeFull, cause: "\(limit): \(value), at most \(bound)", index: index)
            case .invalid(let field, let value, let expected):
                throw V2Error(.invalidForm, cause: "\(field): \(value): expected \(expected)", index: index)
            default:
                throw V2Error(.internalError, cause: "\(error)", index: index)
            }
        }
    }
}
