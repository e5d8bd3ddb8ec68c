import CSQLite

// The only file that calls SQLite.
//
// SAFETY, for all of it:
// - `@unchecked Sendable`: the connection is opened with SQLITE_OPEN_FULLMUTEX, with which SQLite lets any thread call
//   it and its statements. That the calls of a statement belong together its owner sees to, by a lock of its own.
// - `handle` of a connection or a statement is valid from `init` to `deinit`. A statement holds its connection, which
//   hence is closed after all of its statements.
// - Bytes handed to `bind` are copied by SQLite (SQLITE_TRANSIENT) before the call returns.
// - Bytes got from a column are copied before the next call on the statement, as sqlite3_column_blob demands, and
//   their count is asked after their address, in the order that SQLite documents.

/// A connection to an SQLite file.
@safe final class SQLiteDatabase: @unchecked Sendable {
    fileprivate let handle: OpaquePointer

    /// Opens a file, and makes it when it must not exist yet.
    init(path: String, creating: Bool) throws(SQLiteError) {
        var opened: OpaquePointer?
        let mode = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE
        let code = unsafe sqlite3_open_v2(path, &opened, creating ? mode | SQLITE_OPEN_CREATE : mode, nil)
        guard code == SQLITE_OK, let opened = unsafe opened else {
            let error = unsafe Self.error(code, opened)
            unsafe sqlite3_close_v2(opened)
            throw error
        }
        unsafe handle = opened
        unsafe sqlite3_busy_timeout(handle, 5_000)
    }

    deinit { unsafe sqlite3_close_v2(handle) }

    /// Runs statements that give no rows.
    func execute(_ sql: String) throws(SQLiteError) {
        let code = unsafe sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw unsafe Self.error(code, handle) }
    }

    /// The number in the first column of the first row; nil without a row.
    func integer(_ sql: String) throws(SQLiteError) -> Int64? {
        let statement = try SQLiteStatement(self, sql)
        return try statement.step() ? statement.integer(0) : nil
    }

    /// Copies what the log has into the file as far as readers let it. Gives the pages that the log is long.
    func checkpoint(truncating: Bool) throws(SQLiteError) -> Int {
        let mode = truncating ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE
        var pages: Int32 = 0
        let code = unsafe sqlite3_wal_checkpoint_v2(handle, nil, mode, &pages, nil)
        guard code == SQLITE_OK || code & 0xff == SQLITE_BUSY else { throw unsafe Self.error(code, handle) }
        return max(0, Int(pages))
    }

    /// Whether a transaction is open.
    var isInTransaction: Bool { unsafe sqlite3_get_autocommit(handle) == 0 }

    fileprivate static func error(_ code: Int32, _ handle: OpaquePointer?) -> SQLiteError {
        let text = unsafe handle.map { unsafe String(cString: sqlite3_errmsg($0)) }
        return SQLiteError(code: code, message: text ?? (unsafe String(cString: sqlite3_errstr(code))))
    }
}

/// A prepared statement. Parameters count from 1, columns from 0.
@safe final class SQLiteStatement: @unchecked Sendable {
    private let handle: OpaquePointer
    private let database: SQLiteDatabase

    init(_ database: SQLiteDatabase, _ sql: String) throws(SQLiteError) {
        var prepared: OpaquePointer?
        let code = unsafe sqlite3_prepare_v3(
            database.handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard code == SQLITE_OK, let prepared = unsafe prepared else {
            throw unsafe SQLiteDatabase.error(code, database.handle)
        }
        unsafe handle = prepared
        self.database = database
    }

    deinit { unsafe sqlite3_finalize(handle) }

    func bind(_ place: Int32, _ number: Int64) throws(SQLiteError) {
        try check(unsafe sqlite3_bind_int64(handle, place, number))
    }

    func bind(_ place: Int32, _ text: String?) throws(SQLiteError) {
        guard let text else { return try bindNull(place) }
        try check(unsafe sqlite3_bind_text(handle, place, text, Int32(clamping: text.utf8.count), Self.transient))
    }

    func bind(_ place: Int32, _ bytes: [UInt8]?) throws(SQLiteError) {
        guard let bytes else { return try bindNull(place) }
        guard !bytes.isEmpty else { return try check(unsafe sqlite3_bind_zeroblob(handle, place, 0)) }
        let code = unsafe bytes.withUnsafeBytes {
            unsafe sqlite3_bind_blob(handle, place, $0.baseAddress, Int32(clamping: $0.count), Self.transient)
        }
        try check(code)
    }

    func bindNull(_ place: Int32) throws(SQLiteError) { try check(unsafe sqlite3_bind_null(handle, place)) }

    /// Goes on to the next row; false when there is none.
    func step() throws(SQLiteError) -> Bool {
        let code = unsafe sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        guard code == SQLITE_DONE else { throw unsafe SQLiteDatabase.error(code, database.handle) }
        return false
    }

    /// Runs a statement without rows, and makes it ready for its next parameters.
    func run() throws(SQLiteError) {
        defer { reset() }
        _ = try step()
    }

    /// Makes the statement ready to be run again.
    func reset() {
        // What it returns is the error of the last step, which was thrown there.
        _ = unsafe sqlite3_reset(handle)
    }

    func integer(_ column: Int32) -> Int64 { unsafe sqlite3_column_int64(handle, column) }

    func isNull(_ column: Int32) -> Bool { unsafe sqlite3_column_type(handle, column) == SQLITE_NULL }

    func bytes(_ column: Int32) -> [UInt8] {
        guard let start = unsafe sqlite3_column_blob(handle, column) else { return [] }
        let count = Int(unsafe sqlite3_column_bytes(handle, column))
        return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
    }

    func text(_ column: Int32) -> String { String(decoding: bytes(column), as: UTF8.self) }

    private func check(_ code: Int32) throws(SQLiteError) {
        guard code == SQLITE_OK else { throw unsafe SQLiteDatabase.error(code, database.handle) }
    }

    /// SQLITE_TRANSIENT, which is a macro that Swift does not import.
    private static var transient: sqlite3_destructor_type {
        unsafe unsafeBitCast(Int(-1), to: sqlite3_destructor_type.self)
    }
}
