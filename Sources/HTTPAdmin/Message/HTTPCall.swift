package import HTTPTypes

/// One request as the doors see it, free of any listener: tests build it by hand, the listener from the wire.
package struct HTTPCall: Sendable {
    /// What the head said about the length of the body.
    package enum BodyLength: Hashable, Sendable {
        case none
        /// Octets by Content-Length, more than 0.
        case known(Int)
        case chunked
    }

    package var method: HTTPRequest.Method
    /// Path as it was sent: percent escapes kept, no query.
    package var path: String
    /// Query as it was sent, without the question mark; nil when there was none.
    package var query: String?
    package var headers: HTTPFields
    /// Host and port the client addressed: the Host field, or the authority of an absolute target. May be empty.
    package var authority: String
    package var body: [UInt8]
    package var bodyLength: BodyLength
    /// Address of the peer without its port, for the log; nil when unknown.
    package var remoteAddress: String?
    /// The address of this node that the connection came in on; nil when unknown.
    package var localAddress: ListenAddress?
    /// Whether the connection itself is encrypted.
    package var isTLS: Bool

    package init(
        method: HTTPRequest.Method, path: String, query: String? = nil, headers: HTTPFields = [:],
        authority: String = "", body: [UInt8] = [], bodyLength: BodyLength? = nil, remoteAddress: String? = nil,
        localAddress: ListenAddress? = nil, isTLS: Bool = false
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.authority = authority
        self.body = body
        self.bodyLength = bodyLength ?? (body.isEmpty ? .none : .known(body.count))
        self.remoteAddress = remoteAddress
        self.localAddress = localAddress
        self.isTLS = isTLS
    }

    /// Splits a request target (RFC 9112 section 3.2) into authority, path and query. Origin form has no authority.
    package static func splitTarget(_ target: String) -> (authority: String?, path: String, query: String?) {
        var rest = target[...]
        var authority: String?
        if !rest.hasPrefix("/"), let scheme = rest.firstRange(of: "://") {
            rest = rest[scheme.upperBound...]
            let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
            authority = String(rest[..<end])
            rest = rest[end...]
        }
        guard let mark = rest.firstIndex(of: "?") else {
            return (authority, rest.isEmpty ? "/" : String(rest), nil)
        }
        let path = rest[..<mark]
        return (authority, path.isEmpty ? "/" : String(path), String(rest[rest.index(after: mark)...]))
    }
}
