import DNSWire
import RegistryStore

/// Writes the records behind a question and remembers where their TTLs stand.
///
/// Compression is what answers here need: a name's tail may point into the question, and an owner that was just written
/// as a target points there. RDATA names are compressed only where RFC 3597 section 4 lets them (`compressible`).
struct BodyWriter {
    /// Name of the question in wire form, exact case of the view; pointers assume it at offset 12.
    private let question: [UInt8]
    /// Where the question's labels begin, in steps from its end: tails may be shared at these only.
    private let tails: Set<Int>
    private let base: Int
    private(set) var body: [UInt8] = []
    private(set) var records: [ComposedAnswer.Record] = []
    /// Where the last RDATA target began, absolute in the message, and its wire form.
    private(set) var lastTarget: (name: [UInt8], offset: Int)?

    init(question: [UInt8]) {
        self.question = question
        var tails = Set<Int>()
        var position = 0
        while position < question.count, question[position] != 0 {
            tails.insert(question.count - position)
            position += 1 + Int(question[position])
        }
        self.tails = tails
        base = 12 + question.count + 4
    }

    /// Octets the whole message has so far, without OPT.
    var messageBytes: Int { base + body.count }

    /// Starts a record; close it with `end`. `at`: absolute offset of a copy of the owner name, when there is one.
    mutating func begin(
        owner: [UInt8], at known: Int? = nil, type: RRType, rrclass: RRClass = .in, ttl: UInt32,
        deadlineSlot: UInt32 = LeaseDeadlines.none
    ) -> Int {
        if let known, known < 0x4000 {
            put16(0xC000 | UInt16(known))
        } else {
            put(name: owner, compress: true)
        }
        put16(type.rawValue)
        put16(rrclass.rawValue)
        records.append(.init(ttlOffset: body.count, end: 0, deadlineSlot: deadlineSlot, ttl: ttl))
        put32(ttl)
        put16(0)
        return body.count
    }

    /// Ends the record whose RDATA began at `rdata`.
    mutating func end(rdata: Int) {
        let length = body.count - rdata
        body[rdata - 2] = UInt8(truncatingIfNeeded: length >> 8)
        body[rdata - 1] = UInt8(truncatingIfNeeded: length)
        records[records.count - 1].end = body.count
    }

    /// Takes back everything from record `count` on.
    mutating func rollBack(records count: Int) {
        records.removeLast(records.count - count)
        body.removeLast(body.count - (records.last?.end ?? 0))
        lastTarget = nil
    }

    mutating func put8(_ value: UInt8) { body.append(value) }
    mutating func put16(_ value: UInt16) {
        body.append(UInt8(truncatingIfNeeded: value >> 8))
        body.append(UInt8(truncatingIfNeeded: value))
    }
    mutating func put32(_ value: UInt32) {
        put16(UInt16(truncatingIfNeeded: value >> 16))
        put16(UInt16(truncatingIfNeeded: value))
    }
    mutating func put(_ bytes: some Sequence<UInt8>) { body.append(contentsOf: bytes) }

    /// Writes a name in RDATA and remembers its place.
    mutating func putTarget(_ name: [UInt8], compress: Bool) {
        lastTarget = (name, base + body.count)
        put(name: name, compress: compress)
    }

    /// Writes a name, its tail as a pointer into the question when they share one.
    mutating func put(name: [UInt8], compress: Bool) {
        guard compress else { return put(name) }
        var position = 0
        while position < name.count, name[position] != 0 {
            let left = name.count - position
            if tails.contains(left), name[position...].elementsEqual(question[(question.count - left)...]) {
                put16(0xC000 | UInt16(12 + question.count - left))
                return
            }
            let next = position + 1 + Int(name[position])
            put(name[position..<min(next, name.count)])
            position = next
        }
        put8(0)
    }
}
