import DNSWire
import RegistryStore

/// Question bytes in, answer bytes out: the hot path of one thread.
///
/// SAFETY, the invariants of this file: the query has `length` octets and 64 readable octets of slack behind them; the
/// output has `capacity` octets, at least 64 more than any `limit` the caller gives. Published answers are read only
/// between `enter` and `leave`. Every length used for copying is checked against the room computed from `limit`.
@safe
struct AnswerEngine: ~Copyable {
    /// Why a question could not be answered at once.
    enum Deferral {
        case forward
        case external(Set<ExternalQuestion>)
        case stub
    }

    enum Transport {
        case udp
        case tcp
    }

    private let view: DNSView
    private let deadlines: LeaseDeadlines
    private let reader: Int
    private var zones: ZoneTable
    private var zoneGeneration: UInt64
    private let scratch: RawBlock
    private var random: UInt64
    private let stubs: StubMatcher?
    /// UDP answers are at most so long whatever the client offers.
    private let udpPayloadMax: Int
    private let forwards: Bool
    private let version: [UInt8]
    private(set) var deferral: Deferral?
    var counters = EngineCounters()
    /// Time of the batch: monotonic milliseconds and Unix seconds.
    private var now: Int64 = 0
    private var unixSeconds: Int64 = 0

    /// nil when the view has no place for another reader.
    init?(view: DNSView, deadlines: LeaseDeadlines, stubs: StubMatcher?, udpPayloadMax: Int, version: String) {
        guard let reader = view.epochs.register() else { return nil }
        self.view = view
        self.deadlines = deadlines
        self.reader = reader
        self.stubs = stubs
        self.udpPayloadMax = udpPayloadMax
        self.version = Array(version.utf8)
        forwards = view.configuration.forwards
        zoneGeneration = view.currentZoneGeneration
        zones = view.currentZones
        scratch = .allocate(320)
        random = .random(in: 1 ... .max)
    }

    deinit { scratch.free() }

    /// Before a batch of questions.
    mutating func enter(now: Int64, unixSeconds: Int64) {
        self.now = now
        self.unixSeconds = unixSeconds
        view.epochs.enter(reader)
        let generation = view.currentZoneGeneration
        if generation != zoneGeneration {
            zones = view.currentZones
            zoneGeneration = generation
        }
    }

    /// After a batch.
    func leave() { view.epochs.leave(reader) }

    /// Answers one query into `out`. Returns the answer's length, 0 to stay silent, -1 when `deferral` says what to do.
    mutating func answer(
        _ query: UnsafeRawPointer, length: Int, out: UnsafeMutableRawPointer, capacity: Int, transport: Transport
    ) -> Int {
        let message = unsafe RawSpan(_unsafeStart: query, byteCount: length &+ 16)
        let parsed = QueryParser.parse(message, length: length)
        counters.queries &+= 1
        guard parsed.disposition == .answer else { return unsafe reject(parsed, query, length, out, capacity) }
        let limit = transport == .tcp ? 65_535 : udpLimit(parsed)
        guard parsed.qclass == .in, !Self.isRefused(parsed.qtype) else {
            return unsafe special(parsed, query, length, out, capacity, limit)
        }
        unsafe NameHash.fold(query + 12, parsed.nameLength, to: scratch.pointer)
        if let stubs, stubs.isActive, stubs.covers(foldedName(parsed)) {
            if parsed.stubLoop { return 0 }
            deferral = .stub
            return -1
        }
        let hash = unsafe view.table.hash(UnsafeRawPointer(scratch.pointer), parsed.nameLength)
        if let node = unsafe view.table.find(UnsafeRawPointer(scratch.pointer), parsed.nameLength, hash) {
            let zone = node.zone
            if zone >= 0 {
                var address = node.answers
                while address != 0 {
                    let block = AnswerBlock(block: RawBlock(address: address))
                    if block.type == parsed.qtype.rawValue {
                        guard block.isCurrent(changes: view.changeCount, now: now) else { break }
                        return unsafe write(block, parsed, query, out, capacity, limit, zone: Int(zone))
                    }
                    address = block.next
                }
            }
        } else if let zone = unsafe missingName(parsed, query, length) {
            return unsafe negative(parsed, query, out, capacity, limit, zone: zone, rcode: .nxDomain)
        }
        return unsafe cold(parsed, query, length, out, capacity, limit)
    }

