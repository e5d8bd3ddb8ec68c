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
