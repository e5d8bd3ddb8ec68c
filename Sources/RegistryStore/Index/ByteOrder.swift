/// Byte-wise comparison of keys and texts: the one order of every index.
enum ByteOrder {
    /// Less than, equal to, or greater than 0, as `memcmp` and then the length. O(length), allocates nothing.
    static func compare(_ a: Span<UInt8>, _ b: Span<UInt8>) -> Int {
        let shared = min(a.count, b.count)
        // SAFETY: octets have neither padding nor invalid values, so their raw view shows just them.
        let rawA = unsafe a.bytes
        let rawB = unsafe b.bytes
        var offset = 0
        while offset &+ 8 <= shared {
            // SAFETY: both loads read eight bytes from `offset`, which end at or before `shared`, the shorter count.
            let left = unsafe rawA.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let right = unsafe rawB.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
            if left != right { return left.bigEndian < right.bigEndian ? -1 : 1 }
            offset &+= 8
        }
        while offset < shared {
            if a[offset] != b[offset] { return a[offset] < b[offset] ? -1 : 1 }
            offset &+= 1
        }
        return a.count &- b.count
    }

    static func compare(_ a: [UInt8], _ b: [UInt8]) -> Int { compare(a.span, b.span) }

    /// Compares the UTF-8 of two texts. Unlike `String`'s order it tells canonically equivalent texts apart.
    static func compare(_ a: String, _ b: String) -> Int { compare(a.utf8Span.span, b.utf8Span.span) }

    /// Whether two texts have the same bytes; `==` of `String` would take canonically equivalent ones as equal.
    static func same(_ a: String, _ b: String) -> Bool {
        a.utf8.count == b.utf8.count && compare(a, b) == 0
    }
}
