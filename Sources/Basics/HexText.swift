/// Octets as hexadecimal digits (RFC 4648 §8).
@usableFromInline
package enum HexText {
    /// The value of a digit in either letter case; nil for what is none.
    @inlinable
    package static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit &- 0x30
        case 0x41...0x46: digit &- 0x41 &+ 10
        case 0x61...0x66: digit &- 0x61 &+ 10
        default: nil
        }
    }

    /// The digit of a value below 16.
    @inlinable
    package static func lowerDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 &+ value : 0x61 &- 10 &+ value }

    @inlinable
    package static func upperDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 &+ value : 0x41 &- 10 &+ value }

    /// Nil when a character is no digit or their number is odd.
    package static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count % 2 == 0 else { return nil }
        var octets: [UInt8] = []
        octets.reserveCapacity(text.count / 2)
        for index in stride(from: 0, to: text.count, by: 2) {
            guard let high = value(text[index]), let low = value(text[index + 1]) else { return nil }
            octets.append(high << 4 | low)
        }
        return octets
    }

    package static func lower(_ octets: some Sequence<UInt8>) -> String {
        String(decoding: octets.flatMap { [lowerDigit($0 >> 4), lowerDigit($0 & 15)] }, as: UTF8.self)
    }

    package static func upper(_ octets: some Sequence<UInt8>) -> String {
        String(decoding: octets.flatMap { [upperDigit($0 >> 4), upperDigit($0 & 15)] }, as: UTF8.self)
    }
}
