import DNSWire

/// A checked answer, ready to be sent to any client that asks the same question: only id, flags, the question's letter
/// case, the TTLs and OPT are filled in per client.
struct ForwardedAnswer: Sendable {
    /// Where a record's TTL is and where the record ends.
    private struct Place: Sendable {
        let ttl: Int
        let end: Int
    }

    /// Header with id 0, question, answer and authority section; no OPT.
    private let octets: [UInt8]
    private let records: [Place]
    private let answerCount: Int
    let rcode: RCODE
    /// Seconds until the first record ends; 0 means that the answer must not be kept.
    let lifetime: UInt32

    /// Octets that the answer takes in a cache, roughly.
    var cacheCost: Int { octets.count + records.count * MemoryLayout<Place>.stride + 256 }

    /// How the TTLs of an answer are bounded.
    struct TTLBounds: Sendable {
        var lower: UInt32 = 0
        var upper: UInt32 = .max

        func clamp(_ ttl: UInt32) -> UInt32 { min(max(ttl, lower), upper) }
    }

    /// Composes what is relevant of an upstream message; nil when that does not fit into one.
    ///
    /// AA stays clear unless `keepsAA`; AD is cleared, since nothing was validated here (RFC 6840 §5.8).
    init?(_ message: Message, relevant: RelevantRecords, question: Question, bounds: TTLBounds, keepsAA: Bool) {
        var flags: MessageFlags = [.response, .recursionAvailable]
        if keepsAA, message.flags.contains(.authoritative) { flags.insert(.authoritative) }
        var writer = ResponseWriter(limit: 0xffff, id: 0, flags: flags, rcode: message.rcode, question: question)
        var shortest = UInt32.max
        for var record in relevant.answers {
            record.ttl = bounds.clamp(record.ttl)
            shortest = min(shortest, record.ttl)
            guard writer.append(.answer, record) else { return nil }
        }
        for var record in relevant.authorities {
            // The SOA's minimum bounds the negative answer and all that proves it (RFC 2308 §5).
            if record.type == .soa { record.ttl = min(record.ttl, (try? SOAData(rdata: record.rdata))?.minimum ?? 0) }
            record.ttl = min(record.ttl, bounds.upper)
            shortest = min(shortest, record.ttl)
            guard writer.append(.authority, record) else { return nil }
        }
        octets = writer.finish()
        rcode = message.rcode
        answerCount = relevant.answers.count
        var records: [Place] = []
        guard var reader = try? MessageReader(octets) else { return nil }
        while let found = try? reader.nextRecord() {
            records.append(Place(ttl: found.ttlOffset, end: found.rdataRange.upperBound))
        }
        self.records = records
        switch relevant.meaning {
        case .data, .negative: lifetime = records.isEmpty ? 0 : shortest
        case .unsupported, .lame: lifetime = 0
        }
    }

    /// How much of the TTLs is left when an answer is handed on.
    enum Age: Sendable {
        /// Seconds since the answer came.
        case seconds(UInt32)
        /// Past its end: all records get this TTL (RFC 8767 §4).
        case stale(ttl: UInt32)

        func apply(to ttl: UInt32) -> UInt32 {
            switch self {
            case .seconds(let seconds): ttl - min(ttl, seconds)
            case .stale(let fixed): fixed
            }
        }
    }

    /// The answer as `request` needs it. Whole records that do not fit are left out, from the end; TC tells so.
    func message(for request: ForwardRequest, age: Age) -> [UInt8] {
        var extendedError: ExtendedErrorCode?
        if case .stale = age { extendedError = rcode == .nxDomain ? .staleNXDomain : .staleAnswer }
        let optLength = request.hasEDNS ? OPTRecord.fixedLength + (extendedError == nil ? 0 : 6) : 0
        let questionEnd = QueryParser.nameOffset + request.questionOctets.count
        let limit = max(request.limit, questionEnd + optLength) - optLength
        let kept = records.prefix { $0.end <= limit }
        let end = kept.last?.end ?? questionEnd

        var result: [UInt8] = []
        result.reserveCapacity(end + optLength)
        result.append(contentsOf: octets[..<min(end, octets.count)])
        var flags = MessageFlags(rawValue: octets.span.octets.uint16(at: 2))
        if request.recursionDesired { flags.insert(.recursionDesired) }
        if request.checkingDisabled { flags.insert(.checkingDisabled) }
        if kept.count < records.count { flags.insert(.truncated) }
        let answers = min(kept.count, answerCount)
        result.put(request.id, at: 0)
        result.put(flags.rawValue, at: 2)
        result.put(UInt16(answers), at: 6)
        result.put(UInt16(kept.count - answers), at: 8)
        result.put(request.hasEDNS ? 1 : 0, at: 10)
        result.replaceSubrange(QueryParser.nameOffset..<questionEnd, with: request.questionOctets)
        for place in kept {
            let ttl = age.apply(to: octets.span.octets.uint32(at: place.ttl))
            result.put(UInt16(ttl >> 16), at: place.ttl)
            result.put(UInt16(ttl & 0xffff), at: place.ttl + 2)
        }
        if request.hasEDNS { result.appendOPT(dnssecOK: request.dnssecOK, extendedError: extendedError) }
        return result
    }

    /// The records of the answer section, TTLs counted down and at most `ttlMax`.
    func answers(age: Age, ttlMax: UInt32) -> [ResourceRecord] {
        guard var reader = try? MessageReader(octets) else { return [] }
        var result: [ResourceRecord] = []
        while result.count < answerCount, var record = (try? reader.nextRecord())?.record {
            record.ttl = min(age.apply(to: record.ttl), ttlMax)
            result.append(record)
        }
        return result
    }
}

extension [UInt8] {
    /// Writes a number in network order over two octets that are there.
    fileprivate mutating func put(_ value: UInt16, at place: Int) {
        self[place] = UInt8(value >> 8)
        self[place + 1] = UInt8(value & 0xff)
    }

    /// The OPT record of an answer (RFC 6891 §6.1.2), with at most an extended error (RFC 8914).
    fileprivate mutating func appendOPT(dnssecOK: Bool, extendedError: ExtendedErrorCode?) {
        var fields = [RRType.opt.rawValue, ErrorResponse.advertisedPayloadSize, 0, dnssecOK ? 0x8000 : 0]
        if let extendedError {
            fields += [6, EDNSOptionCode.extendedError.rawValue, 2, extendedError.rawValue]
        } else {
            fields.append(0)
        }
        append(0)
        for field in fields { append(contentsOf: [UInt8(field >> 8), UInt8(field & 0xff)]) }
    }
}
