/// A question: what a query asks (RFC 1035 §4.1.2).
public struct Question: Hashable, Sendable {
    /// The QNAME, letter case as sent.
    public var name: DomainName
    /// The QTYPE.
    public var type: RRType
    /// The QCLASS.
    public var rrClass: RRClass

    /// A question of the Internet class unless told otherwise.
    public init(name: DomainName, type: RRType, rrClass: RRClass = .in) {
        self.name = name
        self.type = type
        self.rrClass = rrClass
    }
}

/// A record that stands on its own: no part of it points into a message.
public struct ResourceRecord: Hashable, Sendable {
    /// The owner name, letter case as sent.
    public var owner: DomainName
    /// The record's type.
    public var type: RRType
    /// The record's class.
    public var rrClass: RRClass
    /// Seconds the record may be cached; never above 2^31 - 1 (RFC 2181 §8).
    public var ttl: UInt32
    /// The RDATA with all names written out.
    public var rdata: [UInt8]

    /// A record of the Internet class unless told otherwise.
    public init(owner: DomainName, type: RRType, rrClass: RRClass = .in, ttl: UInt32, rdata: [UInt8]) {
        self.owner = owner
        self.type = type
        self.rrClass = rrClass
        self.ttl = ttl
        self.rdata = rdata
    }
}

/// The parts of a message that hold records.
public enum MessageSection: Int, Comparable, Hashable, Sendable, CaseIterable {
    /// What was asked for.
    case answer
    /// Where the answer comes from, or the SOA of a negative one.
    case authority
    /// What the client will probably ask for next.
    case additional

    /// The order in a message.
    public static func < (a: MessageSection, b: MessageSection) -> Bool { a.rawValue < b.rawValue }
}

/// What an OPT record says (RFC 6891 §6.1.3), its response code bits left out.
public struct EDNS: Hashable, Sendable {
    /// One option: code and data.
    public struct Option: Hashable, Sendable {
        /// The option's code.
        public var code: EDNSOptionCode
        /// The option's data; at most 65,531 octets are ever written.
        public var data: [UInt8]

        /// An option as it stands in the record.
        public init(code: EDNSOptionCode, data: [UInt8]) {
            self.code = code
            self.data = data
        }
    }

    /// The largest UDP payload the sender takes, as sent.
    public var payloadSize: UInt16
    /// The EDNS version; 0 is the only one.
    public var version: UInt8
    /// DO: the sender wants DNSSEC records.
    public var dnssecOK: Bool
    /// The options in the order of the record.
    public var options: [Option]

    /// What this server says unless told otherwise.
    public init(
        payloadSize: UInt16 = ErrorResponse.advertisedPayloadSize, version: UInt8 = 0, dnssecOK: Bool = false,
        options: [Option] = []
    ) {
        self.payloadSize = payloadSize
        self.version = version
        self.dnssecOK = dnssecOK
        self.options = options
    }

    /// Octets of the record, its empty owner name included.
    public var wireLength: Int { options.reduce(OPTRecord.fixedLength) { $0 + 4 + $1.data.count } }
}

/// A whole message, read into values that stand on their own.
public struct Message: Hashable, Sendable {
    /// The id that ties a response to its query.
    public var id: UInt16
    /// The header's flags, opcode and lower response code bits included.
    public var flags: MessageFlags
    /// The response code, with the OPT record's bits.
    public var rcode: RCODE
    /// The question section; one question in practice.
    public var questions: [Question]
    /// The answer section.
    public var answers: [ResourceRecord]
    /// The authority section.
    public var authorities: [ResourceRecord]
    /// The additional section without the OPT record.
    public var additionals: [ResourceRecord]
    /// The OPT record, if there is one.
    public var edns: EDNS?

    /// A message from its parts.
    public init(
        id: UInt16, flags: MessageFlags, rcode: RCODE = .noError, questions: [Question] = [],
        answers: [ResourceRecord] = [], authorities: [ResourceRecord] = [], additionals: [ResourceRecord] = [],
        edns: EDNS? = nil
    ) {
        self.id = id
        self.flags = flags
        self.rcode = rcode
        self.questions = questions
        self.answers = answers
        self.authorities = authorities
        self.additionals = additionals
        self.edns = edns
    }

    /// Reads a message that fills `octets` exactly. O(length); memory is bounded by 255 times the number of names.
    public init(reading octets: [UInt8]) throws(WireError) {
        var reader = try MessageReader(octets)
        id = reader.id
        flags = reader.flags
        rcode = flags.headerRCODE
        questions = []
        answers = []
        authorities = []
        additionals = []
        while let question = try reader.nextQuestion() { questions.append(question) }
        while let found = try reader.nextRecord() {
            if found.record.type == .opt {
                guard found.section == .additional, edns == nil, found.record.owner.isRoot else {
                    throw .badRDATA(type: .opt, offset: found.rdataRange.lowerBound)
                }
                edns = try EDNS(found)
                rcode = RCODE(rawValue: rcode.headerBits | UInt16(found.record.ttl >> 24) << 4)
                continue
            }
            switch found.section {
            case .answer: answers.append(found.record)
            case .authority: authorities.append(found.record)
            case .additional: additionals.append(found.record)
            }
        }
    }
}

extension EDNS {
    /// Reads the options of an OPT record.
    init(_ found: MessageReader.Found) throws(WireError) {
        let record = found.record
        self.init(
            payloadSize: record.rrClass.rawValue, version: UInt8(truncatingIfNeeded: record.ttl >> 16),
            dnssecOK: record.ttl & 0x8000 != 0)
        let octets = record.rdata.span.octets
        var at = 0
        while at < record.rdata.count {
            guard at + 4 <= record.rdata.count else {
                throw .badRDATA(type: .opt, offset: found.rdataRange.lowerBound + at)
            }
            let end = at + 4 + Int(octets.uint16(at: at + 2))
            guard end <= record.rdata.count else {
                throw .badRDATA(type: .opt, offset: found.rdataRange.lowerBound + at)
            }
            let code = EDNSOptionCode(rawValue: octets.uint16(at: at))
            options.append(Option(code: code, data: Array(record.rdata[(at + 4)..<end])))
            at = end
        }
    }
}
