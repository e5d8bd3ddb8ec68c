import RegistryStore

/// Finds the groups that a key concerns without looking at all of them.
///
/// Single keys and prefixes are looked up by hash, a prefix once for each length that occurs; ranges of other forms
/// are few and tried one by one.
struct WatchIndex {
    private var groups: [WatchInterest: WatchGroup] = [:]
    private var keys: [[UInt8]: [WatchGroup]] = [:]
    private var prefixes: [[UInt8]: [WatchGroup]] = [:]
    /// How many prefixes have each length, shortest first.
    private var lengths: [(length: Int, count: Int)] = []
    private var others: [WatchGroup] = []

    var isEmpty: Bool { groups.isEmpty }
    var all: some Collection<WatchGroup> { groups.values }

    /// The group of an interest, made when it is missing.
    mutating func group(_ interest: WatchInterest) -> WatchGroup {
        if let group = groups[interest] { return group }
        let group = WatchGroup(interest: interest)
        groups[interest] = group
        if interest.keys.isOneKey {
            keys[interest.keys.lower, default: []].append(group)
        } else if let prefix = interest.keys.prefix {
            if prefixes[prefix] == nil { count(prefix.count, 1) }
            prefixes[prefix, default: []].append(group)
        } else {
            others.append(group)
        }
        return group
    }

    /// Takes out a group that has no members any more.
    mutating func remove(_ group: WatchGroup) {
        let interest = group.interest
        groups[interest] = nil
        if interest.keys.isOneKey {
            Self.remove(group, from: &keys[interest.keys.lower])
        } else if let prefix = interest.keys.prefix {
            Self.remove(group, from: &prefixes[prefix])
            if prefixes[prefix] == nil { count(prefix.count, -1) }
        } else {
            others.removeAll { $0 === group }
        }
    }

    func forEach(concernedBy key: [UInt8], _ body: (WatchGroup) -> Void) {
        if !keys.isEmpty { keys[key]?.forEach(body) }
        for (length, _) in lengths {
            guard length <= key.count else { break }
            prefixes[length == key.count ? key : Array(key[..<length])]?.forEach(body)
        }
        for group in others where group.interest.keys.contains(key) { body(group) }
    }

    private static func remove(_ group: WatchGroup, from list: inout [WatchGroup]?) {
        list?.removeAll { $0 === group }
        if list?.isEmpty == true { list = nil }
    }

    private mutating func count(_ length: Int, _ change: Int) {
        let place = lengths.firstIndex { $0.length >= length } ?? lengths.count
        if place < lengths.count, lengths[place].length == length {
            lengths[place].count += change
            if lengths[place].count == 0 { lengths.remove(at: place) }
        } else {
            lengths.insert((length, change), at: place)
        }
    }
}
