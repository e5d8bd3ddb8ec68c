/// Why bytes are not the values they should be.
package enum ByteError: Error, Hashable, Sendable {
    /// They end where more was announced.
    case short(offset: Int)
    /// A value that has another, canonical encoding, or that cannot be: which field, and where it ended.
    case malformed(ByteField, offset: Int)
}

/// The part of a message that is wrong. Formats add their own.
package struct ByteField: Hashable, Sendable, CustomDebugStringConvertible {
    package let name: String

    package init(_ name: String) { self.name = name }

    package var debugDescription: String { name }

    package static let varint = ByteField("varint")
    package static let text = ByteField("text")
    package static let registration = ByteField("registration")
}

/// Parses bytes. Refuses what `ByteWriter` would have written otherwise, so that every value has one encoding.
package struct ByteReader: Sendable {
    private let bytes: [UInt8]
    package private(set) var offset = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package var isAtEnd: Bool { offset == bytes.count }
    package var remaining: Int { bytes.count - offset }

    package func malformed(_ field: ByteField) -> ByteError { .malformed(field, offset: offset) }

    package mutating func byte() throws(ByteError) -> UInt8 {
        guard offset < bytes.count else { throw .short(offset: offset) }
        defer { offset += 1 }
        return bytes[offset]
    }

    package mutating func varint() throws(ByteError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try byte()
            // The tenth byte holds the last bit alone; a zero byte at the end says nothing.
            guard shift < 63 || byte <= 1, byte != 0 || shift == 0 else { throw malformed(.varint) }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }

    /// A number of things that take at least one byte each.
    package mutating func count() throws(ByteError) -> Int {
        let value = try varint()
        guard value <= UInt64(remaining) else { throw .short(offset: offset) }
        return Int(value)
    }

    package mutating func int(_ field: ByteField, max: Int64 = .max) throws(ByteError) -> Int64 {
        let value = try varint()
        guard value <= UInt64(max) else { throw malformed(field) }
        return Int64(value)
    }

    package mutating func signed() throws(ByteError) -> Int {
        let value = try varint()
        return Int(Int64(bitPattern: value >> 1) ^ -Int64(value & 1))
    }

    package mutating func fixed64() throws(ByteError) -> UInt64 {
        guard remaining >= 8 else { throw .short(offset: offset) }
        var value: UInt64 = 0
        for index in 0..<8 { value |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
        offset += 8
        return value
    }

    package mutating func raw(_ count: Int) throws(ByteError) -> [UInt8] {
        guard remaining >= count else { throw .short(offset: offset) }
        defer { offset += count }
        return Array(bytes[offset..<offset + count])
    }

    package mutating func string() throws(ByteError) -> [UInt8] { try raw(count()) }

    package mutating func text() throws(ByteError) -> String {
        guard let text = String(validating: try string(), as: UTF8.self) else { throw malformed(.text) }
        return text
    }
}
