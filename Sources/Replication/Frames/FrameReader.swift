/// Parses frames. Refuses what `FrameWriter` would have written otherwise, so that every value has one encoding.
struct FrameReader {
    private let bytes: [UInt8]
    private(set) var offset: Int
    private let end: Int

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        offset = 0
        end = bytes.count
    }

    var isAtEnd: Bool { offset == end }
    var remaining: Int { end - offset }

    func malformed(_ field: FrameField) -> FrameError { .malformed(field, offset: offset) }

    mutating func byte() throws(FrameError) -> UInt8 {
        guard offset < end else { throw .short(offset: offset) }
        defer { offset += 1 }
        return bytes[offset]
    }

    mutating func varint() throws(FrameError) -> UInt64 {
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
    mutating func count() throws(FrameError) -> Int {
        let value = try varint()
        guard value <= UInt64(remaining) else { throw .short(offset: offset) }
        return Int(value)
    }

    mutating func int(_ field: FrameField, max: Int64 = .max) throws(FrameError) -> Int64 {
        let value = try varint()
        guard value <= UInt64(max) else { throw malformed(field) }
        return Int64(value)
    }

    mutating func signed() throws(FrameError) -> Int {
        let value = try varint()
        return Int(Int64(bitPattern: value >> 1) ^ -Int64(value & 1))
    }

    mutating func fixed64() throws(FrameError) -> UInt64 {
        guard remaining >= 8 else { throw .short(offset: offset) }
        var value: UInt64 = 0
        for index in 0..<8 { value |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
        offset += 8
        return value
    }

    mutating func raw(_ count: Int) throws(FrameError) -> [UInt8] {
        guard remaining >= count else { throw .short(offset: offset) }
        defer { offset += count }
        return Array(bytes[offset..<offset + count])
    }

    mutating func string() throws(FrameError) -> [UInt8] { try raw(count()) }

    mutating func text() throws(FrameError) -> String {
        guard let text = String(validating: try string(), as: UTF8.self) else { throw malformed(.text) }
        return text
    }
}
