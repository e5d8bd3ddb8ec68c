import DequeModule
import RegistryStore

/// Keys whose last word is to be announced: those announced least first, of these the oldest. A key is queued once,
/// whatever happens to it; what is sent is its last word at that time.
struct AnnouncementQueue: Sendable {
    struct Key: Hashable, Sendable {
        let namespace: Namespace
        let key: [UInt8]

        /// What an item takes, about.
        var cost: Int { key.count + namespace.name.utf8.count + 96 }
    }

    private struct Item: Sendable {
        var version: Version
        var serial: UInt64
        var sends = 0
        let at: Int64
    }

    private struct Place: Sendable {
        let key: Key
        let serial: UInt64
    }

    private let bytesMax: Int
    private var items: [Key: Item] = [:]
    /// By the number of sends. Places whose serial is not their item's are passed over.
    private var levels: [Deque<Place>] = []
    /// Places of all levels, those passed over included.
    private var placeCount = 0
    /// Of the last key placed.
    private(set) var lastSerial: UInt64 = 0
    private(set) var bytes = 0

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    var count: Int { items.count }

    /// Queues a key, or begins anew with it when it has a newer last word.
    ///
    /// - Returns: false when there is no room.
    mutating func add(_ key: Key, _ version: Version, now: Int64) -> Bool {
        if let item = items[key] {
            guard item.version < version else { return true }
        } else {
            guard bytes + key.cost <= bytesMax else { return false }
            bytes += key.cost
        }
        place(key, Item(version: version, serial: 0, at: now))
        return true
    }

    /// Somebody else announces it as well: one send less is needed.
    mutating func heard(_ key: Key, _ version: Version, limit: Int) {
        guard var item = items[key], item.version == version else { return }
        item.sends += 1
        if item.sends >= limit { remove(key) } else { place(key, item) }
    }

    private mutating func place(_ key: Key, _ item: Item) {
        lastSerial += 1
        var item = item
        item.serial = lastSerial
        items[key] = item
        while levels.count <= item.sends { levels.append([]) }
        levels[item.sends].append(Place(key: key, serial: lastSerial))
        placeCount += 1
        if placeCount > 2 * items.count + 1024 { forgetPassedOver() }
    }

    private mutating func forgetPassedOver() {
        for level in levels.indices { levels[level].removeAll { items[$0.key]?.serial != $0.serial } }
        placeCount = levels.reduce(0) { $0 + $1.count }
    }

    private mutating func removeFirst(of level: Int) {
        levels[level].removeFirst()
        placeCount -= 1
    }

    private mutating func remove(_ key: Key) {
        if items.removeValue(forKey: key) != nil { bytes -= key.cost }
    }

    /// Gives up what was never sent and waits since before `time`: others have found it by now.
    ///
    /// - Returns: how many.
    mutating func dropUnsent(before time: Int64) -> Int {
        guard !levels.isEmpty else { return 0 }
        var dropped = 0
        while let place = levels[0].first {
            if let item = items[place.key], item.serial == place.serial {
                guard item.at < time else { break }
                remove(place.key)
                dropped += 1
            }
            removeFirst(of: 0)
        }
        return dropped
    }

    /// Takes keys out for one message until `accept` says that no more fit; each counts as sent `sends` times.
    ///
    /// - Parameters:
    ///   - serial: keys that were placed later are left for another time, so that one goes out once in a round.
    ///   - accept: what became of the key: whether it goes into the message.
    mutating func take(sends: Int, limit: Int, through serial: UInt64, _ accept: (Key) -> Acceptance) {
        var sent: [(Key, Item)] = []
        search: for level in levels.indices {
            while let place = levels[level].first {
                guard let item = items[place.key], item.serial == place.serial else {
                    removeFirst(of: level)
                    continue
                }
                guard place.serial <= serial else { break }
                if level >= limit {
                    remove(place.key)
                    removeFirst(of: level)
                    continue
                }
                switch accept(place.key) {
                case .full: break search
                case .given: sent.append((place.key, item))
                case .useless: remove(place.key)
                }
                removeFirst(of: level)
            }
        }
        for (key, item) in sent {
            var item = item
            item.sends += sends
            if item.sends >= limit { remove(key) } else { self.place(key, item) }
        }
    }

    enum Acceptance {
        case given
        /// There is no room in this message.
        case full
        /// There is nothing to announce of this key.
        case useless
    }

    mutating func removeAll() {
        items = [:]
        levels = []
        placeCount = 0
        bytes = 0
    }
}
