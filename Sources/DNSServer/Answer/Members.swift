import DNSWire
import RegistryStore

/// One registration below a name, at the name where it was found.
struct Member {
    let entry: Entry
    let registration: Registration
    /// The leaf's name: SRV and MX target of address hosts.
    let name: [UInt8]

    /// Labels of the key: the group rule and the order of equals go by it.
    var depth: Int { TreeName.labelCount(name) }

    /// SkyDNS collapses equal values, whatever their keys, TTL, mail and group.
    struct Identity: Hashable {
        let host: ServiceHost
        let port: Int
        let priority: Int
        let weight: Int
        let text: String
    }

    var identity: Identity {
        Identity(
            host: registration.host, port: registration.port, priority: registration.priority,
            weight: registration.weight, text: registration.text)
    }

    /// Order of keys: labels from the root.
    static func precedes(_ a: Member, _ b: Member) -> Bool {
        let left = TreeName.labels(of: a.name)
        let right = TreeName.labels(of: b.name)
        for (x, y) in zip(left.reversed(), right.reversed()) where x != y { return x.lexicographicallyPrecedes(y) }
        return left.count < right.count
    }
}

extension ViewState {
    /// Sets above this size are answered from a sample.
    static let wholeMembersMax = 1000
    /// Members of a sample: fills a message of 65,535 octets with addresses.
    static let sampleMembers = 4096
    /// How long a sample is used.
    static let sampleMilliseconds: Int64 = 50

    /// The registrations at and below a node, equal values collapsed, in no particular order.
    mutating func members(below index: ViewTree.Index, _ lookup: inout Lookup) -> [Member] {
        var found: [Member] = []
        let total = Int(tree[index].members)
        guard total > Self.wholeMembersMax else {
            var at: ViewTree.Index? = index
            while let node = at {
                append(node, to: &found)
                at = tree.successor(of: node, below: index)
            }
            return Self.collapse(found)
        }
        lookup.validUntil = min(lookup.validUntil, lookup.now + Self.sampleMilliseconds)
        var start = tree.cursors[index] ?? index
        if !isBelow(start, index) { start = index }
        var at = start
        // A name without members costs a step too, so steps are bounded as well as members.
        var steps = 0
        repeat {
            append(at, to: &found)
            at = tree.successor(of: at, below: index) ?? index
            steps += 1
        } while found.count < Self.sampleMembers && at != start && steps < 4 * Self.sampleMembers
        tree.cursors[index] = at
        if at != start { lookup.isPartial = true }
        return Self.collapse(found)
    }

    /// Whether a remembered place still is a node below `top`.
    private func isBelow(_ index: ViewTree.Index, _ top: ViewTree.Index) -> Bool {
        guard Int(index) < tree.nodes.count else { return false }
        return TreeName.isSubdomain(tree.name(of: index), of: tree.name(of: top))
    }

    private func append(_ index: ViewTree.Index, to members: inout [Member]) {
        let node = tree[index]
        if node.leaf.isEmpty { return }
        let name = tree.name(of: index)
        for entry in node.leaf.entries {
            if let registration = entry.registration {
                members.append(Member(entry: entry, registration: registration, name: name))
            }
        }
    }

    /// Keeps of equal values the one with the smallest key.
    static func collapse(_ members: [Member]) -> [Member] {
        guard members.count > 1 else { return members }
        var places: [Member.Identity: Int] = [:]
        places.reserveCapacity(members.count)
        var kept: [Member] = []
        kept.reserveCapacity(members.count)
        for member in members {
            if let place = places[member.identity] {
                if Member.precedes(member, kept[place]) { kept[place] = member }
            } else {
                places[member.identity] = kept.count
                kept.append(member)
            }
        }
        return kept
    }

    /// SkyDNS's groups: the group of the shortest key, unless keys of that length disagree; ungrouped members stay.
    static func grouped(_ members: [Member]) -> [Member] {
        guard members.contains(where: { !$0.registration.group.isEmpty }) else { return members }
        let sorted = members.map { (depth: $0.depth, member: $0) }
            .sorted { $0.depth != $1.depth ? $0.depth < $1.depth : Member.precedes($0.member, $1.member) }
        let group = sorted[0].member.registration.group
        if group.isEmpty { return members }
        var kept: [Member] = []
        for (depth, member) in sorted {
            let own = member.registration.group
            if depth == sorted[0].depth && !own.isEmpty && own != group { return members }
            if own.isEmpty || own == group { kept.append(member) }
        }
        return kept
    }

    /// TTL of a registration's record without its lease: the value's, else the configured one; with a lease and no TTL
    /// of its own the lease alone bounds it.
    func ttl(of member: Member) -> UInt32 {
        if member.registration.ttl > 0 { return min(member.registration.ttl, UInt32(Int32.max)) }
        return member.entry.deadlineSlot == LeaseDeadlines.none ? configuration.ttl : UInt32(Int32.max)
    }
}
