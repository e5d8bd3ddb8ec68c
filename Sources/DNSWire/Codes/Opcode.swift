/// What kind of request a message is: four bits of the header (RFC 6895 §2.2).
@frozen
public struct Opcode: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    /// The number on the wire.
    public let rawValue: UInt8

    /// Takes any number; unknown ones are kept.
    @inlinable
    public init(rawValue: UInt8) { self.rawValue = rawValue }
}

extension Opcode {
    /// A question (RFC 1035).
    public static let query = Opcode(rawValue: 0)
    /// Inverse query, obsolete (RFC 3425).
    public static let iquery = Opcode(rawValue: 1)
    /// Server status, never defined (RFC 1035).
    public static let status = Opcode(rawValue: 2)
    /// A zone has changed (RFC 1996).
    public static let notify = Opcode(rawValue: 4)
    /// Dynamic update (RFC 2136).
    public static let update = Opcode(rawValue: 5)
    /// Stateful operations (RFC 8490).
    public static let dso = Opcode(rawValue: 6)
}

extension Opcode: CustomStringConvertible {
    /// The mnemonic dig prints, or `OPCODE7`.
    public var name: String {
        switch self {
        case .query: "QUERY"
        case .iquery: "IQUERY"
        case .status: "STATUS"
        case .notify: "NOTIFY"
        case .update: "UPDATE"
        case .dso: "DSO"
        default: "OPCODE\(rawValue)"
        }
    }
    /// The same as `name`.
    public var description: String { name }
}
