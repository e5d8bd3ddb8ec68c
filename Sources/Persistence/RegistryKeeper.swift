import Dispatch
package import Logging
package import RegistryStore
import Synchronization

/// Keeps a registry on a disk: writes what changed in groups, each one transaction, and says when a write is safe.
///
/// Whoever has applied a write and waits in `settle` is told when the group with it is in SQLite's log: then it
/// survives the end of the process. With `Sync.always` the log was synced before, and it survives the loss of power;
/// with `.interval` the log is synced once a second, so that this long may be lost to one. Writes that come while a
/// group is written make the next one, so that a group is as large as the disk is slow.
///
/// When the disk fails the registry refuses what would have to be kept (`unavailable`) and goes on with the rest:
/// reads, DNS, heartbeats, equal puts, expiry. The group that failed is tried again every second; nothing that was
/// acknowledged waits in it.
package final class RegistryKeeper: Sendable {
    /// When the log is synced, relative to the reply.
    package enum Sync: String, Sendable {
        case always
        case interval
    }

    /// How the registry came back.
    package struct Start: Sendable {
        package let entries: Int
        package let tombstones: Int
        /// Kept entries that found no room in the registry.
        package let refused: Int
        package let damage: DataDirectory.Damage?
        /// The facts that the file had before.
        package let facts: KeptFacts
    }

    /// Bounds and times.
    package struct Settings: Sendable {
        package var sync: Sync
        /// Entries that wait to be written; doors wait for room beyond it.
        package var waitingMax = 65_536
        /// Entries that wait at most, whoever wrote them: with more, all of the registry is written anew.
        package var notedMax = 1_048_576
        /// Bytes of the log, as an estimate, from which on it is copied into the file.
        package var logBytesMax = 16 << 20
        /// How often the log is synced with `Sync.interval`, and what waits without anybody waiting for it is written.
        package var syncPause: Duration = .seconds(1)
        package var groupPause: Duration = .milliseconds(100)
        /// How many numbers are reserved ahead, and how few may be left.
        package var reservedAhead: Int64 = 200_000
        package var reservedLeft: Int64 = 100_000
        /// How few are left when equal puts take no more while the disk fails. Expiry and other nodes' operations do.
        package var reservedForOthers: Int64 = 10_000

        package init(sync: Sync) { self.sync = sync }
    }

    let registry: Registry
    let settings: Settings
    let directory: DataDirectory
    let logger: Logger
    let state = Mutex(State())
    /// Writes groups, one at a time.
    private let writing = DispatchQueue(label: "regdns.data.write")
    /// Waits for the disk where groups do not.
    let syncing = DispatchQueue(label: "regdns.data.sync")
    /// Held while a group is written.
    let disk: Mutex<Disk>
    /// The journal's position up to which everything is kept.
    private let keptPosition = Atomic<Int>(0)
    /// n of the registry's revision 0.
    private let firstNumber: Atomic<Int64> = Atomic(0)
    /// The greatest number that the file has reserved.
    private let reserved: Atomic<Int64>

    /// What only the writing queue needs.
    struct Disk: Sendable {
        /// Nil after a failure, until it can be opened again.
        var file: RegistryFile?
        /// The log, for syncs.
        var log: OpenFile?
        /// The identity of the file.
        var number: Int?
        /// A group that could not be written.
        var unwritten: KeptGroup?
        /// The disk has refused what the system had taken: after such an error Linux may take pages for written that
        /// are not, so that nothing written before is sure.
        var isDoubtful = false
        /// The log has outgrown what is usual, and somebody was told.
        var hasWarnedOfLog = false
        var facts: KeptFacts
    }

    struct State {
        var isScheduled = false
        var isClosed = false
        /// Groups begun.
        var begun = 0
        var waiters: [Waiter] = []
        /// Why the disk cannot be written; nil when it can.
        var failure: String?
        var counts = KeeperCounts()
        var hasUnsynced = false
    }

    struct Waiter {
        /// The group that has all that this one waits for.
        let group: Int
        let continuation: CheckedContinuation<RegistryError?, Never>
    }

    /// Opens the directory's file and gives the registry what it holds. The registry must be new.
    ///
    /// - Parameter layout: where keys of services lie, by which a file of another place is told.
    package static func open(
        _ directory: DataDirectory, registry: Registry, layout: String, settings: Settings, logger: Logger
    ) throws(DataDirectoryError) -> (keeper: RegistryKeeper, start: Start) {
        let (file, reading, damage) = try directory.open()
        let node = reading.facts.node
        let isRenamed = node != nil && node != registry.node
        let refused = registry.restore(reading.content, isRenamed: isRenamed)
        registry.startJournal(countMax: settings.notedMax, isWhole: isRenamed)
        var facts = reading.facts
        (facts.node, facts.layout) = (registry.node, layout)
        let disk = Disk(file: nil, log: nil, number: nil, unwritten: nil, facts: facts)
        let keeper = RegistryKeeper(registry, directory, disk, settings, logger)
        try keeper.begin(with: file)
        let start = Start(
            entries: reading.content.entries.count - refused, tombstones: reading.content.tombstones.count,
            refused: refused, damage: damage, facts: reading.facts)
        return (keeper, start)
    }

    private init(
        _ registry: Registry, _ directory: DataDirectory, _ disk: Disk, _ settings: Settings,
        _ logger: Logger
    ) {
        self.registry = registry
        self.directory = directory
        self.settings = settings
        self.logger = logger
        self.disk = Mutex(disk)
        reserved = Atomic(disk.facts.reserved)
    }

    /// Makes the file ready for groups.
    private func begin(with file: RegistryFile) throws(DataDirectoryError) {
        do {
            try file.prepareForGroups(syncsAlways: settings.sync == .always)
        } catch {
            throw DataDirectoryError(
                path: directory.file, reason: "cannot be written: \(error)",
                remedy: "let this user write the files in \(directory.path)")
        }
        let number = directory.currentFileNumber()
        disk.withLock { disk in
            disk.file = file
            disk.number = number
        }
    }

    package var isSettled: Bool { keptPosition.load(ordering: .acquiring) == registry.journalPosition }

    // MARK: Numbers

    /// Reserves numbers for clients from `first` on, the number of the registry's revision 0. To be called before any
    /// is shown.
    package func reserve(from first: Int64) throws(DataDirectoryError) {
        firstNumber.store(first, ordering: .relaxed)
        let error = disk.withLock { disk in write(&disk) }
        if let error {
            throw DataDirectoryError(
                path: directory.file, reason: "cannot be written: \(error)", remedy: "make room, or repair the disk")
        }
    }

    private func reserve(for revision: Int64, _ facts: inout KeptFacts) {
        let number = firstNumber.load(ordering: .relaxed) &+ revision
        if number > facts.reserved &- settings.reservedLeft { facts.reserved = number &+ settings.reservedAhead }
    }

    /// The last revision that an equal put may take while no more numbers can be reserved.
    private var equalPutsThrough: Int64 {
        reserved.load(ordering: .relaxed) &- firstNumber.load(ordering: .relaxed) &- settings.reservedForOthers
    }

    // MARK: Groups

    /// Has what waits written soon.
    func schedule() {
        let isNew = state.withLock { state in
            if state.isScheduled || state.isClosed { return false }
            state.isScheduled = true
            return true
        }
        if isNew { writing.async { self.writeGroups() } }
    }

    private func writeGroups() {
        while true {
            let group = state.withLock { state -> Int? in
                guard !state.isClosed else { return nil }
                state.begun += 1
                return state.begun
            }
            guard let group else { return }
            let error = disk.withLock { disk in write(&disk) }
            let isDone = finish(group, error)
            if isDone { break }
        }
        shortenLog()
    }

    /// Writes what waits; nil when nothing was in the way.
    private func write(_ disk: inout Disk) -> SQLiteError? {
        do throws(SQLiteError) {
            if disk.file == nil { try reopen(&disk) }
            guard disk.file != nil else { return nil }
            if disk.isDoubtful { try writeWhole(&disk) }
            if let unwritten = disk.unwritten {
                try write(unwritten, &disk)
                disk.unwritten = nil
            }
            guard let group = registry.takeGroup() else { return nil }
            do throws(SQLiteError) {
                try write(group, &disk)
            } catch {
                disk.unwritten = group
                throw error
            }
            return nil
        } catch {
            // A full disk leaves the file as it is.
            if error.kind != .full { (disk.file, disk.log) = (nil, nil) }
            if error.isUnsynced { disk.isDoubtful = true }
            return error
        }
    }

    /// Writes all of the registry anew, to a log that begins anew, and waits for the disk.
    private func writeWhole(_ disk: inout Disk) throws(SQLiteError) {
        // What is left of the log would be in front of the new group, which counts only if all before it is sound.
        try disk.file?.shortenLog(truncating: true)
        registry.keepWhole()
        disk.unwritten = nil
        guard let group = registry.takeGroup() else { return }
        do throws(SQLiteError) {
            try write(group, &disk)
            guard disk.log?.sync() == true else { throw Self.unsynced }
        } catch {
            // Taken from the journal, and not kept.
            registry.keepWhole()
            throw error
        }
        disk.isDoubtful = false
    }

    private static var unsynced: SQLiteError {
        SQLiteError(code: 1034, message: "the log cannot be synced: \(OpenFile.reason)")
    }

    private func write(_ group: KeptGroup, _ disk: inout Disk) throws(SQLiteError) {
        var facts = disk.facts
        reserve(for: group.revision, &facts)
        guard let file = disk.file else { return }
        guard file.needs(group, facts) else { return keptPosition.store(group.position, ordering: .releasing) }
        try disk.file?.write(group, facts: facts)
        disk.facts = facts
        reserved.store(facts.reserved, ordering: .relaxed)
        if disk.log == nil {
            guard let log = directory.openLog() else {
                throw SQLiteError(code: 14, message: "the log cannot be opened to sync it: \(OpenFile.reason)")
            }
            disk.log = log
        }
        keptPosition.store(group.position, ordering: .releasing)
        let rows = (disk.file?.rowsWritten ?? 0) - file.rowsWritten
        state.withLock { state in
            state.hasUnsynced = settings.sync == .interval
            state.counts.groups += 1
            state.counts.rows += rows
            if settings.sync == .always { state.counts.syncs += 1 }
        }
    }

    /// Opens the file again after a failure. One that is gone or damaged is made anew of what the registry has.
    private func reopen(_ disk: inout Disk) throws(SQLiteError) {
        var file = disk.number == directory.currentFileNumber() ? try directory.reopen(disk.facts) : nil
        if file == nil {
            do throws(DataDirectoryError) {
                let found = try directory.open()
                if let damage = found.damage { logger.error("\(damage)", metadata: ["path": "\(directory.file)"]) }
                file = found.file
            } catch {
                throw SQLiteError(code: 14, message: "\(error)")
            }
            registry.keepWhole()
            disk.unwritten = nil
        }
        try file?.prepareForGroups(syncsAlways: settings.sync == .always)
        disk.number = directory.currentFileNumber()
        disk.file = file
    }

    /// Tells who waited for a group; false when there is more to do at once.
    private func finish(_ group: Int, _ error: SQLiteError?, isScheduled: Bool = true) -> Bool {
        let (ready, isDone, news) = state.withLock { state -> ([Waiter], Bool, News?) in
            var news: News?
            // The registry hears of it under the lock: two threads' news may not overtake each other.
            if let error {
                if state.failure == nil {
                    registry.refuseKeeping(Self.refusal("\(error)"), equalPutsThrough: equalPutsThrough)
                    news = .failed("\(error)")
                }
                state.failure = "\(error)"
                state.counts.failures += 1
            } else if state.failure != nil {
                registry.refuseKeeping(nil)
                state.failure = nil
                news = .recovered
            }
            let ready = error == nil ? state.waiters.filter { $0.group <= group } : state.waiters
            state.waiters = error == nil ? state.waiters.filter { $0.group > group } : []
            let isDone = state.waiters.isEmpty
            if isDone, isScheduled { state.isScheduled = false }
            return (ready, isDone, news)
        }
        tell(news)
        let refusal = error.map { Self.refusal("\($0)") }
        for waiter in ready { waiter.continuation.resume(returning: refusal) }
        return isDone
    }

    private enum News {
        case failed(String)
        case recovered
    }

    private func tell(_ news: News?) {
        switch news {
        case .failed(let reason):
            logger.error(
                "registrations cannot be kept: writes are refused until the disk takes them; answers go on",
                metadata: ["path": "\(directory.file)", "reason": "\(reason)"])
        case .recovered: logger.notice("registrations are kept again", metadata: ["path": "\(directory.file)"])
        case nil: break
        }
    }

    static let stopping = RegistryError.unavailable(reason: "the node is stopping", retryAfterSeconds: 1)

    private static func refusal(_ reason: String) -> RegistryError {
        .unavailable(reason: "registrations cannot be kept on the disk: \(reason)", retryAfterSeconds: 1)
    }

    // MARK: The log

    /// Copies a long log into the file. Nobody waits then but who comes meanwhile.
    func shortenLog() {
        let failure = disk.withLock { disk -> SQLiteError? in
            guard let file = disk.file, file.logGrowth > settings.logBytesMax else { return nil }
            do throws(SQLiteError) {
                try disk.file?.shortenLog(truncating: false)
                lookAtLog(&disk)
                return nil
            } catch {
                logger.warning("the log of the data directory cannot be copied", metadata: ["reason": "\(error)"])
                // The next copy would believe that the disk has what this one could not bring there.
                return error.kind == .full ? nil : error
            }
        }
        if let failure { fail(failure, isDoubtful: true) }
    }

    /// A log that begins anew is used from its start again, which no other program that reads the file lets happen.
    private func lookAtLog(_ disk: inout Disk) {
        let bytes = disk.file?.logBytes ?? 0
        state.withLock { state in
            state.counts.checkpoints += 1
            state.counts.logBytes = bytes
        }
        let isLong = bytes > settings.logBytesMax * Self.longLogFactor
        if isLong, !disk.hasWarnedOfLog {
            logger.warning(
                "the log of the data directory grows as long as another program is reading its file",
                metadata: ["path": "\(directory.file)", "bytes": "\(bytes)"])
        }
        disk.hasWarnedOfLog = isLong
    }

    /// So many times the bytes from which on it is copied is a log that does not begin anew.
    private static let longLogFactor = 4

    /// Has the disk take the log; for `Sync.interval`.
    func syncLog() {
        // Groups go on while the disk works.
        guard let log = disk.withLock({ $0.log }) else { return }
        let isDue = state.withLock { state in
            defer { state.hasUnsynced = false }
            return state.hasUnsynced
        }
        guard isDue else { return }
        if log.sync() {
            state.withLock { $0.counts.syncs += 1 }
        } else {
            fail(Self.unsynced, isDoubtful: true)
        }
    }

    /// Looks whether the file is still the one that has its name.
    func checkFile() {
        let number = directory.currentFileNumber()
        let isSame = disk.withLock { $0.file == nil || $0.number == number }
        if !isSame { fail(SQLiteError(code: 14, message: "the file is gone, or is another")) }
    }

    /// Treats the file as one that cannot be written; it is opened again with the next group.
    ///
    /// - Parameter isDoubtful: whether what was written before may not be on the disk: all of it is written anew.
    private func fail(_ error: SQLiteError, isDoubtful: Bool = false) {
        disk.withLock { disk in
            disk.file = nil
            disk.log = nil
            if isDoubtful { disk.isDoubtful = true }
        }
        let group = state.withLock { $0.begun }
        _ = finish(group, error, isScheduled: false)
    }

    /// Writes what is left and closes the file. Nothing is kept afterwards.
    func close() {
        writing.sync { writeGroups() }
        let late = state.withLock { state in
            state.isClosed = true
            defer { state.waiters = [] }
            return state.waiters
        }
        // Those who came after that group have no other.
        for waiter in late { waiter.continuation.resume(returning: Self.stopping) }
        // One that began meanwhile must not find the file closed, and open it again.
        writing.sync {}
        disk.withLock { disk in
            do throws(SQLiteError) {
                try disk.file?.shortenLog(truncating: true)
            } catch {
                logger.warning("the log of the data directory cannot be copied", metadata: ["reason": "\(error)"])
            }
            disk.file = nil
            disk.log = nil
        }
    }
}
