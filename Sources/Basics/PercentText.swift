/// Octets with some of them as `%` and two hexadecimal digits (RFC 3986 §2.1).
@usableFromInline
package enum PercentText {
    /// - Parameter isPlain: which octets stand for themselves.
    @inlinable
    package static func encode(_ octets: some Sequence<UInt8>, where isPlain: (UInt8) -> Bool) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(octets.underestimatedCount)
        for octet in octets {
            if isPlain(octet) {
                text.append(octet)
            } else {
                text.append(0x25)
                text.append(HexText.upperDigit(octet >> 4))
                text.append(HexText.upperDigit(octet & 15))
            }
        }
        return text
    }

    /// Letters, digits and `-._~` (RFC 3986 §2.3), which need no escape anywhere.
    @inlinable
    package static func isUnreserved(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e: true
        default: false
        }
    }

    /// The octet of the escape that begins at `place`; nil when none does.
    @inlinable
    package static func escaped(in text: ArraySlice<UInt8>, at place: Int) -> UInt8? {
        guard text.endIndex - place > 2, text[place] == 0x25, let high = HexText.value(text[place + 1]),
            let low = HexText.value(text[place + 2])
        else { return nil }
        return high << 4 | low
    }

    /// Takes escapes back.
    ///
    /// - Parameters:
    ///   - plusIsSpace: as in forms of HTML.
    ///   - malformed: called with the place of a `%` that begins no escape; when it returns, that stands for itself.
    @inlinable
    package static func decode<Failure: Error>(
        _ text: ArraySlice<UInt8>, plusIsSpace: Bool = false, malformed: (Int) throws(Failure) -> Void
    ) throws(Failure) -> [UInt8] {
        var octets: [UInt8] = []
        octets.reserveCapacity(text.count)
        var place = text.startIndex
        while place < text.endIndex {
            let octet = text[place]
            if octet == 0x25, let escaped = escaped(in: text, at: place) {
                octets.append(escaped)
                place += 3
                continue
            }
            if octet == 0x25 { try malformed(place) }
            octets.append(plusIsSpace && octet == 0x2b ? 0x20 : octet)
            place += 1
        }
        return octets
    }
}
