/// What etcd's v2 tree knows of directories and a flat store does not: those that hold no key, the index at which each
/// came to be, and when one ends.
///
/// The memory is this node's own; without it a directory is simply a prefix of the keys there are. It is bounded. At
/// the bound directories without keys that nobody put are dropped, and while that does not help nothing new is
/// remembered: such directories end with their last key. Those put explicitly are never dropped; one more is refused.
struct DirectoryMemory: Sendable {
    struct Counts: Sendable, Equatable {
        var directories = 0
        /// Directories that were not remembered, or forgotten, at the bound.
        var forgotten = 0
    }

    private var root = RememberedDirectory(createdIndex: 0)
    private var patience = 0
    /// The directories that end, and the earliest of their ends in monotonic milliseconds.
    private var ends: [[UInt8]: DirectoryEnd] = [:]
    private var earliestEnd = Int64.max
    private(set) var counts = Counts()
    /// The most directories.
    let bound: Int

    init(bound: Int) { self.bound = bound }

    /// The directory at a path, which must be clean; the root is always there.
    func directory(at path: ArraySlice<UInt8>) -> RememberedDirectory? {
        root.directory(at: path)
    }

    /// Remembers a directory and those above it.
    ///
    /// - Parameters:
    ///   - path: a clean path; empty for the root, which needs no memory.
    ///   - hasKeys: whether the store holds keys below a path; asked only when the memory is full.
    ///   - createdIndex: the index to note for the directory at a path that is not known yet.
    mutating func remember(
        _ path: ArraySlice<UInt8>, hasKeys: ([UInt8]) -> Bool, createdIndex: (ArraySlice<UInt8>) -> Int64
    ) {
        let missing = missing(path)
        guard missing > 0 else { return }
        guard makeRoom(for: missing, hasKeys: hasKeys) else { return counts.forgotten += missing }
        root.insert(path, from: path.startIndex + 1, createdIndex: createdIndex)
        counts.directories += missing
    }

    /// Whether a directory can be remembered; makes room for it.
    mutating func hasRoom(for path: ArraySlice<UInt8>, hasKeys: ([UInt8]) -> Bool) -> Bool {
        makeRoom(for: missing(path), hasKeys: hasKeys)
    }

    /// How many directories at and above a path are not known.
    private func missing(_ path: ArraySlice<UInt8>) -> Int {
        let names = path.split(separator: UInt8(ascii: "/"))
        var known = root
        for (depth, name) in names.enumerated() {
            guard let next = known.children[Array(name)] else { return names.count - depth }
            known = next
        }
        return 0
    }

    private mutating func makeRoom(for missing: Int, hasKeys: ([UInt8]) -> Bool) -> Bool {
        guard counts.directories + missing > bound else { return true }
        if patience <= 0 {
            root.prune(at: [], keeping: hasKeys)
            let left = root.size - 1
            counts.forgotten += counts.directories - left
            counts.directories = left
            // A memory full of what matters is not searched again for every write.
            patience = bound / 4
        }
        guard counts.directories + missing <= bound else {
            patience -= 1
            return false
        }
        return true
    }

    /// Notes of a directory that is remembered that it was put explicitly, and when it ends; nil when it stays.
    ///
    /// - Parameter isEndedHere: false when others see to its end.
    mutating func hold(_ path: [UInt8], until end: DirectoryEnd?, isEndedHere: Bool = true) {
        root.update(path.split(separator: UInt8(ascii: "/"))[...]) { directory in
            directory.isExplicit = true
            directory.end = end
        }
        ends[path] = isEndedHere ? end : nil
        if isEndedHere, let end { earliestEnd = min(earliestEnd, end.monotonic) }
    }

    /// Whether a directory is to end.
    var hasEnds: Bool { !ends.isEmpty }

    /// Notes that nobody holds a directory any more: it lives on with those below it.
    mutating func release(_ path: [UInt8]) {
        ends[path] = nil
        root.update(path.split(separator: UInt8(ascii: "/"))[...]) { directory in
            directory.isExplicit = false
            directory.end = nil
        }
        if root.directory(at: path[...])?.children.isEmpty == true { forget(path[...]) }
    }

