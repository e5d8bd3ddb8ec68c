/// The code of an option in an OPT record (RFC 6891 §6.1.2).
@frozen
public struct EDNSOptionCode: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    /// The number on the wire.
    public let rawValue: UInt16

    /// Takes any number; unknown ones are kept.
    @inlinable
    public init(rawValue: UInt16) { self.rawValue = rawValue }
}

extension EDNSOptionCode {
    /// Name server identifier (RFC 5001).
    public static let nsid = EDNSOptionCode(rawValue: 3)
    /// Client subnet (RFC 7871).
    public static let clientSubnet = EDNSOptionCode(rawValue: 8)
    /// Cookie (RFC 7873).
    public static let cookie = EDNSOptionCode(rawValue: 10)
    /// TCP keepalive (RFC 7828).
    public static let tcpKeepalive = EDNSOptionCode(rawValue: 11)
    /// Padding (RFC 7830).
    public static let padding = EDNSOptionCode(rawValue: 12)
    /// Extended DNS error (RFC 8914).
    public static let extendedError = EDNSOptionCode(rawValue: 15)
    /// SkyDNS's mark on queries it sends to stub zones, so that a query does not go round for ever.
    public static let stubLoop = EDNSOptionCode(rawValue: 65011)
}
