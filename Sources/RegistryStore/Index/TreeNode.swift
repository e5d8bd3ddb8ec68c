/// A node of an `OrderedTree`: a leaf holds elements, an inner node its children and the smallest element of each.
///
/// Beside each element lie four of its bytes, those after the prefix that all elements of the node share. A search
/// compares these numbers and looks at the elements themselves, which are scattered over the memory, only where they
/// are equal: that keeps the cost of a write from growing with the number of entries as caches become too small.
///
/// Invariants (`OrderedTree.checkInvariants` in tests): elements ascend; `elements[i]` of an inner node is the smallest
/// of `children[i]`; all leaves are at one depth; no node but the root has fewer than `countMin` elements or more than
/// `countMax`; `total` counts the leaves' elements below; all elements start with `prefix`; `digests[i]` are the bytes
/// of `elements[i]` that follow it.
final class TreeNode<Order: TreeOrder> {
    static var countMax: Int { 64 }
    static var countMin: Int { 8 }

    private(set) var elements: [Order.Element]
    /// Empty in a leaf.
    private(set) var children: [TreeNode]
    private(set) var total: Int
    private(set) var prefix: [UInt8] = []
    private(set) var digests: [UInt32] = []

    /// An empty leaf.
    init() {
        elements = []
        children = []
        total = 0
    }

    /// A leaf when `children` is empty.
    init(elements: [Order.Element], children: [TreeNode]) {
        self.elements = elements
        self.children = children
        total = children.isEmpty ? elements.count : children.reduce(0) { $0 + $1.total }
        summarise()
    }

    var isLeaf: Bool { children.isEmpty }

    /// Where a probe belongs in a node.
    struct Place {
        /// The first element at or after the probe.
        var index: Int
        /// Whether it equals the probe.
        var isFound: Bool
        /// Whether the probe starts with the node's prefix.
        var sharesPrefix: Bool

        /// The child that may hold the probe; nil when it comes before all.
        var child: Int? { isFound ? index : index > 0 ? index - 1 : nil }
    }

    func search(_ probe: [UInt8]) -> Place {
        let skipped = prefix.count
        if skipped > 0 {
            let order = ByteOrder.compare(probe.span.extracting(first: skipped), prefix.span)
            if order != 0 { return Place(index: order < 0 ? 0 : elements.count, isFound: false, sharesPrefix: false) }
        }
        let digest = ByteOrder.digest(probe, at: skipped)
        var low = 0
        var high = digests.count
        while low < high {
            let middle = (low + high) / 2
            let other = digests[middle]
            var order = digest < other ? -1 : 1
            if digest == other {
                order = Order.sortBytes(of: elements[middle]).compare(probe: probe, skipping: skipped)
                if order == 0 { return Place(index: middle, isFound: true, sharesPrefix: true) }
            }
            if order < 0 { high = middle } else { low = middle + 1 }
        }
        return Place(index: low, isFound: false, sharesPrefix: true)
    }

    // MARK: Elements with their digests

    /// Finds the shared prefix and the digests again. O(elements); after a node's ends have changed.
    private func summarise() {
        guard let first = elements.first, let last = elements.last, elements.count > 1 else {
            // One element alone would be all prefix; none has none.
            prefix = []
            digests = elements.map { Order.sortBytes(of: $0).digest(at: 0) }
            return
        }
        let low = Order.sortBytes(of: first).joined
        let high = Order.sortBytes(of: last).joined
        var shared = 0
        while shared < min(low.count, high.count), low[shared] == high[shared] { shared += 1 }
        prefix = Array(low[..<shared])
        digests = elements.map { Order.sortBytes(of: $0).digest(at: shared) }
    }

    private func insert(_ element: Order.Element, _ probe: [UInt8], at place: Place) {
        elements.insert(element, at: place.index)
        // A node that grows from one element starts without a prefix and must find it; powers of two do.
        if place.sharesPrefix, elements.count & (elements.count - 1) != 0 {
            digests.insert(ByteOrder.digest(probe, at: prefix.count), at: place.index)
        } else {
            summarise()
        }
    }

