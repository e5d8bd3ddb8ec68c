import Basics
import Foundation

/// The base URL of a server's HTTP listener, as `--server` names it.
struct ServerURL: Hashable, Sendable, CustomStringConvertible {
    let host: String
    let port: Int
    /// Path before every route, without a slash at its end; usually empty.
    let prefix: String

    static let defaultText = "http://127.0.0.1:8080"

    /// Reads `http://HOST[:PORT][/PATH]`; without a scheme `http` is meant.
    init(_ text: String) throws(UserError) {
        let full = text.contains("://") ? text : "http://" + text
        guard let parts = URLComponents(string: full), let host = parts.host, !host.isEmpty,
            parts.query == nil, parts.fragment == nil, parts.user == nil, (1...65_535).contains(parts.port ?? 80)
        else {
            throw UserError(
                what: "--server", why: "\(PlainText.quoted(text)) is not the URL of a server",
                remedy: "write one like \(Self.defaultText)")
        }
        if parts.scheme?.lowercased() == "https" {
            throw .notInThisVersion("--server \(text): https", remedy: "use the server's http listener")
        }
        guard parts.scheme?.lowercased() == "http" else {
            throw UserError(
                what: "--server", why: "\(PlainText.quoted(text)) has no scheme that regdns speaks",
                remedy: "write one like \(Self.defaultText)")
        }
        self.host = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
        port = parts.port ?? 80
        var path = parts.percentEncodedPath
        while path.hasSuffix("/") { path.removeLast() }
        prefix = path
    }

    /// Host and port as the Host header has them.
    var authority: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }

    var description: String { "http://\(authority)\(prefix)" }
}

/// Parts of request targets.
enum PercentEncoding {
    /// The text as one part of a path or of a query: every byte but RFC 3986's unreserved ones is escaped.
    static func part(_ text: String) -> String {
        String(decoding: PercentText.encode(text.utf8, where: PercentText.isUnreserved), as: UTF8.self)
    }
}