    /// Forgets everything.
    mutating func reset() {
        root = RememberedDirectory(createdIndex: 0)
        ends = [:]
        earliestEnd = .max
        counts.directories = 0
    }

    /// The directory whose end came first, of those whose end is not after `now` (monotonic milliseconds).
    mutating func firstEnded(now: Int64) -> [UInt8]? {
        guard earliestEnd <= now else { return nil }
        let first = ends.min { ($0.value.monotonic, $0.key.count) < ($1.value.monotonic, $1.key.count) }
        earliestEnd = first?.value.monotonic ?? .max
        return first.flatMap { $0.value.monotonic <= now ? $0.key : nil }
    }

    /// Forgets a directory and all below it.
    mutating func forget(_ path: ArraySlice<UInt8>) {
        counts.directories -= root.remove(path.split(separator: UInt8(ascii: "/"))[...])
        guard !ends.isEmpty else { return }
        let below = path + [UInt8(ascii: "/")]
        ends = ends.filter { !($0.key[...] == path || $0.key.starts(with: below)) }
    }
}

/// A directory that the tree remembers, with those below it.
struct RememberedDirectory: Sendable {
    var createdIndex: Int64
    /// Whether somebody put it, so that the store has a marker of it.
    var isExplicit = false
    /// When it ends with all below it; nil when it stays.
    var end: DirectoryEnd?
    var children: [[UInt8]: RememberedDirectory] = [:]

    /// The directory at a path that leads on from here.
    func directory(at path: ArraySlice<UInt8>) -> RememberedDirectory? {
        var current = self
        for name in path.split(separator: UInt8(ascii: "/")) {
            guard let next = current.children[Array(name)] else { return nil }
            current = next
        }
        return current
    }

    /// Whether this directory or one below was put explicitly.
    var holdsExplicit: Bool { isExplicit || children.values.contains { $0.holdsExplicit } }

    fileprivate mutating func update(
        _ names: ArraySlice<ArraySlice<UInt8>>, _ change: (inout RememberedDirectory) -> Void
    ) {
        guard let name = names.first.map(Array.init) else { return change(&self) }
        children[name]?.update(names.dropFirst(), change)
    }

    /// This directory and all below it.
    fileprivate var size: Int { children.values.reduce(1) { $0 + $1.size } }

    /// Puts in the directory at `path`, of which the part before `start` leads here, and those above it.
    fileprivate mutating func insert(
        _ path: ArraySlice<UInt8>, from start: Int, createdIndex: (ArraySlice<UInt8>) -> Int64
    ) {
        let end = path[start...].firstIndex(of: UInt8(ascii: "/")) ?? path.endIndex
        let name = Array(path[start..<end])
        if children[name] == nil {
            children[name] = RememberedDirectory(createdIndex: createdIndex(path[..<end]))
        }
        if end < path.endIndex {
            children[name]?.insert(path, from: end + 1, createdIndex: createdIndex)
        }
    }

    /// Takes out the directory with these names below this one; returns how many directories went.
    fileprivate mutating func remove(_ names: ArraySlice<ArraySlice<UInt8>>) -> Int {
        guard let name = names.first.map(Array.init) else { return 0 }
        if names.count == 1 { return children.removeValue(forKey: name)?.size ?? 0 }
        return children[name]?.remove(names.dropFirst()) ?? 0
    }

    /// Drops every directory below that holds no key of the store and that nobody put.
    fileprivate mutating func prune(at path: [UInt8], keeping hasKeys: ([UInt8]) -> Bool) {
        for name in children.keys {
            let below = path + [UInt8(ascii: "/")] + name
            if children[name]?.holdsExplicit == true || hasKeys(below) {
                children[name]?.prune(at: below, keeping: hasKeys)
            } else {
                children[name] = nil
            }
        }
    }
}

/// When a directory ends.
struct DirectoryEnd: Sendable, Equatable {
    /// Milliseconds of the monotonic clock, which decides.
    let monotonic: Int64
    /// Unix milliseconds, which are shown.
    let unix: Int64

    func life(now: Int64) -> KeyspaceLife { KeyspaceLife(endsAt: unix, millisecondsLeft: monotonic &- now) }
}
