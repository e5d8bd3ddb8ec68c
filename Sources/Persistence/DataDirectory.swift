import Foundation
import RegistryStore

/// Why a data directory cannot be used.
package struct DataDirectoryError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file or directory.
    package let path: String
    package let reason: String
    /// What the user can do about it.
    package let remedy: String

    package var description: String { "\(path): \(reason); \(remedy)" }
}

/// The directory that keeps a registry over restarts, taken by this process alone until it is let go of.
///
/// | file | what |
/// |---|---|
/// | `registry.db`, `-wal`, `-shm` | the SQLite file, its log, and the log's index |
/// | `lock` | locked by the process that uses the directory |
/// | `registry.db-damaged-<time>` | a file that could not be read whole, with what its log had |
/// | `registry.db.new`, `registry.db.salvaged` | on the way to becoming `registry.db` |
package final class DataDirectory: Sendable {
    package let path: String
    private let lock: OpenFile

    var file: String { path + "/registry.db" }
    private var newFile: String { file + ".new" }
    private var salvagedFile: String { file + ".salvaged" }

    /// What was found damaged.
    package struct Damage: Sendable, Hashable, CustomStringConvertible {
        /// Where the damaged file is now.
        package let movedTo: String
        package let problems: [String]
        package let entriesKept: Int

        package var description: String {
            "the file is damaged: \(problems.joined(separator: "; ")); \(entriesKept) registrations could be read and "
                + "are kept, the damaged file is now \(movedTo)"
        }
    }

    /// Makes the directory if need be, and takes it.
    package init(path: String) throws(DataDirectoryError) {
        self.path = path
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw DataDirectoryError(
                path: path, reason: "the directory cannot be made: \(Self.reason(error))",
                remedy: "name a directory that this user may make or write")
        }
        let lockFile = path + "/lock"
        guard let lock = OpenFile(lockFile, creating: true) else {
            throw DataDirectoryError(
                path: lockFile, reason: "cannot be opened for writing: \(OpenFile.reason)",
                remedy: "let this user write in the directory, or name another")
        }
        guard lock.lock() else {
            throw DataDirectoryError(
                path: path, reason: "another process uses it",
                remedy: "stop that regdns, or give this one a directory of its own")
        }
        self.lock = lock
    }

    static func reason(_ error: any Error) -> String {
        let error = error as NSError
        return (error.userInfo[NSUnderlyingErrorKey] as? NSError)?.localizedDescription ?? error.localizedDescription
    }

    // MARK: Opening

    /// Opens the file, or makes it, and reads it. A damaged file is moved aside, and what could be read of it kept.
    func open() throws(DataDirectoryError) -> (file: RegistryFile, reading: FileReading, damage: Damage?) {
        do throws(SQLiteError) {
            try finishSalvage()
            var problem: String?
            if exists(file) {
                if let sound = try openSound(&problem) { return (sound.file, sound.reading, nil) }
            } else if exists(file + "-wal") {
                return try salvage(FileReading(), problems: ["registry.db is missing beside its log"])
            } else {
                try make(KeptContent(), KeptFacts(), at: newFile)
                try move(newFile, to: file)
            }
            if let sound = try openSound(&problem) { return (sound.file, sound.reading, nil) }
            let (reading, problems) = try readDamaged()
            return try salvage(reading, problems: Self.told(problems, first: problem))
        } catch {
            throw self.error(error)
        }
    }

    /// Opens the file as it is; nil when it is damaged.
    func reopen(_ facts: KeptFacts) throws(SQLiteError) -> RegistryFile? {
        do throws(SQLiteError) {
            let database = try SQLiteDatabase(path: file, creating: false)
            try check(database)
            return try RegistryFile(database: database, facts: facts)
        } catch {
            guard error.kind == .damaged else { throw error }
            return nil
        }
    }

    /// The log of the open file, and the disk knows where it is; nil when it is not there.
    func openLog() -> OpenFile? {
        guard let log = OpenFile(file + "-wal", creating: false), let directory = OpenFile(path, creating: false),
            directory.sync()
        else { return nil }
        return log
    }

    private func error(_ error: SQLiteError) -> DataDirectoryError {
        if let refusal = Refusal(rawValue: error.message) {
            return DataDirectoryError(path: file, reason: refusal.reason, remedy: refusal.remedy)
        }
        let remedy =
            switch error.kind {
            case .denied: "let this user read and write the files in \(path)"
            case .busy: "close the program that has locked it"
            case .full: "make room on its disk"
            case .damaged, .other: "check the disk, or name another directory"
            }
        return DataDirectoryError(path: file, reason: "cannot be used: \(error)", remedy: remedy)
    }

    /// Files that are nobody's to repair.
    private enum Refusal: String {
        case notOurs
        case newer

        var reason: String {
            switch self {
            case .notOurs: "is an SQLite file of another program"
            case .newer: "was written by a newer version of regdns"
            }
        }

        var remedy: String {
            switch self {
            case .notOurs: "name a directory of regdns's own"
            case .newer: "run that version, or name another directory"
            }
        }

        var error: SQLiteError { SQLiteError(code: 1, message: rawValue) }
    }

    /// What is wrong with a file: what was found when it was read as far as it can be, or else why it could not be
    /// opened before.
    static func told(_ problems: [String], first: String?) -> [String] {
        problems.isEmpty ? [first ?? "it could not be opened"] : problems
    }

    /// Nil when the file is damaged.
    ///
    /// - Parameter problem: why, unless it is known.
    private func openSound(
        _ problem: inout String?
    ) throws(SQLiteError) -> (file: RegistryFile, reading: FileReading)? {
        guard size(of: file) != 0 else { return nil }
        do throws(SQLiteError) {
            let database = try SQLiteDatabase(path: file, creating: false)
            try check(database)
            let reading = try database.readRegistry()
            guard reading.problems.isEmpty else { return nil }
            return (try RegistryFile(database: database, facts: reading.facts), reading)
        } catch {
            guard error.kind == .damaged else { throw error }
            if problem == nil { problem = "\(error)" }
            return nil
        }
    }

    private func check(_ database: SQLiteDatabase) throws(SQLiteError) {
        let id = try database.integer("PRAGMA application_id") ?? 0
        let version = try database.integer("PRAGMA user_version") ?? 0
        guard id == RegistryFile.applicationID else { throw Refusal.notOurs.error }
        guard version <= RegistryFile.schemaVersion else { throw Refusal.newer.error }
    }

    // MARK: Damage

    /// What can be read of the file.
    private func readDamaged() throws(SQLiteError) -> (FileReading, [String]) {
        guard size(of: file) != 0 else { return (FileReading(), ["registry.db is empty"]) }
        do throws(SQLiteError) {
            let reading = try SQLiteDatabase(path: file, creating: false).readRegistry()
            return (reading, reading.problems)
        } catch {
            guard error.kind == .damaged else { throw error }
            return (FileReading(), ["\(error)"])
        }
    }

    /// Moves the damaged file aside and puts one with the sound part of it in its place. A crash at any point leaves
    /// the one or the other.
    private func salvage(
        _ reading: FileReading, problems: [String]
    ) throws(SQLiteError) -> (file: RegistryFile, reading: FileReading, damage: Damage?) {
        try make(reading.content, reading.facts, at: newFile)
        try move(newFile, to: salvagedFile)
        let aside = freeName(file + "-damaged-" + Self.timeText())
        let isThere = exists(file)
        // The file before its log: as long as it has its name, all of it can be read again.
        for suffix in ["", "-wal", "-shm"] where exists(file + suffix) { try move(file + suffix, to: aside + suffix) }
        try move(salvagedFile, to: file)
        let database = try SQLiteDatabase(path: file, creating: false)
        let damage = Damage(
            movedTo: isThere ? aside : aside + "-wal", problems: problems, entriesKept: reading.content.entries.count)
        return (try RegistryFile(database: database, facts: reading.facts), reading, damage)
    }

    /// Ends what a crash has interrupted.
    private func finishSalvage() throws(SQLiteError) {
        for suffix in ["", "-journal"] { try? FileManager.default.removeItem(atPath: newFile + suffix) }
        guard exists(salvagedFile) else { return }
        guard !exists(file) else {
            // The damaged file is still there and is read again.
            try? FileManager.default.removeItem(atPath: salvagedFile)
            return
        }
        // SQLite would take the damaged file's log for that of the new one.
        let aside = freeName(file + "-damaged-" + Self.timeText())
        for suffix in ["-wal", "-shm"] where exists(file + suffix) { try move(file + suffix, to: aside + suffix) }
        try move(salvagedFile, to: file)
    }

    private func make(_ content: KeptContent, _ facts: KeptFacts, at path: String) throws(SQLiteError) {
        try? FileManager.default.removeItem(atPath: path)
        try RegistryFile.create(path: path, content: content, facts: facts)
    }

    /// Moves a file, and has the disk know where it is.
    private func move(_ from: String, to: String) throws(SQLiteError) {
        do {
            try FileManager.default.moveItem(atPath: from, toPath: to)
        } catch {
            throw SQLiteError(code: 14, message: "cannot be moved to \(to): \(Self.reason(error))")
        }
        guard let directory = OpenFile(path, creating: false), directory.sync() else {
            throw SQLiteError(code: 10, message: "the directory cannot be synced: \(OpenFile.reason)")
        }
    }

    // MARK: Files

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    private func size(of path: String) -> Int? { number(.size, of: path) }

    /// The identity of the file that has the name now; nil without one.
    func currentFileNumber() -> Int? { number(.systemFileNumber, of: file) }

    private func number(_ key: FileAttributeKey, of path: String) -> Int? {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path) else { return nil }
        return (attributes[key] as? NSNumber)?.intValue
    }

    private func freeName(_ name: String) -> String {
        var free = name
        var count = 1
        while exists(free) {
            count += 1
            free = "\(name)-\(count)"
        }
        return free
    }

    /// The time in UTC as it stands in names of files: `20260131T235959Z`.
    private static func timeText() -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "UTC")
        formatter.dateFormat = "yyyyMMdd'T'HHmmss'Z'"
        return formatter.string(from: Date())
    }
}
