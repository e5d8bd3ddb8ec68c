/// How the elements of an `OrderedTree` are ordered, and what one asks for.
///
/// Both functions give less than, equal to, or greater than 0 when the first argument comes before, with, or after the
/// second one.
protocol TreeOrder {
    associatedtype Element: AnyObject
    associatedtype Probe
    static func compare(_ probe: Probe, _ element: Element) -> Int
    static func compare(_ a: Element, _ b: Element) -> Int
}

/// An ordered set of object references: a B+tree with subtree counts.
///
/// Insert, remove, find and rank cost O(log n) comparisons; a walk costs O(log n) and one step per element. A node
/// holds up to 64 references, so that an element costs 8 to 16 bytes. Splitting at the right end leaves the left node
/// nearly full, since keys often come in order.
struct OrderedTree<Order: TreeOrder>: ~Copyable {
    typealias Element = Order.Element
    private(set) var root = TreeNode<Order>()

    init() {}

    var count: Int { root.total }
    var isEmpty: Bool { root.total == 0 }

    /// The element equal to the probe.
    func find(_ probe: Order.Probe) -> Element? {
        var node = root
        while true {
            let (index, found) = node.search(probe)
            if node.isLeaf { return found ? node.elements[index] : nil }
            let child = found ? index : index - 1
            if child < 0 { return nil }
            node = node.children[child]
        }
    }

    /// Puts an element in; gives back the equal one that it replaced.
    @discardableResult
    mutating func insert(_ element: Element) -> Element? {
        let (replaced, split) = root.insert(element)
        if let split { root = TreeNode(children: [root, split]) }
        return replaced
    }

    /// Takes the element equal to the probe out.
    @discardableResult
    mutating func remove(_ probe: Order.Probe) -> Element? {
        let removed = root.remove(probe)
        while root.children.count == 1 { root = root.children[0] }
        return removed
    }

    /// The number of elements before the probe.
    func rank(_ probe: Order.Probe) -> Int {
        var node = root
        var before = 0
        while true {
            let (index, found) = node.search(probe)
            if node.isLeaf { return before + index }
            let child = found ? index : index - 1
            if child < 0 { return before }
            for position in 0..<child { before += node.children[position].total }
            node = node.children[child]
        }
    }

    /// The first element at or after the probe.
    func first(atOrAfter probe: Order.Probe) -> Element? {
        var result: Element?
        forEach(from: probe) { element in
            result = element
            return false
        }
        return result
    }

    /// The last element before the probe.
    func last(before probe: Order.Probe) -> Element? {
        var node = root
        while true {
            let (index, _) = node.search(probe)
            if index == 0 { return nil }
            if node.isLeaf { return node.elements[index - 1] }
            // The element at `index` is at or after the probe, so the answer is below the child before it, unless
            // that child starts with it, which `index > 0` excludes.
            node = node.children[index - 1]
        }
    }

    /// Walks in order from the first element at or after the probe (nil: from the start) until `body` gives false.
    func forEach(from probe: Order.Probe? = nil, _ body: (Element) -> Bool) {
        if let probe {
            _ = root.forEach(from: probe, body)
        } else {
            _ = root.forEach(body)
        }
    }
}

/// A node: a leaf holds elements, an inner node its children and the smallest element of each.
///
/// Invariants (checked by `OrderedTree.checkInvariants` in tests): elements ascend; `elements[i]` of an inner node is
/// the smallest of `children[i]`; all leaves are at one depth; no node but the root has fewer than `countMin` elements
/// or more than `countMax`; `total` counts the leaves' elements below.
final class TreeNode<Order: TreeOrder> {
    static var countMax: Int { 64 }
    static var countMin: Int { 8 }

    fileprivate(set) var elements: [Order.Element]
    /// Empty in a leaf.
    fileprivate(set) var children: [TreeNode]
    fileprivate(set) var total: Int

    init() {
        elements = []
        children = []
        total = 0
    }

    /// A leaf when `children` is empty.
    fileprivate init(elements: [Order.Element], children: [TreeNode]) {
        self.elements = elements
        self.children = children
        total = children.isEmpty ? elements.count : children.reduce(0) { $0 + $1.total }
    }

