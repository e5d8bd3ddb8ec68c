import Basics

/// Remembers where names stand in a message that is being written, so that later ones can point to them.
///
/// Names match whatever their letter case (RFC 1035 §4.1.4, RFC 4343 §3). A hash finds a candidate, the octets
/// decide. Holds at most one entry for every label written below offset 16,384.
struct NameCompressor {
    /// Where a suffix with this hash was written first.
    private var offsets: [UInt64: UInt16] = [:]
    /// The hashes in the order of their offsets, for rollback.
    private var written: [(hash: UInt64, offset: Int)] = []

    /// Pointers have 14 bits.
    private static let offsetMax = 0x3fff

    /// Appends `name` to `message`, pointing to its longest suffix that is there already when `compress` is true. What
    /// is written becomes a target for later names either way.
    mutating func append(_ name: ArraySlice<UInt8>, compress: Bool, to message: inout [UInt8]) {
        var labelStarts: [Int] = []
        var at = name.startIndex
        while at < name.endIndex, name[at] != 0 {
            labelStarts.append(at)
            at += Int(name[at]) + 1
        }
        let hashes = Self.suffixHashes(name, labelStarts: labelStarts)
        for (index, start) in labelStarts.enumerated() {
            let hash = hashes[index]
            if let known = offsets[hash], Self.matches(name[start...], at: Int(known), in: message) {
                if compress {
                    message.append(0xc0 | UInt8(truncatingIfNeeded: known >> 8))
                    message.append(UInt8(truncatingIfNeeded: known))
                    return
                }
            } else if message.count <= Self.offsetMax, offsets[hash] == nil {
                offsets[hash] = UInt16(truncatingIfNeeded: message.count)
                written.append((hash, message.count))
            }
            message.append(contentsOf: name[start...(start + Int(name[start]))])
        }
        message.append(0)
    }

    /// Forgets names at `length` and beyond, where the message is about to be cut.
    mutating func rollBack(to length: Int) {
        while let last = written.last, last.offset >= length {
            offsets[last.hash] = nil
            written.removeLast()
        }
    }

    /// FNV-1a over each suffix in lower case, built from the last label to the first.
    private static func suffixHashes(_ name: ArraySlice<UInt8>, labelStarts: [Int]) -> [UInt64] {
        var hashes = [UInt64](repeating: 0, count: labelStarts.count)
        var hash = FNV1a()
        for (index, start) in labelStarts.enumerated().reversed() {
            for octet in name[start...(start + Int(name[start]))] { hash.add(folded(octet)) }
            hashes[index] = hash.value
        }
        return hashes
    }

    /// Whether the name that was written at `offset` is `suffix`. Pointers in `message` are this type's own.
    private static func matches(_ suffix: ArraySlice<UInt8>, at offset: Int, in message: [UInt8]) -> Bool {
        var here = offset
        var left = suffix
        while here < message.count, let wanted = left.first {
            let octet = message[here]
            if octet >= 0xc0 {
                guard here + 1 < message.count else { return false }
                let target = Int(octet & 0x3f) << 8 | Int(message[here + 1])
                guard target < here else { return false }
                here = target
                continue
            }
            guard octet == wanted else { return false }
            if octet == 0 { return true }
            let length = Int(octet) + 1
            guard here + length <= message.count, left.count >= length else { return false }
            for (a, b) in zip(message[here..<(here + length)], left.prefix(length)) where folded(a) != folded(b) {
                return false
            }
            here += length
            left = left.dropFirst(length)
        }
        return false
    }

    private static func folded(_ octet: UInt8) -> UInt8 { NameBytes.isUpper(octet) ? octet | 0x20 : octet }
}
