import RegistryStore

/// What the store keeps of a directory that was put, in a namespace of its own: that it is there, and when it ends.
///
/// Values are JSON objects, so that programs which read all keys of a cluster as services take no harm.
struct DirectoryMarker: Sendable, Hashable {
    /// Unix milliseconds; nil when it stays.
    var end: Int64?

    static let namespace = Namespace("etcd v2 directories")
    /// No layout takes such keys for services.
    private static let prefix = Array("dir".utf8)
    /// The key of the last operation on directories; what follows it tells several such keys apart.
    static let operationKey = Array("last".utf8)

    static func key(of path: [UInt8]) -> [UInt8] { prefix + path }

    /// The directory of a marker's key; nil for other keys of the namespace.
    static func path(of key: [UInt8]) -> [UInt8]? {
        guard key.starts(with: prefix), key.count > prefix.count + 1 else { return nil }
        return Array(key.dropFirst(prefix.count))
    }

    /// All markers that a store holds.
    static func all(in registry: Registry) -> [Entry] {
        let keys = KeyRange(prefix: prefix)
        return registry.range(namespace: namespace, lower: keys.lower, upper: keys.upper).entries
    }

    /// Where a cluster of etcd keeps them: below a label that v2 hides and no name of the domain has.
    static func places(below prefix: [UInt8]) -> [MirrorPlace] {
        [("_regdns/directories/", key(of: prefix)), ("_regdns/last", operationKey)].map { name, here in
            MirrorPlace(namespace: namespace, prefix: here, storePrefix: prefix + Array(name.utf8))
        }
    }

    /// The markers that a store holds of a directory and of those below it.
    static func all(in registry: Registry, at path: [UInt8]) -> [Entry] {
        let below = KeyRange(prefix: key(of: path) + [UInt8(ascii: "/")])
        let entries = registry.range(namespace: namespace, lower: below.lower, upper: below.upper).entries
        return [registry.entry(namespace: namespace, key: key(of: path))].compactMap { $0 } + entries
    }

    init(end: Int64?) { self.end = end }

    /// Of a stored value; what cannot be read is a directory that stays.
    init(_ entry: Entry) {
        let value = entry.storedValue.flatMap { try? JSONValue.parse($0) }
        end = value?.member("ends")?.int64Value
    }

    var value: [UInt8] {
        JSONValue.object(end.map { [("ends", .number(String($0)))] } ?? []).serialized()
    }
}

/// What was done last to a directory, as the nodes of a cluster tell each other with the very transaction that did it.
///
/// Without it the others would see keys come and go, but not that a directory went, whether its time was over, or that
/// one was touched that has no marker. It also moves the cluster's revision where nothing else does.
struct DirectoryOperation: Sendable, Hashable {
    struct Directory: Sendable, Hashable {
        /// The index of creation; 0 for that of the operation.
        var created: Int64
        /// Unix milliseconds.
        var end: Int64?
    }

    var action: KeyspaceEvent.Action
    var path: [UInt8]
    var isRefresh = false
    var directory: Directory
    /// What it was before; nil where it was none.
    var previous: Directory?

    /// Of a note about a directory; nil for others.
    init?(_ note: WriteNote) {
        guard let directory = note.directory else { return nil }
        action = note.action
        path = note.key
        isRefresh = note.isRefresh
        self.directory = Directory(created: directory.createdIndex, end: directory.life?.expiration)
        if let before = note.previous, case .directory = before.kind {
            previous = Directory(created: before.createdIndex, end: before.life?.expiration)
        }
    }

    // MARK: In the store

    var value: [UInt8] {
        func object(_ directory: Directory) -> JSONValue {
            .object(
                [("created", .number(String(directory.created)))]
                    + (directory.end.map { [("ends", .number(String($0)))] } ?? []))
        }
        return JSONValue.object(
            [
                ("action", .string(action.rawValue)), ("directory", .string(PercentEncoding.encodePath(path))),
                ("refresh", .bool(isRefresh)), ("now", object(directory)),
            ] + (previous.map { [("before", object($0))] } ?? [])
        ).serialized()
    }

    /// Of a stored value; nil for one that is none.
    init?(_ bytes: [UInt8]) {
        guard let value = try? JSONValue.parse(bytes),
            let action = value.member("action")?.stringValue.flatMap({ KeyspaceEvent.Action(rawValue: $0) }),
            let text = value.member("directory")?.stringValue,
            let path = try? PercentEncoding.decode(Array(text.utf8)[...], plusIsSpace: false),
            EventHistory.isPath(path), let now = value.member("now")
        else { return nil }
        func directory(_ value: JSONValue) -> Directory {
            Directory(created: value.member("created")?.int64Value ?? 0, end: value.member("ends")?.int64Value)
        }
        self.action = action
        self.path = path
        isRefresh = value.member("refresh")?.boolValue ?? false
        self.directory = directory(now)
        previous = value.member("before").map(directory)
    }

    /// The operation that a batch is. It comes last; a list that has it among other news is no operation.
    init?(in batch: ChangeBatch, of namespace: Namespace) {
        guard let last = batch.changes.last(where: { !$0.isReshown }), last.namespace == DirectoryMarker.namespace,
            last.key.starts(with: DirectoryMarker.operationKey), let entry = last.current,
            entry.modRevision == batch.revision,
            let value = entry.storedValue, let operation = DirectoryOperation(value),
            batch.changes.allSatisfy({
                $0.namespace != namespace || $0.isReshown || $0.key == operation.path
                    || EventHistory.isBelow($0.key, operation.path)
            })
        else { return nil }
        self = operation
    }

    /// Whether the directory went with all below it.
    var removes: Bool { action == .delete || action == .expire }

    /// The note of a writer elsewhere.
    func note(life: (Int64) -> KeyspaceLife) -> WriteNote {
        func node(_ directory: Directory) -> KeyspaceNode {
            KeyspaceNode(
                key: path, kind: .directory(nodes: nil), life: directory.end.map(life),
                modifiedIndex: directory.created, createdIndex: directory.created)
        }
        let directory = node(directory)
        return WriteNote(
            action: action, key: path, isRefresh: isRefresh, previous: previous.map(node),
            directory: removes ? directory.removed : directory)
    }
}
