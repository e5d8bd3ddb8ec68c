import DNSWire
import Logging
import RegistryStore
import Synchronization

/// A question that left the hot path, with the way back to its client.
struct DeferredQuery: Sendable {
    enum Path: Sendable {
        case udp(DatagramSocket.ReturnPath)
        /// Client, and what takes the answer; an empty one means that none comes.
        case tcp(ClientAddress, @Sendable ([UInt8]) -> Void)
    }

    let bytes: [UInt8]
    let deferral: AnswerEngine.Deferral
    let transport: AnswerEngine.Transport
    let path: Path

    var client: ClientAddress {
        switch path {
        case .udp(let path): path.client
        case .tcp(let client, _): client
        }
    }

    func reply(_ answer: [UInt8]) {
        switch path {
        case .udp(let path): if !answer.isEmpty { path.send(answer) }
        case .tcp(_, let deliver): deliver(answer)
        }
    }
}

/// Answers deferred questions: forwards, or asks for the external parts and composes again.
final class DeferredAnswers: Sendable {
    /// Questions waiting or being asked at most; more are answered SERVFAIL at once.
    static let inFlightMax = 8192
    /// How often an answer may turn out to need further external names.
    private static let roundsMax = 9

    private let view: DNSView
    private let engine: Mutex<EngineBox>
    private let forwarder: Forwarder
    private let stubs: StubMatcher?
    private let allowed: [ClientNetwork]
    private let clock: RegistryClock
    private let udpPayloadMax: Int
    private let inFlight = Atomic<Int>(0)
    private let refusedAtBound = Atomic<UInt64>(0)
    private let stream: AsyncStream<DeferredQuery>
    private let continuation: AsyncStream<DeferredQuery>.Continuation

