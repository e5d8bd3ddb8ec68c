/// A record or query class: any 16-bit number (RFC 1035 §3.2.4, RFC 3597).
@frozen
public struct RRClass: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    /// The number on the wire.
    public let rawValue: UInt16

    /// Takes any number; unknown ones are kept.
    @inlinable
    public init(rawValue: UInt16) { self.rawValue = rawValue }
}

extension RRClass {
    /// Internet.
    public static let `in` = RRClass(rawValue: 1)
    /// CHAOS: the class of `version.bind` and its like.
    public static let ch = RRClass(rawValue: 3)
    /// Hesiod.
    public static let hs = RRClass(rawValue: 4)
    /// No class: deletes and prerequisites of updates (RFC 2136).
    public static let none = RRClass(rawValue: 254)
    /// Any class (RFC 1035 §3.2.5).
    public static let any = RRClass(rawValue: 255)
}

extension RRClass: CustomStringConvertible {
    /// Reads a mnemonic in any letter case or `CLASS32` (RFC 3597 §5); nil for anything else.
    public init?(name: String) {
        switch name.uppercased() {
        case "IN": self = .in
        case "CH": self = .ch
        case "HS": self = .hs
        case "NONE": self = .none
        case "ANY": self = .any
        case let upper:
            guard let number = CodeNumber.read(upper, prefix: "CLASS") else { return nil }
            self.init(rawValue: number)
        }
    }

    /// The mnemonic, or `CLASS32` (RFC 3597 §5).
    public var name: String {
        switch self {
        case .in: "IN"
        case .ch: "CH"
        case .hs: "HS"
        case .none: "NONE"
        case .any: "ANY"
        default: "CLASS\(rawValue)"
        }
    }
    /// The same as `name`.
    public var description: String { name }
}
