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

/// A write of the v2 API.
enum KeyspaceOperation {
    /// Creates a key or replaces it whole: `PUT` without conditions. A directory may take a key's place.
    case set([UInt8], KeyspaceWrite)
    /// Creates a key or a directory that must not exist: `PUT` with `prevExist=false`.
    case create([UInt8], KeyspaceWrite)
    /// Creates a key or a directory below a directory, named by the next index in 20 digits: `POST`.
    case append(below: [UInt8], KeyspaceWrite)
    /// Writes a key that must exist: `PUT` with `prevExist=true`. Of a directory it sets the ttl.
    case update([UInt8], KeyspaceWrite)
    /// Writes a key that must be as compared.
    case compareAndSwap([UInt8], KeyspaceComparison, KeyspaceWrite)
    /// Deletes a key that must be as compared.
    case compareAndDelete([UInt8], KeyspaceComparison)
    /// Deletes a key or a directory: an empty one with `directory`, one with all below it, under one index, with
    /// `recursive`.
    case delete([UInt8], directory: Bool, recursive: Bool)
}

/// A write as it was planned with the tree at a moment: what the store is asked for, and what is told of it once the
/// store has done so.
struct KeyspaceStep {
    let intents: [Intent]
    let note: WriteNote
    let finish: (Receipt) throws(V2Error) -> KeyspaceEvent
}

extension Keyspace {
    /// How often a write is tried again when another door changes the key between look and batch.
    private static let attemptsMax = 64
    /// The same where each try goes to a cluster, which tries by itself, too.
    private static let attemptsMaxThere = 8

    /// Writes to the registry, at once.
    func write(_ operation: KeyspaceOperation) throws(V2Error) -> KeyspaceEvent {
        try turn { () throws(V2Error) in try plan(operation) }
    }

    /// Writes through another writer, of which the registry is the copy. Others may come between the look and the
    /// batch: then the conditions do not hold, and the write is planned again.
    ///
    /// A key that is named by the next index has the name of its revision unless somebody else writes at that moment;
    /// the names are unique and grow all the same. Writes of this node wait for each other, else only the first of
    /// those with the same name would succeed.
    func write(
        _ operation: KeyspaceOperation, through writer: any RegistryWriter
    ) async throws(V2Error) -> KeyspaceEvent {
        func write() async throws(V2Error) -> KeyspaceEvent {
            try await plannedWrite(through: writer) { () throws(V2Error) in try plan(operation) }
        }
        guard case .append = operation else { return try await write() }
        guard await appends.enter() else {
            throw V2Error(.overloaded, cause: "too many keys are created in order", index: index)
        }
        defer { appends.leave() }
        return try await write()
    }

    /// Plans and sends a write, again when somebody else came between.
    func plannedWrite(
        through writer: any RegistryWriter, _ plan: () throws(V2Error) -> KeyspaceStep
    ) async throws(V2Error) -> KeyspaceEvent {
        for _ in 0..<Self.attemptsMaxThere {
            let step = try taking(plan)
            let token = history.expect(step.note)
            defer { history.forget(token) }
            let receipt: Receipt
            do throws(RegistryError) {
                receipt = try await writer.apply(step.intents)
            } catch {
                let error = v2Error(error)
                if Self.isChangedMeanwhile(error) { continue }
                throw error
            }
            return try taking { () throws(V2Error) in try step.finish(receipt) }
        }
        throw V2Error(.overloaded, cause: "the key changes all the time", index: index)
    }

    /// Looks what an operation means now. For who has the turn.
    private func plan(_ operation: KeyspaceOperation) throws(V2Error) -> KeyspaceStep {
        switch operation {
        case .set(let path, let write): try set(path, write)
        case .create(let path, let write):
            try create(path, write)
        case .append(let path, let write): try append(below: path, write)
        case .update(let path, let write): try update(path, write)
        case .compareAndSwap(let path, let comparison, let write): try compareAndSwap(path, comparison, write)
        case .compareAndDelete(let path, let comparison):
            try delete(compared(path, comparison), .compareAndDelete, isCompared: true)
        case .delete(let path, let directory, let recursive):
            try delete(path, directory: directory, recursive: recursive)
        }
    }