    init(
        view: DNSView, engine: EngineBox, forwarder: Forwarder, stubs: StubMatcher?, allowed: [ClientNetwork],
        clock: RegistryClock, udpPayloadMax: Int
    ) {
        self.view = view
        self.engine = Mutex(engine)
        self.forwarder = forwarder
        self.stubs = stubs
        self.allowed = allowed
        self.clock = clock
        self.udpPayloadMax = udpPayloadMax
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.inFlightMax))
    }

    /// Questions under way, and those refused because too many were.
    var counts: (inFlight: Int, refused: UInt64) {
        (inFlight.load(ordering: .relaxed), refusedAtBound.load(ordering: .relaxed))
    }

    /// Takes a question from a hot-path thread; never blocks.
    func submit(_ query: DeferredQuery) {
        guard inFlight.add(1, ordering: .relaxed).newValue <= Self.inFlightMax else {
            inFlight.subtract(1, ordering: .relaxed)
            refusedAtBound.add(1, ordering: .relaxed)
            query.reply(failure(.servFail, nil, query))
            return
        }
        continuation.yield(query)
    }

    /// Works until `stop`.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await query in stream {
                group.addTask {
                    query.reply(await self.answer(query))
                    self.inFlight.subtract(1, ordering: .relaxed)
                }
            }
        }
    }

    func stop() { continuation.finish() }

    private func answer(_ query: DeferredQuery) async -> [UInt8] {
        if case .external(let questions) = query.deferral { return await compose(query, questions) }
        let transport: ForwardTransport = query.transport == .tcp ? .tcp : .udp
        guard let request = ForwardRequest(query: query.bytes, transport: transport, limit: limit(query)) else {
            return failure(.formErr, nil, query)
        }
        if case .stub = query.deferral {
            // The zone may have gone since the thread looked.
            guard let name = questionName(query), let zone = stubs?.zone(for: name) else {
                return failure(.servFail, nil, query)
            }
            return bytes(await forwarder.forward(request, to: zone), query)
        }
        guard allowed.contains(where: { $0.contains(query.client) }) else {
            return failure(.refused, .prohibited, query)
        }
        return bytes(await forwarder.forward(request), query)
    }

    private func bytes(_ outcome: ForwardOutcome, _ query: DeferredQuery) -> [UInt8] {
        switch outcome {
        case .message(let bytes): bytes
        case .failure(let rcode, let extended): failure(rcode, extended, query)
        }
    }

    private func lookup(_ question: ExternalQuestion) async -> ExternalAnswer {
        let failed = ExternalAnswer(succeeded: false, records: [])
        guard let name = try? DomainName(wire: question.name) else { return failed }
        switch await forwarder.lookup(name: name, type: question.type) {
        case .records(let records):
            return ExternalAnswer(
                succeeded: true,
                records: records.map { .init(owner: $0.owner.wire, type: $0.type, ttl: $0.ttl, rdata: $0.rdata) })
        case .noData: return ExternalAnswer(succeeded: true, records: [])
        default: return failed
        }
    }

    /// Asks for the external parts of an answer until it needs no more.
    private func compose(_ query: DeferredQuery, _ first: Set<ExternalQuestion>) async -> [UInt8] {
        var known: [ExternalQuestion: ExternalAnswer] = [:]
        var missing = first
        for _ in 0..<Self.roundsMax {
            let asked = missing
            let answers = await withTaskGroup(of: (ExternalQuestion, ExternalAnswer).self) { group in
                for question in asked.prefix(64) { group.addTask { (question, await self.lookup(question)) } }
                return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            known.merge(answers) { $1 }
            // Targets beyond the bound count as failed, so that the answer ends.
            for question in asked where known[question] == nil {
                known[question] = ExternalAnswer(succeeded: false, records: [])
            }
            let (answer, more) = second(query, known)
            guard let more else { return answer }
            missing = more
        }
        return failure(.servFail, nil, query)
    }

    /// Composes with what is known; the questions that are still missing, if any.
    private func second(
        _ query: DeferredQuery, _ known: [ExternalQuestion: ExternalAnswer]
    ) -> ([UInt8], Set<ExternalQuestion>?) {
        var missing: Set<ExternalQuestion>?
        let now = clock.monotonicMilliseconds()
        let seconds = clock.unixMilliseconds() / 1000
        let answer = engine.withLock { engine in
            engine.value.enter(now: now, unixSeconds: seconds)
            defer { engine.value.leave() }
            let length = engine.answer(query.bytes, externals: known, transport: query.transport)
            if length < 0, case .external(let more) = engine.value.deferral { missing = more }
            return engine.answerBytes(length)
        }
        return (answer, missing)
    }

    private func parsed(_ query: DeferredQuery) -> ParsedQuery {
        let padded = query.bytes + [UInt8](repeating: 0, count: 16)
        return unsafe QueryParser.parse(padded.span.bytes, length: query.bytes.count)
    }

    private func limit(_ query: DeferredQuery) -> Int {
        if query.transport == .tcp { return 65_535 }
        let parsed = parsed(query)
        return parsed.hasEDNS ? max(512, min(parsed.udpPayloadSize, udpPayloadMax)) : 512
    }

    private func questionName(_ query: DeferredQuery) -> [UInt8]? {
        let parsed = parsed(query)
        guard parsed.nameLength > 0, 12 + parsed.nameLength <= query.bytes.count else { return nil }
        return TreeName.folded(Array(query.bytes[12..<(12 + parsed.nameLength)]))
    }

    private func failure(_ rcode: RCODE, _ extended: ExtendedErrorCode?, _ query: DeferredQuery) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: ErrorResponse.lengthMax + 32)
        let parsed = parsed(query)
        let bytes = query.bytes
        var span = out.mutableSpan
        // SAFETY: octets of arrays, of which every pattern is valid.
        var output = unsafe span.mutableBytes
        let length = unsafe ErrorResponse.write(
            parsed, message: bytes.span.bytes, rcode: rcode, extendedError: extended,
            recursionAvailable: view.configuration.forwards, into: &output)
        return Array(out.prefix(length))
    }
}
