import DNSWire
import RegistryStore

/// The writer's side of the view: the tree of owner names, what is stored at each, and the published table.
///
/// Work per change is bounded by the depth of the name: ancestors only lose their composed answers and are composed
/// again when somebody asks. Used under the view's lock only.
struct ViewTree {
    typealias Index = UInt32
    static let none = Index.max
    static let root: Index = 0

    /// Registrations stored at exactly one name.
    enum Leaf {
        case none
        case one(Entry)
        /// In the order of their keys: the smallest key is the survivor of equal values.
        case many([Entry])

        var entries: [Entry] {
            switch self {
            case .none: []
            case .one(let entry): [entry]
            case .many(let entries): entries
            }
        }

        var isEmpty: Bool {
            if case .none = self { return true }
            return false
        }

        mutating func insert(_ entry: Entry) {
            switch self {
            case .none: self = .one(entry)
            case .one(let other):
                self = .many(other.key.lexicographicallyPrecedes(entry.key) ? [other, entry] : [entry, other])
            case .many(var entries):
                self = .none
                let place = entries.firstIndex { entry.key.lexicographicallyPrecedes($0.key) } ?? entries.count
                entries.insert(entry, at: place)
                self = .many(entries)
            }
        }

        /// Removes the entry of this namespace and key. Whether it was there.
        mutating func remove(key: [UInt8]) -> Bool {
            switch self {
            case .none: return false
            case .one(let entry):
                guard entry.key == key else { return false }
                self = .none
                return true
            case .many(var entries):
                guard let place = entries.firstIndex(where: { $0.key == key }) else { return false }
                self = .none
                entries.remove(at: place)
                self = entries.count == 1 ? .one(entries[0]) : .many(entries)
                return true
            }
        }
    }

    struct Node {
        var published: NameNode
        var parent: Index
        var firstChild = ViewTree.none
        var next = ViewTree.none
        var previous = ViewTree.none
        /// Registrations at this name and below.
        var members: UInt32 = 0
        var leaf = Leaf.none
    }

    private(set) var nodes: [Node] = []
    private var free: [Index] = []
    private(set) var retired = RetiredBlocks()
    /// Zone-file data by node.
    var zoneData: [Index: ZoneNode] = [:]
    /// Where the next sample of a large aggregate starts.
    var cursors: [Index: Index] = [:]
    let table: NameTable
    let epochs: Epochs

    init(table: NameTable, epochs: Epochs) {
        self.table = table
        self.epochs = epochs
        let root = NameNode.make(name: TreeName.root, hash: table.hash(TreeName.root), index: 0, zone: -1)
        nodes.append(Node(published: root, parent: Self.none))
        table.insert(root, &retired, epochs)
    }

    /// Names in the tree, the root included.
    var nameCount: Int { nodes.count - free.count }

    func index(of name: [UInt8]) -> Index? { table.find(name)?.index }
    func name(of index: Index) -> [UInt8] { nodes[Int(index)].published.name }

    subscript(index: Index) -> Node { nodes[Int(index)] }

    // MARK: names

    /// The node of a name, made with its ancestors when it is new.
    mutating func ensure(_ name: [UInt8]) -> Index {
        if let found = index(of: name) { return found }
        var missing: [[UInt8]] = [name]
        var parent = Self.root
        var rest = name
        while let up = TreeName.parent(of: rest) {
            if let found = index(of: up) {
                parent = found
                break
            }
            missing.append(up)
            rest = up
        }
        for name in missing.reversed() { parent = add(name, below: parent) }
        return parent
    }

    private mutating func add(_ name: [UInt8], below parent: Index) -> Index {
        let index = free.popLast() ?? Index(nodes.count)
        let zone = nodes[Int(parent)].published.zone
        let published = NameNode.make(name: name, hash: table.hash(name), index: index, zone: zone)
        published.flags = nodes[Int(parent)].published.flags & NameNode.Flag.delegated
        var node = Node(published: published, parent: parent)
        node.next = nodes[Int(parent)].firstChild
        if node.next != Self.none { nodes[Int(node.next)].previous = index }
        if index == nodes.count { nodes.append(node) } else { nodes[Int(index)] = node }
        nodes[Int(parent)].firstChild = index
        table.insert(published, &retired, epochs)
        return index
    }

