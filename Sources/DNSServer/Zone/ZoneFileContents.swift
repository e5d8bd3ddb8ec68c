import DNSWire

/// The records of a zone file while it is read: RRsets by owner, with the lines they come from.
struct ZoneFileContents {
    /// One RRset so far.
    struct Records {
        let type: RRType
        /// The line of the first record.
        let line: Int
        var ttl: UInt32
        var ttlsDiffer = false
        var rdata: [[UInt8]]
    }

    /// A name and its RRsets; names have few types, so that a list is the fastest index.
    struct Owner {
        let name: OwnerName
        var sets: [Records] = []
    }

    private(set) var owners: [Owner] = []
    private(set) var recordCount = 0
    var soa: (origin: OwnerName, data: Zone.SOA)?
    private var indexes: [OwnerName: Int] = [:]

    /// Makes room for the names of a file of that length, at a guess of one name in 128 octets.
    init(fileOctets: Int = 0) {
        indexes.reserveCapacity(fileOctets / 128)
        owners.reserveCapacity(fileOctets / 128)
    }

    /// The number of an owner name, a new one when it has none yet.
    mutating func index(of name: OwnerName) -> Int {
        if let known = indexes[name] { return known }
        indexes[name] = owners.count
        owners.append(Owner(name: name))
        return owners.count - 1
    }

    mutating func add(owner: Int, type: RRType, ttl: UInt32, rdata: [UInt8], line: Int) {
        recordCount += 1
        guard let set = owners[owner].sets.firstIndex(where: { $0.type == type }) else {
            owners[owner].sets.append(Records(type: type, line: line, ttl: ttl, rdata: [rdata]))
            return
        }
        if owners[owner].sets[set].ttl != ttl {
            owners[owner].sets[set].ttlsDiffer = true
            owners[owner].sets[set].ttl = min(ttl, owners[owner].sets[set].ttl)
        }
        owners[owner].sets[set].rdata.append(rdata)
    }
}

extension ZoneFileParser {
    /// Checks the file as a whole and makes the zone.
    func finish() throws(ZoneFileProblem) -> Zone {
        guard let (origin, soa) = contents.soa else {
            throw problem("file", "", "an SOA record: a zone begins with one", line: 1)
        }
        var zone = Zone(origin: origin, soa: soa, rrsets: [])
        zone.rrsets.reserveCapacity(contents.owners.count)
        var hasServers = false
        for owner in contents.owners {
            guard owner.name.isSubdomain(of: origin) else {
                throw problem(
                    "owner", owner.name.description, "a name in the zone \(origin)", line: owner.sets.first?.line)
            }
            try checkAliases(owner, origin: origin)
            for set in owner.sets {
                if set.type == .ns, owner.name == origin { hasServers = true }
                if set.ttlsDiffer {
                    warn(
                        &zone, line: set.line, "TTL", "\(owner.name) \(set.type)",
                        "one TTL per RRset; \(set.ttl) is used")
                }
                let rdata = Self.distinct(set.rdata, type: set.type)
                zone.rrsets.append(Zone.RRset(owner: owner.name, type: set.type, ttl: set.ttl, rdata: rdata))
            }
        }
        if !hasServers { warn(&zone, line: 1, "file", "\(origin)", "NS records at the zone's apex") }
        return zone
    }

    /// An alias stands alone at its name, signatures and their kin aside (RFC 1034 §3.6.2, RFC 4035 §2.5).
    private func checkAliases(_ owner: ZoneFileContents.Owner, origin: OwnerName) throws(ZoneFileProblem) {
        guard let alias = owner.sets.first(where: { $0.type == .cname }) else { return }
        guard owner.name != origin else {
            throw problem("type", "CNAME", "no CNAME at the zone's apex", line: alias.line)
        }
        guard Self.distinct(alias.rdata, type: .cname).count == 1 else {
            throw problem("type", "CNAME", "one CNAME record at \(owner.name)", line: alias.line)
        }
        for other in owner.sets where ![.cname, .rrsig, .nsec].contains(other.type) {
            throw problem(
                "type", "\(other.type)", "no other data beside the CNAME of \(owner.name)",
                line: max(alias.line, other.line))
        }
    }

    /// The data without repetitions, whatever the letter case of names in them.
    private static func distinct(_ rdata: [[UInt8]], type: RRType) -> [[UInt8]] {
        guard rdata.count > 1 else { return rdata }
        var seen: Set<[UInt8]> = []
        return rdata.filter { seen.insert(RDATA.canonical(type: type, $0)).inserted }
    }

    private func warn(_ zone: inout Zone, line: Int, _ field: String, _ value: String, _ expected: String) {
        guard zone.warnings.count < Self.warningsMax else { return }
        zone.warnings.append(problem(field, value, expected, line: line))
    }
}