    private mutating func udpLimit(_ parsed: ParsedQuery) -> Int {
        parsed.hasEDNS ? max(512, min(parsed.udpPayloadSize, udpPayloadMax)) : 512
    }

    private func foldedName(_ parsed: ParsedQuery) -> [UInt8] { scratch.bytes(0, parsed.nameLength) }

    /// The zone of a name that certainly does not exist: its closest existing ancestor is ours, and nothing in the name
    /// or above could make it up (wildcards, delegations, virtual names). nil: ask the cold path.
    private func missingName(_ parsed: ParsedQuery, _ query: UnsafeRawPointer, _ length: Int) -> Int? {
        var offset = 0
        while offset < parsed.nameLength {
            let size = Int(scratch.load(offset, as: UInt8.self))
            if size == 0 { return nil }
            let first = scratch.load(offset &+ 1, as: UInt8.self)
            if first == UInt8(ascii: "_") || (size == 1 && first == UInt8(ascii: "*")) { return nil }
            if size == 3 && first == UInt8(ascii: "a") && scratch.load(offset &+ 2, as: UInt16.self) == 0x796e {
                return nil
            }
            offset &+= 1 &+ size
            let left = parsed.nameLength &- offset
            let name = unsafe UnsafeRawPointer(scratch.pointer + offset)
            if let node = unsafe view.table.find(name, left, view.table.hash(name, left)) {
                let zone = node.zone
                guard zone >= 0, node.flags == 0, !hasSpecialLabel(from: offset, parsed.nameLength) else { return nil }
                return Int(zone)
            }
        }
        return nil
    }

    /// Whether a label that wildcards or virtual names use stands in the rest of the folded name.
    private func hasSpecialLabel(from start: Int, _ nameLength: Int) -> Bool {
        var offset = start
        while offset < nameLength {
            let size = Int(scratch.load(offset, as: UInt8.self))
            if size == 0 { return false }
            let first = scratch.load(offset &+ 1, as: UInt8.self)
            if first == UInt8(ascii: "*") || first == UInt8(ascii: "_") { return true }
            if size == 3 && first == UInt8(ascii: "a") && scratch.load(offset &+ 2, as: UInt16.self) == 0x796e {
                return true
            }
            offset &+= 1 &+ size
        }
        return false
    }

    // MARK: writing

