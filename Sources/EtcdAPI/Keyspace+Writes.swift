import RegistryStore

/// What a v2 write puts.
struct KeyspaceWrite {
    var value: [UInt8]
    /// Seconds of a lease of the key alone; nil for a key that stays, which takes an old lease away.
    var ttl: Int64?
    /// Keeps the value there is and only sets the ttl.
    var refresh = false

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

    /// Creates a key or replaces it whole: `PUT` without conditions.
    func set(_ path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceEvent {
        try checkNotRoot(path)
        return try turn { () throws(V2Error) in
            let existing = try file(at: path)
            if existing == nil && write.refresh { throw missing(path, index: index) }
            var event = try put(path, write, over: existing, preconditions: write.refresh ? [.exists] : [])
            event.action = .set
            event.node.createdIndex = event.node.modifiedIndex
            remembering { $0.dropCreation(of: path) }
            return event
        }
    }

    /// Creates a key that must not exist: `PUT` with `prevExist=false`.
    func create(_ path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceEvent {
        try checkNotRoot(path)
        return try turn { () throws(V2Error) in
            guard find(path) == nil else { throw V2Error(.keyExists, cause: path, index: index) }
            return try create(fresh: path, write)
        }
    }

    /// Creates a key below a directory, named by the next index in 20 digits: `POST`.
    func append(below path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceEvent {
        try turn { () throws(V2Error) in
            if case .file = find(path) { throw V2Error(.notADirectory, cause: path, index: index) }
            let digits = String(index &+ 1)
            let name = String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
            return try create(fresh: path + Array("/\(name)".utf8), write)
        }
    }

    private func create(fresh path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceEvent {
        var event = try put(path, write, over: nil, preconditions: [.absent])
        event.action = .create
        event.previous = nil
        remembering { $0.dropCreation(of: path) }
        return event
    }

    /// Writes a key that must exist: `PUT` with `prevExist=true`.
    func update(_ path: [UInt8], _ write: KeyspaceWrite) throws(V2Error) -> KeyspaceEvent {
        try checkNotRoot(path)
        return try turn { () throws(V2Error) in
            guard let found = find(path) else { throw missing(path, index: index) }
            guard case .file(let entry) = found else {
                guard write.value.isEmpty else { throw V2Error(.notAFile, cause: path, index: index) }
                throw .notAvailable("ttl", why: "directories have no ttl here")
            }
            var event = try put(path, write, over: entry, preconditions: [.exists])
            event.action = .update
            keepCreation(&event)
            return event
        }
    }

    /// Writes a key that must be as compared.
    func compareAndSwap(
        _ path: [UInt8], _ comparison: KeyspaceComparison, _ write: KeyspaceWrite
    ) throws(V2Error) -> KeyspaceEvent {
        try checkNotRoot(path)
        return try turn { () throws(V2Error) in
            let entry = try compared(path, comparison)
            let unchanged = [Precondition.modRevision(entry.modRevision)]
            var event = try put(path, write, over: entry, preconditions: unchanged)
            event.action = .compareAndSwap
            keepCreation(&event)
            return event
        }
    }

    /// Deletes a key that must be as compared.
    func compareAndDelete(_ path: [UInt8], _ comparison: KeyspaceComparison) throws(V2Error) -> KeyspaceEvent {
        try turn { () throws(V2Error) in
            let entry = try compared(path, comparison)
            var event = try delete(entry, preconditions: [.modRevision(entry.modRevision)])
            event.action = .compareAndDelete
            return event
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
            case .file(let entry): return try delete(entry, preconditions: [.exists])
            case .directory:
                guard directory || recursive else { throw V2Error(.notAFile, cause: path, index: index) }
                guard recursive || isEmpty(path) else { throw V2Error(.directoryNotEmpty, cause: path, index: index) }
                return try deleteDirectory(path)
            }
        }
    }

    // MARK: Steps

    /// Runs a write as the only one of the v2 API, again when another door came between its look and its batch.
    private func turn(_ body: () throws(V2Error) -> KeyspaceEvent) throws(V2Error) -> KeyspaceEvent {
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

    private func checkNotRoot(_ path: [UInt8]) throws(V2Error) {
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

    /// Puts a key and makes the event of it; its action is the caller's to say.
    private func put(
        _ path: [UInt8], _ write: KeyspaceWrite, over existing: Entry?, preconditions: [Precondition]
    ) throws(V2Error) -> KeyspaceEvent {
        try checkDirectories(above: path)
        let life = existing.flatMap { self.life(of: $0) }
        let parent = path[..<(path.lastIndex(of: UInt8(ascii: "/")) ?? 0)]
        let known = createdIndices(above: parent)
        let intent = Intent.put(
            namespace: namespace, key: path, value: value(of: write, over: existing), lease: write.lease,
            preconditions: preconditions)
        let receipt = try apply([intent])
        guard let change = receipt.changes.first(where: { $0.key == path && $0.current != nil }),
            let entry = change.current
        else { throw V2Error(.internalError, cause: "the put left no key", index: index(of: receipt.revision)) }
        let index = index(of: receipt.revision)
        remembering {
            $0.remember(
                parent, hasKeys: { hasKeys(below: $0) }, createdIndex: { known[Array($0)] ?? index })
        }
        let previous = change.previous.map { node($0, life: $0 === existing ? life : nil) }
        return KeyspaceEvent(action: .set, node: node(entry), previous: previous, index: index)
    }

    /// The indices of the directories at and above a path that the memory does not know but the store has keys below.
    private func createdIndices(above path: ArraySlice<UInt8>) -> [[UInt8]: Int64] {
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

    private func keepCreation(_ event: inout KeyspaceEvent) {
        guard let created = event.previous?.createdIndex else { return }
        let node = event.node
        event.node.createdIndex = created
        remembering {
            $0.keep(createdIndex: created, of: node.key, modifiedIndex: node.modifiedIndex) { key, modified in
                registry.entry(namespace: namespace, key: key).map { index(of: $0.modRevision) } == modified
            }
        }
    }

    private func delete(_ entry: Entry, preconditions: [Precondition]) throws(V2Error) -> KeyspaceEvent {
        let before = node(entry)
        let receipt = try apply([.delete(namespace: namespace, key: entry.key, preconditions: preconditions)])
        remembering { $0.dropCreation(of: entry.key) }
        return removal(of: before, wasDirectory: false, revision: receipt.revision)
    }

    private func deleteDirectory(_ path: [UInt8]) throws(V2Error) -> KeyspaceEvent {
        let created = directoryIndex(path)
        let before = KeyspaceNode(
            key: path, kind: .directory(nodes: nil), modifiedIndex: created, createdIndex: created)
        let bounds = Self.bounds(below: path)
        var intents = [Intent.deleteRange(namespace: namespace, lower: bounds.lower, upper: bounds.upper)]
        if registry.entry(namespace: namespace, key: path) != nil {
            intents.append(.delete(namespace: namespace, key: path))
        }
        let receipt = try apply(intents)
        remembering { $0.forget(path[...]) }
        return removal(of: before, wasDirectory: true, revision: receipt.revision)
    }

    private func removal(of before: KeyspaceNode, wasDirectory: Bool, revision: Int64) -> KeyspaceEvent {
        let index = index(of: revision)
        let node = KeyspaceNode(
            key: before.key, kind: .removed(wasDirectory: wasDirectory), modifiedIndex: index,
            createdIndex: before.createdIndex)
        return KeyspaceEvent(action: .delete, node: node, previous: before, index: index)
    }

    /// Applies a batch; the only place where errors of the store become errors of the v2 API.
    private func apply(_ intents: [Intent]) throws(V2Error) -> Receipt {
        do throws(RegistryError) {
            return try registry.apply(intents)
        } catch {
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
