package import DNSWire

/// A client's question on its way to upstream servers, and how the answer must look.
package struct ForwardRequest: Sendable {
    /// The id to answer with.
    package let id: UInt16
    /// The question as asked, letter case kept.
    package let question: Question
    package let recursionDesired: Bool
    package let checkingDisabled: Bool
    package let dnssecOK: Bool
    /// Whether the answer carries an OPT record.
    package let hasEDNS: Bool
    /// How the client came, and so how upstream servers are asked first.
    package let transport: ForwardTransport
    /// The most octets of the answer; what does not fit is cut with TC.
    package let limit: Int
    /// The question section's octets, echoed as they came.
    let questionOctets: [UInt8]
    /// What the cache and merging know the question by.
    let key: QuestionKey

    /// Takes over a query that was parsed from `message`; nil when it is not one to be answered.
    package init?(parsed: ParsedQuery, message: RawSpan, transport: ForwardTransport, limit: Int) {
        guard parsed.disposition == .answer, parsed.hasQuestion, parsed.questionEnd <= message.byteCount else {
            return nil
        }
        var octets: [UInt8] = []
        octets.reserveCapacity(parsed.questionEnd - QueryParser.nameOffset)
        for place in QueryParser.nameOffset..<parsed.questionEnd { octets.append(message.octet(at: place)) }
        guard let name = try? DomainName(wire: Array(octets.dropLast(4))) else { return nil }
        self.init(
            id: parsed.id, question: Question(name: name, type: parsed.qtype, rrClass: parsed.qclass),
            questionOctets: octets, recursionDesired: parsed.recursionDesired,
            checkingDisabled: parsed.checkingDisabled, dnssecOK: parsed.dnssecOK, hasEDNS: parsed.hasEDNS,
            transport: transport, limit: limit)
    }

    /// Parses a client's raw message; nil when it is not one to be answered.
    package init?(query: [UInt8], transport: ForwardTransport, limit: Int) {
        // The parser may look at some octets after the end.
        let padded = query + [UInt8](repeating: 0, count: 16)
        let octets = padded.span.octets
        self.init(
            parsed: QueryParser.parse(octets, length: query.count), message: octets, transport: transport, limit: limit)
    }

    /// A question of this server's own, for chains and targets.
    init(lookup name: DomainName, type: RRType) {
        let question = Question(name: name, type: type)
        let number = type.rawValue
        self.init(
            id: 0, question: question,
            questionOctets: name.wire + [UInt8(number >> 8), UInt8(number & 0xff), 0, 1], recursionDesired: true,
            checkingDisabled: false, dnssecOK: false, hasEDNS: false, transport: .udp, limit: 0xffff)
    }

    private init(
        id: UInt16, question: Question, questionOctets: [UInt8], recursionDesired: Bool, checkingDisabled: Bool,
        dnssecOK: Bool, hasEDNS: Bool, transport: ForwardTransport, limit: Int
    ) {
        self.id = id
        self.question = question
        self.questionOctets = questionOctets
        self.recursionDesired = recursionDesired
        self.checkingDisabled = checkingDisabled
        self.dnssecOK = dnssecOK
        self.hasEDNS = hasEDNS
        self.transport = transport
        self.limit = limit
        self.key = QuestionKey(
            question: questionOctets, dnssecOK: dnssecOK, checkingDisabled: checkingDisabled)
    }
}

/// What came of a forwarded question.
package enum ForwardOutcome: Hashable, Sendable {
    /// The whole answer: id, question and size as the client needs them, OPT when it sent one.
    case message([UInt8])
    /// Nothing to hand on: the code to answer with, RA set, and the reason for clients with EDNS.
    case failure(RCODE, ExtendedErrorCode?)
}

/// What a lookup for this server's own use found.
package enum ForwardedRRset: Hashable, Sendable {
    /// The records of the type and the CNAMEs on the way, in the order of the answer. Only CNAMEs when the name at
    /// their end has no such records. TTLs are at most 60 seconds.
    case records([ResourceRecord])
    /// The name exists without such records.
    case noData
    /// The name, or the one at the end of its CNAMEs, does not exist.
    case nxdomain
    /// Nobody answered usably, or the name is not one to be forwarded.
    case failed
}
