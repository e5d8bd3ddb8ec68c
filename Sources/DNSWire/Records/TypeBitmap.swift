/// Sets of types as windows of bits: window number, length, bits from the left (RFC 4034 §4.1.2).
enum TypeBitmap {
    /// Whether the octets from `at` to `end` are windows in rising order of 1 to 32 octets each.
    static func isSound(in message: RawSpan, at: Int, end: Int) -> Bool {
        var here = at
        var previous = -1
        while here < end {
            guard here &+ 2 <= end else { return false }
            let window = Int(message.octet(at: here))
            let octets = Int(message.octet(at: here &+ 1))
            guard window > previous, (1...32).contains(octets), here &+ 2 &+ octets <= end else { return false }
            previous = window
            here &+= 2 &+ octets
        }
        return true
    }
}

extension TypeBitmap {
    /// The windows of a set of types, in order, without empty ones.
    static func encode(_ types: [RRType]) -> [UInt8] {
        var octets: [UInt8] = []
        let sorted = Set(types.map(\.rawValue)).sorted()
        var at = 0
        while at < sorted.count {
            let window = UInt8(sorted[at] >> 8)
            var bits: [UInt8] = []
            while at < sorted.count, UInt8(sorted[at] >> 8) == window {
                let bit = Int(sorted[at] & 0xff)
                while bits.count <= bit / 8 { bits.append(0) }
                bits[bit / 8] |= 0x80 >> UInt8(bit % 8)
                at += 1
            }
            octets += [window, UInt8(bits.count)] + bits
        }
        return octets
    }

    /// The types of windows that are sound, in rising order.
    static func decode(_ octets: ArraySlice<UInt8>) -> [RRType] {
        var types: [RRType] = []
        var left = octets
        while let window = left.popFirst(), let count = left.popFirst() {
            for (index, bits) in left.prefix(Int(count)).enumerated() {
                for bit in 0..<8 where bits & (0x80 >> UInt8(bit)) != 0 {
                    types.append(RRType(rawValue: UInt16(window) << 8 | UInt16(index * 8 + bit)))
                }
            }
            left = left.dropFirst(Int(count))
        }
        return types
    }
}
