/// SipHash-2-4 (Aumasson, Bernstein 2012) over whole 64-bit words: the same on every node, unlike Swift's `Hasher`, and
/// not to be steered by who does not know the key.
package struct KeyedHash: Sendable {
    /// The 128 bits that all nodes of a cluster share.
    package struct Key: Hashable, Sendable {
        package var low: UInt64
        package var high: UInt64

        package init(low: UInt64, high: UInt64) {
            self.low = low
            self.high = high
        }

        /// For clusters without a secret.
        package static let shared = Key(low: 0x7265_6764_6e73_2f31, high: 0x7265_706c_6963_6173)
    }

    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64
    private var words: UInt64 = 0

    package init(_ key: Key) {
        v0 = key.low ^ 0x736f_6d65_7073_6575
        v1 = key.high ^ 0x646f_7261_6e64_6f6d
        v2 = key.low ^ 0x6c79_6765_6e65_7261
        v3 = key.high ^ 0x7465_6462_7974_6573
    }

    package mutating func append(_ word: UInt64) {
        words &+= 1
        compress(word)
    }

    /// Takes in bytes with their number, so that no two sequences of texts give the same words.
    package mutating func append(_ bytes: Span<UInt8>) {
        append(UInt64(bytes.count))
        var word: UInt64 = 0
        for index in bytes.indices {
            word |= UInt64(bytes[index]) << UInt64(8 * (index & 7))
            if index & 7 == 7 {
                append(word)
                word = 0
            }
        }
        if bytes.count & 7 != 0 { append(word) }
    }

    package mutating func append(_ text: String) { append(text.utf8Span.span) }

    /// The hash of all that was taken in.
    package func value() -> UInt64 {
        var last = self
        // The byte count modulo 256 in the top byte, as in the paper; words are eight bytes.
        last.compress((words &* 8) << 56)
        last.v2 ^= 0xff
        for _ in 0..<4 { last.round() }
        return last.v0 ^ last.v1 ^ last.v2 ^ last.v3
    }

    private mutating func compress(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    private mutating func round() {
        v0 = v0 &+ v1
        v1 = Self.rotate(v1, 13) ^ v0
        v0 = Self.rotate(v0, 32)
        v2 = v2 &+ v3
        v3 = Self.rotate(v3, 16) ^ v2
        v0 = v0 &+ v3
        v3 = Self.rotate(v3, 21) ^ v0
        v2 = v2 &+ v1
        v1 = Self.rotate(v1, 17) ^ v2
        v2 = Self.rotate(v2, 32)
    }

    private static func rotate(_ word: UInt64, _ bits: UInt64) -> UInt64 { word << bits | word >> (64 - bits) }
}
