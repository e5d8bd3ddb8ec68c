extension UInt32 {
    /// Four octets, the greatest first.
    var bigEndianOctets: [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: self >> $0) } }

    /// nil unless there are four octets.
    init?(bigEndianOctets octets: ArraySlice<UInt8>) {
        guard octets.count == 4 else { return nil }
        self = octets.reduce(0) { $0 << 8 | UInt32($1) }
    }
}

/// Type 7: several messages in one packet.
package enum Compound {
    /// The most parts to write: a memberlist 0.2.2 counts their lengths in eight bits and garbles 128 and more.
    package static let maxPartsWritten = 127
    /// What the wrapper costs, and what each part costs.
    package static let overhead = 2
    package static let partOverhead = 2

    /// - Throws: `tooMuch` for more parts, or longer ones, than may be written.
    package static func encode(_ parts: [[UInt8]]) throws(GossipWireError) -> [UInt8] {
        guard parts.count <= maxPartsWritten else { throw .tooMuch(.parts, limit: maxPartsWritten) }
        var bytes = [MessageType.compound.rawValue, UInt8(parts.count)]
        for part in parts {
            guard let length = UInt16(exactly: part.count) else { throw .tooMuch(.partBytes, limit: 0xffff) }
            bytes += [UInt8(length >> 8), UInt8(length & 0xff)]
        }
        for part in parts { bytes += part }
        return bytes
    }

    /// The parts, and how many were cut off: the parts before a bad one are kept.
    static func decode(_ bytes: ArraySlice<UInt8>) throws(GossipWireError) -> (parts: [ArraySlice<UInt8>], lost: Int) {
        guard let count = bytes.first.map({ Int($0) }) else { throw .truncated(needed: 2) }
        let lengths = bytes.dropFirst().prefix(count * 2)
        guard lengths.count == count * 2 else { throw .truncated(needed: 2 + count * 2) }
        var rest = bytes.dropFirst(1 + count * 2)
        var parts: [ArraySlice<UInt8>] = []
        for part in 0..<count {
            let place = lengths.startIndex + part * 2
            let length = Int(lengths[place]) << 8 | Int(lengths[place + 1])
            guard length <= rest.count else { return (parts, count - part) }
            parts.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        return (parts, 0)
    }
}

/// Type 12: a checksum over the rest of the packet. Only looked for outermost.
package enum Checksum {
    package static let overhead = 5

    package static func encode(_ bytes: [UInt8]) -> [UInt8] {
        [MessageType.checksum.rawValue] + CRC32.of(bytes[...]).bigEndianOctets + bytes
    }

    /// What follows a checksum that matches; nil when the packet does not begin with one.
    static func decode(_ bytes: [UInt8]) throws(GossipWireError) -> [UInt8]? {
        guard bytes.first == MessageType.checksum.rawValue, bytes.count >= overhead else { return nil }
        let rest = bytes[overhead...]
        guard UInt32(bigEndianOctets: bytes[1..<overhead]) == CRC32.of(rest) else { throw .badChecksum }
        guard !rest.isEmpty else { throw .empty }
        return Array(rest)
    }
}

/// CRC-32 as in IEEE 802.3 and zlib.
package enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xedb8_8320 ^ value >> 1 : value >> 1 }
    }

    package static func of(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        ~bytes.reduce(~0) { $0 >> 8 ^ table[Int(($0 ^ UInt32($1)) & 0xff)] }
    }
}

/// Type 9: a message in LZW.
package enum Compression {
    /// The most plain octets of one packet's wrappers together.
    package static let packetLimit = 65_536

    package static func encode(_ bytes: [UInt8]) -> [UInt8] {
        var writer = MessagePackWriter(type: MessageType.compress.rawValue)
        writer.map(2)
        writer.field(.algo, number: UInt8(0))
        writer.field(.buf, bytes: LZW.encode(bytes))
        return writer.bytes
    }

    /// - Throws: `truncated` when the map goes on behind the input, `empty` when nothing is inside.
    static func decode(_ reader: inout MessagePackReader, limit: Int) throws(GossipWireError) -> [UInt8] {
        var algorithm: UInt64 = 0
        var buffer: [UInt8]?
        try reader.fields { (field, reader) throws(GossipWireError) in
            switch field {
            case .algo: algorithm = try reader.number(field)
            case .buf: buffer = try reader.bytes(field)
            default: try reader.skip()
            }
        }
        guard algorithm == 0 else { throw .unknownCompression(algorithm) }
        let plain = try LZW.decode(buffer ?? [], limit: limit)
        guard !plain.isEmpty else { throw .empty }
        return plain
    }
}
