import DNSWire
import RegistryStore

/// Copies answers out. SAFETY: the invariants on top of `AnswerEngine` hold here.
extension AnswerEngine {
    /// Copies an answer behind the question and fills in its TTLs.
    mutating func write(
        _ block: AnswerBlock, _ parsed: ParsedQuery, _ query: UnsafeRawPointer, _ out: UnsafeMutableRawPointer,
        _ capacity: Int, _ limit: Int, zone: Int
    ) -> Int {
        let flags = block.flags
        if flags & AnswerBlock.Flag.noData != 0 {
            return unsafe negative(parsed, query, out, capacity, limit, zone: zone, rcode: .noError)
        }
        let base = 12 &+ parsed.nameLength &+ 4
        let room = min(limit, capacity &- 64) &- base &- (parsed.hasEDNS ? 11 : 0)
        guard room > 0 else { return 0 }
        unsafe out.copyMemory(from: query, byteCount: base)
        var answers = block.answerCount
        let authorities = block.authorityCount
        var additionals = block.additionalCount
        var truncated = flags & AnswerBlock.Flag.partial != 0
        var bytes = block.bodyBytes
        var keptAuthorities = authorities
        if bytes > room {
            additionals = 0
            let kept = answers &+ authorities
            bytes = kept > 0 ? block.end(kept &- 1) : 0
            if bytes > room {
                truncated = true
                keptAuthorities = 0
                answers = fitting(block, answers, room)
                bytes = answers > 0 ? (block.stride > 0 ? answers &* block.stride : block.end(answers &- 1)) : 0
            }
        }
        let source = unsafe UnsafeRawPointer(block.block.pointer + block.bodyOffset)
        var start = 0
        if flags & AnswerBlock.Flag.rotates != 0 && answers > 0 {
            start = Int(truncatingIfNeeded: nextRandom() % UInt64(block.answerCount))
            unsafe copyRotated(block, source, out + base, answers, start)
            let rest = bytes &- answers &* block.stride
            if rest > 0 {
                unsafe (out + base + answers &* block.stride).copyMemory(
                    from: source + block.answerBytes, byteCount: rest)
            }
        } else if bytes > 0 {
            unsafe (out + base).copyMemory(from: source, byteCount: bytes)
        }
        unsafe writeTTLs(block, out + base, answers, start, keptAuthorities &+ additionals)
        let authoritative: UInt8 = flags & AnswerBlock.Flag.authoritative != 0 ? 4 : 0
        unsafe header(
            out, query, rcode: UInt8(truncatingIfNeeded: block.rcode), bits: authoritative | (truncated ? 2 : 0),
            answers,
            keptAuthorities, additionals &+ (parsed.hasEDNS ? 1 : 0))
        if truncated { counters.truncated &+= 1 }
        counters.answered &+= 1
        let length = unsafe finish(parsed, out, base &+ bytes)
        return preserves ? unsafe marked(block, parsed, out, length, min(limit, capacity &- 64)) : length
    }

    /// Says in the OPT record that an answer is made only of what preservation keeps (RFC 8914 section 4.4, Stale
    /// Answer), where there is room for it. Its TTLs are bounded by the leases themselves.
    @inline(never)
    private mutating func marked(
        _ block: AnswerBlock, _ parsed: ParsedQuery, _ out: UnsafeMutableRawPointer, _ length: Int, _ limit: Int
    ) -> Int {
        let answers = block.answerCount
        guard answers > 0, (0..<answers).allSatisfy({ deadlines.isPreserved(block.deadlineSlot($0)) }) else {
            return length
        }
        counters.preserved &+= 1
        guard parsed.hasEDNS, length &+ 6 <= limit else { return length }
        // The OPT record is the last, without options so far: the length of its data comes at its end.
        let option =
            UInt64(6) << 48 | UInt64(EDNSOptionCode.extendedError.rawValue) << 32 | UInt64(2) << 16
            | UInt64(ExtendedErrorCode.staleAnswer.rawValue)
        unsafe out.storeBytes(of: option.bigEndian, toByteOffset: length &- 2, as: UInt64.self)
        return length &+ 6
    }

    /// How many whole answers fit.
    private func fitting(_ block: AnswerBlock, _ answers: Int, _ room: Int) -> Int {
        if block.stride > 0 { return min(answers, room / block.stride) }
        var low = 0
        var high = answers
        while low < high {
            let middle = (low &+ high &+ 1) / 2
            if block.end(middle &- 1) <= room { low = middle } else { high = middle &- 1 }
        }
        return low
    }

    /// Answers of equal length, beginning with number `start` and wrapping around.
    private func copyRotated(
        _ block: AnswerBlock, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _ count: Int, _ start: Int
    ) {
        let stride = block.stride
        let first = min(count, block.answerCount &- start)
        unsafe target.copyMemory(from: source + start &* stride, byteCount: first &* stride)
        if count > first {
            unsafe (target + first &* stride).copyMemory(from: source, byteCount: (count &- first) &* stride)
        }
    }

    /// Seconds a record may be cached: its own TTL, not beyond its lease.
    @inline(__always)
    private func remaining(_ block: AnswerBlock, _ record: Int) -> UInt32 {
        let ttl = min(block.ttl(record), ttlMax)
        let slot = block.deadlineSlot(record)
        guard slot != LeaseDeadlines.none else { return ttl }
        let left = deadlines.answerMilliseconds(slot, now: now)
        if left == .max { return ttl }
        let seconds = (left &+ 999) / 1000
        return UInt32(truncatingIfNeeded: min(Int64(ttl), seconds))
    }

