/// Messages that wait to be gossiped: those sent least often first, of these the longest, of these the newest.
struct BroadcastQueue: Sendable {
    private struct Key: Hashable, Comparable {
        var transmits: Int
        var count: Int
        var id: UInt64

        static func < (left: Key, right: Key) -> Bool {
            if left.transmits != right.transmits { return left.transmits < right.transmits }
            if left.count != right.count { return left.count > right.count }
            return left.id > right.id
        }
    }

    private struct Item {
        var key: Key
        let name: NodeName?
        let message: [UInt8]
    }

    private let maxBytes: Int
    /// In the order of their keys.
    private var items: [Item] = []
    private var keys: [NodeName: Key] = [:]
    private var nextID: UInt64 = 0
    private(set) var bytes = 0
    /// Messages that went because of the bound.
    private(set) var dropped = 0

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    var count: Int { items.count }
    var isEmpty: Bool { items.isEmpty }

    func contains(_ name: NodeName) -> Bool { keys[name] != nil }

    /// Queues a message. One about the same name, which is older, goes.
    mutating func insert(_ message: [UInt8], about name: NodeName?) {
        if let name, let key = keys[name] { remove(at: place(of: key)) }
        guard message.count <= maxBytes else {
            dropped += 1
            return
        }
        nextID += 1
        add(Item(key: Key(transmits: 0, count: message.count, id: nextID), name: name, message: message))
        while bytes > maxBytes, !items.isEmpty {
            remove(at: items.count - 1)
            dropped += 1
        }
    }

    /// Messages for one packet, which count as sent once.
    ///
    /// - Parameters:
    ///   - room: how many octets there are; what is not used is left in it.
    ///   - overhead: what each message costs beside its octets.
    ///   - limit: how often a message is sent; then it goes.
    ///   - count: the most messages.
    mutating func take(room: inout Int, overhead: Int, limit: Int, count: Int) -> [[UInt8]] {
        // No message is shorter than its type and an empty map.
        let least = overhead + 2
        var taken: [Int] = []
        for (place, item) in items.enumerated() {
            guard room >= least, taken.count < count else { break }
            guard item.message.count + overhead <= room else { continue }
            room -= item.message.count + overhead
            taken.append(place)
        }
        let sent = taken.map { items[$0] }
        for place in taken.reversed() { remove(at: place) }
        for var item in sent {
            item.key.transmits += 1
            if item.key.transmits < limit { add(item) }
        }
        return sent.map(\.message)
    }

    mutating func removeAll() {
        items = []
        keys = [:]
        bytes = 0
    }

    private mutating func add(_ item: Item) {
        items.insert(item, at: place(of: item.key))
        bytes += item.message.count
        if let name = item.name { keys[name] = item.key }
    }

    private mutating func remove(at place: Int) {
        guard items.indices.contains(place) else { return }
        let item = items.remove(at: place)
        bytes -= item.message.count
        if let name = item.name { keys[name] = nil }
    }

    /// The first place whose key is not less.
    private func place(of key: Key) -> Int {
        var low = 0
        var high = items.count
        while low < high {
            let middle = (low + high) / 2
            if items[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
