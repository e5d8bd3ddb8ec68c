/// LZW octet for octet as Go's compress/lzw reads and writes it: least significant bit first, literals of 8 bits, codes
/// of 9 to 12 bits, a clear code at the start.
package enum LZW {
    static let clear = 256
    static let end = 257
    private static let lastCode = 4_095

    /// The compressed text, which may be longer than the plain one.
    package static func encode(_ input: [UInt8]) -> [UInt8] {
        var bits = BitWriter(capacity: input.count / 2 + 8)
        var table = PairTable()
        var width = 9
        var high = end
        bits.put(clear, width)
        guard var current = input.first.map({ Int($0) }) else {
            bits.put(end, width)
            return bits.finish()
        }
        for octet in input.dropFirst() {
            let pair = UInt32(current) << 8 | UInt32(octet)
            if let code = table[pair] {
                current = code
                continue
            }
            bits.put(current, width)
            high += 1
            if high == 1 << width { width += 1 }
            if high == lastCode {
                bits.put(clear, 12)
                width = 9
                high = end
                table.removeAll()
            } else {
                table[pair] = high
            }
            current = Int(octet)
        }
        bits.put(current, width)
        // The writer counts one step more, so the end code may be one bit wider.
        high += 1
        if high == 1 << width, width < 12 {
            width += 1
        } else if high == lastCode {
            bits.put(clear, 12)
            width = 9
        }
        bits.put(end, width)
        return bits.finish()
    }

    /// (code, octet) to code: open addressing, at most a quarter full.
    private struct PairTable {
        private static let size = 16_384
        /// The pair in the upper 20 bits, the code in the lower 12; a code is never 0.
        private var slots = [UInt32](repeating: 0, count: Self.size)

        private static func start(_ pair: UInt32) -> Int { Int((pair >> 12 ^ pair) & UInt32(size - 1)) }

        subscript(pair: UInt32) -> Int? {
            get {
                var slot = Self.start(pair)
                while slots[slot] != 0 {
                    if slots[slot] >> 12 == pair { return Int(slots[slot] & 0xfff) }
                    slot = (slot + 1) & (Self.size - 1)
                }
                return nil
            }
            set {
                var slot = Self.start(pair)
                while slots[slot] != 0 { slot = (slot + 1) & (Self.size - 1) }
                slots[slot] = pair << 12 | UInt32(newValue ?? 0)
            }
        }

        mutating func removeAll() { slots = [UInt32](repeating: 0, count: Self.size) }
    }

    private struct BitWriter {
        private var output: [UInt8] = []
        private var held: UInt32 = 0
        private var count = 0

        init(capacity: Int) { output.reserveCapacity(capacity) }

        mutating func put(_ code: Int, _ width: Int) {
            held |= UInt32(code) << UInt32(count)
            count += width
            while count >= 8 {
                output.append(UInt8(truncatingIfNeeded: held))
                held >>= 8
                count -= 8
            }
        }

        mutating func finish() -> [UInt8] {
            if count > 0 { output.append(UInt8(truncatingIfNeeded: held)) }
            return output
        }
    }
}
