import RegistryStore

/// Directories that were put explicitly.
///
/// Each has a marker entry in a namespace of its own, so that putting, changing and deleting one is a batch of the
/// store like any other: it has a revision, goes together with the keys it takes, and would travel and be kept as
/// entries are. The other doors never see that namespace: a marker among the keys would be a value without JSON, which
/// CoreDNS and others answer with an error for the whole name. What the tree needs to read is in `DirectoryMemory`,
/// which also has the directories that came with their keys and need no marker.
///
/// A marker has no lease: the store would end it alone. Its value says when the directory ends, and `expireDirectories`
/// ends it with all below it under one revision.
extension Keyspace {
    static let markers = Namespace("etcd v2 directories")

    /// A key that no layout takes for a service.
    private static func marker(_ path: [UInt8]) -> [UInt8] { Array("dir".utf8) + path }

    /// Puts a directory, in the place of the key in `note.existing` if there is one, or sets the ttl of one.
    func putDirectory(_ path: [UInt8], _ write: KeyspaceWrite, _ note: WriteNote) throws(V2Error) -> KeyspaceStep {
        guard keepsDirectories else {
            throw V2Error(
                .invalidField, cause: "dir: an etcd cluster as the store has no directories but those of its keys",
                index: index)
        }
        try checkDirectories(above: path)
        guard remembering({ $0.hasRoom(for: path[...], hasKeys: { hasKeys(below: $0) }) }) else {
            let bound = remembering { $0.bound }
            throw V2Error(.storeFull, cause: "directories: at most \(bound)", index: index)
        }
        let now = clock.now
        let end = write.ttl.map { ttl in
            DirectoryEnd(monotonic: now.monotonic &+ ttl &* 1000, unix: now.unix &+ ttl &* 1000)
        }
        let known = createdIndices(above: path[...])
        var intents: [Intent] = []
        if let existing = note.existing {
            intents.append(
                .delete(
                    namespace: namespace, key: path, preconditions: [.modRevision(existing.modRevision)]))
        }
        intents.append(
            .put(
                namespace: Self.markers, key: Self.marker(path),
                value: .bytes(Array((end.map { String($0.unix) } ?? "").utf8)), lease: .permanent))
        var note = note
        let created = note.action == .update ? note.previous?.createdIndex ?? 0 : 0
        note.directory = KeyspaceNode(
            key: path, kind: .directory(nodes: nil), life: end?.life(now: now.monotonic), modifiedIndex: 0,
            createdIndex: created)
        return KeyspaceStep(intents: intents, note: note) { [self, note] receipt throws(V2Error) in
            let index = index(of: receipt.revision)
            remember(path[...], known, index)
            remembering { $0.hold(path, until: end) }
            if note.existing != nil { dropCreation(of: path) }
            var event = KeyspaceEvent(
                action: note.action, node: directoryNode(path), previous: note.previous, index: index)
            event.node.modifiedIndex = index
            return event
        }
    }

    /// Deletes a directory with all below it, under one index.
    func deleteDirectory(_ path: [UInt8], _ action: KeyspaceEvent.Action) -> KeyspaceStep {
        let before = directoryNode(path)
        let remembered = remembering { $0.directory(at: path[...]) }
        let bounds = Self.bounds(below: path)
        // First, so that the history finds what it took in key order.
        var intents = [Intent.deleteRange(namespace: namespace, lower: bounds.lower, upper: bounds.upper)]
        if registry.entry(namespace: namespace, key: path) != nil {
            intents.append(.delete(namespace: namespace, key: path))
        }
        if keepsDirectories { intents += markerIntents(path, isExplicit: remembered?.isExplicit == true) }
        let note = WriteNote(
            action: action, key: path, previous: before, directory: before.removed, remembered: remembered)
        return KeyspaceStep(intents: intents, note: note) { [self] receipt throws(V2Error) in
            remembering { $0.forget(path[...]) }
            return removal(of: before, action, revision: receipt.revision)
        }
    }

    /// Takes away the markers at and below a directory.
    private func markerIntents(_ path: [UInt8], isExplicit: Bool) -> [Intent] {
        let marker = Self.marker(path)
        let below = Self.bounds(below: marker)
        // A directory that came with its keys may have none left: the index moves all the same.
        let put = Intent.put(namespace: Self.markers, key: marker, value: .bytes([]), lease: .permanent)
        return (isExplicit ? [] : [put]) + [
            .delete(namespace: Self.markers, key: marker),
            .deleteRange(namespace: Self.markers, lower: below.lower, upper: below.upper),
        ]
    }

    /// Ends the directories whose time is over, each with all below it. Called every 50 to 100 ms.
    package func expireDirectories() {
        // Each is looked at once: one that cannot be deleted now is tried again with the next call.
        for _ in 0..<remembering({ $0.bound }) {
            let now = clock.monotonicMilliseconds()
            guard let path = remembering({ $0.firstEnded(now: now) }) else { return }
            let ended = try? turn { () throws(V2Error) in
                // Somebody may have given it more time, or deleted it.
                guard remembering({ $0.firstEnded(now: now) }) == path else {
                    throw V2Error(.keyNotFound, cause: path)
                }
                return deleteDirectory(path, .expire)
            }
            if ended == nil { return }
        }
    }

    /// Remembers the directories of which the store has a marker.
    func restoreDirectories() {
        guard keepsDirectories else { return }
        let now = clock.now
        let prefix = Self.marker([])
        let markers = registry.range(namespace: Self.markers, lower: prefix, upper: nil).entries
        for marker in markers where marker.key.starts(with: prefix) {
            let path = Array(marker.key.dropFirst(prefix.count))
            let end = Int64(String(decoding: registry.value(of: marker), as: UTF8.self)).map { unix in
                DirectoryEnd(monotonic: now.monotonic &+ (unix &- now.unix), unix: unix)
            }
            remember(path[...], createdIndices(above: path[...]), index(of: marker.createRevision))
            remembering { $0.hold(path, until: end) }
        }
    }
}
