/// What identifies a question to the cache and to merging: folded name, type, class, DO and CD.
struct QuestionKey: Hashable, Sendable {
    /// The question section's octets, folded, and one octet of flags. A name's length octets are below 64 and never
    /// look like letters; type and class are not folded.
    private let octets: [UInt8]

    /// `question` is one question in wire form, uncompressed.
    init(question: [UInt8], dnssecOK: Bool, checkingDisabled: Bool) {
        var octets = question
        for place in 0..<max(0, question.count - 4) where octets[place] &- 0x41 < 26 { octets[place] |= 0x20 }
        octets.append((dnssecOK ? 1 : 0) | (checkingDisabled ? 2 : 0))
        self.octets = octets
    }
}

/// A bounded map in order of use: at the bound the entry unused for longest goes. O(1) per operation.
///
/// Two bounds hold at once, the number of entries and the sum of their octets. Not thread-safe.
struct AnswerCache<Value> {
    private struct Slot {
        var key: QuestionKey
        var value: Value
        var octets: Int
        /// Places of the neighbours in the order of use, `none` at the ends.
        var newer: Int
        var older: Int
    }

    private static var none: Int { -1 }

    private let capacity: Int
    private let octetsMax: Int
    private var slots: [Slot] = []
    private var places: [QuestionKey: Int] = [:]
    private var newest = Self.none
    private var oldest = Self.none

    /// The sum of the octets of all entries.
    private(set) var octets = 0
    /// Entries that went because of a bound.
    private(set) var evictions = 0
    /// Entries held.
    var count: Int { places.count }

    /// `capacity` 0 keeps nothing.
    init(capacity: Int, octetsMax: Int) {
        self.capacity = max(0, capacity)
        self.octetsMax = octetsMax
    }

    /// The value for `key`, which becomes the one used last.
    mutating func value(for key: QuestionKey) -> Value? {
        guard let place = places[key] else { return nil }
        if place != newest {
            unlink(place)
            linkAsNewest(place)
        }
        return slots[place].value
    }

    /// Keeps `value`, replacing the one of this key. A value larger than an eighth of the bound is not kept, so that
    /// one answer cannot sweep out the others.
    mutating func insert(_ value: Value, octets size: Int, for key: QuestionKey) {
        remove(key)
        guard capacity > 0, size <= octetsMax / 8 else { return }
        while count >= capacity || octets + size > octetsMax, oldest != Self.none {
            remove(slots[oldest].key)
            evictions += 1
        }
        let place = slots.count
        slots.append(Slot(key: key, value: value, octets: size, newer: Self.none, older: Self.none))
        places[key] = place
        octets += size
        linkAsNewest(place)
    }

    /// Changes a value in place; its octets and its place in the order stay.
    mutating func update(_ key: QuestionKey, _ change: (inout Value) -> Void) {
        guard let place = places[key] else { return }
        change(&slots[place].value)
    }

    /// Drops the entry, if there is one.
    mutating func remove(_ key: QuestionKey) {
        guard let place = places.removeValue(forKey: key) else { return }
        unlink(place)
        octets -= slots[place].octets
        // The last slot moves into the gap, so that slots are always dense.
        let last = slots.count - 1
        if place != last {
            let moved = slots[last]
            slots[place] = moved
            places[moved.key] = place
            if moved.newer == Self.none { newest = place } else { slots[moved.newer].older = place }
            if moved.older == Self.none { oldest = place } else { slots[moved.older].newer = place }
        }
        slots.removeLast()
    }

    /// The keys from the one used last to the oldest.
    var keysByUse: [QuestionKey] {
        var keys: [QuestionKey] = []
        var place = newest
        while place != Self.none {
            keys.append(slots[place].key)
            place = slots[place].older
        }
        return keys
    }

    private mutating func unlink(_ place: Int) {
        let (newer, older) = (slots[place].newer, slots[place].older)
        if newer == Self.none { newest = older } else { slots[newer].older = older }
        if older == Self.none { oldest = newer } else { slots[older].newer = newer }
    }

    private mutating func linkAsNewest(_ place: Int) {
        slots[place].newer = Self.none
        slots[place].older = newest
        if newest == Self.none { oldest = place } else { slots[newest].newer = place }
        newest = place
    }
}