    fileprivate convenience init(children: [TreeNode]) {
        self.init(elements: children.map { $0.elements[0] }, children: children)
    }

    var isLeaf: Bool { children.isEmpty }

    /// The place of the first element at or after the probe, and whether it equals it.
    func search(_ probe: Order.Probe) -> (index: Int, found: Bool) {
        var low = 0
        var high = elements.count
        while low < high {
            let middle = (low + high) / 2
            let order = Order.compare(probe, elements[middle])
            if order == 0 { return (middle, true) }
            if order < 0 { high = middle } else { low = middle + 1 }
        }
        return (low, false)
    }

    private func search(for element: Order.Element) -> (index: Int, found: Bool) {
        var low = 0
        var high = elements.count
        while low < high {
            let middle = (low + high) / 2
            let order = Order.compare(element, elements[middle])
            if order == 0 { return (middle, true) }
            if order < 0 { high = middle } else { low = middle + 1 }
        }
        return (low, false)
    }

    fileprivate func insert(_ element: Order.Element) -> (replaced: Order.Element?, split: TreeNode?) {
        let (index, found) = search(for: element)
        if isLeaf {
            if found {
                let replaced = elements[index]
                elements[index] = element
                return (replaced, nil)
            }
            elements.insert(element, at: index)
            total += 1
            return (nil, splitWhenFull(insertedAt: index))
        }
        let position = found ? index : max(index - 1, 0)
        let child = children[position]
        let (replaced, split) = child.insert(element)
        if replaced == nil { total += 1 }
        elements[position] = child.elements[0]
        guard let split else { return (replaced, nil) }
        children.insert(split, at: position + 1)
        elements.insert(split.elements[0], at: position + 1)
        return (replaced, splitWhenFull(insertedAt: position + 1))
    }

    private func splitWhenFull(insertedAt index: Int) -> TreeNode? {
        guard elements.count > Self.countMax else { return nil }
        let isAppend = index == elements.count - 1
        return cut(at: isAppend ? elements.count - Self.countMin : elements.count / 2)
    }

    /// Keeps the first `count` elements and gives the rest as a new node.
    private func cut(at count: Int) -> TreeNode {
        let rest = TreeNode(
            elements: Array(elements[count...]), children: isLeaf ? [] : Array(children[count...]))
        elements.removeLast(elements.count - count)
        if !isLeaf { children.removeLast(children.count - count) }
        total -= rest.total
        return rest
    }

    fileprivate func remove(_ probe: Order.Probe) -> Order.Element? {
        let (index, found) = search(probe)
        if isLeaf {
            guard found else { return nil }
            total -= 1
            return elements.remove(at: index)
        }
        let position = found ? index : index - 1
        guard position >= 0, let removed = children[position].remove(probe) else { return nil }
        total -= 1
        // The child held at least `countMin` elements, so it is not empty now.
        let child = children[position]
        elements[position] = child.elements[0]
        if child.elements.count < Self.countMin { refill(position) }
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
        guard left.elements.count > Self.countMax * 3 / 4 else {
            children.remove(at: at + 1)
            elements.remove(at: at + 1)
            return
        }
        children[at + 1] = left.cut(at: left.elements.count / 2)
        elements[at + 1] = children[at + 1].elements[0]
    }

    fileprivate func forEach(from probe: Order.Probe, _ body: (Order.Element) -> Bool) -> Bool {
        let (index, found) = search(probe)
        if isLeaf {
            for position in index..<elements.count where !body(elements[position]) { return false }
            return true
        }
        let start = found ? index : max(index - 1, 0)
        guard children.isEmpty || children[start].forEach(from: probe, body) else { return false }
        for position in (start + 1)..<max(children.count, start + 1) where !children[position].forEach(body) {
            return false
        }
        return true
    }

    fileprivate func forEach(_ body: (Order.Element) -> Bool) -> Bool {
        if isLeaf {
            for element in elements where !body(element) { return false }
            return true
        }
        for child in children where !child.forEach(body) { return false }
        return true
    }
}