    private func set(_ path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceStep {
        try checkNotRoot(path)
        let existing = try file(at: path)
        if existing == nil && write.refresh { throw missing(path, index: index) }
        var note = WriteNote(action: .set, key: path, isRefresh: write.refresh)
        note.existing = existing
        note.previous = existing.map { node($0) }
        if write.directory { return try putDirectory(path, write, note) }
        return try put(path, write, note, preconditions: write.refresh ? [.exists] : [])
    }

    private func create(_ path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceStep {
        try checkNotRoot(path)
        guard find(path) == nil else { throw V2Error(.keyExists, cause: path, index: index) }
        return try create(fresh: path, write)
    }

    private func append(below path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceStep {
        if case .file = find(path) { throw V2Error(.notADirectory, cause: path, index: index) }
        let digits = String(index &+ 1)
        let name = String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
        return try create(fresh: path + Array("/\(name)".utf8), write)
    }

    private func create(fresh path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceStep {
        let note = WriteNote(action: .create, key: path)
        if write.directory { return try putDirectory(path, write, note) }
        return try put(path, write, note, preconditions: [.absent])
    }

    private func update(_ path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceStep {
        try checkNotRoot(path)
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

    private func compareAndSwap(
        _ path: [UInt8], _ comparison: KeyspaceComparison, _ write: KeyspaceWrite
    ) throws(V2Error) -> KeyspaceStep {
        try checkNotRoot(path)
        let entry = try compared(path, comparison)
        var note = WriteNote(action: .compareAndSwap, key: path, isRefresh: write.refresh)
        note.existing = entry
        note.previous = node(entry)
        note.keptCreation = note.previous?.createdIndex
        return try put(path, write, note, preconditions: [.modRevision(entry.modRevision)])
    }

    private func delete(_ path: [UInt8], directory: Bool, recursive: Bool) throws(V2Error) -> KeyspaceStep {
        try checkNotRoot(path)
        switch find(path) {
        case nil: throw missing(path, index: index)
        case .file(let entry): return delete(entry, .delete, isCompared: false)
        case .directory:
            guard directory || recursive else { throw V2Error(.notAFile, cause: path, index: index) }
            guard recursive || isEmpty(path) else { throw V2Error(.directoryNotEmpty, cause: path, index: index) }
            return deleteDirectory(path, .delete, isEmpty: !recursive)
        }
    }

    // MARK: Steps

    /// Plans and applies a write as the only one of the v2 API, again when another door came between its look and its
    /// batch.
    func turn(_ plan: () throws(V2Error) -> KeyspaceStep) throws(V2Error) -> KeyspaceEvent {
        try taking { () throws(V2Error) in
            for _ in 1..<Self.attemptsMax {
                do throws(V2Error) {
                    let step = try plan()
                    return try step.finish(try apply(step))
                } catch {
                    if !Self.isChangedMeanwhile(error) { throw error }
                }
            }
            throw V2Error(.overloaded, cause: "the key changes all the time", index: index)
        }
    }

    /// Does something when no other v2 writer looks or applies.
    private func taking<Outcome>(_ body: () throws(V2Error) -> Outcome) throws(V2Error) -> Outcome {
        let result: Result<Outcome, V2Error> = writing {
            do throws(V2Error) { return .success(try body()) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Whether a key was not as it was looked at.
    private static func isChangedMeanwhile(_ error: V2Error) -> Bool {
        error.code == .compareFailed && error.cause.isEmpty
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
    ) throws(V2Error) -> KeyspaceStep {
        try checkDirectories(above: path)
        let parent = path[..<(path.lastIndex(of: UInt8(ascii: "/")) ?? 0)]
        let known = createdIndices(above: parent)
        let intent = Intent.put(
            namespace: namespace, key: path, value: value(of: write, over: note.existing), lease: write.lease,
            preconditions: preconditions)
        var note = note
        note.seconds = write.ttl
        return KeyspaceStep(intents: [intent], note: note) { [self, note] receipt throws(V2Error) in
            guard let change = receipt.changes.first(where: { $0.key == path && $0.current != nil }),
                let entry = change.current
            else { throw V2Error(.internalError, cause: "the put left no key", index: index(of: receipt.revision)) }
            let index = index(of: receipt.revision)
            remember(parent, known, index)
            if let kept = note.keptCreation {
                keep(createdIndex: kept, of: path, modifiedIndex: index)
            } else {
                dropCreation(of: path)
            }
            var node = node(entry)
            node.createdIndex = note.keptCreation ?? index
            let previous = change.previous.map { $0 === note.existing ? note.previous ?? self.node($0) : self.node($0) }
            return KeyspaceEvent(
                action: note.action, node: node, previous: note.action == .create ? nil : previous, index: index)
        }
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

    private func delete(_ entry: Entry, _ action: KeyspaceEvent.Action, isCompared: Bool) -> KeyspaceStep {
        let before = node(entry)
        let note = WriteNote(action: action, key: entry.key, existing: entry, previous: before)
        let intent = Intent.delete(
            namespace: namespace, key: entry.key,
            preconditions: isCompared ? [.modRevision(entry.modRevision)] : [.exists])
        return KeyspaceStep(intents: [intent], note: note) { [self] receipt throws(V2Error) in
            dropCreation(of: entry.key)
            return removal(of: before, action, revision: receipt.revision)
        }
    }

    func removal(of before: KeyspaceNode, _ action: KeyspaceEvent.Action, revision: Int64) -> KeyspaceEvent {
        let index = index(of: revision)
        var node = before.removed
        node.modifiedIndex = index
        return KeyspaceEvent(action: action, node: node, previous: before, index: index)
    }

    /// Applies a planned write to the registry.
    private func apply(_ step: KeyspaceStep) throws(V2Error) -> Receipt {
        let result = WriteNote.$current.withValue(step.note) { () -> Result<Receipt, RegistryError> in
            do throws(RegistryError) {
                return .success(try registry.apply(step.intents))
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let receipt): return receipt
        case .failure(let error): throw v2Error(error)
        }
    }

    /// The only place where errors of the store become errors of the v2 API.
    private func v2Error(_ error: RegistryError) -> V2Error {
        switch error {
        case .preconditionFailed, .notFound:
            // Without a cause: the key is not as it was looked at, so it is looked at again.
            V2Error(.compareFailed, cause: [])
        case .limitExceeded(let limit, let value, let bound):
            V2Error(
                ["key_bytes", "value_bytes", "lease_milliseconds", "intents"].contains(limit) ? .tooLarge : .storeFull,
                cause: "\(limit): \(value), at most \(bound)", index: index)
        case .invalid(let field, let value, let expected):
            V2Error(.invalidForm, cause: "\(field): \(value): expected \(expected)", index: index)
        case .unavailable(let reason, _):
            V2Error(.internalError, cause: reason, index: index)
        default:
            V2Error(.internalError, cause: "\(error)", index: index)
        }
    }
}