    /// Copies an answer behind the question and fills in its TTLs.
    private mutating func write(
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
        return unsafe finish(parsed, out, base &+ bytes)
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
        let ttl = block.ttl(record)
        let slot = block.deadlineSlot(record)
        guard slot != LeaseDeadlines.none else { return ttl }
        let left = deadlines.deadline(slot)
        if left == .max { return ttl }
        let seconds = max(0, left &- now &+ 999) / 1000
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
    private mutating func negative(
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

    // MARK: the cold path

    @inline(never)
    private mutating func cold(
        _ parsed: ParsedQuery, _ query: UnsafeRawPointer, _ length: Int, _ out: UnsafeMutableRawPointer,
        _ capacity: Int,
        _ limit: Int
    ) -> Int {
        counters.composed &+= 1
        switch view.resolve(foldedName(parsed), parsed.qtype, now: now, unixSeconds: unixSeconds) {
        case .published(let block, let zone):
            return unsafe write(block, parsed, query, out, capacity, limit, zone: zone)
        case .composed(let answer, let zone):
            return unsafe write(answer, parsed, query, out, capacity, limit, zone: zone)
        case .nxdomain(let zone):
            return unsafe negative(parsed, query, out, capacity, limit, zone: zone, rcode: .nxDomain)
        case .forward:
            guard forwards else {
                return unsafe failure(.refused, .notAuthoritative, parsed, query, length, out, capacity)
            }
            guard parsed.labelCount >= view.configuration.ndots else {
                return unsafe failure(.servFail, nil, parsed, query, length, out, capacity, recursionAvailable: true)
            }
            deferral = .forward
        case .external(let missing): deferral = .external(missing)
        }
        return -1
    }

    /// Writes an answer that is not kept.
    private mutating func write(
        _ answer: ComposedAnswer, _ parsed: ParsedQuery, _ query: UnsafeRawPointer, _ out: UnsafeMutableRawPointer,
        _ capacity: Int, _ limit: Int, zone: Int
    ) -> Int {
        let block = AnswerBlock.make(answer, next: 0)
        let length = unsafe write(block, parsed, query, out, capacity, limit, zone: zone)
        block.block.free()
        return length
    }

    /// The second try of a question whose external parts are known now. Same results as `answer`.
    mutating func answer(
        _ query: UnsafeRawPointer, length: Int, externals: [ExternalQuestion: ExternalAnswer],
        out: UnsafeMutableRawPointer, capacity: Int, transport: Transport
    ) -> Int {
        let message = unsafe RawSpan(_unsafeStart: query, byteCount: length &+ 16)
        let parsed = QueryParser.parse(message, length: length)
        guard parsed.disposition == .answer else { return 0 }
        let limit = transport == .tcp ? 65_535 : udpLimit(parsed)
        unsafe NameHash.fold(query + 12, parsed.nameLength, to: scratch.pointer)
        switch view.resolve(
            foldedName(parsed), parsed.qtype, now: now, unixSeconds: unixSeconds, externals: externals)
        {
        case .published(let block, let zone):
            return unsafe write(block, parsed, query, out, capacity, limit, zone: zone)
        case .composed(let answer, let zone):
            return unsafe write(answer, parsed, query, out, capacity, limit, zone: zone)
        case .nxdomain(let zone):
            return unsafe negative(parsed, query, out, capacity, limit, zone: zone, rcode: .nxDomain)
        case .external(let missing): deferral = .external(missing)
        case .forward: deferral = .forward
        }
        return -1
    }

    /// Malformed queries, and opcodes and EDNS versions we do not have.
    @inline(never)
    private mutating func reject(
        _ parsed: ParsedQuery, _ query: UnsafeRawPointer, _ length: Int, _ out: UnsafeMutableRawPointer, _ capacity: Int
    ) -> Int {
        guard parsed.disposition != .drop else {
            counters.dropped &+= 1
            return 0
        }
        return unsafe failure(parsed.disposition.rcode, nil, parsed, query, length, out, capacity)
    }

    /// Types and classes that are refused or answered specially.
    @inline(never)
    private mutating func special(
        _ parsed: ParsedQuery, _ query: UnsafeRawPointer, _ length: Int, _ out: UnsafeMutableRawPointer,
        _ capacity: Int,
        _ limit: Int
    ) -> Int {
        if parsed.qclass == .ch, parsed.qtype == .txt {
            unsafe NameHash.fold(query + 12, parsed.nameLength, to: scratch.pointer)
            let name = foldedName(parsed)
            if let answer = ChaosAnswers.answer(name, domain: view.configuration.domain.wire, version: version) {
                return unsafe write(answer, parsed, query, out, capacity, limit, zone: 0)
            }
        }
        let length = unsafe failure(.refused, .notSupported, parsed, query, length, out, capacity)
        if length > 3 && parsed.qtype == .any && parsed.qclass == .in {
            // SkyDNS refuses ANY with RD clear.
            let flags = unsafe out.load(fromByteOffset: 2, as: UInt8.self)
            unsafe out.storeBytes(of: flags & 0xFE, toByteOffset: 2, as: UInt8.self)
        }
        return length
    }

    private static func isRefused(_ type: RRType) -> Bool {
        // 128 to 255 are question types and meta types (RFC 6895 section 3.1); OPT is no question.
        type.rawValue == 41 || (128...255).contains(type.rawValue)
    }

    /// An answer that is only an RCODE.
    mutating func failure(
        _ rcode: RCODE, _ extended: ExtendedErrorCode?, _ parsed: ParsedQuery, _ query: UnsafeRawPointer, _ length: Int,
        _ out: UnsafeMutableRawPointer, _ capacity: Int, recursionAvailable: Bool = false
    ) -> Int {
        counters.count(rcode)
        let message = unsafe RawSpan(_unsafeStart: query, byteCount: length)
        var output = unsafe MutableRawSpan(_unsafeStart: out, byteCount: capacity)
        return ErrorResponse.write(
            parsed, message: message, rcode: rcode, extendedError: extended, recursionAvailable: recursionAvailable,
            into: &output)
    }
}
