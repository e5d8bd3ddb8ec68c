/// What etcd's v2 tree knows and a flat store does not: directories that have lost their last key, the index at which
/// a directory came to be, and the index of creation that an update keeps.
///
/// The memory is this node's own and starts empty with the process; without it a directory is simply a prefix of the
/// keys there are. Both parts are bounded. At the bound what no longer matters is dropped, and while that does not
/// help nothing new is remembered: such directories end with their last key, and such keys show their last index as
/// that of their creation. `Counts` says how often.
struct DirectoryMemory: Sendable {
    struct Counts: Sendable, Equatable {
        var directories = 0
        var creations = 0
        /// Directories and creations that were not remembered, or forgotten, at the bound.
        var forgotten = 0
    }

    private struct Creation {
        let modifiedIndex: Int64
        let createdIndex: Int64
    }

    private var root = RememberedDirectory(createdIndex: 0)
    private var creations: [[UInt8]: Creation] = [:]
    private var directoryPatience = 0
    private var creationPatience = 0
    private(set) var counts = Counts()
    /// The most directories, and the most creations.
    let bound: Int

    init(bound: Int) { self.bound = bound }

    /// The directory at a path, which must be clean; the root is always there.
    func directory(at path: ArraySlice<UInt8>) -> RememberedDirectory? {
        var current = root
        for name in path.split(separator: UInt8(ascii: "/")) {
            guard let next = current.children[Array(name)] else { return nil }
            current = next
        }
        return current
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
        let names = path.split(separator: UInt8(ascii: "/"))
        var known = root
        var missing = names.count
        while missing > 0, let next = known.children[Array(names[names.count - missing])] {
            known = next
            missing -= 1
        }
        guard missing > 0 else { return }
        if counts.directories + missing > bound {
            if directoryPatience == 0 {
                root.prune(at: [], keeping: hasKeys)
                let left = root.size - 1
                counts.forgotten += counts.directories - left
                counts.directories = left
                // A memory full of what matters is not searched again for every write.
                directoryPatience = bound / 4
            }
            guard counts.directories + missing <= bound else {
                directoryPatience -= 1
                counts.forgotten += missing
                return
            }
        }
        root.insert(path, from: path.startIndex + 1, createdIndex: createdIndex)
        counts.directories += missing
    }

    /// Forgets a directory and all below it.
    mutating func forget(_ path: ArraySlice<UInt8>) {
        counts.directories -= root.remove(path.split(separator: UInt8(ascii: "/"))[...])
    }

    /// The index at which a key was created, for its state at `modifiedIndex`. A key of which nothing is noted was last
    /// written by a set, which creates it anew.
    func createdIndex(of key: [UInt8], modifiedIndex: Int64) -> Int64 {
        guard let creation = creations[key], creation.modifiedIndex == modifiedIndex else { return modifiedIndex }
        return creation.createdIndex
    }

    /// Notes that an update kept the index of creation.
    ///
    /// - Parameter isCurrent: whether a key still has this modified index; asked only when the memory is full.
    mutating func keep(
        createdIndex: Int64, of key: [UInt8], modifiedIndex: Int64, isCurrent: ([UInt8], Int64) -> Bool
    ) {
        if creations[key] == nil && creations.count >= bound {
            if creationPatience == 0 {
                creations = creations.filter { isCurrent($0.key, $0.value.modifiedIndex) }
                counts.forgotten += counts.creations - creations.count
                counts.creations = creations.count
                creationPatience = bound / 4
            }
            guard creations.count < bound else {
                creationPatience -= 1
                counts.forgotten += 1
                return
            }
        }
        creations[key] = Creation(modifiedIndex: modifiedIndex, createdIndex: createdIndex)
        counts.creations = creations.count
    }

    /// Forgets the creation of a key that was set anew or removed.
    mutating func dropCreation(of key: [UInt8]) {
        guard !creations.isEmpty else { return }
        creations[key] = nil
        counts.creations = creations.count
    }
}

/// A directory that the tree remembers, with those below it.
struct RememberedDirectory: Sendable {
    var createdIndex: Int64
    var children: [[UInt8]: RememberedDirectory] = [:]

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

    /// Drops every directory below that holds no key of the store.
    fileprivate mutating func prune(at path: [UInt8], keeping hasKeys: ([UInt8]) -> Bool) {
        for name in children.keys {
            let below = path + [UInt8(ascii: "/")] + name
            if hasKeys(below) {
                children[name]?.prune(at: below, keeping: hasKeys)
            } else {
                children[name] = nil
            }
        }
    }
}
