extension OrderedTree {
    /// What is wrong with the tree, nil when nothing is. O(n); for tests.
    func checkInvariants() -> String? {
        var leafDepth: Int?
        return check(root, depth: 0, leafDepth: &leafDepth)
    }

    private func check(_ node: TreeNode<Order>, depth: Int, leafDepth: inout Int?) -> String? {
        let isRoot = depth == 0
        let count = node.elements.count
        if count > TreeNode<Order>.countMax || (!isRoot && count < TreeNode<Order>.countMin) {
            return "a node has \(count) elements"
        }
        let bytes = node.elements.map { Order.sortBytes(of: $0).joined }
        for index in bytes.indices.dropFirst() where ByteOrder.compare(bytes[index - 1], bytes[index]) >= 0 {
            return "elements are out of order"
        }
        if !bytes.allSatisfy({ $0.starts(with: node.prefix) }) { return "an element lacks the prefix" }
        if node.digests != bytes.map({ ByteOrder.digest($0, at: node.prefix.count) }) { return "a digest is wrong" }
        if node.isLeaf {
            if let leafDepth, leafDepth != depth { return "leaves are at depths \(leafDepth) and \(depth)" }
            leafDepth = depth
            return node.total == count ? nil : "the total of a leaf is wrong"
        }
        if isRoot, node.children.count < 2 { return "the inner root has \(node.children.count) children" }
        if node.children.count != count { return "children and elements differ in number" }
        if node.total != node.children.reduce(0, { $0 + $1.total }) { return "the total of an inner node is wrong" }
        for (element, child) in zip(node.elements, node.children) {
            if child.elements.first !== element { return "an inner element is not the smallest of its child" }
            if let problem = check(child, depth: depth + 1, leafDepth: &leafDepth) { return problem }
        }
        return nil
    }
}
