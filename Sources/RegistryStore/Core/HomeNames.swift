/// The names of the nodes that count leases as numbers, which take two bytes per lease; 0 is this node's.
struct HomeNames {
    private(set) var names: [String]
    private var numbers: [ExactName: UInt16] = [:]
    /// Numbers that there are.
    let capacity: Int

    /// Equal when the bytes are; `String` would take canonically equivalent names as one.
    private struct ExactName: Hashable {
        let name: String

        static func == (a: ExactName, b: ExactName) -> Bool { ByteOrder.same(a.name, b.name) }
        func hash(into hasher: inout Hasher) { hasher.combine(name) }
    }

    /// - Parameter capacity: from 2 to 65,536.
    init(node: String, capacity: Int) {
        names = [node]
        numbers = [ExactName(name: node): 0]
        self.capacity = capacity
    }

    /// The number of a name; nil when it has none.
    func number(of name: String) -> UInt16? { numbers[ExactName(name: name)] }

    /// Whether a further name has to take the number of another.
    var isFull: Bool { names.count >= capacity }

    /// Gives a number to a name that has none. When all are given away, a name that no lease has any more loses its
    /// number; when there is none of those either, the new name shares the last one.
    ///
    /// - Parameter inUse: by number, whether a lease has it; looked at only when `isFull`.
    mutating func add(_ name: String, inUse: [Bool]) -> UInt16 {
        if !isFull {
            names.append(name)
            numbers[ExactName(name: name)] = UInt16(names.count - 1)
            return UInt16(names.count - 1)
        }
        let free = names.indices.dropFirst().first { $0 < inUse.count && !inUse[$0] }
        guard let free else { return UInt16(capacity - 1) }
        numbers[ExactName(name: names[free])] = nil
        names[free] = name
        numbers[ExactName(name: name)] = UInt16(free)
        return UInt16(free)
    }
}
