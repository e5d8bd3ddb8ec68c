extension LZW {
    private static let noCode = -1

    /// The plain text.
    ///
    /// - Parameter limit: the most octets to give out; a few octets of input can ask for thousands of times as many.
    /// - Throws: `badLZW` for a code that is not there yet and for input without an end code, `tooMuch` at the limit.
    package static func decode(_ input: [UInt8], limit: Int) throws(GossipWireError) -> [UInt8] {
        var output: [UInt8] = []
        var prefix = [UInt16](repeating: 0, count: 4_096)
        var suffix = [UInt8](repeating: 0, count: 4_096)
        // One code's text, last octet first.
        var text: [UInt8] = []
        var bits = BitReader(input)
        var width = 9
        var last = noCode
        // The code that the table gets next, as long as `last` is a code.
        var high = end
        while true {
            let code = try bits.next(width)
            if code == clear {
                width = 9
                last = noCode
                high = end
                continue
            }
            if code == end { return output }
            guard code <= high else { throw .badLZW(offset: bits.offset) }
            text.removeAll(keepingCapacity: true)
            var walk = code
            if code == high, last != noCode {
                // The code that is made by this very step: the last text and its own first octet.
                walk = last
                text.append(firstOctet(of: walk, prefix))
            }
            // Every entry points to a smaller code, so the walk ends.
            while walk > end {
                text.append(suffix[walk])
                walk = Int(prefix[walk])
            }
            let first = UInt8(truncatingIfNeeded: walk)
            text.append(first)
            guard text.count <= limit - output.count else { throw .tooMuch(.plainBytes, limit: limit) }
            text.reverse()
            output += text
            if last != noCode {
                suffix[high] = first
                prefix[high] = UInt16(last)
            }
            last = code
            high += 1
            if high >= 1 << width {
                if width == 12 {
                    // The table is full: nothing is added until a clear.
                    last = noCode
                    high -= 1
                } else {
                    width += 1
                }
            }
        }
    }

    private static func firstOctet(of code: Int, _ prefix: [UInt16]) -> UInt8 {
        var walk = code
        while walk > end { walk = Int(prefix[walk]) }
        return UInt8(truncatingIfNeeded: walk)
    }

    private struct BitReader {
        private let input: [UInt8]
        private(set) var offset = 0
        private var held: UInt32 = 0
        private var count = 0

        init(_ input: [UInt8]) { self.input = input }

        mutating func next(_ width: Int) throws(GossipWireError) -> Int {
            while count < width {
                guard offset < input.count else { throw .badLZW(offset: offset) }
                held |= UInt32(input[offset]) << UInt32(count)
                offset += 1
                count += 8
            }
            defer {
                held >>= UInt32(width)
                count -= width
            }
            return Int(held & (1 << UInt32(width) - 1))
        }
    }
}
