/// Walks any message, section by section: answers of forwarders, the client's lookups, tests.
///
/// Read all questions first, then the records. Every walk is bounded by the message; a broken item ends the reading
/// with an error, after which the reader must not be used. The hot path uses `QueryParser` instead.
public struct MessageReader: Sendable {
    /// A record and where it lies in the message.
    public struct Found: Sendable {
        /// The section it stands in.
        public var section: MessageSection
        /// The record, names written out; the TTL of OPT as sent, others' at most 2^31 - 1.
        public var record: ResourceRecord
        /// Where the four octets of the TTL begin.
        public var ttlOffset: Int
        /// Where the RDATA lies, perhaps compressed.
        public var rdataRange: Range<Int>
    }

    /// The message.
    public let octets: [UInt8]
    /// The id that ties a response to its query.
    public let id: UInt16
    /// The header's flags, opcode and lower response code bits included.
    public let flags: MessageFlags
    /// QDCOUNT as sent.
    public let questionCount: Int
    private let recordCounts: [Int]
    private var at = 12
    private var questionsRead = 0
    private var section = MessageSection.answer
    private var recordsRead = 0

    /// Reads the header. Throws when there is none, or when the message is longer than any transport carries.
    public init(_ octets: [UInt8]) throws(WireError) {
        guard octets.count >= 12 else { throw .truncated(offset: octets.count) }
        guard octets.count <= 0xffff else { throw .messageTooLong(offset: 0xffff) }
        let span = octets.span.octets
        id = span.uint16(at: 0)
        flags = MessageFlags(rawValue: span.uint16(at: 2))
        questionCount = Int(span.uint16(at: 4))
        recordCounts = [Int(span.uint16(at: 6)), Int(span.uint16(at: 8)), Int(span.uint16(at: 10))]
        self.octets = octets
    }

    /// The number of records the header announces for a section.
    public func count(of section: MessageSection) -> Int { recordCounts[section.rawValue] }

    /// The next question, or nil after the last.
    public mutating func nextQuestion() throws(WireError) -> Question? {
        guard questionsRead < questionCount else { return nil }
        let octets = self.octets
        let span = octets.span.octets
        var name: [UInt8] = []
        guard let nameEnd = CompressedName.read(in: span, at: at, limit: octets.count, into: &name) else {
            throw .badName(offset: at)
        }
        guard nameEnd + 4 <= octets.count else { throw .truncated(offset: octets.count) }
        at = nameEnd + 4
        questionsRead += 1
        return Question(
            name: DomainName(trusted: name), type: RRType(rawValue: span.uint16(at: nameEnd)),
            rrClass: RRClass(rawValue: span.uint16(at: nameEnd + 2)))
    }

    /// The next record of any section, or nil after the last. Throws when octets are left after it.
    public mutating func nextRecord() throws(WireError) -> Found? {
        while questionsRead < questionCount { _ = try nextQuestion() }
        while recordsRead == count(of: section) {
            guard let next = MessageSection(rawValue: section.rawValue + 1) else {
                guard at == octets.count else { throw .trailingOctets(offset: at) }
                return nil
            }
            section = next
            recordsRead = 0
        }
        let octets = self.octets
        let span = octets.span.octets
        var owner: [UInt8] = []
        guard CompressedName.read(in: span, at: at, limit: octets.count, into: &owner) != nil else {
            throw .badName(offset: at)
        }
        guard let header = RecordHeader(span, at: at, length: octets.count) else { throw .truncated(offset: at) }
        guard
            let rdata = RDATAForm.selfContained(
                type: header.type, in: span, at: header.rdataOffset, end: header.end)
        else { throw .badRDATA(type: header.type, offset: header.rdataOffset) }
        at = header.end
        recordsRead += 1
        // A TTL with its top bit set counts as zero (RFC 2181 §8).
        let ttl = header.type == .opt || header.ttl < 0x8000_0000 ? header.ttl : 0
        return Found(
            section: section,
            record: ResourceRecord(
                owner: DomainName(trusted: owner), type: header.type, rrClass: header.rrClass, ttl: ttl, rdata: rdata),
            ttlOffset: header.typeOffset + 4, rdataRange: header.rdataOffset..<header.end)
    }
}
