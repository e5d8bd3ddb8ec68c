/// A list of slots: its ends. The links between are in `SlotLinks`.
struct SlotList {
    fileprivate(set) var first = SlotLinks.none
    fileprivate(set) var last = SlotLinks.none

    var isEmpty: Bool { first == SlotLinks.none }
}

/// Doubly linked lists of slots in two columns, eight bytes per slot: any slot leaves its list in O(1). A slot is in
/// one list at most.
struct SlotLinks {
    /// No slot.
    static let none = UInt32.max

    private var next = Column<UInt32>()
    private var previous = Column<UInt32>()

    var count: Int { next.count }

    /// Makes room for one more slot, which is in no list.
    mutating func grow() {
        next.append(Self.none)
        previous.append(Self.none)
    }

    /// The slot after this one in its list, or `none`.
    func following(_ slot: UInt32) -> UInt32 { next[Int(slot)] }

    mutating func append(_ slot: UInt32, to list: inout SlotList) {
        next[Int(slot)] = Self.none
        previous[Int(slot)] = list.last
        if list.last == Self.none { list.first = slot } else { next[Int(list.last)] = slot }
        list.last = slot
    }

    /// Takes a slot out of the list that it is in.
    mutating func remove(_ slot: UInt32, from list: inout SlotList) {
        let after = next[Int(slot)]
        let before = previous[Int(slot)]
        if after == Self.none { list.last = before } else { previous[Int(after)] = before }
        if before == Self.none { list.first = after } else { next[Int(before)] = after }
    }

    /// Takes the first slot out of a list; nil when it is empty.
    mutating func popFirst(_ list: inout SlotList) -> UInt32? {
        let slot = list.first
        guard slot != Self.none else { return nil }
        remove(slot, from: &list)
        return slot
    }
}
