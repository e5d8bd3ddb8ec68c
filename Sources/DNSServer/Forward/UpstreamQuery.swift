import DNSWire

/// One question as it is sent to an upstream server, and the judge of what comes back.
struct UpstreamQuery: Sendable {
    /// What a packet from the server's address is.
    enum Verdict {
        /// No answer to this query: ignored (RFC 5452 §9.1).
        case unsuitable
        /// An answer that must be asked for again over TCP.
        case truncated
        /// The server does not know EDNS (RFC 6891 §7).
        case withoutEDNS
        /// A whole answer to this query.
        case answer(Message)
    }

    /// The message to send.
    let octets: [UInt8]
    private let id: UInt16
    private let question: Question
    private let name: OwnerName
    private let hasEDNS: Bool

    /// RD is always set: answers are shared between clients, and one without recursion would be of no use to the
    /// others. Stub queries carry SkyDNS's mark against going round in circles.
    init(_ request: ForwardRequest, id: UInt16, isStub: Bool, withEDNS: Bool) {
        self.id = id
        question = request.question
        name = question.name.folded
        hasEDNS = withEDNS
        var flags: MessageFlags = .recursionDesired
        if request.checkingDisabled { flags.insert(.checkingDisabled) }
        var edns: EDNS?
        if withEDNS {
            let mark = EDNS.Option(code: .stubLoop, data: [1])
            edns = EDNS(dnssecOK: request.dnssecOK, options: isStub ? [mark] : [])
        }
        octets = ResponseWriter(limit: 512, id: id, flags: flags, question: question, edns: edns).finish()
    }

    /// Judges a message from the server this query was sent to: id, QR, opcode and question must be ours, and all of
    /// it must parse.
    func judge(_ octets: [UInt8]) -> Verdict {
        guard var reader = try? MessageReader(octets), reader.id == id, reader.flags.contains(.response),
            reader.flags.opcode == .query
        else { return .unsuitable }
        let refusesForm = reader.flags.headerRCODE == .formErr || reader.flags.headerRCODE == .notImp
        if hasEDNS, refusesForm, reader.questionCount == 0 { return .withoutEDNS }
        guard reader.questionCount == 1, let echoed = try? reader.nextQuestion(), echoed.type == question.type,
            echoed.rrClass == question.rrClass, echoed.name.folded == name
        else { return .unsuitable }
        // Servers may cut anywhere; nothing of such an answer is used.
        if reader.flags.contains(.truncated) { return .truncated }
        guard let message = try? Message(reading: octets) else { return .unsuitable }
        if hasEDNS, refusesForm || message.rcode == .badVers { return .withoutEDNS }
        return .answer(message)
    }
}
