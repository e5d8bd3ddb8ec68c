package import RegistryStore

/// Directories that were put explicitly.
///
/// Each has a marker entry in a namespace of its own (`DirectoryMarker`), so that putting, changing and deleting one is
/// a batch of the store like any other: it has a revision, goes together with the keys it takes, and travels and is
/// kept as entries are. The other doors never see that namespace: a marker among the keys would be a value without a
/// host. What the tree needs to read is in `DirectoryMemory`, which also has the directories that came with their keys
/// and need no marker; it learns of markers from the store's changes (`DirectoryNews`), whoever wrote them.
///
/// A marker has no lease: the store would end it alone. Its value says when the directory ends, and
/// `expireDirectories` ends it with all below it under one revision. In a cluster every node does so, on the condition
/// that the marker is still the one that said so: the first one wins, a node that was just started is as good as the
/// one that put it, and clocks of nodes that differ move the end by their difference. A lease of the cluster would need
/// somebody who is there to see it end, and has a floor of seconds.
extension Keyspace {
    /// Where a cluster of which the registry is the copy keeps directories, for its configuration.
    ///
    /// - Parameter prefix: what all followed keys begin with, a slash at its end included.
    package static func places(below prefix: [UInt8]) -> [MirrorPlace] { DirectoryMarker.places(below: prefix) }

    private func marker(_ path: [UInt8]) -> Entry? {
        registry.entry(namespace: DirectoryMarker.namespace, key: DirectoryMarker.key(of: path))
    }

    /// Tells the other nodes of a cluster what a batch is.
    private func told(_ note: WriteNote) -> [Intent] {
        guard writer != nil, let operation = DirectoryOperation(note) else { return [] }
        return [
            .put(
                namespace: DirectoryMarker.namespace, key: DirectoryMarker.operationKey,
                value: .bytes(operation.value), lease: .permanent)
        ]
    }

    /// Puts a directory, in the place of the key in `note.existing` if there is one, or sets the ttl of one.
    func putDirectory(_ path: [UInt8], _ write: KeyspaceWrite, _ note: WriteNote) throws(V2Error) -> KeyspaceStep {
        try checkDirectories(above: path)
        guard remembering({ $0.hasRoom(for: path[...], hasKeys: { hasKeys(below: $0) }) }) else {
            let bound = remembering { $0.bound }
            throw V2Error(.storeFull, cause: "directories: at most \(bound)", index: index)
        }
        let now = clock.now
        let end = write.ttl.map { now.unix &+ $0 &* 1000 }
        var note = note
        let created = note.action == .update ? note.previous?.createdIndex ?? 0 : 0
        note.directory = KeyspaceNode(
            key: path, kind: .directory(nodes: nil), life: end.map { life(until: $0) }, modifiedIndex: 0,
            createdIndex: created)
        var intents: [Intent] = []
        if let existing = note.existing {
            intents.append(
                .delete(
                    namespace: namespace, key: path, preconditions: [.modRevision(existing.modRevision)]))
        }
        intents.append(
            .put(
                namespace: DirectoryMarker.namespace, key: DirectoryMarker.key(of: path),
                value: .bytes(DirectoryMarker(end: end).value), lease: .permanent,
                preconditions: [marker(path).map { .modRevision($0.modRevision) } ?? .absent]))
        return KeyspaceStep(intents: intents + told(note), note: note) { [self, note] receipt throws(V2Error) in
            if note.existing != nil { dropCreation(of: path) }
            let index = index(of: receipt.revision)
            var node = note.directory ?? directoryNode(path)
            node.modifiedIndex = index
            if node.createdIndex == 0 { node.createdIndex = index }
            return KeyspaceEvent(action: note.action, node: node, previous: note.previous, index: index)
        }
    }

    /// Deletes a directory under one index, with all below it.
    ///
    /// - Parameter isEmpty: nothing was seen below it, so that nothing below it is to go.
    func deleteDirectory(_ path: [UInt8], _ action: KeyspaceEvent.Action, isEmpty: Bool = false) -> KeyspaceStep {
        let before = directoryNode(path)
        let remembered = remembering { $0.directory(at: path[...]) }
        var intents: [Intent] = []
        if !isEmpty {
            let bounds = Self.bounds(below: path)
            // First, so that the history finds what it took in key order.
            intents.append(.deleteRange(namespace: namespace, lower: bounds.lower, upper: bounds.upper))
            if registry.entry(namespace: namespace, key: path) != nil {
                intents.append(.delete(namespace: namespace, key: path))
            }
        }
        let note = WriteNote(
            action: action, key: path, previous: before, directory: before.removed, remembered: remembered)
        intents += markerIntents(path, isConditional: action == .expire) + told(note)
        return KeyspaceStep(intents: intents, note: note) { [self] receipt throws(V2Error) in
            // Of what goes in a cluster the operation tells, in its turn.
            if writer == nil { remembering { $0.forget(path[...]) } }
            return removal(of: before, action, revision: receipt.revision)
        }
    }

