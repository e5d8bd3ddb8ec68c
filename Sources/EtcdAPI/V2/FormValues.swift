import Basics

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
                default: quoted += "\\x" + HexText.lower([byte])
                }
            }
            return "invalid URL escape \"\(quoted)\""
        }
    }

    static func decode(_ text: ArraySlice<UInt8>, plusIsSpace: Bool) throws(EscapeError) -> [UInt8] {
        try PercentText.decode(text, plusIsSpace: plusIsSpace) { (place) throws(EscapeError) in
            throw EscapeError(text: Array(text[place..<min(place + 3, text.endIndex)]))
        }
    }

    /// A path as Go's `url.URL` writes it.
    static func encodePath(_ path: [UInt8]) -> String {
        let text = PercentText.encode(path) { PercentText.isUnreserved($0) || "$&+,/:;=@".utf8.contains($0) }
        return String(decoding: text, as: UTF8.self)
    }
}
