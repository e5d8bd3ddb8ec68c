/// Compresses answers: RFC 1952 around one RFC 1951 block with the fixed code.
///
/// Ours rather than zlib's, so that no C library and no unsafe buffer stands between a request and its answer. Lists of
/// instances repeat their member names, which the fixed code already shrinks four- to eightfold. O(n), one pass.
package enum Gzip {
    package static func compress(_ input: [UInt8]) -> [UInt8] {
        var out = BitWriter(capacity: input.count / 4 + 64)
        // Magic, deflate, no flags, no time, no extra flags, unknown system.
        out.bytes = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]
        deflate(input, into: &out)
        out.align()
        out.littleEndian(checksum(input))
        out.littleEndian(UInt32(truncatingIfNeeded: input.count))
        return out.bytes
    }

    /// CRC-32 of RFC 1952 section 8.
    package static func checksum(_ input: [UInt8]) -> UInt32 {
        var crc: UInt32 = 0xffff_ffff
        for byte in input {
            crc = crcTable[Int((crc ^ UInt32(byte)) & 0xff)] ^ (crc >> 8)
        }
        return ~crc
    }

    private static let crcTable: [UInt32] = (0..<256).map { index in
        var value = UInt32(index)
        for _ in 0..<8 { value = value & 1 == 1 ? 0xedb8_8320 ^ (value >> 1) : value >> 1 }
        return value
    }

    private static let window = 32_768
    private static let longestMatch = 258
    private static let shortestMatch = 4

    /// Greedy matching against the last place of the same four octets.
    private static func deflate(_ input: [UInt8], into out: inout BitWriter) {
        out.bits(1, count: 1)
        out.bits(1, count: 2)
        let tableBits = min(15, max(8, Int.bitWidth - input.count.leadingZeroBitCount))
        var last = [Int32](repeating: -1, count: 1 << tableBits)
        var place = 0
        while place < input.count {
            guard place + shortestMatch <= input.count else {
                out.literal(input[place])
                place += 1
                continue
            }
            let slot = hash(input, place, tableBits)
            let candidate = Int(last[slot])
            last[slot] = Int32(truncatingIfNeeded: place)
            let length =
                candidate >= 0 && place - candidate <= window ? matchLength(input, candidate, place) : 0
            guard length >= shortestMatch else {
                out.literal(input[place])
                place += 1
                continue
            }
            out.match(length: length, distance: place - candidate)
            place += length
        }
        out.endOfBlock()
    }

    private static func hash(_ input: [UInt8], _ place: Int, _ bits: Int) -> Int {
        let four =
            UInt32(input[place]) | UInt32(input[place + 1]) << 8 | UInt32(input[place + 2]) << 16
            | UInt32(input[place + 3]) << 24
        return Int((four &* 0x9e37_79b1) >> UInt32(32 - bits))
    }

    private static func matchLength(_ input: [UInt8], _ candidate: Int, _ place: Int) -> Int {
        let limit = min(longestMatch, input.count - place)
        var length = 0
        while length < limit && input[candidate + length] == input[place + length] { length += 1 }
        return length
    }
}

/// Packs RFC 1951's codes: fields least significant bit first, Huffman codes most significant bit first.
private struct BitWriter {
    var bytes: [UInt8]
    private var pending: UInt64 = 0
    private var pendingCount = 0

    init(capacity: Int) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    mutating func bits(_ value: UInt32, count: Int) {
        pending |= UInt64(value) << UInt64(pendingCount)
        pendingCount += count
        while pendingCount >= 8 {
            bytes.append(UInt8(truncatingIfNeeded: pending))
            pending >>= 8
            pendingCount -= 8
        }
    }

    mutating func align() {
        if pendingCount > 0 { bits(0, count: 8 - pendingCount) }
    }

    mutating func littleEndian(_ value: UInt32) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    mutating func literal(_ byte: UInt8) {
        if byte < 144 {
            code(0x30 + UInt32(byte), count: 8)
        } else {
            code(0x190 + UInt32(byte) - 144, count: 9)
        }
    }

    mutating func endOfBlock() { code(0, count: 7) }

    mutating func match(length: Int, distance: Int) {
        let lengthStep = Self.step(of: length, in: Self.lengths)
        let symbol = UInt32(lengthStep.index) + 257
        if symbol < 280 {
            code(symbol - 256, count: 7)
        } else {
            code(0xc0 + symbol - 280, count: 8)
        }
        bits(UInt32(length - lengthStep.base), count: lengthStep.extra)
        let distanceStep = Self.step(of: distance, in: Self.distances)
        code(UInt32(distanceStep.index), count: 5)
        bits(UInt32(distance - distanceStep.base), count: distanceStep.extra)
    }

    private mutating func code(_ value: UInt32, count: Int) {
        var reversed: UInt32 = 0
        for bit in 0..<UInt32(count) where value >> bit & 1 == 1 { reversed |= 1 << (UInt32(count) - 1 - bit) }
        bits(reversed, count: count)
    }

    private typealias Step = (base: Int, extra: Int)

    /// The last step whose base is not above the value.
    private static func step(of value: Int, in steps: [Step]) -> (index: Int, base: Int, extra: Int) {
        var low = 0
        var high = steps.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if steps[middle].base <= value { low = middle } else { high = middle - 1 }
        }
        return (low, steps[low].base, steps[low].extra)
    }

    /// RFC 1951 section 3.2.5: length codes 257 to 285.
    private static let lengths: [Step] = {
        var steps: [Step] = (3...10).map { ($0, 0) }
        var base = 11
        for extra in 1...5 {
            for _ in 0..<4 {
                steps.append((base, extra))
                base += 1 << extra
            }
        }
        steps.append((258, 0))
        return steps
    }()

    /// Distance codes 0 to 29.
    private static let distances: [Step] = {
        var steps: [Step] = (1...4).map { ($0, 0) }
        var base = 5
        for extra in 1...13 {
            for _ in 0..<2 {
                steps.append((base, extra))
                base += 1 << extra
            }
        }
        return steps
    }()
}
