/// The fixed part of a record inside a message; its name and RDATA as offsets.
struct RecordHeader {
    /// Where the owner name begins.
    let nameOffset: Int
    /// Where the TYPE field begins, right after the owner name.
    let typeOffset: Int
    let type: RRType
    let rrClass: RRClass
    let ttl: UInt32
    let rdataOffset: Int
    let rdataLength: Int

    /// The offset after the record.
    var end: Int { rdataOffset &+ rdataLength }

    /// Reads the record at `at`, which must end at or before `length`; nil when it is cut or its owner name is broken.
    init?(_ message: RawSpan, at: Int, length: Int) {
        guard let nameEnd = CompressedName.end(in: message, at: at, limit: length), nameEnd &+ 10 <= length else {
            return nil
        }
        nameOffset = at
        typeOffset = nameEnd
        type = RRType(rawValue: message.uint16(at: nameEnd))
        rrClass = RRClass(rawValue: message.uint16(at: nameEnd &+ 2))
        ttl = message.uint32(at: nameEnd &+ 4)
        rdataOffset = nameEnd &+ 10
        rdataLength = Int(message.uint16(at: nameEnd &+ 8))
        guard rdataOffset &+ rdataLength <= length else { return nil }
    }

    /// Whether the RDATA has the form of its type. Types without a known form always have it.
    func hasSoundRDATA(in message: RawSpan) -> Bool {
        RDATAForm.isSound(type: type, in: message, at: rdataOffset, end: end)
    }
}

/// The RDATA of a TSIG record (RFC 8945 §4.2): read far enough to tell a signature from noise.
enum TransactionSignature {
    /// Whether the record has TSIG's class and TTL, and a MAC and other data that fill the RDATA exactly.
    static func isSound(_ message: RawSpan, record: RecordHeader) -> Bool {
        guard record.rrClass == .any, record.ttl == 0 else { return false }
        let end = record.end
        guard let algorithmEnd = CompressedName.end(in: message, at: record.rdataOffset, limit: end) else {
            return false
        }
        // Time signed (6), fudge (2), MAC size (2).
        let mac = algorithmEnd &+ 10
        guard mac <= end else { return false }
        // Original id (2), error (2), length of other data (2).
        let other = mac &+ Int(message.uint16(at: mac &- 2)) &+ 6
        guard other <= end else { return false }
        return other &+ Int(message.uint16(at: other &- 2)) == end
    }
}
