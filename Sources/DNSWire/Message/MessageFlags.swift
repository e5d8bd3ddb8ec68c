/// The bits of the header's second 16-bit word (RFC 1035 §4.1.1, RFC 4035 §3).
@frozen
public struct MessageFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    /// The number on the wire.
    public let rawValue: UInt16

    /// Takes any number; unknown ones are kept.
    @inlinable
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// QR: this is a response.
    public static let response = MessageFlags(rawValue: 0x8000)
    /// AA: from the zone's own data.
    public static let authoritative = MessageFlags(rawValue: 0x0400)
    /// TC: cut, ask again over TCP.
    public static let truncated = MessageFlags(rawValue: 0x0200)
    /// RD: the client asks for recursion.
    public static let recursionDesired = MessageFlags(rawValue: 0x0100)
    /// RA: the server offers recursion.
    public static let recursionAvailable = MessageFlags(rawValue: 0x0080)
    /// AD: validated.
    public static let authenticData = MessageFlags(rawValue: 0x0020)
    /// CD: do not validate.
    public static let checkingDisabled = MessageFlags(rawValue: 0x0010)
    /// QR and the opcode: all zero in an ordinary query.
    public static let responseAndOpcode = MessageFlags(rawValue: 0xf800)

    /// The four bits of the opcode.
    @inlinable
    public var opcode: Opcode { Opcode(rawValue: UInt8(truncatingIfNeeded: rawValue >> 11) & 0x0f) }

    /// The four bits of the response code.
    @inlinable
    public var headerRCODE: RCODE { RCODE(rawValue: rawValue & 0x0f) }

    /// The flags with this opcode and response code instead of theirs.
    @inlinable
    public func with(opcode: Opcode, rcode: RCODE) -> MessageFlags {
        MessageFlags(rawValue: rawValue & 0x87f0 | UInt16(opcode.rawValue & 0x0f) << 11 | rcode.headerBits)
    }
}
