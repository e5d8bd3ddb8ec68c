import DNSWire
import RegistryStore

/// A question name with SkyDNS's wildcards: labels `*` and `any` match exactly one level each.
struct WildcardPattern {
    /// The labels before the first wildcard, seen from the root: the name the search starts at.
    let base: [UInt8]
    /// The labels below the base, in the order of descent; nil matches any label.
    let descent: [[UInt8]?]

    /// nil when the folded name has no wildcard.
    init?(_ name: [UInt8]) {
        let labels = TreeName.labels(of: name).map(Array.init)
        guard let deepest = labels.lastIndex(where: Self.isWildcard) else { return nil }
        guard let base = TreeName.make(labels: Array(labels[(deepest + 1)...])) else { return nil }
        self.base = base
        descent = labels[...deepest].reversed().map { Self.isWildcard($0) ? nil : $0 }
    }

    static func isWildcard(_ label: [UInt8]) -> Bool { label == [UInt8(ascii: "*")] || label == Array("any".utf8) }
}

extension ViewState {
    /// Registrations a pattern matches, deeper keys included. NXDOMAIN only when its base does not exist.
    mutating func resolveWildcard(_ pattern: WildcardPattern, zone: Int, _ lookup: inout Lookup) -> Resolution {
        guard let base = tree.index(of: pattern.base) else { return .nxdomain(zone: zone) }
        lookup.dependsOnOthers = true
        var members: [Member] = []
        if tree[base].firstChild == ViewTree.none {
            // SkyDNS reads the base first; a leaf is the answer itself.
            members = self.members(below: base, &lookup)
        } else {
            var steps = 0
            match(base, pattern.descent[...], &members, &steps, &lookup)
            members = Self.collapse(members)
        }
        // CNAME questions are for exact keys.
        guard lookup.type != .cname else { return finish(Sections(), publishAt: nil, &lookup) }
        return finish(sections(of: members, owner: lookup.question, &lookup), publishAt: nil, &lookup)
    }

    private mutating func match(
        _ index: ViewTree.Index, _ descent: ArraySlice<[UInt8]?>, _ members: inout [Member], _ steps: inout Int,
        _ lookup: inout Lookup
    ) {
        guard members.count < Self.sampleMembers, steps < 4 * Self.sampleMembers else {
            // The walk is bounded as aggregates are: part of a very large set, for a moment.
            lookup.validUntil = min(lookup.validUntil, lookup.now + Self.sampleMilliseconds)
            lookup.isPartial = true
            return
        }
        guard let label = descent.first else {
            members += self.members(below: index, &lookup)
            return
        }
        if let label {
            steps += 1
            if let name = TreeName.make(labels: [label], under: tree.name(of: index)), let child = tree.index(of: name)
            {
                match(child, descent.dropFirst(), &members, &steps, &lookup)
            }
            return
        }
        var child = tree[index].firstChild
        while child != ViewTree.none && steps < 4 * Self.sampleMembers {
            steps += 1
            match(child, descent.dropFirst(), &members, &steps, &lookup)
            child = tree[child].next
        }
    }
}
