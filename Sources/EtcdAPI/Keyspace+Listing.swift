import RegistryStore

extension Keyspace {
    /// Entries fetched at once where a listing may skip what follows, and where it takes all: writers wait for no more.
    private static let pageEntries = 256
    private static let longPageEntries = 4096

    /// Whether showing what is below a path takes long.
    func holdsMany(below path: [UInt8]) -> Bool {
        let bounds = Self.bounds(below: path)
        return registry.range(namespace: namespace, lower: bounds.lower, upper: bounds.upper, limit: 0).totalCount
            > LongAnswers.keys
    }

    /// The nodes directly below a directory, by key; hidden ones and keys that are no clean paths are left out.
    ///
    /// - Parameter recursive: whether directories among them show their nodes; costs the whole subtree, else only the
    ///   children are visited.
    func list(_ path: [UInt8], recursive: Bool) -> [KeyspaceNode] {
        let remembered = remembering { $0.directory(at: path[...]) }
        let bounds = Self.bounds(below: path)
        var children = Children(directory: path)
        if recursive {
            var entries: [Entry] = []
            var page: RangeResult
            repeat {
                page = registry.range(
                    namespace: namespace, lower: entries.last.map { $0.key + [0] } ?? bounds.lower, upper: bounds.upper,
                    limit: Self.longPageEntries)
                entries += page.entries
            } while page.more
            collect(entries[...], into: &children, remembered: remembered)
        } else {
            var lower = bounds.lower
            repeat {
                let page = registry.range(
                    namespace: namespace, lower: lower, upper: bounds.upper, limit: Self.pageEntries)
                lower = collectPage(page.entries, into: &children, remembered: remembered)
            } while !lower.isEmpty
        }
        addEmpties(of: remembered, into: &children, recursive: recursive)
        return children.sorted()
    }

    /// Adds what a whole subtree's entries, in key order, make directly below a directory.
    private func collect(_ entries: ArraySlice<Entry>, into children: inout Children, remembered: RememberedDirectory?)
    {
        var position = entries.startIndex
        while position < entries.endIndex {
            let key = entries[position].key
            let start = children.prefixBytes
            guard let slash = key[min(start, key.count)...].firstIndex(of: UInt8(ascii: "/")) else {
                children.add(file: key) { node(entries[position]) }
                position += 1
                continue
            }
            let group = key[...slash]
            let end = entries[position...].firstIndex { !$0.key.starts(with: group) } ?? entries.endIndex
            let name = Array(key[start..<slash])
            let known = remembered?.children[name]
            let created = known?.createdIndex ?? index(of: entries[position].createRevision)
            if children.accepts(name[...]) {
                var below = Children(directory: Array(key[..<slash]))
                collect(entries[position..<end], into: &below, remembered: known)
                addEmpties(of: known, into: &below, recursive: true)
                children.add(directory: name, nodes: below.sorted(), created, life(of: known))
            }
            position = end
        }
    }

    /// Adds what one page of entries makes directly below a directory.
    ///
    /// - Returns: where the next page begins; empty when this was the last.
    private func collectPage(
        _ entries: [Entry], into children: inout Children, remembered: RememberedDirectory?
    ) -> [UInt8] {
        var skipped: [UInt8] = []
        for entry in entries where skipped.isEmpty || !entry.key.starts(with: skipped) {
            let start = children.prefixBytes
            guard let slash = entry.key[min(start, entry.key.count)...].firstIndex(of: UInt8(ascii: "/")) else {
                children.add(file: entry.key) { node(entry) }
                skipped = []
                continue
            }
            skipped = Array(entry.key[...slash])
            let name = Array(entry.key[start..<slash])
            let known = remembered?.children[name]
            children.add(
                directory: name, nodes: nil, known?.createdIndex ?? index(of: entry.createRevision), life(of: known))
        }
        guard entries.count == Self.pageEntries, let last = entries.last else { return [] }
        return skipped.isEmpty ? last.key + [0] : skipped.dropLast() + [UInt8(ascii: "0")]
    }

    /// Adds the remembered directories that hold no keys, unless another door has put a key in the place of one.
    private func addEmpties(of remembered: RememberedDirectory?, into children: inout Children, recursive: Bool) {
        for (name, directory) in remembered?.children ?? [:] where !children.contains(name) {
            let path = children.directory + [UInt8(ascii: "/")] + name
            guard registry.entry(namespace: namespace, key: path) == nil else { continue }
            var below = Children(directory: path)
            if recursive { addEmpties(of: directory, into: &below, recursive: true) }
            children.add(
                directory: name, nodes: recursive ? below.sorted() : nil, directory.createdIndex, life(of: directory))
        }
    }
}

/// The nodes directly below one directory, while they are collected.
private struct Children {
    /// The directory's path.
    let directory: [UInt8]
    private var nodes: [KeyspaceNode] = []
    private var directories: Set<[UInt8]> = []

    init(directory: [UInt8]) { self.directory = directory }

    /// Bytes of a child's key before its name.
    var prefixBytes: Int { directory.count + 1 }

    /// Whether a name has a node that listings show.
    func accepts(_ name: ArraySlice<UInt8>) -> Bool {
        !name.isEmpty && !name.elementsEqual(".".utf8) && !name.elementsEqual("..".utf8) && !KeyspaceNode.isHidden(name)
    }

    func contains(_ name: [UInt8]) -> Bool { directories.contains(name) }

    mutating func add(file key: [UInt8], node: () -> KeyspaceNode) {
        if accepts(key[min(prefixBytes, key.count)...]) { nodes.append(node()) }
    }

    mutating func add(
        directory name: [UInt8], nodes children: [KeyspaceNode]?, _ createdIndex: Int64, _ life: KeyspaceLife?
    ) {
        guard accepts(name[...]), directories.insert(name).inserted else { return }
        nodes.append(
            KeyspaceNode(
                key: directory + [UInt8(ascii: "/")] + name, kind: .directory(nodes: children), life: life,
                modifiedIndex: createdIndex, createdIndex: createdIndex))
    }

    /// By key. A file whose name a directory with keys bears as well is left out: the directory is the node.
    consuming func sorted() -> [KeyspaceNode] {
        var kept = nodes
        if !directories.isEmpty {
            kept.removeAll { node in
                guard case .file = node.kind else { return false }
                return directories.contains(Array(node.key[prefixBytes...]))
            }
        }
        kept.sort { $0.key.lexicographicallyPrecedes($1.key) }
        return kept
    }
}
