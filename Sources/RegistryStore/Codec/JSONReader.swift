import Basics

/// Reads JSON text forward, as strictly as Go's `encoding/json`. Bounded: depth by `depthMax`, work by the input.
package struct JSONReader {
    /// Deepest nesting of arrays and objects. Go allows 10,000; this is enough for 1 KiB of nothing but brackets.
    package static let depthMax = 512

    private let bytes: [UInt8]
    /// The place of the next byte.
    package private(set) var offset = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func fail(_ expected: String) -> JSONError { JSONError(offset: offset, expected: expected) }

    private var current: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipBlanks() {
        while let byte = current, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { offset += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        offset += 1
        return true
    }

    /// Nothing but blanks may follow.
    package mutating func finish() throws(JSONError) {
        skipBlanks()
        if offset < bytes.count { throw fail("the end of the text") }
    }

    /// The first byte of the next value, which tells its type; nil at the end.
    package mutating func peek() -> UInt8? {
        skipBlanks()
        return current
    }

    // MARK: Values

    /// Reads one value of any type.
    package mutating func readValue() throws(JSONError) -> JSONValue { try readValue(depth: 0) }

    private mutating func readValue(depth: Int) throws(JSONError) -> JSONValue {
        switch peek() {
        case UInt8(ascii: "{"):
            var members: [(String, JSONValue)] = []
            try readMembers(depth: depth) { (name, _, reader) throws(JSONError) in
                members.append((name, try reader.readValue(depth: depth + 1)))
            }
            return .object(members)
        case UInt8(ascii: "["):
            var elements: [JSONValue] = []
            try readElements(depth: depth) { (reader) throws(JSONError) in
                elements.append(try reader.readValue(depth: depth + 1))
            }
            return .array(elements)
        case UInt8(ascii: "\""): return .string(try readString())
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool(try readBool())
        case UInt8(ascii: "n"):
            try readWord("null")
            return .null
        default: return .number(try readNumber())
        }
    }

    /// Reads an object; `body` must read the member's value from the reader it is given.
    package mutating func readObject(
        _ body: (String, inout JSONReader) throws(JSONError) -> Void
    ) throws(JSONError) {
        try readMembers(depth: 0) { (name, _, reader) throws(JSONError) in try body(name, &reader) }
    }

    /// As `readObject`; `body` also gets the place of the name as it is written, with its quotes.
    private mutating func readMembers(
        depth: Int, _ body: (String, Range<Int>, inout JSONReader) throws(JSONError) -> Void
    ) throws(JSONError) {
        skipBlanks()
        guard depth < Self.depthMax else { throw fail("at most \(Self.depthMax) levels") }
        guard take(UInt8(ascii: "{")) else { throw fail("an object") }
        skipBlanks()
        if take(UInt8(ascii: "}")) { return }
        repeat {
            skipBlanks()
            guard current == UInt8(ascii: "\"") else { throw fail("a member's name") }
            let start = offset
            let name = try readString()
            let place = start..<offset
            skipBlanks()
            guard take(UInt8(ascii: ":")) else { throw fail("':'") }
            try body(name, place, &self)
            skipBlanks()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw fail("',' or '}'") }
    }

    private mutating func readElements(
        depth: Int, _ body: (inout JSONReader) throws(JSONError) -> Void
    ) throws(JSONError) {
        guard depth < Self.depthMax else { throw fail("at most \(Self.depthMax) levels") }
        guard take(UInt8(ascii: "[")) else { throw fail("an array") }
        skipBlanks()
        if take(UInt8(ascii: "]")) { return }
        repeat {
            try body(&self)
            skipBlanks()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw fail("',' or ']'") }
    }

    private mutating func readWord(_ word: StaticString) throws(JSONError) {
        let text = word.description
        guard bytes[offset...].starts(with: text.utf8) else { throw fail("a value") }
        offset += text.utf8.count
    }

    private mutating func readBool() throws(JSONError) -> Bool {
        if current == UInt8(ascii: "t") {
            try readWord("true")
            return true
        }
        try readWord("false")
        return false
    }

    private mutating func readNumber() throws(JSONError) -> String {
        let start = offset
        _ = take(UInt8(ascii: "-"))
        guard let first = current, first >= 0x30, first <= 0x39 else {
            throw fail(offset == start ? "a value" : "a digit")
        }
        if !take(0x30) { skipDigits() }
        if take(UInt8(ascii: ".")) { try readDigits() }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try readDigits()
        }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func readDigits() throws(JSONError) {
        guard let digit = current, digit >= 0x30, digit <= 0x39 else { throw fail("a digit") }
        skipDigits()
    }

    private mutating func skipDigits() {
        while let digit = current, digit >= 0x30, digit <= 0x39 { offset += 1 }
    }

    // MARK: Strings

    /// Reads a string. Lone surrogates and broken UTF-8 become U+FFFD, as in Go; control characters are refused.
    package mutating func readString() throws(JSONError) -> String {
        guard take(UInt8(ascii: "\"")) else { throw fail("a string") }
        let start = offset
        while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { offset += 1 }
        if take(UInt8(ascii: "\"")) { return String(decoding: bytes[start..<(offset - 1)], as: UTF8.self) }
        var text = Array(bytes[start..<offset])
        while let byte = current {
            if byte < 0x20 { throw fail("no control character in a string") }
            offset += 1
            if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
            if byte == UInt8(ascii: "\\") { try readEscape(into: &text) } else { text.append(byte) }
        }
        throw fail("the end of the string")
    }

    private mutating func readEscape(into text: inout [UInt8]) throws(JSONError) {
        guard let byte = current else { throw fail("the end of the string") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text.append(contentsOf: String(Character(try readCodePoint())).utf8)
        default:
            offset -= 1
            throw fail("an escape")
        }
    }

    private mutating func readCodePoint() throws(JSONError) -> Unicode.Scalar {
        let unit = try readHex()
        if let scalar = Unicode.Scalar(unit) { return scalar }
        let replacement: Unicode.Scalar = "\u{fffd}"
        let mark = offset
        guard unit < 0xdc00, take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
            offset = mark
            return replacement
        }
        let low = try readHex()
        if low >= 0xdc00, low <= 0xdfff,
            let scalar = Unicode.Scalar(0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00))
        {
            return scalar
        }
        // Not a pair: what follows is read again by itself.
        offset = mark
        return replacement
    }

    private mutating func readHex() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = current.flatMap(HexText.value) else { throw fail("four hexadecimal digits") }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }

    // MARK: Text as it is

    /// Reads one value of any type and gives its text without the blanks between tokens, and with Go's HTML escapes in
    /// its strings, as Go marshals a `RawMessage`.
    package mutating func readCompact() throws(JSONError) -> [UInt8] {
        var text = JSONWriter()
        try copyValue(depth: 0, into: &text)
        return text.bytes
    }

    private mutating func copyValue(depth: Int, into text: inout JSONWriter) throws(JSONError) {
        switch peek() {
        case UInt8(ascii: "{"):
            text.raw("{")
            var isFirst = true
            try readMembers(depth: depth) { (_, place, reader) throws(JSONError) in
                if !isFirst { text.raw(",") }
                isFirst = false
                for byte in reader.bytes[place] { text.inString(byte) }
                text.raw(":")
                try reader.copyValue(depth: depth + 1, into: &text)
            }
            text.raw("}")
        case UInt8(ascii: "["):
            text.raw("[")
            var isFirst = true
            try readElements(depth: depth) { (reader) throws(JSONError) in
                if !isFirst { text.raw(",") }
                isFirst = false
                try reader.copyValue(depth: depth + 1, into: &text)
            }
            text.raw("]")
        default:
            let start = offset
            _ = try readValue(depth: depth)
            for byte in bytes[start..<offset] { text.inString(byte) }
        }
    }
}
