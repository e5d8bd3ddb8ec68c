import DNSWire
import RegistryStore

/// Everything the view's lock protects: the tree, the zones, the reverse index.
struct ViewState {
    var tree: ViewTree
    var zones: ZoneTable
    let configuration: ViewConfiguration
    let names: EntryNames
    /// Registrations of the dialects by their address.
    var reverse: [ServiceHost: ViewTree.Leaf] = [:]
    /// Counts changes the DNS can see; answers that depend on several names carry it.
    var changes: UInt64 = 0
    /// False while the registry waits for its first content.
    var hasContent = true

    init(configuration: ViewConfiguration, layout: KeyLayout, table: NameTable, epochs: Epochs) {
        self.configuration = configuration
        tree = ViewTree(table: table, epochs: epochs)
        names = EntryNames(layout: layout, domain: configuration.domain.wire)
        zones = ZoneTable(zones: [])
        setZones([], numberedZones([]))
    }

    // MARK: changes of the registry

    /// Applies one change. Whether the DNS sees a difference.
    mutating func apply(_ change: Change) -> Bool {
        guard change.contentChanged || change.current == nil || change.previous == nil else {
            return replaceEqual(change)
        }
        var visible = false
        if let previous = change.previous {
            for name in names.names(of: previous) {
                tree.remove(key: previous.key, at: name)
                visible = true
            }
            if let address = names.reverseAddress(of: previous) {
                if var leaf = reverse.removeValue(forKey: address) {
                    _ = leaf.remove(key: previous.key)
                    if !leaf.isEmpty { reverse[address] = leaf }
                }
                visible = true
            }
        }
        if let current = change.current {
            for name in names.names(of: current) {
                tree.insert(current, at: name)
                visible = true
            }
            if let address = names.reverseAddress(of: current) {
                reverse[address, default: .none].insert(current)
                visible = true
            }
        }
        return visible
    }

    /// An equal put: the entry object is another one, what the DNS says is the same unless the lease is.
    private mutating func replaceEqual(_ change: Change) -> Bool {
        guard let previous = change.previous, let current = change.current else { return false }
        let sameLease = previous.deadlineSlot == current.deadlineSlot
        for name in names.names(of: current) { tree.replace(previous, by: current, at: name, keepsAnswers: sameLease) }
        if let address = names.reverseAddress(of: current), var leaf = reverse.removeValue(forKey: address) {
            _ = leaf.remove(key: previous.key)
            leaf.insert(current)
            reverse[address] = leaf
        }
        return !sameLease
    }

    // MARK: names and zones

    /// Whether a name belongs to the registry's domain, and not to a zone file.
    func isOfRegistry(_ name: [UInt8]) -> Bool { zone(of: name).map { zones.zones[$0].isDomain } ?? false }

    /// The zone a folded name belongs to: that of its closest existing ancestor.
    func zone(of name: [UInt8]) -> Int? {
        let zone = tree[closestEncloser(name)].published.zone
        return zone >= 0 ? Int(zone) : nil
    }

    /// The longest existing name that is `name` or above it; the root at least.
    func closestEncloser(_ name: [UInt8]) -> ViewTree.Index {
        var rest = name
        while true {
            if let found = tree.index(of: rest) { return found }
            guard let up = TreeName.parent(of: rest) else { return ViewTree.root }
            rest = up
        }
    }

    /// Where the records of a name come from: the name itself, or the zone-file wildcard that covers it (RFC 4592).
    func place(of name: [UInt8]) -> ViewTree.Index? {
        if let found = tree.index(of: name) { return found }
        return coveringWildcard(name)
    }

    func coveringWildcard(_ name: [UInt8]) -> ViewTree.Index? {
        let encloser = closestEncloser(name)
        guard tree[encloser].published.zone >= 0 else { return nil }
        var wildcard: [UInt8] = [1, UInt8(ascii: "*")]
        wildcard.append(contentsOf: tree.name(of: encloser))
        guard let index = tree.index(of: wildcard), tree.zoneData[index] != nil else { return nil }
        return index
    }