    /// Takes away the markers at and below a directory.
    ///
    /// - Parameter isConditional: only while its own marker is the one that is known.
    private func markerIntents(_ path: [UInt8], isConditional: Bool) -> [Intent] {
        let key = DirectoryMarker.key(of: path)
        let below = Self.bounds(below: key)
        var intents: [Intent] = []
        if let marker = marker(path) {
            intents.append(
                .delete(
                    namespace: DirectoryMarker.namespace, key: key,
                    preconditions: isConditional ? [.modRevision(marker.modRevision)] : []))
        } else if writer == nil {
            // A directory that came with its keys may have none left: the index moves all the same.
            intents = [
                .put(namespace: DirectoryMarker.namespace, key: key, value: .bytes([]), lease: .permanent),
                .delete(namespace: DirectoryMarker.namespace, key: key),
            ]
        }
        return intents + [.deleteRange(namespace: DirectoryMarker.namespace, lower: below.lower, upper: below.upper)]
    }

    // MARK: Time

    func life(until unix: Int64) -> KeyspaceLife {
        KeyspaceLife(endsAt: unix, millisecondsLeft: unix &- clock.unixMilliseconds())
    }

    /// Ends the directories whose time is over, each with all below it. Called every 50 to 100 ms. Where writes go
    /// through another writer, `expireDirectories(through:)` does it.
    package func expireDirectories() {
        guard writer == nil else { return }
        // Each is looked at once: one that cannot be deleted now is tried again with the next call.
        for _ in 0..<remembering({ $0.bound }) {
            guard let path = firstEnded() else { return }
            let ended = try? turn { () throws(V2Error) in try end(path) }
            if ended == nil { return }
        }
    }

    /// The same in a cluster, by one task. False when one could not be ended: then the cluster is to be left in peace
    /// for a while.
    package func expireDirectories(through writer: any RegistryWriter) async -> Bool {
        for _ in 0..<remembering({ $0.bound }) {
            guard let path = firstEnded() else { return true }
            do throws(V2Error) {
                _ = try await plannedWrite(through: writer) { () throws(V2Error) in try end(path) }
            } catch {
                if error.code != .keyNotFound { return false }
            }
        }
        return true
    }

    private func firstEnded() -> [UInt8]? {
        let now = clock.monotonicMilliseconds()
        return remembering { $0.firstEnded(now: now) }
    }

    private func end(_ path: [UInt8]) throws(V2Error) -> KeyspaceStep {
        // Somebody may have given it more time, or deleted it.
        guard firstEnded() == path else { throw V2Error(.keyNotFound, cause: path) }
        return deleteDirectory(path, .expire)
    }

    // MARK: Learning

    /// Brings what the store has said of directories into the memory of the tree.
    func learn(_ news: DirectoryNews.Waiting, _ memory: inout DirectoryMemory) {
        if news.mustReload {
            memory.reset()
            learn(DirectoryMarker.all(in: registry), &memory)
        }
        for item in news.items { learn(item, &memory) }
    }

    private func learn(_ markers: [Entry], _ memory: inout DirectoryMemory) {
        for marker in markers {
            guard let path = DirectoryMarker.path(of: marker.key) else { continue }
            learn(self.news.put(path, marker), &memory)
        }
    }

    private func isLeftToOthers(_ path: [UInt8]) -> Bool { leftToOthers.map { path.starts(with: $0) } ?? false }

    private func learn(_ item: DirectoryNews.Item, _ memory: inout DirectoryMemory) {
        switch item {
        case .put(let path, let marked, let end):
            memory.remember(
                path[...], hasKeys: { hasKeys(below: $0) },
                createdIndex: { path in
                    min(marked, firstEntry(below: Array(path)).map { index(of: $0.createRevision) } ?? marked)
                })
            memory.hold(path, until: end, isEndedHere: !isLeftToOthers(path))
        case .released(let path): memory.release(path)
        case .taken(let path):
            memory.forget(path[...])
            // Any client of the cluster can say so of a directory that is there. What has a marker is there.
            learn(DirectoryMarker.all(in: registry, at: path), &memory)
        }
    }
}
