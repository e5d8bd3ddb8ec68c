/// The path and the query of a request target, as Go's server and mux see them.
struct RequestTarget {
    /// The path with its percent-encoding taken back; always starts with `/`.
    let path: [UInt8]
    /// The query as sent, without its `?`.
    let query: ArraySlice<UInt8>

    /// - Parameter target: the origin form (`/path?query`) or the absolute form (`http://host/path?query`) of RFC 9112
    ///   §3.2.
    /// - Returns: nil when it is neither, or when the path's percent-encoding is broken.
    init?(_ target: String) {
        var bytes = Array(target.utf8)[...]
        if bytes.first != UInt8(ascii: "/") {
            guard let rest = Self.afterAuthority(bytes) else { return nil }
            bytes = rest
        }
        let mark = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.endIndex
        query = bytes[min(mark + 1, bytes.endIndex)...]
        guard let decoded = try? PercentEncoding.decode(bytes[..<mark], plusIsSpace: false) else { return nil }
        path = decoded.isEmpty ? [UInt8(ascii: "/")] : decoded
    }

    private static func afterAuthority(_ target: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        for scheme in ["http://", "https://"] where target.starts(with: scheme.utf8) {
            let rest = target.dropFirst(scheme.utf8.count)
            return rest.drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        }
        return nil
    }

    /// The path without empty, `.` and `..` segments; a final `/` stays. etcd's mux sends who asks otherwise here.
    var cleanPath: [UInt8] {
        let slash = UInt8(ascii: "/")
        var segments: [ArraySlice<UInt8>] = []
        for segment in path.split(separator: slash) {
            if segment.elementsEqual("..".utf8) {
                _ = segments.popLast()
            } else if !segment.elementsEqual(".".utf8) {
                segments.append(segment)
            }
        }
        var clean: [UInt8] = []
        clean.reserveCapacity(path.count)
        for segment in segments {
            clean.append(slash)
            clean.append(contentsOf: segment)
        }
        if clean.isEmpty || path.last == slash { clean.append(slash) }
        return clean
    }
}
