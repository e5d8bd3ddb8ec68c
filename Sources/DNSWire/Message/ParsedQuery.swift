/// What to do with a query, as far as its bytes tell.
@frozen
public enum QueryDisposition: UInt8, Sendable, BitwiseCopyable {
    /// Well formed: look the name up.
    case answer
    /// Say nothing: no header, or itself a response.
    case drop
    case formErr
    /// An opcode that is not served.
    case notImp
    /// An EDNS version above 0 (RFC 6891 §6.1.3).
    case badVers
    /// Signed with a key nobody here knows (RFC 8945 §5.2).
    case notAuth
    /// A class or a query type that is served to nobody.
    case refused

    /// The response code of the error answer; NOERROR for `answer` and `drop`.
    public var rcode: RCODE {
        switch self {
        case .answer, .drop: .noError
        case .formErr: .formErr
        case .notImp: .notImp
        case .badVers: .badVers
        case .notAuth: .notAuth
        case .refused: .refused
        }
    }
}

/// The facts of one query; offsets and lengths point into the message it was parsed from. 32 octets, no references.
@frozen
public struct ParsedQuery: Sendable, BitwiseCopyable {
    /// The message's id, to be echoed.
    public var id: UInt16 = 0
    /// The header's flags as sent.
    public var flags = MessageFlags(rawValue: 0)
    /// The first question's type; 0 when there is no usable question.
    public var qtype = RRType(rawValue: 0)
    /// The first question's class; 0 when there is no usable question.
    public var qclass = RRClass(rawValue: 0)
    /// UDP payload size of the OPT record as sent, unclamped; 0 without OPT.
    @usableFromInline var payloadSize: UInt16 = 0
    @usableFromInline var cookieAt: UInt16 = 0
    @usableFromInline var questionEndAt: UInt16 = 12
    @usableFromInline var nameOctets: UInt8 = 0
    @usableFromInline var labels: UInt8 = 0
    @usableFromInline var cookieOctets: UInt8 = 0
    /// EDNS version as sent; 0 without OPT.
    public var ednsVersion: UInt8 = 0
    /// Whether the query carries an OPT record, so that the answer must carry one.
    public var hasEDNS = false
    /// The DO flag (RFC 3225).
    public var dnssecOK = false
    /// The client asks who is answering (RFC 5001).
    public var wantsNSID = false
    /// The client asks how long the connection may idle (RFC 7828); only answered over TCP.
    public var wantsKeepalive = false
    /// The query came out of a stub zone's forwarder: it must not be sent to a stub zone again.
    public var stubLoop = false
    /// What to do.
    public var disposition: QueryDisposition = .drop

    init() {}
}

extension ParsedQuery {
    /// The request's kind, to be copied into the answer.
    @inlinable public var opcode: Opcode { flags.opcode }
    /// RD, to be copied into the answer.
    @inlinable public var recursionDesired: Bool { flags.contains(.recursionDesired) }
    /// CD (RFC 4035 §3.2.2).
    @inlinable public var checkingDisabled: Bool { flags.contains(.checkingDisabled) }

    /// Octets of the QNAME, its root label included. It starts at `QueryParser.nameOffset` and is never compressed.
    /// 0 when there is no usable question.
    @inlinable public var nameLength: Int { Int(nameOctets) }
    /// Labels of the QNAME, the root not counted.
    @inlinable public var labelCount: Int { Int(labels) }
    /// The offset after the first question; 12 when there is none usable.
    @inlinable public var questionEnd: Int { Int(questionEndAt) }
    /// Whether `questionEnd`, `qtype` and `qclass` describe a question.
    @inlinable public var hasQuestion: Bool { questionEndAt > 12 }
    /// UDP payload size of the OPT record as sent, unclamped; 0 without OPT.
    @inlinable public var udpPayloadSize: Int { Int(payloadSize) }
    /// Where the cookie option's data begins (client cookie first, RFC 7873 §4); 0 when there is none.
    @inlinable public var cookieOffset: Int { Int(cookieAt) }
    /// Octets of the cookie: 8, or 16 to 40 with a server cookie; 0 when there is none.
    @inlinable public var cookieLength: Int { Int(cookieOctets) }
}
