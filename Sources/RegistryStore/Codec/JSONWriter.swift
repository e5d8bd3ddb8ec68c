import Basics

/// Writes JSON text as Go's `encoding/json` does: no blanks; `<`, `>`, `&`, U+2028 and U+2029 escaped.
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func write(_ value: JSONValue) {
        switch value {
        case .null: raw("null")
        case .bool(let value): raw(value ? "true" : "false")
        case .number(let text): raw(text)
        case .string(let text): string(text)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                write(element)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                string(member.0)
                bytes.append(UInt8(ascii: ":"))
                write(member.1)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    /// Text that is JSON already.
    package mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }
    /// Bytes that are JSON already.
    package mutating func raw(_ text: [UInt8]) { bytes.append(contentsOf: text) }

    /// A string with quotes and escapes.
    package mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0x08: raw("\\b")
            case 0x09: raw("\\t")
            case 0x0a: raw("\\n")
            case 0x0c: raw("\\f")
            case 0x0d: raw("\\r")
            case 0..<0x20: escape(byte)
            default: inString(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// One byte of a string that needs no escape in JSON, but perhaps in HTML or JavaScript.
    mutating func inString(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"): escape(byte)
        case 0xa8 where endsWithLineMark, 0xa9 where endsWithLineMark:
            // U+2028 and U+2029 end lines in JavaScript; two of their three bytes are written already.
            bytes.removeLast(2)
            raw(byte == 0xa8 ? "\\u2028" : "\\u2029")
        default: bytes.append(byte)
        }
    }

    private var endsWithLineMark: Bool {
        bytes.count >= 2 && bytes[bytes.count - 2] == 0xe2 && bytes[bytes.count - 1] == 0x80
    }

    private mutating func escape(_ byte: UInt8) {
        raw("\\u00")
        bytes.append(HexText.lowerDigit(byte >> 4))
        bytes.append(HexText.lowerDigit(byte & 15))
    }
}
