extension OrderedTree {
    /// What is wrong with the tree, nil when nothing is. O(n); for tests.
    func checkInvariants() -> String? {
        var leafDepth: Int?
        return check(root, depth: 0, leafDepth: &leafDepth)
    }

    private func check(_ node: TreeNode<Order>, depth: Int, leafDepth: inout Int?) -> String? {
        let isRoot = depth == 0
        if !isRoot, node.elements.count < TreeNode<Order>.countMin {
            return "node with \(node.elements.count) elements"
        }
        if node.elements.count > TreeNode<Order>.countMax { return "node with \(node.elements.count) elements" }
        for index in node.elements.indices.dropFirst()
        where Order.compare(node.elements[index - 1], node.elements[index]) >= 0 {
            return "elements out of order"
        }
        if node.isLeaf {
            if let leafDepth, leafDepth != depth { return "leaves at depths \(leafDepth) and \(depth)" }
            leafDepth = depth
            return node.total == node.elements.count ? nil : "total of a leaf is wrong"
        }
        if isRoot, node.children.count < 2 { return "inner root with \(node.children.count) children" }
        if node.children.count != node.elements.count { return "children and elements differ in number" }
        if node.total != node.children.reduce(0, { $0 + $1.total }) { return "total of an inner node is wrong" }
        for (element, child) in zip(node.elements, node.children) {
            if child.elements.first !== element { return "an inner element is not the smallest of its child" }
            if let problem = check(child, depth: depth + 1, leafDepth: &leafDepth) { return problem }
        }
        return nil
    }
}
