/// Values of header fields, read the way RFC 9110 writes them.
package enum HeaderText {
    /// Without blanks at both ends.
    package static func trimmed(_ text: some StringProtocol) -> Substring {
        var view = Substring(text)
        while let first = view.first, first == " " || first == "\t" { view.removeFirst() }
        while let last = view.last, last == " " || last == "\t" { view.removeLast() }
        return view
    }

    /// Whether a Content-Type names JSON in UTF-8: `application/json` in any case, charset absent or UTF-8.
    package static func isJSON(contentType: String?) -> Bool {
        guard let contentType else { return false }
        let parts = contentType.split(separator: ";").map { trimmed($0).lowercased() }
        guard parts.first == "application/json" else { return false }
        return parts.dropFirst().allSatisfy { parameter in
            guard parameter.hasPrefix("charset") else { return true }
            let value = parameter.dropFirst("charset".count).filter { $0 != "\"" && $0 != " " && $0 != "=" }
            return value == "utf-8"
        }
    }

    /// Whether an Accept-Encoding allows gzip (RFC 9110 section 12.5.3): listed with a weight above 0.
    package static func acceptsGzip(_ acceptEncoding: String?) -> Bool {
        guard let acceptEncoding else { return false }
        for element in acceptEncoding.split(separator: ",") {
            let parts = element.split(separator: ";").map { trimmed($0).lowercased() }
            guard let coding = parts.first else { continue }
            let refused = parts.dropFirst().contains { parameter in
                parameter.hasPrefix("q=") && parameter.dropFirst(2).allSatisfy { $0 == "0" || $0 == "." }
            }
            if coding == "gzip" { return !refused }
        }
        return false
    }

    /// Whether a comma separated list holds a word, in any case.
    package static func list(_ field: String?, contains word: String) -> Bool {
        guard let field else { return false }
        return field.split(separator: ",").contains { trimmed($0).lowercased() == word }
    }

    /// Text made safe for a field value: printable ASCII, everything else as `?`, at most `limit` characters.
    package static func fieldValue(_ text: String, limit: Int = 300) -> String {
        let bytes = text.utf8.prefix(limit).map { byte in (0x20...0x7e).contains(byte) ? byte : UInt8(ascii: "?") }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension StringProtocol {
    /// Whether two texts have the same octets. `==` would take canonically equivalent texts as equal, which Go does
    /// not.
    func isExactly(_ other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }
}