    /// Removes a name that holds nothing any more, and its ancestors that then hold nothing.
    mutating func prune(_ start: Index) {
        var index = start
        while index != Self.root {
            let node = nodes[Int(index)]
            guard node.firstChild == Self.none, node.leaf.isEmpty, zoneData[index] == nil else { return }
            dropAnswers(index)
            table.remove(node.published)
            retired.retire(node.published.block.address, epochs)
            if node.previous != Self.none { nodes[Int(node.previous)].next = node.next }
            if node.next != Self.none { nodes[Int(node.next)].previous = node.previous }
            if nodes[Int(node.parent)].firstChild == index { nodes[Int(node.parent)].firstChild = node.next }
            cursors[index] = nil
            free.append(index)
            index = node.parent
        }
    }

    // MARK: registrations

    mutating func insert(_ entry: Entry, at name: [UInt8]) {
        let index = ensure(name)
        nodes[Int(index)].leaf.insert(entry)
        walkUp(index) { $0.members &+= 1 }
    }

    mutating func remove(key: [UInt8], at name: [UInt8]) {
        guard let index = index(of: name), nodes[Int(index)].leaf.remove(key: key) else { return }
        walkUp(index) { $0.members &-= 1 }
        prune(index)
    }

    /// Swaps an entry for an equal one. Composed answers stay when their lease is the same.
    mutating func replace(_ previous: Entry, by current: Entry, at name: [UInt8], keepsAnswers: Bool) {
        guard let index = index(of: name), nodes[Int(index)].leaf.remove(key: previous.key) else { return }
        nodes[Int(index)].leaf.insert(current)
        if !keepsAnswers { touch(index) }
    }

    /// Changes a node and its ancestors and drops their composed answers.
    private mutating func walkUp(_ start: Index, _ change: (inout Node) -> Void) {
        var index = start
        while index != Self.none {
            change(&nodes[Int(index)])
            dropAnswers(index)
            index = nodes[Int(index)].parent
        }
    }

    /// Drops the composed answers of a name and of its ancestors.
    mutating func touch(_ index: Index) { walkUp(index) { _ in } }

    private mutating func dropAnswers(_ index: Index) {
        let published = nodes[Int(index)].published
        var address = published.answers
        guard address != 0 else { return }
        published.answers = 0
        while address != 0 {
            let next = AnswerBlock(block: RawBlock(address: address)).next
            retired.retire(address, epochs)
            address = next
        }
    }

    /// Publishes an answer of a name, in place of older ones of the same type.
    mutating func publish(_ answer: ComposedAnswer, at index: Index) -> AnswerBlock {
        let published = nodes[Int(index)].published
        var keep: [UInt] = []
        var address = published.answers
        var replaces = false
        while address != 0 {
            let old = AnswerBlock(block: RawBlock(address: address))
            if old.type == answer.type.rawValue { replaces = true } else { keep.append(address) }
            address = old.next
        }
        if replaces {
            // Blocks are immutable once published, so the others are copied behind the new one.
            var next: UInt = 0
            for address in keep.reversed() {
                next = AnswerBlock(block: RawBlock(address: address)).copy(next: next).block.address
            }
            dropAnswers(index)
            let block = AnswerBlock.make(answer, next: next)
            published.answers = block.block.address
            return block
        }
        let block = AnswerBlock.make(answer, next: published.answers)
        published.answers = block.block.address
        return block
    }

    /// Frees what no reader can see any more.
    mutating func reclaim() { if retired.count > 0 { retired.reclaim(epochs) } }

    // MARK: walking

    /// The next node in pre-order below `top`, nil at the end.
    func successor(of index: Index, below top: Index) -> Index? {
        let child = nodes[Int(index)].firstChild
        return child != Self.none ? child : skip(index, below: top)
    }

    /// Calls `body` for every child of a node.
    func children(of index: Index) -> [Index] {
        var result: [Index] = []
        var child = nodes[Int(index)].firstChild
        while child != Self.none {
            result.append(child)
            child = nodes[Int(child)].next
        }
        return result
    }

    /// Gives `zone` to a subtree, except where another apex begins, and marks names below a delegation.
    mutating func mark(_ top: Index, zone: Int16, delegated: Bool, isApex: (Index) -> Bool) {
        var index: Index? = top
        while let at = index {
            if at != top && isApex(at) {
                index = skip(at, below: top)
                continue
            }
            let published = nodes[Int(at)].published
            published.zone = zone
            published.flags =
                delegated ? published.flags | NameNode.Flag.delegated : published.flags & ~NameNode.Flag.delegated
            dropAnswers(at)
            index = successor(of: at, below: top)
        }
    }

    /// The next node in pre-order that is not below `index`.
    private func skip(_ index: Index, below top: Index) -> Index? {
        var at = index
        while at != top {
            let node = nodes[Int(at)]
            if node.next != Self.none { return node.next }
            at = node.parent
            if at == Self.none { return nil }
        }
        return nil
    }
}
