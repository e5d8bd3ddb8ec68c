import DNSWire
import RegistryStore

/// What is rare: composing, refusing, malformed queries. SAFETY: the invariants on top of `AnswerEngine` hold here.
extension AnswerEngine {
    @inline(never)
    mutating func cold(
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
        case .notReady: return unsafe failure(.servFail, .notReady, parsed, query, length, out, capacity)
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
        name = 0
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
        case .notReady: return unsafe failure(.servFail, .notReady, parsed, query, length, out, capacity)
        case .external(let missing): deferral = .external(missing)
        case .forward: deferral = .forward
        }
        return -1
    }

    /// Malformed queries, and opcodes and EDNS versions we do not have.
    @inline(never)
    mutating func reject(
        _ parsed: ParsedQuery, _ query: UnsafeRawPointer, _ length: Int, _ out: UnsafeMutableRawPointer, _ capacity: Int
    ) -> Int {
        guard parsed.disposition != .drop else {
            counters.dropped &+= 1
            return 0
        }
        return unsafe failure(parsed.disposition.rcode, nil, parsed, query, length, out, capacity)
    }

    /// Classes other than IN: CHAOS names, and REFUSED.
    @inline(never)
    mutating func special(
        _ parsed: ParsedQuery, _ query: UnsafeRawPointer, _ length: Int, _ out: UnsafeMutableRawPointer,
        _ capacity: Int,
        _ limit: Int
    ) -> Int {
        if parsed.qclass == .ch, parsed.qtype == .txt {
            if let answer = ChaosAnswers.answer(
                foldedName(parsed), domain: view.configuration.domain.wire, version: version)
            {
                return unsafe write(answer, parsed, query, out, capacity, limit, zone: 0)
            }
        }
        return unsafe failure(.refused, .notSupported, parsed, query, length, out, capacity)
    }

    /// An answer that is only an RCODE.
    mutating func failure(
        _ rcode: RCODE, _ extended: ExtendedErrorCode?, _ parsed: ParsedQuery, _ query: UnsafeRawPointer, _ length: Int,
        _ out: UnsafeMutableRawPointer, _ capacity: Int, recursionAvailable: Bool = false
    ) -> Int {
        counters.count(rcode)
        let message = unsafe RawSpan(_unsafeStart: query, byteCount: length)
        var output = unsafe MutableRawSpan(_unsafeStart: out, byteCount: capacity)
        let written = ErrorResponse.write(
            parsed, message: message, rcode: rcode, extendedError: extended, recursionAvailable: recursionAvailable,
            into: &output)
        if written > 2 && parsed.qtype == .any && parsed.qclass == .in && rcode == .refused {
            // SkyDNS refuses ANY with RD clear.
            output.store(octet: message.octet(at: 2) & 0x78 | 0x80, at: 2)
        }
        return written
    }
}
