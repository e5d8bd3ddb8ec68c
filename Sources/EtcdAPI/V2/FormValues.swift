/// The names and values of a query or of an urlencoded form, read by the rules of Go's `net/url` and `net/http`.
///
/// Bytes are kept as they were sent once `+` and `%XX` are taken back; nothing is decoded as text.
struct FormValues {
    private var fields: [(name: [UInt8], value: [UInt8])] = []

    /// The values of a request: those of the form come before those of the query.
    ///
    /// - Parameters:
    ///   - form: the body when it is an urlencoded form, else nothing.
    ///   - query: the query as sent, without its `?`.
    init(form: ArraySlice<UInt8>, query: ArraySlice<UInt8>) throws(V2Error) {
        if let failure = append(form) ?? append(query) {
            throw V2Error(.invalidForm, cause: failure)
        }
    }

    /// The first value of a name; nil when the name does not occur.
    subscript(name: String) -> [UInt8]? {
        fields.first { $0.name.elementsEqual(name.utf8) }?.value
    }

    /// Adds the fields of one text and returns what was wrong with it, in Go's words.
    private mutating func append(_ text: ArraySlice<UInt8>) -> String? {
        var failure: String?
        for field in text.split(separator: UInt8(ascii: "&")) {
            if field.contains(UInt8(ascii: ";")) {
                failure = "invalid semicolon separator in query"
                continue
            }
            let name: ArraySlice<UInt8>
            let value: ArraySlice<UInt8>
            if let equals = field.firstIndex(of: UInt8(ascii: "=")) {
                (name, value) = (field[..<equals], field[(equals + 1)...])
            } else {
                (name, value) = (field, [])
            }
            do throws(PercentEncoding.EscapeError) {
                fields.append(
                    (
                        try PercentEncoding.decode(name, plusIsSpace: true),
                        try PercentEncoding.decode(value, plusIsSpace: true)
                    ))
            } catch {
                failure = failure ?? error.description
            }
        }
        return failure
    }

    /// Whether a body of this content type is read as a form: nil for one that is some other type, else the error.
    ///
    /// - Parameter contentType: the field's value; empty when there is none.
    static func isForm(contentType: String) throws(V2Error) -> Bool {
        let type = contentType.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
        let trimmed = type.utf8.drop { $0 == 0x20 || $0 == 0x09 }.reversed().drop { $0 == 0x20 || $0 == 0x09 }
            .reversed()
        if contentType.isEmpty { return false }
        let parts = trimmed.split(separator: UInt8(ascii: "/"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, !first.isEmpty else {
            throw V2Error(.invalidForm, cause: "mime: no media type")
        }
        guard first.allSatisfy(isTokenByte) else {
            throw V2Error(.invalidForm, cause: "mime: expected slash after first token")
        }
        guard parts.count == 2 else { return false }
        guard let lead = parts[1].first, isTokenByte(lead) else {
            throw V2Error(.invalidForm, cause: "mime: expected token after slash")
        }
        guard parts[1].allSatisfy(isTokenByte) else {
            throw V2Error(.invalidForm, cause: "mime: unexpected content after media subtype")
        }
        return trimmed.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
            .elementsEqual("application/x-www-form-urlencoded".utf8)
    }

    /// RFC 2045 §5.1 tokens.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7F && !"()<>@,;:\\\"/[]?=".utf8.contains(byte)
    }
}

/// Percent-encoding as Go's `net/url` takes it back and puts it on.
enum PercentEncoding {
    /// A `%` that two hexadecimal digits do not follow.
    struct EscapeError: Error, CustomStringConvertible {
        /// The `%` and up to two bytes after it.
        let text: [UInt8]

        var description: String {
            var quoted = ""
            for byte in text {
                switch byte {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"): quoted += "\\" + String(UnicodeScalar(byte))
                case 0x20..<0x7F: quoted += String(UnicodeScalar(byte))
                default: quoted += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
                }
            }
            return "invalid URL escape \"\(quoted)\""
        }
    }

    static func decode(_ text: ArraySlice<UInt8>, plusIsSpace: Bool) throws(EscapeError) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            if byte == UInt8(ascii: "%") {
                guard index + 2 < text.endIndex, let high = hexValue(text[index + 1]),
                    let low = hexValue(text[index + 2])
                else { throw EscapeError(text: Array(text[index..<min(index + 3, text.endIndex)])) }
                out.append(high << 4 | low)
                index += 3
            } else {
                out.append(plusIsSpace && byte == UInt8(ascii: "+") ? 0x20 : byte)
                index += 1
            }
        }
        return out
    }

    /// A path as Go's `url.URL` writes it.
    static func encodePath(_ path: [UInt8]) -> String {
        let plain = Array("-_.~$&+,/:;=@".utf8)
        var out: [UInt8] = []
        for byte in path {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: out.append(byte)
            case _ where plain.contains(byte): out.append(byte)
            default:
                out.append(UInt8(ascii: "%"))
                out.append(hexDigit(byte >> 4))
                out.append(hexDigit(byte & 15))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }

    private static func hexDigit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 0x30 + nibble : 0x37 + nibble }
}
