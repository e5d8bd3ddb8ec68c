/// Why an answer is as it is: the INFO-CODE of an extended DNS error (RFC 8914 §4).
@frozen
public struct ExtendedErrorCode: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    /// The number on the wire.
    public let rawValue: UInt16

    /// Takes any number; unknown ones are kept.
    @inlinable
    public init(rawValue: UInt16) { self.rawValue = rawValue }
}

extension ExtendedErrorCode {
    /// None of the others.
    public static let other = ExtendedErrorCode(rawValue: 0)
    /// From the cache after its time, as no server answered (RFC 8767).
    public static let staleAnswer = ExtendedErrorCode(rawValue: 3)
    /// The failure comes from the cache.
    public static let cachedError = ExtendedErrorCode(rawValue: 13)
    /// The server is not ready yet.
    public static let notReady = ExtendedErrorCode(rawValue: 14)
    /// Blocked by the operator.
    public static let blocked = ExtendedErrorCode(rawValue: 15)
    /// This client may not ask this.
    public static let prohibited = ExtendedErrorCode(rawValue: 18)
    /// A negative answer after its time (RFC 8767).
    public static let staleNXDomain = ExtendedErrorCode(rawValue: 19)
    /// Asked without RD, and not authoritative.
    public static let notAuthoritative = ExtendedErrorCode(rawValue: 20)
    /// Operation or type not supported.
    public static let notSupported = ExtendedErrorCode(rawValue: 21)
    /// None of the servers to ask could be reached.
    public static let noReachableAuthority = ExtendedErrorCode(rawValue: 22)
    /// An error of the network towards other servers.
    public static let networkError = ExtendedErrorCode(rawValue: 23)
    /// The data of the zone cannot be served.
    public static let invalidData = ExtendedErrorCode(rawValue: 24)
    /// A type that cannot be asked for (RFC 9824 §3.5).
    public static let invalidQueryType = ExtendedErrorCode(rawValue: 30)
}
