/// Reads a query in place: header, one question, an optional OPT record. Allocates nothing.
///
/// Ordinary queries take one straight path; all else goes through `parseUnusual`. What is refused, and how, follows
/// what BIND, Knot and NSD agree on.
public enum QueryParser {
    /// Where the QNAME begins: right after the header.
    public static let nameOffset = 12
    /// Octets of an OPT record without options.
    static let emptyOPTLength = 11
    /// The shortest message that can hold a question.
    private static let shortest = nameOffset + 5
    /// QDCOUNT 1, ANCOUNT 0, NSCOUNT 0, ARCOUNT 0 as one number.
    private static let oneQuestion: UInt64 = 0x0001_0000_0000_0000

    /// Parses the first `length` octets of `message`. Never traps, whatever the bytes; O(length).
    public static func parse(_ message: RawSpan, length: Int) -> ParsedQuery {
        var query = ParsedQuery()
        guard length >= nameOffset, length <= message.byteCount, length <= 0xffff else { return query }
        query.id = message.uint16(at: 0)
        query.flags = MessageFlags(rawValue: message.uint16(at: 2))
        let counts = message.uint64(at: 4)
        // ARCOUNT 0 or 1, everything else as in an ordinary query.
        guard length >= shortest, query.flags.isDisjoint(with: .responseAndOpcode), counts & ~1 == oneQuestion else {
            parseUnusual(message, length: length, into: &query)
            return query
        }
        guard readQuestion(message, length: length, into: &query) else {
            query.disposition = .formErr
            return query
        }
        let questionEnd = query.questionEnd
        if counts & 1 == 0 {
            query.disposition = questionEnd == length ? disposition(of: query) : .formErr
            return query
        }
        // An OPT record of the root that fills the rest of the message.
        guard questionEnd &+ emptyOPTLength <= length, message.octet(at: questionEnd) == 0,
            message.uint16(at: questionEnd &+ 1) == RRType.opt.rawValue,
            questionEnd &+ emptyOPTLength &+ Int(message.uint16(at: questionEnd &+ 9)) == length
        else {
            parseUnusual(message, length: length, into: &query)
            return query
        }
        let sound = readOPT(message, at: questionEnd &+ 1, into: &query)
        query.disposition = sound ? disposition(of: query) : .formErr
        return query
    }

    /// Reads the question behind the header. Returns false, leaving `query` without one, when it is cut or compressed.
    @inline(__always)
    private static func readQuestion(_ message: RawSpan, length: Int, into query: inout ParsedQuery) -> Bool {
        // The name ends before the type and class, and holds 255 octets at most.
        let end = min(length &- 4, nameOffset &+ NameBytes.lengthMax)
        var at = nameOffset
        var labels: UInt8 = 0
        while true {
            guard at < end else { return false }
            let octets = Int(message.octet(at: at))
            at &+= octets &+ 1
            if octets == 0 { break }
            guard octets <= NameBytes.labelMax else { return false }
            labels &+= 1
        }
        query.nameOctets = UInt8(truncatingIfNeeded: at &- nameOffset)
        query.labels = labels
        query.qtype = RRType(rawValue: message.uint16(at: at))
        query.qclass = RRClass(rawValue: message.uint16(at: at &+ 2))
        query.questionEndAt = UInt16(truncatingIfNeeded: at &+ 4)
        return true
    }

    /// Reads an OPT record whose TYPE field is at `at` and whose RDATA is known to lie inside the message. Returns
    /// false when an option runs over the end or a cookie has a length no cookie has (RFC 7873 §5.2.2).
    ///
    /// Options of a version above 0 may have another form and are not looked at.
    @inline(__always)
    private static func readOPT(_ message: RawSpan, at: Int, into query: inout ParsedQuery) -> Bool {
        query.hasEDNS = true
        query.payloadSize = message.uint16(at: at &+ 2)
        query.ednsVersion = message.octet(at: at &+ 5)
        query.dnssecOK = message.octet(at: at &+ 6) & 0x80 != 0
        let options = Int(message.uint16(at: at &+ 8))
        guard options > 0, query.ednsVersion == 0 else { return true }
        return readOptions(message, at: at &+ 10, end: at &+ 10 &+ options, into: &query)
    }

