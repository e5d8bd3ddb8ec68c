import DNSWire

/// The records of an answer before they become an `AnswerBlock`: everything behind the question section.
struct ComposedAnswer: Sendable {
    /// One record: where its TTL stands and how to compute it when answering.
    struct Record: Sendable {
        /// Offset of the TTL field in `body`.
        var ttlOffset: Int
        /// Offset behind the record in `body`.
        var end: Int
        /// Slot of the lease whose rest bounds the TTL; `LeaseDeadlines.none` for none.
        var deadlineSlot: UInt32
        /// The TTL without the lease, in seconds.
        var ttl: UInt32
    }

    var type: RRType
    var rcode: RCODE = .noError
    var authoritative = true
    /// The name exists without records of this type: the authority section (SOA) is written when answering.
    var isNoData = false
    /// All answers get one TTL, their least, not above this cap (SkyDNS, for more than one answer record).
    var uniformTTLCap: UInt32?
    /// Answers are equally long and may start at any of them (round robin).
    var rotates = false
    /// Not the whole set: sent with TC.
    var isPartial = false
    var answerCount = 0
    var authorityCount = 0
    var additionalCount = 0
    var records: [Record] = []
    var body: [UInt8] = []
    /// Valid only while the view has this change count; nil: until the name itself changes.
    var viewStamp: UInt64?
    /// Monotonic milliseconds until which a sample may be used.
    var validUntil = Int64.max

    /// A NODATA answer.
    static func noData(_ type: RRType) -> ComposedAnswer {
        var answer = ComposedAnswer(type: type)
        answer.isNoData = true
        return answer
    }
}

/// One response sent for a name and type, ready to be copied: records and the places of their TTLs.
///
/// Layout: 0 next (address), 8 view stamp, 16 valid until, 24 type, 26 rcode, 28 flags, 30 answers, 32 authorities,
/// 34 additionals, 36 stride, 40 answer octets, 44 body octets, 48 cap, then 12 octets a record (TTL offset UInt16,
/// end UInt16, slot UInt32, TTL UInt32), then the body and 16 octets of slack.
@safe
struct AnswerBlock {
    let block: RawBlock

    enum Flag {
        static let authoritative: UInt16 = 1
        static let noData: UInt16 = 2
        static let uniformTTL: UInt16 = 4
        static let rotates: UInt16 = 8
        static let stamped: UInt16 = 16
        static let partial: UInt16 = 32
    }
    private static let recordsOffset = 52
    private static let recordSize = 12

    /// The block of an answer; `body` must not be longer than 65,535 octets.
    static func make(_ answer: ComposedAnswer, next: UInt) -> AnswerBlock {
        let recordsEnd = recordsOffset + answer.records.count * recordSize
        let result = AnswerBlock(block: .allocate(recordsEnd + answer.body.count + 16))
        let block = result.block
        var flags: UInt16 = 0
        if answer.authoritative { flags |= Flag.authoritative }
        if answer.isNoData { flags |= Flag.noData }
        if answer.uniformTTLCap != nil { flags |= Flag.uniformTTL }
        if answer.isPartial { flags |= Flag.partial }
        if answer.viewStamp != nil { flags |= Flag.stamped }
        let answerEnd = answer.answerCount > 0 ? answer.records[answer.answerCount - 1].end : 0
        var stride = 0
        if answer.rotates && answer.answerCount > 1 {
            flags |= Flag.rotates
            stride = answer.records[0].end
        }
        block.store(next, at: 0)
        block.store(answer.viewStamp ?? 0, at: 8)
        block.store(answer.validUntil, at: 16)
        block.store(answer.type.rawValue, at: 24)
        block.store(UInt16(answer.rcode.rawValue), at: 26)
        block.store(flags, at: 28)
        block.store(UInt16(answer.answerCount), at: 30)
        block.store(UInt16(answer.authorityCount), at: 32)
        block.store(UInt16(answer.additionalCount), at: 34)
        block.store(UInt32(stride), at: 36)
        block.store(UInt32(answerEnd), at: 40)
        block.store(UInt32(answer.body.count), at: 44)
        block.store(answer.uniformTTLCap ?? UInt32.max, at: 48)
        var offset = recordsOffset
        for record in answer.records {
            block.store(UInt16(record.ttlOffset), at: offset)
            block.store(UInt16(record.end), at: offset + 2)
            block.store(record.deadlineSlot, at: offset + 4)
            block.store(record.ttl, at: offset + 8)
            offset += recordSize
        }
        block.copy(answer.body, at: recordsEnd)
        return result
    }

    /// The same answer before another next one.
    func copy(next: UInt) -> AnswerBlock {
        let size = bodyOffset + bodyBytes
        let result = AnswerBlock(block: .allocate(size + 16))
        result.block.copy(block.bytes(0, size), at: 0)
        result.block.store(next, at: 0)
        return result
    }

    @inline(__always) var next: UInt { block.load(0, as: UInt.self) }
    @inline(__always) var viewStamp: UInt64 { block.load(8, as: UInt64.self) }
    @inline(__always) var validUntil: Int64 { block.load(16, as: Int64.self) }
    @inline(__always) var type: UInt16 { block.load(24, as: UInt16.self) }
    @inline(__always) var rcode: UInt16 { block.load(26, as: UInt16.self) }
    @inline(__always) var flags: UInt16 { block.load(28, as: UInt16.self) }
    @inline(__always) var answerCount: Int { Int(block.load(30, as: UInt16.self)) }
    @inline(__always) var authorityCount: Int { Int(block.load(32, as: UInt16.self)) }
    @inline(__always) var additionalCount: Int { Int(block.load(34, as: UInt16.self)) }
    @inline(__always) var stride: Int { Int(block.load(36, as: UInt32.self)) }
    @inline(__always) var answerBytes: Int { Int(block.load(40, as: UInt32.self)) }
    @inline(__always) var bodyBytes: Int { Int(block.load(44, as: UInt32.self)) }
    @inline(__always) var ttlCap: UInt32 { block.load(48, as: UInt32.self) }
    @inline(__always) var bodyOffset: Int {
        Self.recordsOffset &+ Self.recordSize &* (answerCount &+ authorityCount &+ additionalCount)
    }

    @inline(__always) func ttlOffset(_ record: Int) -> Int {
        Int(block.load(Self.recordsOffset &+ Self.recordSize &* record, as: UInt16.self))
    }
    @inline(__always) func end(_ record: Int) -> Int {
        Int(block.load(Self.recordsOffset &+ Self.recordSize &* record &+ 2, as: UInt16.self))
    }
    @inline(__always) func deadlineSlot(_ record: Int) -> UInt32 {
        block.load(Self.recordsOffset &+ Self.recordSize &* record &+ 4, as: UInt32.self)
    }
    @inline(__always) func ttl(_ record: Int) -> UInt32 {
        block.load(Self.recordsOffset &+ Self.recordSize &* record &+ 8, as: UInt32.self)
    }

    /// Whether the answer may still be given: not older than the view's change it depends on, nor than its sample.
    @inline(__always)
    func isCurrent(changes: @autoclosure () -> UInt64, now: Int64) -> Bool {
        validUntil >= now && (flags & Flag.stamped == 0 || viewStamp == changes())
    }
}
