/// Composes bytes of values: those of kept rows, and of frames between nodes.
///
/// Numbers are varints (seven bits a byte, lowest first, in as few bytes as possible) or eight bytes, lowest first;
/// texts and byte strings follow their length.
package struct ByteWriter: Sendable {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func byte(_ value: UInt8) { bytes.append(value) }

    package mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7f) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// A number below zero counts as zero.
    package mutating func varint(_ value: Int) { varint(UInt64(max(value, 0))) }

    /// Small numbers of either sign in few bytes: 0, -1, 1, -2, …
    package mutating func signed(_ value: Int) {
        let wide = Int64(value)
        varint(UInt64(bitPattern: wide << 1 ^ wide >> 63))
    }

    package mutating func fixed64(_ value: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { bytes.append(UInt8(value >> shift & 0xff)) }
    }

    package mutating func raw(_ value: [UInt8]) { bytes.append(contentsOf: value) }

    package mutating func string(_ value: [UInt8]) {
        varint(value.count)
        bytes.append(contentsOf: value)
    }

    package mutating func text(_ value: String) {
        varint(value.utf8.count)
        bytes.append(contentsOf: value.utf8)
    }
}
