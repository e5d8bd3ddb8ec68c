import Basics

/// Percent escapes and query strings, RFC 3986 and the form encoding of HTML.
package enum URLText {
    /// Decodes percent escapes of a path segment; nil when an escape is cut or not hexadecimal, or the result is not
    /// UTF-8.
    package static func decodePathSegment(_ text: Substring) -> String? {
        decode(text.utf8, plusIsSpace: false)
    }

    /// Name and value pairs of a query in order, decoded; nil when one of them does not decode. Empty pairs are
    /// skipped.
    package static func queryItems(_ query: String) -> [(name: String, value: String)]? {
        var items: [(name: String, value: String)] = []
        for pair in query.utf8.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let rawName = parts.first, let name = decode(rawName, plusIsSpace: true) else { return nil }
            guard parts.count == 2, let rawValue = parts.last else {
                items.append((name, ""))
                continue
            }
            guard let value = decode(rawValue, plusIsSpace: true) else { return nil }
            items.append((name, value))
        }
        return items
    }

    /// Escapes everything but RFC 3986's unreserved characters and ":", so that the result is one path segment.
    package static func encodePathSegment(_ text: String) -> String {
        let out = PercentText.encode(text.utf8) { PercentText.isUnreserved($0) || $0 == UInt8(ascii: ":") }
        return String(decoding: out, as: UTF8.self)
    }

    private struct Malformed: Error {}

    private static func decode(_ bytes: some Collection<UInt8>, plusIsSpace: Bool) -> String? {
        let out = try? PercentText.decode(Array(bytes)[...], plusIsSpace: plusIsSpace) { (_) throws(Malformed) in
            throw Malformed()
        }
        return out.flatMap { String(validating: $0, as: UTF8.self) }
    }
}
