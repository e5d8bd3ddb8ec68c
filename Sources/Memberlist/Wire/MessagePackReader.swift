/// Reads msgpack values one after another, as tolerant as go-msgpack: both spellings of text and bytes, integers wider
/// than they need to be, unknown fields.
///
/// Nothing is allocated from a length that the input does not cover, nothing recurses, and the number of values is
/// bounded, so that looking at the same beginning again costs little.
struct MessagePackReader {
    /// Values in one message, fields that are skipped included.
    static let maxElements = 4_096
    /// Arrays and maps inside of each other.
    static let maxDepth = 32

    private let bytes: [UInt8]
    private let end: Int
    /// Where the next value begins.
    private(set) var offset: Int
    private var elementsLeft = Self.maxElements

    init(_ bytes: [UInt8], at offset: Int = 0, end: Int? = nil) {
        self.bytes = bytes
        self.end = min(max(end ?? bytes.count, 0), bytes.count)
        self.offset = max(offset, 0)
    }

    var isAtEnd: Bool { offset >= end }

    // MARK: Raw pieces

    private mutating func take(_ count: Int) throws(GossipWireError) -> ArraySlice<UInt8> {
        let (stop, overflow) = offset.addingReportingOverflow(count)
        guard !overflow, count >= 0, stop <= end else { throw .truncated(needed: overflow ? .max : stop) }
        defer { offset = stop }
        return bytes[offset..<stop]
    }

