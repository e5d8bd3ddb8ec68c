import Basics

/// Builds JSON bytes exactly as Go's `encoding/json` writes them, which is what etcd's clients have always been sent.
///
/// Strings may hold any bytes: what is not UTF-8 becomes `\ufffd`, byte by byte; `<`, `>`, `&`, U+2028 and U+2029 are
/// written as escapes.
struct GoJSON {
    private(set) var bytes: [UInt8]

    /// - Parameter capacity: bytes to reserve.
    init(capacity: Int = 256) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Punctuation and member names of this module, taken as they are.
    mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func number(_ value: Int64) { bytes.append(contentsOf: String(value).utf8) }

    mutating func string(_ text: String) { string(Array(text.utf8)) }

    /// A JSON string of these bytes, quotes included.
    mutating func string(_ text: [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        var index = 0
        while index < text.count {
            let byte = text[index]
            if byte < 0x80 {
                ascii(byte)
                index += 1
                continue
            }
            let length = UTF8Sequence.length(in: text, at: index)
            if length == 0 {
                raw("\\ufffd")
                index += 1
            } else if length == 3, byte == 0xE2, text[index + 1] == 0x80, text[index + 2] & 0xFE == 0xA8 {
                raw(text[index + 2] == 0xA8 ? "\\u2028" : "\\u2029")
                index += 3
            } else {
                bytes.append(contentsOf: text[index..<index + length])
                index += length
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func ascii(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            bytes.append(UInt8(ascii: "\\"))
            bytes.append(byte)
        case 0x0A: raw("\\n")
        case 0x0D: raw("\\r")
        case 0x09: raw("\\t")
        case 0..<0x20, UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"):
            raw("\\u00")
            bytes.append(HexText.lowerDigit(byte >> 4))
            bytes.append(HexText.lowerDigit(byte & 15))
        default: bytes.append(byte)
        }
    }
}

/// Which bytes are one well-formed UTF-8 sequence (Unicode 15 table 3-7), as Go's decoder sees it.
enum UTF8Sequence {
    /// Bytes of the sequence that starts at `index`; 0 when what stands there is not well-formed.
    ///
    /// - Parameter index: within `text`.
    static func length(in text: [UInt8], at index: Int) -> Int {
        let lead = text[index]
        let count: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch lead {
        case 0..<0x80: return 1
        case 0xC2...0xDF: count = 2
        case 0xE0: (count, second) = (3, 0xA0...0xBF)
        case 0xE1...0xEC, 0xEE, 0xEF: count = 3
        case 0xED: (count, second) = (3, 0x80...0x9F)
        case 0xF0: (count, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: count = 4
        case 0xF4: (count, second) = (4, 0x80...0x8F)
        default: return 0
        }
        guard index + count <= text.count, second.contains(text[index + 1]) else { return 0 }
        for next in text[(index + 2)..<(index + count)] where next & 0xC0 != 0x80 { return 0 }
        return count
    }
}
