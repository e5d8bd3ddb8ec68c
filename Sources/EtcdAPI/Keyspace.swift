import Basics
package import RegistryStore
import Synchronization

/// etcd's view of the registry: one namespace as a space of keys whose revisions are etcd's indices.
///
/// The v2 API shows it as a tree: a directory is any proper prefix of a stored key that ends before a `/`, plus what
/// `DirectoryMemory` remembers. Only keys that are clean paths (`/a/b`) have a node; where another door has put both a
/// key and keys below it, the node is the directory. Keys and values are bytes and are never decoded here.
///
/// Indices are the store's revisions of this node as `RevisionNumbers` shows them, in v2 and v3 alike.
///
/// The tree's rules (a file has no children, a directory no value) bind the writers of the v2 API among themselves:
/// they take turns under one lock. Against the other doors each write is a batch of its own with the preconditions it
/// needs. Observers of the registry run below that lock and must not call the key space.
package final class Keyspace: Sendable {
    let registry: Registry
    /// Where v2 writes go when the registry is only the copy of it; nil for the registry itself.
    let writer: (any RegistryWriter)?
    /// What keeps the registry over restarts; nil when nothing does.
    let durability: (any RegistryDurability)?
    let namespace: Namespace
    /// What directories begin with that another key space of this node ends; nil when all are ended here.
    let leftToOthers: [UInt8]?
    /// How the store's revisions and etcd's go over into each other.
    package let numbers: RevisionNumbers
    /// The id this node bears as a cluster of its own; a client that wanders to another node sees another cluster.
    let clusterID: UInt64
    /// The last events, and who waits for the next ones.
    let history: EventHistory
    let clock: RegistryClock
    let statistics = OperationCounts()
    let longAnswers = LongAnswers()
    /// Held by v2 writers from their first look at the tree until their batch is applied.
    private let writers = Mutex<Void>(())
    /// Where writers wait that make keys in order in a cluster.
    let appends = WriterQueue()
    /// Held for short look-ups only, of the store too.
    private let memory: Mutex<DirectoryMemory>
    /// What the store has said of directories and the memory does not know yet.
    let news: DirectoryNews
    /// Held for short look-ups only, by observers too: who holds it must not call the store.
    private let creations: Creations

    private final class Creations: Sendable {
        let memory: Mutex<CreationMemory>
        init(bound: Int) { memory = Mutex(CreationMemory(bound: bound)) }
    }

    /// - Parameters:
    ///   - registry: the store, which every door shares.
    ///   - writer: what writes go through when the registry is the copy of an etcd cluster: `numbers` must be
    ///     `.clusters` then, and the cluster must have the `places` for directories.
    ///   - durability: what keeps the registry over restarts: writes are answered when they are kept.
    ///   - namespace: the keys this view shows.
    ///   - leftToOthers: what directories begin with that another key space sees the end of.
    ///   - numbers: the numbers of this process; nil for those of a node without a tag or a state file.
    ///   - rememberedDirectories: bound of the tree's memory, for directories and for kept creations each.
    ///   - watches: bound on those who wait at once.
    package init(
        registry: Registry, writer: (any RegistryWriter)? = nil, durability: (any RegistryDurability)? = nil,
        namespace: Namespace = .default, leftToOthers: [UInt8]? = nil, numbers: RevisionNumbers? = nil,
        rememberedDirectories: Int = 65_536,
        watches: Int = 16_384,
        clock: RegistryClock = .system
    ) {
        let numbers = numbers ?? RevisionNumbers(startUnixMilliseconds: clock.unixMilliseconds())
        let creations = Creations(bound: rememberedDirectories)
        let deadlines = registry.deadlines
        var bounds = EventHistory.Bounds()
        bounds.watches = watches
        let views = EventHistory.Views(
            namespace: namespace, numbers: numbers,
            life: { Self.life(of: $0, by: deadlines, now: clock.now) },
            granted: { note in
                note.seconds.map {
                    KeyspaceLife(endsAt: clock.unixMilliseconds() &+ $0 &* 1000, millisecondsLeft: $0 &* 1000)
                }
            },
            directoryLife: { KeyspaceLife(endsAt: $0, millisecondsLeft: $0 &- clock.unixMilliseconds()) },
            createdIndex: { key, modified in
                creations.memory.withLock { $0.createdIndex(of: key, modifiedIndex: modified) }
            })
        self.registry = registry
        self.writer = writer
        self.durability = durability
        self.namespace = namespace
        self.leftToOthers = leftToOthers
        self.numbers = numbers
        self.clock = clock
        self.clusterID = Self.identifier(of: registry.node)
        self.memory = Mutex(DirectoryMemory(bound: rememberedDirectories))
        self.creations = creations
        self.history = EventHistory(bounds: bounds, views: views)
        news = DirectoryNews(namespace: namespace, clock: clock, index: { numbers.number(of: $0) })
        registry.addObserver(history)
        registry.addObserver(news)
    }

    /// The cluster's id as v2 shows it.
    var clusterText: String { String(clusterID, radix: 16) }

    /// The index of the store now: the highest that any node bears.
    var index: Int64 { index(of: registry.revision) }

    /// etcd's index for a revision of the store.
    func index(of revision: Int64) -> Int64 { numbers.number(of: revision) }

    /// A stable id of 64 bits with the highest set (so that it shows as 16 digits): FNV-1a of the text.
    static func identifier(of text: String) -> UInt64 {
        FNV1a(text.utf8).value | 1 << 63
    }

    /// Looks something up in the tree's memory, or notes it there.
    func remembering<Result>(_ body: (inout DirectoryMemory) -> Result) -> Result {
        memory.withLock { memory in
            if let news = news.take() { learn(news, &memory) }
            return body(&memory)
        }
    }

    /// The index of creation of a key, for its state at a modified index.
    func createdIndex(of key: [UInt8], modifiedIndex: Int64) -> Int64 {
        creations.memory.withLock { $0.createdIndex(of: key, modifiedIndex: modifiedIndex) }
    }

    /// Notes that an update kept the index of creation. For v2 writers, one at a time.
    func keep(createdIndex: Int64, of key: [UInt8], modifiedIndex: Int64) {
        let full = creations.memory.withLock { $0.needsPruning(for: key) ? $0.notes : nil }
        let kept = full?.filter { key, note in
            registry.entry(namespace: namespace, key: key).map { index(of: $0.modRevision) } == note.modifiedIndex
        }
        creations.memory.withLock { memory in
            if let kept { memory.prune(to: kept) }
            memory.keep(.init(modifiedIndex: modifiedIndex, createdIndex: createdIndex), of: key)
        }
    }

    func dropCreation(of key: [UInt8]) { creations.memory.withLock { $0.drop(key) } }

    /// How many creations are noted, and how many were not for want of room.
    var creationCounts: (notes: Int, forgotten: Int) {
        creations.memory.withLock { ($0.notes.count, $0.forgotten) }
    }

    /// Runs a v2 write when no other one runs.
    func writing<Result>(_ body: () -> Result) -> Result { writers.withLock { _ in body() } }

    // MARK: The tree

    /// What stands at a path.
    enum Found {
        case file(Entry)
        case directory
    }

    /// What stands at a clean path; the root is the empty path.
    func find(_ path: [UInt8]) -> Found? {
        if path.isEmpty || hasKeys(below: path) { return .directory }
        if let entry = registry.entry(namespace: namespace, key: path) { return .file(entry) }
        return remembering { $0.directory(at: path[...]) } == nil ? nil : .directory
    }

    /// The error for a path at which nothing stands: the first part that is missing, or the file in the way.
    func missing(_ path: [UInt8], index: Int64) -> V2Error {
        for end in path.indices.dropFirst() where path[end] == UInt8(ascii: "/") {
            let ancestor = Array(path[..<end])
            switch find(ancestor) {
            case .directory: continue
            case .file: return V2Error(.notADirectory, cause: ancestor, index: index)
            case nil: return V2Error(.keyNotFound, cause: ancestor, index: index)
            }
        }
        return V2Error(.keyNotFound, cause: path, index: index)
    }

    /// Checks that no file stands above a path at which a key is to be put.
    func checkDirectories(above path: [UInt8]) throws(V2Error) {
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")), slash > 0, !hasKeys(below: Array(path[..<slash]))
        else {
            return
        }
        let error = missing(path, index: index)
        if error.code == .notADirectory { throw error }
    }

    func hasKeys(below path: [UInt8]) -> Bool { firstEntry(below: path) != nil }

    func firstEntry(below path: [UInt8]) -> Entry? {
        let bounds = Self.bounds(below: path)
        return registry.range(namespace: namespace, lower: bounds.lower, upper: bounds.upper, limit: 1).entries.first
    }

    /// The range of the keys below a directory.
    static func bounds(below path: [UInt8]) -> KeyRange { KeyRange(prefix: path + [UInt8(ascii: "/")]) }

    /// The node of a directory, with the index of when it came to be, as far as that is remembered, else of when its
    /// first key did.
    ///
    /// - Parameter nodes: nil where the children are not asked for.
    func directoryNode(_ path: [UInt8], nodes: [KeyspaceNode]? = nil) -> KeyspaceNode {
        let remembered = path.isEmpty ? nil : remembering { $0.directory(at: path[...]) }
        let created =
            if path.isEmpty { Int64(0) } else {
                remembered?.createdIndex ?? firstEntry(below: path).map { index(of: $0.createRevision) } ?? index
            }
        return KeyspaceNode(
            key: path, kind: .directory(nodes: nodes), life: life(of: remembered), modifiedIndex: created,
            createdIndex: created)
    }

    func life(of directory: RememberedDirectory?) -> KeyspaceLife? {
        directory?.end?.life(now: clock.monotonicMilliseconds())
    }

    // MARK: Nodes

    /// The node of a stored key.
    func node(_ entry: Entry) -> KeyspaceNode {
        node(entry, life: life(of: entry))
    }

    func node(_ entry: Entry, life: KeyspaceLife?) -> KeyspaceNode {
        let modified = index(of: entry.modRevision)
        let created = createdIndex(of: entry.key, modifiedIndex: modified)
        return KeyspaceNode(
            key: entry.key, kind: .file(value: registry.value(of: entry)), life: life, modifiedIndex: modified,
            createdIndex: created)
    }

    /// When an entry ends; nil when it stays, or when its lease does not run.
    func life(of entry: Entry) -> KeyspaceLife? {
        guard let lease = registry.leaseInfo(of: entry), let left = lease.remainingMilliseconds else { return nil }
        return KeyspaceLife(endsAt: lease.renewedAt &+ lease.lengthMilliseconds, millisecondsLeft: left)
    }

    /// As `life(of:)`, for observers, who must not ask the store; also for an entry that is gone.
    private static func life(of entry: Entry, by deadlines: LeaseDeadlines, now: Moment) -> KeyspaceLife? {
        guard entry.lease != nil else { return nil }
        if deadlines.isPreserved(entry.deadlineSlot) { return KeyspaceLife(endsAt: now.unix, millisecondsLeft: 0) }
        let deadline = deadlines.deadline(entry.deadlineSlot)
        // Suspended, or counted by another node: not known here.
        guard deadline >= 0, deadline != .max else { return nil }
        let left = deadline &- now.monotonic
        return KeyspaceLife(endsAt: now.unix &+ left, millisecondsLeft: left)
    }

    /// What is at a path, as `GET` shows it.
    ///
    /// - Parameter recursive: whether directories below show their nodes.
    func read(_ path: [UInt8], recursive: Bool) throws(V2Error) -> KeyspaceEvent {
        // Taken first: who watches from the next index on sees again what happened since, and misses nothing.
        let index = self.index
        switch find(path) {
        case nil:
            throw missing(path, index: index)
        case .file(let entry):
            return KeyspaceEvent(action: .get, node: node(entry), index: index)
        case .directory:
            let node = directoryNode(path, nodes: list(path, recursive: recursive))
            return KeyspaceEvent(action: .get, node: node, index: index)
        }
    }
}
