/// Composes one message within a size limit: sections in order, compressed names, whole records or none, room for OPT
/// set aside from the start.
///
/// For answers that are not precomposed: forwarded and cached ones, chains, the client's queries, tests. Allocates.
public struct ResponseWriter: Sendable {
    /// The response code; it may change until `finish`. Codes above 15 need EDNS and become SERVFAIL without it.
    public var rcode: RCODE
    /// The header's flags; opcode and response code bits are set by `finish`.
    public var flags: MessageFlags
    /// The octets the message may have, the OPT record included.
    public let limit: Int

    private let opcode: Opcode
    private let edns: EDNS?
    private var octets: [UInt8]
    private var names = NameCompressor()
    private var section = MessageSection.answer
    private var questionCount = 0
    private var counts = [0, 0, 0]

    /// Starts a message of at most `limit` octets (512 to 65,535; other limits are moved to the nearer end).
    ///
    /// The question is written as it is, letter case kept. OPT options that do not fit beside header and question are
    /// left out from the last one on.
    public init(
        limit: Int, id: UInt16, flags: MessageFlags = .response, opcode: Opcode = .query, rcode: RCODE = .noError,
        question: Question? = nil, edns: EDNS? = nil
    ) {
        self.limit = min(max(limit, 512), 0xffff)
        self.flags = flags
        self.opcode = opcode
        self.rcode = rcode
        octets = []
        octets.reserveCapacity(min(self.limit, 1232))
        octets.append(contentsOf: [UInt8(id >> 8), UInt8(id & 0xff)])
        octets.append(contentsOf: [UInt8](repeating: 0, count: 10))
        if let question {
            names.append(question.name.wire[...], compress: true, to: &octets)
            octets.append(bigEndian: question.type.rawValue)
            octets.append(bigEndian: question.rrClass.rawValue)
            questionCount = 1
        }
        var edns = edns
        while let options = edns?.options, !options.isEmpty,
            octets.count + (edns?.wireLength ?? 0) > self.limit
        {
            edns?.options.removeLast()
        }
        self.edns = edns
    }

    /// The octets left for records.
    public var room: Int { limit - octets.count - (edns?.wireLength ?? 0) }

    /// The number of records in a section so far.
    public func count(of section: MessageSection) -> Int { counts[section.rawValue] }

    /// Adds a record whose RDATA is uncompressed and has the form of its type; other RDATA is copied as it is.
    ///
    /// Returns false, and leaves the message as it was, when the record does not fit. TC is set then, unless the
    /// record was for the additional section, which clients can do without (RFC 2181 §9). Names in RDATA are
    /// compressed for the types of RFC 1035 only (RFC 3597 §4).
    ///
    /// - Precondition: sections come in their order.
    @discardableResult
    public mutating func append(
        _ section: MessageSection, owner: some WireName, type: RRType, rrClass: RRClass = .in, ttl: UInt32,
        rdata: [UInt8]
    ) -> Bool {
        precondition(section >= self.section, "records must be added section by section")
        let start = octets.count
        names.append(owner.wire[...], compress: true, to: &octets)
        octets.append(bigEndian: type.rawValue)
        octets.append(bigEndian: rrClass.rawValue)
        octets.append(bigEndian: ttl)
        let lengthAt = octets.count
        octets.append(contentsOf: [0, 0])
        appendRDATA(rdata, type: type)
        let length = octets.count - lengthAt - 2
        guard room >= 0, length <= 0xffff, counts[section.rawValue] < 0xffff else {
            octets.removeSubrange(start...)
            names.rollBack(to: start)
            if section != .additional { flags.insert(.truncated) }
            return false
        }
        octets[lengthAt] = UInt8(length >> 8)
        octets[lengthAt + 1] = UInt8(length & 0xff)
        self.section = section
        counts[section.rawValue] += 1
        return true
    }

    /// Adds a record that stands on its own; see `append(_:owner:type:rrClass:ttl:rdata:)`.
    @discardableResult
    public mutating func append(_ section: MessageSection, _ record: ResourceRecord) -> Bool {
        append(
            section, owner: record.owner, type: record.type, rrClass: record.rrClass, ttl: record.ttl,
            rdata: record.rdata)
    }

    /// Removes all records and sets TC, for answers of which a part would mislead.
    public mutating func truncate() {
        let end = questionCount == 0 ? 12 : questionEnd
        octets.removeSubrange(end...)
        names.rollBack(to: end)
        counts = [0, 0, 0]
        section = .answer
        flags.insert(.truncated)
    }

    /// The whole message.
    public consuming func finish() -> [UInt8] {
        var code = rcode
        if edns == nil, code.rawValue > 15 { code = .servFail }
        put(flags.with(opcode: opcode, rcode: code).rawValue, at: 2)
        put(UInt16(questionCount), at: 4)
        put(UInt16(counts[0]), at: 6)
        put(UInt16(counts[1]), at: 8)
        put(UInt16(counts[2] + (edns == nil ? 0 : 1)), at: 10)
        if let edns { appendOPT(edns, rcode: code) }
        return octets
    }

    private var questionEnd: Int {
        CompressedName.end(in: octets.span.octets, at: 12, limit: octets.count).map { $0 + 4 } ?? 12
    }

    private mutating func appendRDATA(_ rdata: [UInt8], type: RRType) {
        guard let fields = RDATAForm.fields(of: type), RDATAForm.isSound(type: type, rdata: rdata) else {
            octets.append(contentsOf: rdata)
            return
        }
        let span = rdata.span.octets
        var at = 0
        for field in fields {
            // The form was checked above, so every field has its end.
            let end = RDATAForm.fieldEnd(field, in: span, at: at, end: rdata.count, pointersAllowed: false) ?? at
            switch field {
            case .compressedName: names.append(rdata[at..<end], compress: true, to: &octets)
            case .name: names.append(rdata[at..<end], compress: false, to: &octets)
            default: octets.append(contentsOf: rdata[at..<end])
            }
            at = end
        }
    }

    private mutating func appendOPT(_ edns: EDNS, rcode: RCODE) {
        octets.append(0)
        octets.append(bigEndian: RRType.opt.rawValue)
        octets.append(bigEndian: edns.payloadSize)
        octets.append(contentsOf: [rcode.extendedBits, edns.version, edns.dnssecOK ? 0x80 : 0, 0])
        octets.append(bigEndian: UInt16(edns.wireLength - OPTRecord.fixedLength))
        for option in edns.options {
            octets.append(bigEndian: option.code.rawValue)
            octets.append(bigEndian: UInt16(option.data.count))
            octets.append(contentsOf: option.data)
        }
    }

    private mutating func put(_ value: UInt16, at offset: Int) {
        octets[offset] = UInt8(value >> 8)
        octets[offset + 1] = UInt8(value & 0xff)
    }
}

extension [UInt8] {
    /// Appends a number in network order.
    mutating func append(bigEndian value: UInt16) {
        append(UInt8(value >> 8))
        append(UInt8(value & 0xff))
    }

    /// Appends a number in network order.
    mutating func append(bigEndian value: UInt32) {
        append(bigEndian: UInt16(value >> 16))
        append(bigEndian: UInt16(value & 0xffff))
    }
}