    private func writeTTLs(
        _ block: AnswerBlock, _ out: UnsafeMutableRawPointer, _ answers: Int, _ start: Int, _ others: Int
    ) {
        let total = block.answerCount
        if block.flags & AnswerBlock.Flag.uniformTTL != 0 {
            var ttl = block.ttlCap
            var record = start
            for _ in 0..<answers {
                ttl = min(ttl, remaining(block, record))
                record &+= 1
                if record == total { record = 0 }
            }
            for place in 0..<answers { unsafe store(ttl, out, block.ttlOffset(place)) }
        } else {
            for record in 0..<answers { unsafe store(remaining(block, record), out, block.ttlOffset(record)) }
        }
        for record in total..<(total &+ others) { unsafe store(remaining(block, record), out, block.ttlOffset(record)) }
    }

    @inline(__always)
    private func store(_ ttl: UInt32, _ out: UnsafeMutableRawPointer, _ offset: Int) {
        unsafe out.storeBytes(of: ttl.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    /// NXDOMAIN or NODATA with the zone's SOA.
    mutating func negative(
        _ parsed: ParsedQuery, _ query: UnsafeRawPointer, _ out: UnsafeMutableRawPointer, _ capacity: Int, _ limit: Int,
        zone: Int, rcode: RCODE
    ) -> Int {
        let base = 12 &+ parsed.nameLength &+ 4
        guard let template = zones.template(zone), template.apexLength <= parsed.nameLength else { return 0 }
        let bytes = template.bodyLength
        let fits = base &+ bytes &+ (parsed.hasEDNS ? 11 : 0) <= min(limit, capacity &- 64)
        unsafe out.copyMemory(from: query, byteCount: base)
        if fits {
            let body = unsafe out + base
            unsafe body.copyMemory(from: template.block.pointer + NegativeTemplate.bodyOffset, byteCount: bytes)
            let apex = UInt16(truncatingIfNeeded: 0xC000 | (12 &+ parsed.nameLength &- template.apexLength)).bigEndian
            unsafe body.storeBytes(of: apex, as: UInt16.self)
            for pointer in [template.mnamePointer, template.rnamePointer] where pointer > 0 {
                unsafe body.storeBytes(of: apex, toByteOffset: pointer, as: UInt16.self)
            }
            if template.serialOffset > 0 {
                unsafe store(UInt32(truncatingIfNeeded: unixSeconds / 3600 * 3600), body, template.serialOffset)
            }
        }
        unsafe header(
            out, query, rcode: UInt8(truncatingIfNeeded: rcode.rawValue), bits: 4, 0, fits ? 1 : 0,
            parsed.hasEDNS ? 1 : 0)
        if rcode == .nxDomain { counters.nxdomain &+= 1 } else { counters.nodata &+= 1 }
        return unsafe finish(parsed, out, base &+ (fits ? bytes : 0))
    }

    /// Header of an answer: QR, the query's opcode, RD and CD, `bits` AA and TC, RA when we forward.
    @inline(__always)
    private func header(
        _ out: UnsafeMutableRawPointer, _ query: UnsafeRawPointer, rcode: UInt8, bits: UInt8, _ answers: Int,
        _ authorities: Int, _ additionals: Int
    ) {
        let first = unsafe query.load(fromByteOffset: 2, as: UInt8.self)
        let second = unsafe query.load(fromByteOffset: 3, as: UInt8.self)
        unsafe out.storeBytes(of: 0x80 | (first & 0x79) | bits, toByteOffset: 2, as: UInt8.self)
        unsafe out.storeBytes(of: (second & 0x10) | (forwards ? 0x80 : 0) | rcode, toByteOffset: 3, as: UInt8.self)
        let counts =
            UInt64(1) << 48 | UInt64(truncatingIfNeeded: answers) << 32 | UInt64(truncatingIfNeeded: authorities) << 16
            | UInt64(truncatingIfNeeded: additionals)
        unsafe out.storeBytes(of: counts.bigEndian, toByteOffset: 4, as: UInt64.self)
    }

    /// OPT for a query that had one (RFC 6891 section 6.1.1): the header's additional count includes it already.
    @inline(__always)
    private func finish(_ parsed: ParsedQuery, _ out: UnsafeMutableRawPointer, _ length: Int) -> Int {
        guard parsed.hasEDNS else { return length }
        unsafe out.storeBytes(of: 0, toByteOffset: length, as: UInt8.self)
        let opt =
            UInt64(41) << 48 | UInt64(truncatingIfNeeded: udpPayloadMax) << 32 | (parsed.dnssecOK ? 0x8000 : 0)
        unsafe out.storeBytes(of: opt.bigEndian, toByteOffset: length &+ 1, as: UInt64.self)
        unsafe out.storeBytes(of: 0, toByteOffset: length &+ 9, as: UInt16.self)
        return length &+ 11
    }

    @inline(__always)
    private mutating func nextRandom() -> UInt64 {
        random ^= random &<< 13
        random ^= random &>> 7
        random ^= random &<< 17
        return random
    }
}
