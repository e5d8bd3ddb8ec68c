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
    private static let byName: [Mnemonic: RRClass] = [
        Mnemonic("IN"): .in, Mnemonic("CH"): .ch, Mnemonic("HS"): .hs, Mnemonic("NONE"): .none, Mnemonic("ANY"): .any,
    ]

    /// Reads a mnemonic in any letter case or `CLASS32` (RFC 3597 §5); nil for anything else.
    public init?(name: String) {
        self.init(octets: Array(name.utf8)[...])
    }

    /// Reads a class as `init(name:)` does, from octets.
    public init?(octets: ArraySlice<UInt8>) {
        guard let name = Mnemonic(octets: octets) else { return nil }
        if let known = Self.byName[name] {
            self = known
        } else if let number = Mnemonic.number(octets, prefix: "CLASS") {
            self.init(rawValue: number)
        } else {
            return nil
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
