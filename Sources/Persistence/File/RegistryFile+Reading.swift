import RegistryStore

/// What a file held.
struct FileReading: Sendable {
    var content = KeptContent()
    var facts = KeptFacts()
    /// What could not be read, for people; empty when the file is sound.
    var problems: [String] = []
}

extension SQLiteDatabase {
    /// Reads everything that can be read. What is damaged is left out and told of; what is wrong otherwise (the disk
    /// gives an error, somebody has locked the file) is thrown.
    func readRegistry() throws(SQLiteError) -> FileReading {
        var reading = FileReading()
        try reading.attempt("facts") { (reading) throws(SQLiteError) in try readFacts(&reading) }
        try readEntries(&reading)
        try reading.attempt("leases") { (reading) throws(SQLiteError) in try readLeases(&reading) }
        try reading.attempt("origins") { (reading) throws(SQLiteError) in try readOrigins(&reading) }
        return reading
    }

    private func readFacts(_ reading: inout FileReading) throws(SQLiteError) {
        let statement = try SQLiteStatement(self, "SELECT name, value, checksum FROM facts")
        while try statement.step() {
            let (name, value) = (statement.text(0), statement.text(1))
            var sum = Checksum()
            sum.add(name)
            sum.add(value)
            guard sum.value == statement.integer(2) else {
                reading.problems.append("the fact \(name) is not what was written")
                continue
            }
            switch name {
            case "clock": reading.content.clock = Self.clock(value)
            case "reserved": reading.facts.reserved = Int64(value) ?? 0
            case "node": reading.facts.node = value
            case "layout": reading.facts.layout = value
            default: break
            }
        }
    }

    private static func clock(_ text: String) -> KeptClock? {
        let words = text.split(separator: " ")
        guard words.count == 4, let hlc = UInt64(words[0]), let origin = UInt64(words[1]),
            let sequence = UInt64(words[2]), let synced = Int64(words[3])
        else { return nil }
        return KeptClock(hlc: hlc, origin: origin, sequence: sequence, syncedAt: synced < 0 ? nil : synced)
    }

    // MARK: Entries

    private static let columns =
        "namespace, key, kind, flags, value, hlc, origin, sequence, time, lease, length, home, checksum"

    private struct Place: Hashable {
        let namespace: String
        let key: [UInt8]
    }

    /// Reads the entries in key order; where a page is damaged, from the other end up to that page as well.
    private func readEntries(_ reading: inout FileReading) throws(SQLiteError) {
        var seen: Place?
        var changed = 0
        do throws(SQLiteError) {
            try forEachRow("ORDER BY namespace, key") { row, isSound in
                seen = Place(namespace: row.namespace, key: row.key)
                changed += reading.add(row, isSound: isSound) ? 0 : 1
                return true
            }
        } catch {
            guard error.kind == .damaged else { throw error }
            reading.problems.append("the table of registrations has a damaged page: \(error)")
            try reading.attempt("registrations") { (reading) throws(SQLiteError) in
                try forEachRow("ORDER BY namespace DESC, key DESC") { row, isSound in
                    guard Place(namespace: row.namespace, key: row.key) != seen else { return false }
                    changed += reading.add(row, isSound: isSound) ? 0 : 1
                    return true
                }
            }
            reading.dropRepeated()
        }
        if changed > 0 { reading.problems.append("\(changed) registrations or removals are not what was written") }
    }

    private func forEachRow(_ order: String, _ body: (Row, Bool) -> Bool) throws(SQLiteError) {
        let statement = try SQLiteStatement(self, "SELECT \(Self.columns) FROM entries \(order)")
        while try statement.step() {
            let row = Row(
                namespace: statement.text(0), key: statement.bytes(1), kind: statement.integer(2),
                flags: statement.integer(3), value: statement.isNull(4) ? nil : statement.bytes(4),
                hlc: UInt64(bitPattern: statement.integer(5)), origin: UInt64(bitPattern: statement.integer(6)),
                sequence: UInt64(bitPattern: statement.integer(7)), time: statement.integer(8),
                lease: statement.integer(9), length: statement.integer(10),
                home: statement.isNull(11) ? nil : statement.text(11))
            guard body(row, row.checksum == statement.integer(12)) else { return }
        }
    }

    // MARK: Leases and origins

    private func readLeases(_ reading: inout FileReading) throws(SQLiteError) {
        let statement = try SQLiteStatement(self, "SELECT id, length, suspended, home, checksum FROM leases")
        while try statement.step() {
            let lease = KeptLease(
                id: LeaseID(statement.integer(0)), milliseconds: statement.integer(1), isShared: true,
                isSuspended: statement.integer(2) != 0, home: statement.isNull(3) ? nil : statement.text(3))
            guard RegistryFile.checksum(of: lease) == statement.integer(4), lease.id.rawValue != 0 else {
                reading.problems.append("the lease \(lease.id.rawValue) is not what was written")
                continue
            }
            reading.content.leases.append(lease)
        }
    }

    private func readOrigins(_ reading: inout FileReading) throws(SQLiteError) {
        let statement = try SQLiteStatement(self, "SELECT origin, head, gaps, floor, checksum FROM origins")
        while try statement.step() {
            let origin = UInt64(bitPattern: statement.integer(0))
            let kept = OriginText.gaps(statement.text(2)).map {
                KeptOrigin(
                    head: UInt64(bitPattern: statement.integer(1)), gaps: $0,
                    floor: UInt64(bitPattern: statement.integer(3)))
            }
            guard let kept, OriginText.checksum(origin, kept) == statement.integer(4) else {
                reading.problems.append("what is known of origin \(String(origin, radix: 16)) is not what was written")
                continue
            }
            reading.content.origins[origin] = kept
        }
    }
}

extension FileReading {
    /// Reads a part, and goes on when it is damaged.
    fileprivate mutating func attempt(
        _ part: String, _ body: (inout FileReading) throws(SQLiteError) -> Void
    ) throws(SQLiteError) {
        do throws(SQLiteError) {
            try body(&self)
        } catch {
            // A table that is not there was on a page that is damaged.
            guard error.kind == .damaged || error.code & 0xff == 1 else { throw error }
            problems.append("\(part): \(error)")
        }
    }

    /// False when the row is damaged and left out.
    fileprivate mutating func add(_ row: Row, isSound: Bool) -> Bool {
        guard isSound, let meaning = row.meaning else { return false }
        switch meaning {
        case .entry(let entry): content.entries.append(entry)
        case .tombstone(let tombstone): content.tombstones.append(tombstone)
        }
        return true
    }

    /// Rows on a page that two others point at were read twice.
    fileprivate mutating func dropRepeated() {
        var seen: Set<[UInt8]> = []
        func isNew(_ namespace: Namespace, _ key: [UInt8]) -> Bool {
            seen.insert(Array(namespace.name.utf8) + [0] + key).inserted
        }
        content.entries = content.entries.filter { isNew($0.namespace, $0.key) }
        content.tombstones = content.tombstones.filter { isNew($0.namespace, $0.key) }
    }
}