    private static func readOptions(_ message: RawSpan, at start: Int, end: Int, into query: inout ParsedQuery) -> Bool
    {
        var at = start
        while at < end {
            guard at &+ 4 <= end else { return false }
            let code = EDNSOptionCode(rawValue: message.uint16(at: at))
            let octets = Int(message.uint16(at: at &+ 2))
            at &+= 4
            guard at &+ octets <= end else { return false }
            switch code {
            case .cookie:
                guard octets == 8 || (16...40).contains(octets) else { return false }
                // Only the first of several counts (RFC 7873 §5.2).
                if query.cookieAt == 0 {
                    query.cookieAt = UInt16(truncatingIfNeeded: at)
                    query.cookieOctets = UInt8(truncatingIfNeeded: octets)
                }
            case .nsid: query.wantsNSID = true
            case .tcpKeepalive: query.wantsKeepalive = true
            case .stubLoop: query.stubLoop = true
            default: break
            }
            at &+= octets
        }
        return true
    }

    /// What to do with a query that is well formed.
    @inline(__always)
    private static func disposition(of query: ParsedQuery) -> QueryDisposition {
        if query.ednsVersion != 0 { return .badVers }
        let type = query.qtype
        if query.qclass == .in && type.rawValue &- 249 > 6 && type != .opt && type != .nxname { return .answer }
        return unusualDisposition(of: query)
    }

    @inline(never)
    private static func unusualDisposition(of query: ParsedQuery) -> QueryDisposition {
        switch query.qtype {
        // They live in the additional section only, or in bitmaps of types (RFC 9824 §3.5).
        case .opt, .tsig, .tkey, .nxname: return .formErr
        case .axfr, .ixfr, .maila, .mailb, .any: return .refused
        default: return query.qclass == .in || query.qclass == .ch ? .answer : .refused
        }
    }

    // MARK: - All but the ordinary query

    @inline(never)
    private static func parseUnusual(_ message: RawSpan, length: Int, into query: inout ParsedQuery) {
        guard !query.flags.contains(.response) else { return }
        let questions = message.uint16(at: 4)
        var sound = questions == 1 && readQuestion(message, length: length, into: &query)
        var signed = false
        if sound { sound = walkRecords(message, length: length, query: &query, signed: &signed) }
        switch query.opcode {
        case .query:
            guard sound else { return query.disposition = .formErr }
            query.disposition = signed ? .notAuth : disposition(of: query)
        case .notify, .update:
            // Their sections have the form of a query's, so that a broken one can be told.
            query.disposition = sound ? .notImp : .formErr
        default:
            query.disposition = .notImp
        }
    }

    /// Records more than this after the question are taken for an attack.
    private static let recordsMax = 16

    /// Walks all records behind the question up to the end of the message. Returns false when one is broken, misplaced
    /// or superfluous. Answers in a query, and authority outside an IXFR or an update, are refused as NSD does.
    private static func walkRecords(
        _ message: RawSpan, length: Int, query: inout ParsedQuery, signed: inout Bool
    ) -> Bool {
        let answers = Int(message.uint16(at: 6))
        let authorities = Int(message.uint16(at: 8))
        let additionals = Int(message.uint16(at: 10))
        guard answers &+ authorities &+ additionals <= recordsMax else { return false }
        if query.opcode == .query {
            guard answers == 0, authorities == 0 || query.qtype == .ixfr else { return false }
        }
        var at = query.questionEnd
        var left = answers &+ authorities &+ additionals
        while left > 0 {
            // Nothing comes after a signature (RFC 8945 §5.1).
            guard !signed else { return false }
            guard let record = RecordHeader(message, at: at, length: length) else { return false }
            switch record.type {
            case .opt:
                guard left <= additionals, at &+ 1 == record.typeOffset, !query.hasEDNS else { return false }
                guard readOPT(message, at: record.typeOffset, into: &query) else { return false }
            case .tsig:
                guard left <= additionals, TransactionSignature.isSound(message, record: record) else { return false }
                signed = true
            default:
                // An update's records may be without RDATA whatever their type (RFC 2136 §2.4, §2.5).
                guard query.opcode != .query || record.hasSoundRDATA(in: message) else { return false }
            }
            at = record.end
            left &-= 1
        }
        return at == length
    }
}
