import RegistryStore

/// What a file says beside the content of the registry.
package struct KeptFacts: Hashable, Sendable {
    /// The greatest revision number that clients may have been shown; 0 for none.
    package var reserved: Int64 = 0
    /// The name of the node whose leases without a home these are; nil in a new file.
    package var node: String?
    /// Where keys of services lie: a file of another place is kept, but means something else.
    package var layout: String?

    package init(reserved: Int64 = 0, node: String? = nil, layout: String? = nil) {
        self.reserved = reserved
        self.node = node
        self.layout = layout
    }
}

/// The registry as an SQLite file, for one owner. Every group is one transaction.
struct RegistryFile: Sendable {
    /// "regd": the mark by which SQLite files of this program are known.
    static let applicationID: Int64 = 0x7265_6764
    static let schemaVersion: Int64 = 1
    /// What a change costs in the log at least.
    private static let pageBytes = 4_096
    /// Milliseconds that the time of the last sync may be behind.
    private static let syncedPause: Int64 = 600_000

    let database: SQLiteDatabase
    private let putRow: SQLiteStatement
    private let dropRow: SQLiteStatement
    private let forgetRow: SQLiteStatement
    private let putLease: SQLiteStatement
    private let dropLease: SQLiteStatement
    private let putOrigin: SQLiteStatement
    private let dropOrigin: SQLiteStatement
    private let putFact: SQLiteStatement
    /// As the file has them.
    private(set) var facts: KeptFacts
    private var contextOrigins: [UInt64: CausalContext.Origin] = [:]
    private var floors: [UInt64: UInt64] = [:]
    private var clock: KeptClock?
    private(set) var rowsWritten = 0
    /// Bytes that the log has grown by since it was last copied into the file, as far as that was possible: an
    /// estimate.
    private(set) var logGrowth = 0
    /// Bytes of the log as they were then.
    private(set) var logBytes = 0

    private static let schema = """
        CREATE TABLE entries(namespace TEXT NOT NULL, key BLOB NOT NULL, kind INTEGER NOT NULL, flags INTEGER NOT NULL,
          value BLOB, hlc INTEGER NOT NULL, origin INTEGER NOT NULL, sequence INTEGER NOT NULL, time INTEGER NOT NULL,
          lease INTEGER NOT NULL, length INTEGER NOT NULL, home TEXT, checksum INTEGER NOT NULL,
          PRIMARY KEY(namespace, key)) WITHOUT ROWID;
        CREATE TABLE leases(id INTEGER PRIMARY KEY, length INTEGER NOT NULL, suspended INTEGER NOT NULL, home TEXT,
          checksum INTEGER NOT NULL);
        CREATE TABLE origins(origin INTEGER PRIMARY KEY, head INTEGER NOT NULL, gaps TEXT NOT NULL,
          floor INTEGER NOT NULL, checksum INTEGER NOT NULL);
        CREATE TABLE facts(name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
        PRAGMA application_id = \(applicationID);
        PRAGMA user_version = \(schemaVersion);
        """

    /// Makes a file with this content, whole and on the disk when the call returns.
    static func create(path: String, content: KeptContent, facts: KeptFacts) throws(SQLiteError) {
        let database = try SQLiteDatabase(path: path, creating: true)
        // The file is nobody's yet: no log beside it, and the disk is waited for.
        try database.execute("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL; BEGIN IMMEDIATE;")
        try database.execute(schema)
        var file = try RegistryFile(database: database, facts: KeptFacts())
        try file.fill(content)
        try file.setFacts(facts)
        try database.execute("COMMIT")
    }

    /// - Parameter facts: as the file has them.
    init(database: SQLiteDatabase, facts: KeptFacts) throws(SQLiteError) {
        self.database = database
        self.facts = facts
        putRow = try SQLiteStatement(
            database, "INSERT OR REPLACE INTO entries VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")
        dropRow = try SQLiteStatement(database, "DELETE FROM entries WHERE namespace=?1 AND key=?2")
        forgetRow = try SQLiteStatement(
            database,
            "DELETE FROM entries WHERE namespace=?1 AND key=?2 AND kind=?3 AND hlc=?4 AND origin=?5 AND sequence=?6")
        putLease = try SQLiteStatement(database, "INSERT OR REPLACE INTO leases VALUES(?1,?2,?3,?4,?5)")
        dropLease = try SQLiteStatement(database, "DELETE FROM leases WHERE id=?1")
        putOrigin = try SQLiteStatement(database, "INSERT OR REPLACE INTO origins VALUES(?1,?2,?3,?4,?5)")
        dropOrigin = try SQLiteStatement(database, "DELETE FROM origins WHERE origin=?1")
        putFact = try SQLiteStatement(database, "INSERT OR REPLACE INTO facts VALUES(?1,?2,?3)")
    }

    /// Makes ready for groups.
    ///
    /// - Parameter syncsAlways: whether a group is on the disk when it is written, or only with the system.
    func prepareForGroups(syncsAlways: Bool) throws(SQLiteError) {
        // The log is copied into the file by the keeper, when nobody waits.
        try database.execute(
            """
            PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;
            PRAGMA synchronous = \(syncsAlways ? "FULL" : "NORMAL");
            """)
    }

