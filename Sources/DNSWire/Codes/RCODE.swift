/// A response code of up to 12 bits: four in the header, eight more in the OPT record (RFC 6895 §2.3, RFC 6891 §6.1.3).
@frozen
public struct RCODE: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    /// The number on the wire.
    public let rawValue: UInt16

    /// Takes any number; unknown ones are kept.
    @inlinable
    public init(rawValue: UInt16) { self.rawValue = rawValue }
}

extension RCODE {
    /// No error; with no answer it means NODATA.
    public static let noError = RCODE(rawValue: 0)
    /// The query could not be understood.
    public static let formErr = RCODE(rawValue: 1)
    /// The server could not do it.
    public static let servFail = RCODE(rawValue: 2)
    /// The name does not exist.
    public static let nxDomain = RCODE(rawValue: 3)
    /// Not implemented.
    public static let notImp = RCODE(rawValue: 4)
    /// Refused by policy.
    public static let refused = RCODE(rawValue: 5)
    /// A name exists that should not (RFC 2136).
    public static let yxDomain = RCODE(rawValue: 6)
    /// An RRset exists that should not (RFC 2136).
    public static let yxRRSet = RCODE(rawValue: 7)
    /// An RRset that should exist does not (RFC 2136).
    public static let nxRRSet = RCODE(rawValue: 8)
    /// Not authoritative (RFC 2136) or not authorized (RFC 8945).
    public static let notAuth = RCODE(rawValue: 9)
    /// A name outside the zone (RFC 2136).
    public static let notZone = RCODE(rawValue: 10)
    /// EDNS version not supported (RFC 6891).
    public static let badVers = RCODE(rawValue: 16)
    /// Missing or wrong server cookie (RFC 7873).
    public static let badCookie = RCODE(rawValue: 23)

    /// The part in the header's last four bits.
    @inlinable
    public var headerBits: UInt16 { rawValue & 0x0f }
    /// The part in the first octet of the OPT record's TTL field.
    @inlinable
    public var extendedBits: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 4) }
}

extension RCODE: CustomStringConvertible {
    private static let names: [UInt16: String] = [
        0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN",
        7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 16: "BADVERS", 23: "BADCOOKIE",
    ]

    /// The mnemonic dig prints, or `RCODE24`.
    public var name: String { Self.names[rawValue] ?? "RCODE\(rawValue)" }
    /// The same as `name`.
    public var description: String { name }
}
