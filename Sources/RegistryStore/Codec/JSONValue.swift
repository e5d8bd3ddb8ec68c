/// A JSON document as Go's `encoding/json` sees it: numbers keep their text, members their order and repetitions.
package enum JSONValue: Sendable {
    case null
    case bool(Bool)
    /// The number's text as written, a valid JSON number.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([(String, JSONValue)])

    /// Reads one document. Text after it, repair of anything, or nesting deeper than `JSONReader.depthMax` is refused.
    package static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        var reader = JSONReader(bytes)
        let value = try reader.readValue()
        try reader.finish()
        return value
    }

    /// Compact text with Go's escapes.
    package func serialized() -> [UInt8] {
        var writer = JSONWriter()
        writer.write(self)
        return writer.bytes
    }

    /// The member that Go would decode into a field of this name: letter case is ignored, the last one wins, and a
    /// `null` leaves an earlier one in place. Nil when this is no object or has no such member other than `null`.
    package func member(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        let found = members.last { member in
            if case .null = member.1 { return false }
            return JSONText.matches(member.0, field: name)
        }
        return found?.1
    }

    /// The text of a string.
    package var stringValue: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    /// A number as Go decodes it into `int`: whole, without fraction or exponent, within 64 bits.
    package var int64Value: Int64? {
        if case .number(let text) = self { return Int64(text) }
        return nil
    }

    /// A number as Go decodes it into `uint32`.
    package var uint32Value: UInt32? {
        // Go's ParseUint takes no sign, not even that of -0.
        if case .number(let text) = self, !text.hasPrefix("-") { return UInt32(text) }
        return nil
    }

    package var boolValue: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    package var arrayValue: [JSONValue]? {
        if case .array(let elements) = self { return elements }
        return nil
    }
}

extension JSONValue: Equatable {
    package static func == (a: JSONValue, b: JSONValue) -> Bool {
        switch (a, b) {
        case (.null, .null): return true
        case (.bool(let x), .bool(let y)): return x == y
        case (.number(let x), .number(let y)): return x == y
        case (.string(let x), .string(let y)): return ByteOrder.same(x, y)
        case (.array(let x), .array(let y)): return x == y
        case (.object(let x), .object(let y)):
            return x.count == y.count && zip(x, y).allSatisfy { ByteOrder.same($0.0, $1.0) && $0.1 == $1.1 }
        default: return false
        }
    }
}

/// Why text is not the JSON that was expected.
package struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Byte offset of the place.
    package let offset: Int
    /// What should have been there.
    package let expected: String

    package init(offset: Int, expected: String) {
        self.offset = offset
        self.expected = expected
    }

    package var description: String { "at byte \(offset): expected \(expected)" }
}

/// JSON text without a tree: compacting, and Go's matching of names.
package enum JSONText {
    /// The document without blanks between its tokens and with Go's HTML escapes, as Go marshals a `RawMessage`;
    /// refuses what is not JSON.
    package static func compact(_ bytes: [UInt8]) throws(JSONError) -> [UInt8] {
        var reader = JSONReader(bytes)
        let result = try reader.readCompact()
        try reader.finish()
        return result
    }

    /// Whether Go decodes a member called `name` into the field `field` (ASCII): equal under simple case folding, which
    /// also takes U+017F for s and U+212A for k.
    package static func matches(_ name: String, field: String) -> Bool {
        if ByteOrder.same(name, field) { return true }
        var left = name.unicodeScalars.makeIterator()
        var right = field.unicodeScalars.makeIterator()
        while true {
            switch (left.next(), right.next()) {
            case (nil, nil): return true
            case (let a?, let b?): if fold(a) != fold(b) { return false }
            default: return false
            }
        }
    }

    private static func fold(_ scalar: Unicode.Scalar) -> UInt32 {
        switch scalar.value {
        case 0x41...0x5a: return scalar.value + 32
        case 0x17f: return 0x73
        case 0x212a: return 0x6b
        default: return scalar.value
        }
    }
}