    // MARK: Writing

    /// Writes a group as one transaction; on an error nothing of it is written.
    mutating func write(_ group: KeptGroup, facts: KeptFacts) throws(SQLiteError) {
        let before = (self.facts, contextOrigins, floors, clock)
        do throws(SQLiteError) {
            try database.execute("BEGIN IMMEDIATE")
            try fill(group)
            try setFacts(facts)
            try database.execute("COMMIT")
        } catch {
            (self.facts, contextOrigins, floors, clock) = before
            // Some errors have rolled it back already; what this one says adds nothing to the first.
            if database.isInTransaction { try? database.execute("ROLLBACK") }
            throw error
        }
    }

    /// Whether a group or the facts hold anything that the file does not.
    func needs(_ group: KeptGroup, _ facts: KeptFacts) -> Bool {
        group.isWhole || group.changeCount > 0 || facts != self.facts || group.context.origins != contextOrigins
            || group.floors != floors || hasOldSync(group)
    }

    /// Whether the file takes the node for alone for much longer than it is.
    private func hasOldSync(_ group: KeptGroup) -> Bool {
        guard let synced = group.clock.syncedAt else { return false }
        return synced &- (clock?.syncedAt ?? 0) >= Self.syncedPause
    }

    /// Copies the log into the file as far as readers let it. With `truncating` the log is empty afterwards.
    mutating func shortenLog(truncating: Bool) throws(SQLiteError) {
        logBytes = try database.checkpoint(truncating: truncating) * Self.pageBytes
        logGrowth = 0
    }

    private mutating func fill(_ group: KeptGroup) throws(SQLiteError) {
        if group.isWhole {
            try database.execute("DELETE FROM entries; DELETE FROM leases; DELETE FROM origins;")
            (contextOrigins, floors) = ([:], [:])
        }
        try putWords(group)
        for tombstone in group.forgotten { try forget(tombstone) }
        for lease in group.leases { try put(lease) }
        for id in group.endedLeases {
            try dropLease.bind(1, id.rawValue)
            try dropLease.run()
            rowsWritten += 1
        }
        try putOrigins(group)
        try put(group.clock)
    }

    private mutating func fill(_ content: KeptContent) throws(SQLiteError) {
        for entry in content.entries { try put(Row(entry)) }
        for tombstone in content.tombstones { try put(Row(tombstone)) }
        for lease in content.leases { try put(lease) }
        for (origin, kept) in content.origins { try put(origin, kept) }
        if let clock = content.clock { try put(clock) }
    }

    private struct Place: Hashable {
        let namespace: Namespace
        let key: [UInt8]
    }

    /// What a group says of a key at last.
    private struct LastWord {
        var note: EntryNote?
        var tombstone: Tombstone?
    }

    private mutating func putWords(_ group: KeptGroup) throws(SQLiteError) {
        if group.notes.count + group.tombstones.count == 1 {
            // No other word can be about the same key.
            return try put(LastWord(note: group.notes.first, tombstone: group.tombstones.first), group.now)
        }
        var words: [Place: LastWord] = [:]
        words.reserveCapacity(group.notes.count + group.tombstones.count)
        for note in group.notes {
            words[Place(namespace: note.entry.namespace, key: note.entry.key), default: LastWord()].note = note
        }
        for tombstone in group.tombstones {
            words[Place(namespace: tombstone.namespace, key: tombstone.key), default: LastWord()].tombstone = tombstone
        }
        for word in words.values { try put(word, group.now) }
    }

    private mutating func put(_ word: LastWord, _ now: Moment) throws(SQLiteError) {
        if case .put(let entry, let lease)? = word.note { return try put(Row(KeptEntry(entry, ownLease: lease))) }
        if let tombstone = word.tombstone, tombstone.version >= word.note?.entry.version ?? tombstone.version {
            let age = max(0, now.monotonic &- tombstone.removedAt)
            return try put(
                Row(
                    KeptTombstone(
                        namespace: tombstone.namespace, key: tombstone.key, version: tombstone.version,
                        removedAt: now.unix &- age, wasLeased: tombstone.wasLeased)))
        }
        // Gone without a trace.
        if let entry = word.note?.entry { try drop(entry.namespace, entry.key) }
    }

    private mutating func put(_ row: Row) throws(SQLiteError) {
        try putRow.bind(1, row.namespace)
        try putRow.bind(2, row.key)
        try putRow.bind(3, row.kind)
        try putRow.bind(4, row.flags)
        try putRow.bind(5, row.value)
        try putRow.bind(6, Int64(bitPattern: row.hlc))
        try putRow.bind(7, Int64(bitPattern: row.origin))
        try putRow.bind(8, Int64(bitPattern: row.sequence))
        try putRow.bind(9, row.time)
        try putRow.bind(10, row.lease)
        try putRow.bind(11, row.length)
        try putRow.bind(12, row.home)
        try putRow.bind(13, row.checksum)
        try putRow.run()
        rowsWritten += 1
        logGrowth += Self.pageBytes + (row.value?.count ?? 0)
    }