    /// The zones as they will be numbered once `loaded` are set: numbers are kept, so that readers with an older table
    /// still find the zone a name says.
    func numberedZones(_ loaded: [Zone]) -> ZoneTable {
        var table = zones.zones.map { zone in
            var zone = zone
            zone.isLive = false
            return zone
        }
        func put(_ zone: ZoneTable.Zone) {
            if let number = table.firstIndex(where: { $0.apex == zone.apex }) {
                table[number] = zone
            } else {
                table.append(zone)
            }
        }
        let domain = configuration.domain.wire
        if !loaded.contains(where: { $0.origin.wire == domain }) { put(domainZone) }
        for zone in loaded { put(Self.tableZone(zone, isDomain: zone.origin.wire == domain)) }
        return ZoneTable(zones: table)
    }

    /// Replaces all zone files by these. Names that stay are never absent meanwhile: readers do not wait for this.
    mutating func setZones(_ loaded: [Zone], _ table: ZoneTable) {
        zones = table
        let before = Set(tree.zoneData.keys)
        var data: [ViewTree.Index: ZoneNode] = [:]
        // Shorter apexes first, so that names made below inherit the zone of the closest.
        let live = table.zones.enumerated().filter(\.element.isLive).sorted {
            $0.element.apex.count < $1.element.apex.count
        }
        for (number, zone) in live {
            let index = tree.ensure(zone.apex)
            data[index, default: ZoneNode()].apexOf = Int16(number)
            tree[index].published.zone = Int16(number)
        }
        if let alias = localAlias, configuration.local != nil {
            data[tree.ensure(alias), default: ZoneNode()] = ZoneNode()
        }
        for zone in loaded {
            for rrset in zone.rrsets {
                let index = tree.ensure(rrset.owner.wire)
                data[index, default: ZoneNode()].insert(.init(type: rrset.type, ttl: rrset.ttl, rdata: rrset.rdata))
            }
        }
        tree.zoneData = data
        markZones(live.map { ($0.offset, $0.element.apex) })
        for index in before.subtracting(data.keys).sorted() {
            tree.touch(index)
            tree.prune(index)
        }
        changes &+= 1
        tree.reclaim()
    }

    private mutating func markZones(_ live: [(number: Int, apex: [UInt8])]) {
        let apexes = Set(tree.zoneData.filter { $0.value.apexOf != nil }.keys)
        tree.mark(ViewTree.root, zone: -1, delegated: false) { apexes.contains($0) }
        for (number, apex) in live {
            guard let index = tree.index(of: apex) else { continue }
            tree.mark(index, zone: Int16(number), delegated: false) { apexes.contains($0) }
        }
        for (index, data) in tree.zoneData where data.isDelegation {
            tree.mark(index, zone: tree[index].published.zone, delegated: true) { apexes.contains($0) }
        }
        markWildcards()
    }

    /// Notes at every name whether a zone file has a wildcard right below it.
    private mutating func markWildcards() {
        for index in tree.zoneData.keys {
            let name = tree.name(of: index)
            if name.first == 1, name.count > 1, name[1] == UInt8(ascii: "*") {
                tree[tree[index].parent].published.flags |= NameNode.Flag.hasWildcard
            }
        }
    }

    /// The domain of the registrations as a zone, with SkyDNS's SOA.
    private var domainZone: ZoneTable.Zone {
        let domain = configuration.domain.wire
        let server = TreeName.make(labels: [Array("ns".utf8), Array("dns".utf8)], under: domain) ?? domain
        return ZoneTable.Zone(
            apex: domain, mname: server, rname: configuration.hostmaster.wire, serial: nil,
            timers: (28_800, 7_200, 604_800, configuration.minTTL), ttl: configuration.ttl,
            negativeTTL: configuration.minTTL, isDomain: true)
    }

    private static func tableZone(_ zone: Zone, isDomain: Bool) -> ZoneTable.Zone {
        let soa = zone.soa
        return ZoneTable.Zone(
            apex: zone.origin.wire, mname: soa.mname, rname: soa.rname, serial: soa.serial,
            timers: (soa.refresh, soa.retry, soa.expire, soa.minimum), ttl: soa.ttl,
            negativeTTL: min(soa.ttl, soa.minimum), isDomain: isDomain)
    }
}
