/// The parameters of a `/v2/keys` request, checked in etcd's order, so that the first wrong one is the one named.
struct KeysParameters {
    var value: [UInt8] = []
    /// Seconds; nil when absent or empty.
    var ttl: Int64?
    var directory = false
    var recursive = false
    var wait = false
    /// 0 when not asked for.
    var waitIndex: UInt64 = 0
    var stream = false
    var refresh = false
    var previousExists: Bool?
    /// Empty when not asked for: etcd refuses an empty value to compare with.
    var previousValue: [UInt8] = []
    /// 0 when not asked for.
    var previousIndex: UInt64 = 0
    var noValueOnSuccess = false

    /// Whether the write asks for a comparison of its key's value or index.
    var compares: Bool { previousIndex > 0 || !previousValue.isEmpty }

    /// The longest ttl in seconds, that of etcd's leases; etcd's v2 counts nanoseconds and overflows just above it.
    static let ttlMax: UInt64 = 9_000_000_000

    init(method: String, form: FormValues) throws(V2Error) {
        previousIndex = try Self.number("prevIndex", in: form, or: .indexNotANumber)
        waitIndex = try Self.number("waitIndex", in: form, or: .indexNotANumber)
        recursive = try Self.word("recursive", in: form)
        // Listings are always sorted; without `sorted` etcd promises no order.
        _ = try Self.word("sorted", in: form)
        wait = try Self.word("wait", in: form)
        directory = try Self.word("dir", in: form)
        // Reads are this node's own state in any case (contract section 4).
        _ = try Self.word("quorum", in: form)
        stream = try Self.word("stream", in: form)
        if wait && method != "GET" {
            throw V2Error(.invalidField, cause: "\"wait\" can only be used with GET requests")
        }
        if let compared = form["prevValue"] {
            guard !compared.isEmpty else {
                throw V2Error(.previousValueRequired, cause: "\"prevValue\" cannot be empty")
            }
            previousValue = compared
        }
        noValueOnSuccess = try Self.word("noValueOnSuccess", in: form)
        if let text = form["ttl"], !text.isEmpty {
            let seconds = try Self.number("ttl", in: form, or: .ttlNotANumber)
            guard seconds <= Self.ttlMax else { throw V2Error(.ttlNotANumber, cause: "invalid value for \"ttl\"") }
            ttl = Int64(seconds)
        }
        if form["prevExist"] != nil {
            previousExists = try Self.word("prevExist", in: form, quoted: false)
        }
        refresh = try Self.word("refresh", in: form, quoted: false)
        value = form["value"] ?? []
        if refresh {
            guard value.isEmpty else {
                throw V2Error(.refreshWithValue, cause: "A value was provided on a refresh")
            }
            guard ttl != nil else { throw V2Error(.refreshWithoutTTL, cause: "No TTL value set") }
        }
    }

    /// An unsigned decimal number; 0 when the name does not occur.
    private static func number(_ name: String, in form: FormValues, or code: V2Error.Code) throws(V2Error) -> UInt64 {
        guard let text = form[name] else { return 0 }
        // Swift's integer parser takes a sign, Go's unsigned one does not.
        guard text.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = UInt64(String(decoding: text, as: UTF8.self))
        else { throw V2Error(code, cause: "invalid value for \"\(name)\"") }
        return number
    }

    /// One of Go's words for true and false; false when the name does not occur.
    private static func word(_ name: String, in form: FormValues, quoted: Bool = true) throws(V2Error) -> Bool {
        guard let text = form[name] else { return false }
        switch String(decoding: text, as: UTF8.self) {
        case "1", "t", "T", "true", "TRUE", "True": return true
        case "0", "f", "F", "false", "FALSE", "False": return false
        default: throw V2Error(.invalidField, cause: "invalid value for " + (quoted ? "\"\(name)\"" : name))
        }
    }
}