    /// Makes `elements[position]` the smallest of its child again.
    private func refreshSmallest(_ position: Int) {
        let smallest = children[position].elements[0]
        if smallest === elements[position] { return }
        elements[position] = smallest
        let bytes = Order.sortBytes(of: smallest).joined
        if bytes.starts(with: prefix) {
            digests[position] = ByteOrder.digest(bytes, at: prefix.count)
        } else {
            summarise()
        }
    }

    // MARK: Insertion

    /// Puts an element in whose joined bytes are `probe`. Gives the equal one that it replaced, and a new right
    /// neighbour of this node when it had to be split.
    func insert(_ element: Order.Element, _ probe: [UInt8]) -> (replaced: Order.Element?, split: TreeNode?) {
        let place = search(probe)
        if isLeaf {
            if place.isFound {
                let replaced = elements[place.index]
                elements[place.index] = element
                return (replaced, nil)
            }
            insert(element, probe, at: place)
            total += 1
            return (nil, splitWhenFull(insertedAt: place.index))
        }
        let position = place.child ?? 0
        let (replaced, split) = children[position].insert(element, probe)
        if replaced == nil { total += 1 }
        refreshSmallest(position)
        guard let split else { return (replaced, nil) }
        children.insert(split, at: position + 1)
        elements.insert(split.elements[0], at: position + 1)
        summarise()
        return (replaced, splitWhenFull(insertedAt: position + 1))
    }

    private func splitWhenFull(insertedAt index: Int) -> TreeNode? {
        guard elements.count > Self.countMax else { return nil }
        let isAppend = index == elements.count - 1
        return cut(at: isAppend ? elements.count - Self.countMin : elements.count / 2)
    }

    /// Keeps the first `count` elements and gives the rest as a new node.
    private func cut(at count: Int) -> TreeNode {
        let rest = TreeNode(elements: Array(elements[count...]), children: isLeaf ? [] : Array(children[count...]))
        elements = Array(elements[..<count])
        if !isLeaf { children = Array(children[..<count]) }
        total -= rest.total
        summarise()
        return rest
    }

    // MARK: Removal

    /// Takes the element equal to the probe out.
    func remove(_ probe: [UInt8]) -> Order.Element? {
        let place = search(probe)
        if isLeaf {
            guard place.isFound else { return nil }
            total -= 1
            digests.remove(at: place.index)
            return elements.remove(at: place.index)
        }
        guard let position = place.child, let removed = children[position].remove(probe) else { return nil }
        total -= 1
        // The child held at least `countMin` elements, so it is not empty now.
        refreshSmallest(position)
        if children[position].elements.count < Self.countMin { refill(position) }
        return removed
    }

    /// Joins a child that has become small with a neighbour, or shares their elements evenly. An inner node has two
    /// children at least, the root included.
    private func refill(_ position: Int) {
        let at = position > 0 ? position - 1 : 0
        let left = children[at]
        let right = children[at + 1]
        left.elements += right.elements
        left.children += right.children
        left.total += right.total
        if left.elements.count > Self.countMax * 3 / 4 {
            children[at + 1] = left.cut(at: left.elements.count / 2)
            refreshSmallest(at + 1)
        } else {
            left.summarise()
            children.remove(at: at + 1)
            elements.remove(at: at + 1)
            digests.remove(at: at + 1)
        }
    }

    // MARK: Walking

    /// False when `body` gave false.
    func forEach(from probe: [UInt8], _ body: (Order.Element) -> Bool) -> Bool {
        let place = search(probe)
        if isLeaf {
            for position in place.index..<elements.count where !body(elements[position]) { return false }
            return true
        }
        let start = place.child ?? 0
        guard children[start].forEach(from: probe, body) else { return false }
        for child in children[(start + 1)...] where !child.forEach(body) { return false }
        return true
    }

    /// False when `body` gave false.
    func forEach(_ body: (Order.Element) -> Bool) -> Bool {
        if isLeaf {
            for element in elements where !body(element) { return false }
            return true
        }
        for child in children where !child.forEach(body) { return false }
        return true
    }
}