    private mutating func unsigned(octets: Int) throws(GossipWireError) -> UInt64 {
        try take(octets).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// A length of up to four octets, which always fits.
    private mutating func length(octets: Int) throws(GossipWireError) -> Int { Int(try unsigned(octets: octets)) }

    /// Octets that stand behind the values, as a push/pull's user state does.
    mutating func rawBytes(_ count: Int) throws(GossipWireError) -> [UInt8] { Array(try take(count)) }

    // MARK: Values

    /// One value's head. Arrays and maps are not entered.
    enum Head {
        case none
        case bool(Bool)
        case unsigned(UInt64)
        case negative(Int64)
        case text(ArraySlice<UInt8>)
        case float
        case array(Int)
        case map(Int)
    }

    mutating func head() throws(GossipWireError) -> Head {
        guard elementsLeft > 0 else { throw .tooMuch(.elements, limit: Self.maxElements) }
        elementsLeft -= 1
        let start = offset
        do {
            return try readHead()
        } catch {
            // The next look begins at the same value.
            offset = start
            throw error
        }
    }

    private mutating func readHead() throws(GossipWireError) -> Head {
        let start = offset
        let tag = UInt8(try unsigned(octets: 1))
        switch tag {
        case 0x00...0x7f: return .unsigned(UInt64(tag))
        case 0x80...0x8f: return try container(.map(Int(tag & 15)))
        case 0x90...0x9f: return try container(.array(Int(tag & 15)))
        case 0xa0...0xbf: return .text(try take(Int(tag & 31)))
        case 0xc0: return .none
        case 0xc2: return .bool(false)
        case 0xc3: return .bool(true)
        case 0xc4, 0xd9: return .text(try take(length(octets: 1)))
        case 0xc5, 0xda: return .text(try take(length(octets: 2)))
        case 0xc6, 0xdb: return .text(try take(length(octets: 4)))
        case 0xca, 0xcb:
            _ = try take(tag == 0xca ? 4 : 8)
            return .float
        case 0xcc...0xcf: return .unsigned(try unsigned(octets: 1 << Int(tag - 0xcc)))
        case 0xd0...0xd3: return signed(try take(1 << Int(tag - 0xd0)))
        case 0xdc: return try container(.array(length(octets: 2)))
        case 0xdd: return try container(.array(length(octets: 4)))
        case 0xde: return try container(.map(length(octets: 2)))
        case 0xdf: return try container(.map(length(octets: 4)))
        case 0xe0...0xff: return .negative(Int64(Int8(bitPattern: tag)))
        default: throw .badTag(tag, offset: start)
        }
    }

    /// Two's complement of 1, 2, 4 or 8 octets.
    private func signed(_ octets: ArraySlice<UInt8>) -> Head {
        let start: UInt64 = (octets.first ?? 0) & 0x80 == 0 ? 0 : .max
        let value = Int64(bitPattern: octets.reduce(start) { $0 << 8 | UInt64($1) })
        return value < 0 ? .negative(value) : .unsigned(UInt64(value))
    }

    /// Refuses containers that would have more elements than may be read.
    private func container(_ head: Head) throws(GossipWireError) -> Head {
        switch head {
        case .array(let count) where count > elementsLeft, .map(let count) where count > elementsLeft / 2:
            throw .tooMuch(.elements, limit: Self.maxElements)
        default: return head
        }
    }

    /// Steps over one value with all that is inside.
    mutating func skip() throws(GossipWireError) {
        // How many values are left at each depth.
        var left = [1]
        while let count = left.last {
            guard count > 0 else {
                left.removeLast()
                continue
            }
            left[left.count - 1] = count - 1
            switch try head() {
            case .array(let inside): left.append(inside)
            case .map(let inside): left.append(inside * 2)
            default: continue
            }
            guard left.count <= Self.maxDepth else { throw .tooDeep(limit: Self.maxDepth) }
        }
    }

    // MARK: Values of fields

    /// Enters a map and calls `body` for each field that we know; others are skipped. `body` reads or skips the value.
    /// nil in place of the map means that every field is left out.
    mutating func fields(
        _ body: (Field, inout MessagePackReader) throws(GossipWireError) -> Void
    ) throws(GossipWireError) {
        let start = offset
        let count: Int
        switch try head() {
        case .map(let fields): count = fields
        case .none: count = 0
        default: throw .notAMap(offset: start)
        }
        var seen: UInt64 = 0
        for _ in 0..<count {
            let place = offset
            guard case .text(let name) = try head() else { throw .keyNotText(offset: place) }
            guard let field = Field(octets: name) else {
                try skip()
                continue
            }
            let bit = UInt64(1) << UInt64(field.rawValue)
            guard seen & bit == 0 else { throw .duplicateField(field) }
            seen |= bit
            try body(field, &self)
        }
    }

    mutating func bytes(_ field: Field) throws(GossipWireError) -> [UInt8]? {
        let start = offset
        switch try head() {
        case .text(let octets): return Array(octets)
        case .none: return nil
        case .array(let count): return try octetArray(count, field, start)
        default: throw .wrongKind(field, offset: start)
        }
    }

    /// Bytes written as a list of small numbers.
    private mutating func octetArray(_ count: Int, _ field: Field, _ start: Int) throws(GossipWireError) -> [UInt8] {
        var octets: [UInt8] = []
        for _ in 0..<count {
            guard case .unsigned(let value) = try head() else { throw .wrongKind(field, offset: start) }
            guard let octet = UInt8(exactly: value) else { throw .outOfRange(field, offset: start) }
            octets.append(octet)
        }
        return octets
    }

    mutating func text(_ field: Field) throws(GossipWireError) -> [UInt8] {
        let start = offset
        switch try head() {
        case .text(let octets): return Array(octets)
        case .none: return []
        default: throw .wrongKind(field, offset: start)
        }
    }

    mutating func number<Value: FixedWidthInteger>(_ field: Field) throws(GossipWireError) -> Value {
        let start = offset
        let value: Value?
        switch try head() {
        case .unsigned(let number): value = Value(exactly: number)
        case .negative(let number): value = Value(exactly: number)
        case .none: value = 0
        default: throw .wrongKind(field, offset: start)
        }
        guard let value else { throw .outOfRange(field, offset: start) }
        return value
    }

    mutating func bool(_ field: Field) throws(GossipWireError) -> Bool {
        let start = offset
        switch try head() {
        case .bool(let value): return value
        case .none: return false
        default: throw .wrongKind(field, offset: start)
        }
    }
}
