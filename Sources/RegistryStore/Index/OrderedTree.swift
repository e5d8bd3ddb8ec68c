/// An ordered set of object references: a B+tree with subtree counts.
///
/// Insert, remove, find and rank cost O(log n) comparisons; a walk costs O(log n) and one step per element. What is
/// asked for, a probe, is the joined bytes of an element (`SortBytes.joined`) or any other bytes. A node holds up to 64
/// references, so that an element costs about 20 bytes. Splitting at the right end leaves the left node nearly full,
/// since keys often come in order.
struct OrderedTree<Order: TreeOrder>: ~Copyable {
    typealias Element = Order.Element
    private(set) var root = TreeNode<Order>()

    init() {}

    var count: Int { root.total }
    var isEmpty: Bool { root.total == 0 }

    /// The element equal to the probe.
    func find(_ probe: [UInt8]) -> Element? {
        var node = root
        while true {
            let place = node.search(probe)
            if node.isLeaf { return place.isFound ? node.elements[place.index] : nil }
            guard let child = place.child else { return nil }
            node = node.children[child]
        }
    }

    /// Puts an element in; gives back the equal one that it replaced.
    @discardableResult
    mutating func insert(_ element: Element) -> Element? {
        let (replaced, split) = root.insert(element, Order.sortBytes(of: element).joined)
        if let split { root = TreeNode(elements: [root, split].map { $0.elements[0] }, children: [root, split]) }
        return replaced
    }

    /// Takes the element equal to the probe out.
    @discardableResult
    mutating func remove(_ probe: [UInt8]) -> Element? {
        let removed = root.remove(probe)
        while root.children.count == 1 { root = root.children[0] }
        return removed
    }

    /// The number of elements before the probe.
    func rank(_ probe: [UInt8]) -> Int {
        var node = root
        var before = 0
        while true {
            let place = node.search(probe)
            if node.isLeaf { return before + place.index }
            guard let child = place.child else { return before }
            for position in 0..<child { before += node.children[position].total }
            node = node.children[child]
        }
    }

    /// The first element at or after the probe.
    func first(atOrAfter probe: [UInt8]) -> Element? {
        var result: Element?
        forEach(from: probe) { element in
            result = element
            return false
        }
        return result
    }

    /// The last element before the probe.
    func last(before probe: [UInt8]) -> Element? {
        var node = root
        while true {
            // The element before `index` starts the child that holds the answer, since it is before the probe.
            let index = node.search(probe).index
            if index == 0 { return nil }
            if node.isLeaf { return node.elements[index - 1] }
            node = node.children[index - 1]
        }
    }

    /// Walks in order from the first element at or after the probe (nil: from the start) until `body` gives false.
    func forEach(from probe: [UInt8]? = nil, _ body: (Element) -> Bool) {
        if let probe {
            _ = root.forEach(from: probe, body)
        } else {
            _ = root.forEach(body)
        }
    }
}
