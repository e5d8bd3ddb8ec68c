package import Memberlist

/// Where somebody of the cluster may be found.
package enum Seed: Hashable, Sendable {
    case address(GossipAddress)
    case host(String, port: UInt16)

    /// memberlist's.
    package static let usualPort: UInt16 = 7_946

    /// What is no `HOST`, `HOST:PORT`, `[IPV6]:PORT` or address.
    package struct Malformed: Error, Hashable, CustomStringConvertible {
        package let text: String
        package var description: String { "'\(text)' is no seed, expected HOST:PORT, an address or [IPV6]:PORT" }
    }

    package init(_ text: String) throws(Malformed) {
        let (host, port) = try Self.parts(text)
        if let address = GossipAddress(ipText: host, port: port) {
            self = .address(address)
        } else {
            guard !host.isEmpty, host.utf8.count <= 253,
                !host.contains(where: { $0.isWhitespace || "/[]:".contains($0) })
            else {
                throw Malformed(text: text)
            }
            self = .host(host, port: port)
        }
    }

    private static func parts(_ text: String) throws(Malformed) -> (host: String, port: UInt16) {
        if text.hasPrefix("["), let end = text.lastIndex(of: "]") {
            let host = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            guard GossipAddress(ipText: host, port: 0)?.ip.count == 16, rest.isEmpty || rest.hasPrefix(":") else {
                throw Malformed(text: text)
            }
            return (host, rest.isEmpty ? usualPort : try port(rest.dropFirst(), of: text))
        }
        // More than one colon: an IPv6 address without a port.
        guard text.count(where: { $0 == ":" }) == 1, let colon = text.lastIndex(of: ":") else {
            return (text, usualPort)
        }
        return (String(text[..<colon]), try port(text[text.index(after: colon)...], of: text))
    }

    private static func port(_ digits: Substring, of text: String) throws(Malformed) -> UInt16 {
        guard let port = UInt16(digits), port > 0 else { throw Malformed(text: text) }
        return port
    }
}
