import RegdnsTestKit
import Testing

@testable import RegistryStore

/// The ordered tree against a sorted array.
struct OrderedTreeTests {
    private final class Item {
        let head: String?
        let tail: [UInt8]?
        init(_ head: String?, _ tail: [UInt8]?) {
            self.head = head
            self.tail = tail
        }

        var bytes: [UInt8] { ItemOrder.sortBytes(of: self).joined }
    }

    private enum ItemOrder: TreeOrder {
        static func sortBytes(of element: Item) -> SortBytes {
            switch (element.head, element.tail) {
            case (let head?, let tail?): return SortBytes(head, then: tail)
            case (let head?, nil): return SortBytes(head)
            case (nil, let tail?): return SortBytes(tail)
            case (nil, nil): return SortBytes("")
            }
        }
    }

    /// Shapes of keys: short ones that collide often, long common prefixes, heads and tails, running numbers.
    private static func item(_ shape: Int, _ random: inout SeededRandom) -> Item {
        switch shape {
        case 0: return Item(nil, (0..<random.below(4)).map { _ in UInt8(random.below(3)) })
        case 1: return Item(nil, Array("/skydns/local/skydns/service/\(random.below(500))".utf8))
        case 2: return Item("s\(random.below(5))", Array("/k\(random.below(200))".utf8))
        case 3: return Item(String(random.next() % 1000, radix: 16), nil)
        default: return Item(nil, random.bytes(random.below(12)))
        }
    }

    @Test("random inserts and removals agree with a sorted array", arguments: 0..<5)
    func againstArray(shape: Int) throws {
        var random = SeededRandom.fromEnvironment()
        let seed = random.seed
        var tree = OrderedTree<ItemOrder>()
        var oracle: [[UInt8]: Item] = [:]
        for step in 0..<6000 {
            let item = Self.item(shape, &random)
            // Grows first, shrinks in the end.
            if random.below(6000) > step / 2 + 1000 {
                let replaced = tree.insert(item)
                #expect(replaced === oracle.updateValue(item, forKey: item.bytes), "seed \(seed)")
            } else {
                let removed = tree.remove(item.bytes)
                #expect(removed === oracle.removeValue(forKey: item.bytes), "seed \(seed)")
            }
            if step % 97 == 0 {
                let problem = tree.checkInvariants()
                #expect(problem == nil, "seed \(seed), step \(step)")
            }
            if step % 199 == 0 { compare(tree, oracle, probe: Self.item(shape, &random).bytes, seed) }
        }
        for bytes in oracle.keys.shuffled(using: &random) {
            let removed = tree.remove(bytes)
            #expect(removed != nil, "seed \(seed)")
        }
        let count = tree.count
        let problem = tree.checkInvariants()
        #expect(count == 0)
        #expect(problem == nil, "seed \(seed)")
    }

    private func compare(
        _ tree: borrowing OrderedTree<ItemOrder>, _ oracle: [[UInt8]: Item], probe: [UInt8], _ seed: UInt64
    ) {
        let sorted = oracle.keys.sorted { $0.lexicographicallyPrecedes($1) }
        var walked: [[UInt8]] = []
        tree.forEach { item in
            walked.append(item.bytes)
            return true
        }
        #expect(walked == sorted, "seed \(seed)")
        let before = sorted.prefix { $0.lexicographicallyPrecedes(probe) }
        let count = tree.count
        let rank = tree.rank(probe)
        let last = tree.last(before: probe)?.bytes
        let first = tree.first(atOrAfter: probe)?.bytes
        let found = tree.find(probe)
        #expect(count == sorted.count, "seed \(seed)")
        #expect(rank == before.count, "seed \(seed)")
        #expect(last == before.last, "seed \(seed)")
        #expect(first == sorted.dropFirst(before.count).first, "seed \(seed)")
        #expect(found === oracle[probe], "seed \(seed)")
    }

    @Test("keys in rising order fill their nodes", arguments: [false, true])
    func sequential(isDescending: Bool) {
        var tree = OrderedTree<ItemOrder>()
        for index in 0..<5000 {
            let number = isDescending ? 4999 - index : index
            tree.insert(Item(nil, [UInt8(number >> 8), UInt8(number & 255)]))
        }
        let count = tree.count
        let problem = tree.checkInvariants()
        let leaves = tree.root.children.reduce(0) { $0 + max(1, $1.children.count) }
        #expect(count == 5000)
        #expect(problem == nil)
        if !isDescending { #expect(leaves <= 5000 / 50) }
    }

    @Test("a walk starts at the probe and stops when it is told to")
    func walk() {
        var tree = OrderedTree<ItemOrder>()
        for number in stride(from: 0, to: 1000, by: 2) {
            tree.insert(Item(nil, [UInt8(number >> 8), UInt8(number & 255)]))
        }
        for start in 0..<1001 {
            var seen: [[UInt8]] = []
            tree.forEach(from: [UInt8(start >> 8), UInt8(start & 255)]) { item in
                seen.append(item.bytes)
                return seen.count < 3
            }
            let first = start + start % 2
            let expected = stride(from: first, to: min(first + 6, 1000), by: 2).map {
                [UInt8($0 >> 8), UInt8($0 & 255)]
            }
            #expect(seen == expected)
        }
    }
}
