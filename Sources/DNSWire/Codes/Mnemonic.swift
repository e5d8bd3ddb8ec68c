/// A name of a type or class, up to fifteen octets in upper case as one number: compared without a string.
struct Mnemonic: Hashable {
    private let packed: UInt128

    /// Nil when there are more octets than any name has.
    init?(octets: ArraySlice<UInt8>) {
        guard octets.count <= 15 else { return nil }
        packed = Self.pack(octets)
    }

    /// One of the names in this module's tables, which are short.
    init(_ name: String) { packed = Self.pack(name.utf8) }

    /// Begins with a one, so that leading zero octets count.
    private static func pack(_ octets: some Collection<UInt8>) -> UInt128 {
        octets.reduce(1) { $0 << 8 | UInt128($1 &- 0x61 < 26 ? $1 & 0xdf : $1) }
    }

    /// The number of the `TYPE123` and `CLASS123` notation (RFC 3597 §5): decimal digits after `prefix` in any letter
    /// case; nil when there are none, others, or the number passes 65,535.
    static func number(_ octets: ArraySlice<UInt8>, prefix: String) -> UInt16? {
        let digits = octets.dropFirst(prefix.utf8.count)
        guard octets.count > digits.count, pack(octets.prefix(prefix.utf8.count)) == pack(prefix.utf8) else {
            return nil
        }
        return NumberText.decimal(digits, limit: 0xffff).map { UInt16($0) }
    }
}
