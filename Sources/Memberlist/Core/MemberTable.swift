/// All known nodes, this one included, in the order in which they are probed.
struct MemberTable: Sendable {
    private(set) var members: [Member] = []
    private var places: [NodeName: Int] = [:]

    var count: Int { members.count }

    subscript(name: NodeName) -> Member? { places[name].map { members[$0] } }

    /// Changes a member; nothing happens to one that is not there.
    mutating func update(_ name: NodeName, _ change: (inout Member) -> Void) {
        guard let place = places[name] else { return }
        change(&members[place])
    }

    /// Puts a new member at a random place.
    mutating func insert(_ member: Member, _ random: inout some RandomNumberGenerator) {
        guard places[member.name] == nil else { return }
        members.append(member)
        places[member.name] = members.count - 1
        let other = Int.random(in: 0..<members.count, using: &random)
        guard other != members.count - 1 else { return }
        members.swapAt(other, members.count - 1)
        places[members[other].name] = other
        places[members[members.count - 1].name] = members.count - 1
    }

    /// Drops what `isForgotten`, and shuffles the rest.
    ///
    /// - Returns: those dropped.
    mutating func renew(
        _ random: inout some RandomNumberGenerator, isForgotten: (Member) -> Bool
    ) -> [Member] {
        let dropped = members.filter(isForgotten)
        if !dropped.isEmpty { members.removeAll(where: isForgotten) }
        members.shuffle(using: &random)
        places.removeAll(keepingCapacity: true)
        for (place, member) in members.enumerated() { places[member.name] = place }
        return dropped
    }

    /// Up to `count` different members at random.
    func pick(
        _ count: Int, _ random: inout some RandomNumberGenerator, where isWanted: (Member) -> Bool
    ) -> [Member] {
        var eligible = members.filter(isWanted)
        for place in 0..<min(count, eligible.count) {
            eligible.swapAt(place, Int.random(in: place..<eligible.count, using: &random))
        }
        return Array(eligible.prefix(count))
    }
}