    private mutating func drop(_ namespace: Namespace, _ key: [UInt8]) throws(SQLiteError) {
        try dropRow.bind(1, namespace.name)
        try dropRow.bind(2, key)
        try dropRow.run()
        rowsWritten += 1
        logGrowth += Self.pageBytes
    }

    private mutating func forget(_ tombstone: Tombstone) throws(SQLiteError) {
        try forgetRow.bind(1, tombstone.namespace.name)
        try forgetRow.bind(2, tombstone.key)
        try forgetRow.bind(3, Int64(tombstone.version.kind.rawValue))
        try forgetRow.bind(4, Int64(bitPattern: tombstone.version.hlc))
        try forgetRow.bind(5, Int64(bitPattern: tombstone.version.origin))
        try forgetRow.bind(6, Int64(bitPattern: tombstone.version.sequence))
        try forgetRow.run()
        rowsWritten += 1
    }

    private mutating func put(_ lease: KeptLease) throws(SQLiteError) {
        try putLease.bind(1, lease.id.rawValue)
        try putLease.bind(2, lease.milliseconds)
        try putLease.bind(3, lease.isSuspended ? 1 : 0)
        try putLease.bind(4, lease.home)
        try putLease.bind(5, Self.checksum(of: lease))
        try putLease.run()
        rowsWritten += 1
    }

    static func checksum(of lease: KeptLease) -> Int64 {
        var sum = Checksum()
        sum.add(lease.id.rawValue)
        sum.add(lease.milliseconds)
        sum.add(lease.isSuspended ? 1 : 0)
        sum.add(lease.home)
        return sum.value
    }

    // MARK: Origins and facts

    private mutating func putOrigins(_ group: KeptGroup) throws(SQLiteError) {
        let origins = group.context.origins
        // Equal storage is seen at once, so that this costs nothing while nothing is taken over from others.
        guard origins != contextOrigins || group.floors != floors else { return }
        for origin in Set(origins.keys).union(group.floors.keys).sorted() {
            guard origins[origin] != contextOrigins[origin] || group.floors[origin] != floors[origin] else { continue }
            try put(
                origin,
                KeptOrigin(
                    head: origins[origin]?.head ?? 0, gaps: origins[origin]?.gaps ?? [],
                    floor: group.floors[origin] ?? 0))
        }
        for origin in Set(contextOrigins.keys).union(floors.keys)
        where origins[origin] == nil && group.floors[origin] == nil {
            try dropOrigin.bind(1, Int64(bitPattern: origin))
            try dropOrigin.run()
        }
        (contextOrigins, floors) = (origins, group.floors)
    }

    private mutating func put(_ origin: UInt64, _ kept: KeptOrigin) throws(SQLiteError) {
        let gaps = OriginText.text(of: kept.gaps)
        try putOrigin.bind(1, Int64(bitPattern: origin))
        try putOrigin.bind(2, Int64(bitPattern: kept.head))
        try putOrigin.bind(3, gaps)
        try putOrigin.bind(4, Int64(bitPattern: kept.floor))
        try putOrigin.bind(5, OriginText.checksum(origin, kept))
        try putOrigin.run()
        rowsWritten += 1
    }

    private mutating func put(_ clock: KeptClock) throws(SQLiteError) {
        guard clock != self.clock else { return }
        try putFact("clock", "\(clock.hlc) \(clock.origin) \(clock.sequence) \(clock.syncedAt ?? -1)")
        self.clock = clock
    }

    private mutating func setFacts(_ new: KeptFacts) throws(SQLiteError) {
        if new.reserved != facts.reserved { try putFact("reserved", String(new.reserved)) }
        if let node = new.node, node != facts.node { try putFact("node", node) }
        if let layout = new.layout, layout != facts.layout { try putFact("layout", layout) }
        facts = new
    }

    private mutating func putFact(_ name: String, _ value: String) throws(SQLiteError) {
        var sum = Checksum()
        sum.add(name)
        sum.add(value)
        try putFact.bind(1, name)
        try putFact.bind(2, value)
        try putFact.bind(3, sum.value)
        try putFact.run()
        rowsWritten += 1
    }
}

/// What is known of an origin as text: `first-last` for each gap.
enum OriginText {
    static func text(of gaps: [ClosedRange<UInt64>]) -> String {
        gaps.map { "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
    }

    /// Nil when the text is none of these.
    static func gaps(_ text: String) -> [ClosedRange<UInt64>]? {
        var gaps: [ClosedRange<UInt64>] = []
        for part in text.split(separator: ",") {
            let ends = part.split(separator: "-").map { UInt64($0) }
            guard ends.count == 2, let lower = ends[0], let upper = ends[1], lower <= upper else { return nil }
            gaps.append(lower...upper)
        }
        return gaps
    }

    static func checksum(_ origin: UInt64, _ kept: KeptOrigin) -> Int64 {
        var sum = Checksum()
        sum.add(Int64(bitPattern: origin))
        sum.add(Int64(bitPattern: kept.head))
        sum.add(text(of: kept.gaps))
        sum.add(Int64(bitPattern: kept.floor))
        return sum.value
    }
}
