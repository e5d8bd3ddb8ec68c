/// Answers that hold no data: the header, the question when there is a usable one, and OPT when the query had one.
public enum ErrorResponse {
    /// UDP payload size told to clients (DNS flag day 2020, RFC 9715 §3.1).
    public static let advertisedPayloadSize: UInt16 = 1232
    /// The most octets `write` needs: header, longest question, OPT with an extended error.
    public static let lengthMax = 12 + 259 + 17

    /// Writes the error answer to `query`, which was parsed from `message`, at the start of `out`.
    ///
    /// Copies id, opcode, RD and the question; sets QR, and RA when asked to. AA stays clear. Returns the octets
    /// written, or 0 when `out` is too small. Allocates nothing.
    public static func write(
        _ query: ParsedQuery, message: RawSpan, rcode: RCODE, extendedError: ExtendedErrorCode? = nil,
        recursionAvailable: Bool = false, into out: inout MutableRawSpan
    ) -> Int {
        let questionEnd = query.questionEnd
        let optLength = query.hasEDNS ? (extendedError == nil ? 11 : 17) : 0
        guard questionEnd &+ optLength <= out.byteCount, questionEnd <= message.byteCount else { return 0 }
        var flags: MessageFlags = .response
        if query.recursionDesired { flags.insert(.recursionDesired) }
        if recursionAvailable { flags.insert(.recursionAvailable) }
        flags = flags.with(opcode: query.opcode, rcode: rcode)
        out.store(uint16: query.id, at: 0)
        out.store(uint16: flags.rawValue, at: 2)
        out.store(uint16: query.hasQuestion ? 1 : 0, at: 4)
        out.store(uint32: 0, at: 6)
        out.store(uint16: query.hasEDNS ? 1 : 0, at: 10)
        var at = QueryParser.nameOffset
        while at < questionEnd {
            out.store(octet: message.octet(at: at), at: at)
            at &+= 1
        }
        guard query.hasEDNS else { return at }
        at = OPTRecord.write(rcode: rcode, dnssecOK: query.dnssecOK, optionsLength: optLength - 11, at: at, into: &out)
        if let extendedError {
            out.store(uint16: EDNSOptionCode.extendedError.rawValue, at: at)
            out.store(uint16: 2, at: at &+ 2)
            out.store(uint16: extendedError.rawValue, at: at &+ 4)
            at &+= 6
        }
        return at
    }
}

/// The OPT record of an answer (RFC 6891 §6.1.2).
public enum OPTRecord {
    /// Octets of the record without options.
    public static let fixedLength = 11

    /// Writes the record without its options at `at`. Returns the offset where `optionsLength` octets of options go.
    /// The caller has made sure of the space. Version 0; of the flags only DO is copied.
    @inlinable
    public static func write(
        rcode: RCODE, dnssecOK: Bool, optionsLength: Int, at: Int, into out: inout MutableRawSpan
    ) -> Int {
        out.store(octet: 0, at: at)
        out.store(uint16: RRType.opt.rawValue, at: at &+ 1)
        out.store(uint16: ErrorResponse.advertisedPayloadSize, at: at &+ 3)
        out.store(uint32: UInt32(rcode.extendedBits) << 24 | (dnssecOK ? 0x8000 : 0), at: at &+ 5)
        out.store(uint16: UInt16(truncatingIfNeeded: optionsLength), at: at &+ 9)
        return at &+ fixedLength
    }
}
