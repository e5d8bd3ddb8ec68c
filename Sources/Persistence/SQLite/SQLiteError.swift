/// A call of SQLite that failed.
struct SQLiteError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The extended result code (sqlite.org/rescode.html).
    let code: Int32
    let message: String

    enum Kind: Sendable {
        /// The file is no database, or is damaged.
        case damaged
        /// There is no room on the disk.
        case full
        /// Another process has locked the file.
        case busy
        /// The file cannot be opened or written by this user.
        case denied
        case other
    }

    var kind: Kind {
        switch code & 0xff {
        case 11, 26: .damaged
        case 13: .full
        case 5, 6: .busy
        case 3, 8, 14, 23: .denied
        default: .other
        }
    }

    /// The disk has refused what the system had taken (SQLITE_IOERR_FSYNC, SQLITE_IOERR_DIR_FSYNC).
    var isUnsynced: Bool { code == 1034 || code == 1290 }

    /// What was read is not what was written.
    static func damaged(_ message: String) -> SQLiteError { SQLiteError(code: 11, message: message) }

    var description: String { "\(message) (SQLite \(code))" }
}
