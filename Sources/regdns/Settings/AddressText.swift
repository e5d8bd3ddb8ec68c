import DNSWire
import NIOCore

/// An IP address with a port, as flags name listeners and servers: `127.0.0.1:53`, `[::]:53`.
struct SocketEndpoint: Hashable, Sendable, CustomStringConvertible {
    /// The address in canonical text, without brackets.
    let host: String
    let port: Int
    let isIPv6: Bool

    /// Reads `IPv4:PORT`, `[IPv6]:PORT` and `localhost:PORT`; without a port `defaultPort` counts, when there is one.
    static func parse(_ text: String, defaultPort: Int? = nil) -> SocketEndpoint? {
        var host = Substring(text)
        var port = defaultPort
        if host.first == "[" {
            guard let end = host.firstIndex(of: "]") else { return nil }
            let rest = host[host.index(after: end)...]
            host = host[host.index(after: host.startIndex)..<end]
            if rest.first == ":" { port = portNumber(rest.dropFirst()) } else if !rest.isEmpty { return nil }
        } else if let colon = host.lastIndex(of: ":"), host.firstIndex(of: ":") == colon {
            port = portNumber(host[host.index(after: colon)...])
            host = host[..<colon]
        } else if host.contains(":"), defaultPort == nil {
            return nil  // An IPv6 address needs brackets where a port must follow.
        }
        if host == "localhost" { host = "127.0.0.1" }
        guard let port, let address = try? SocketAddress(ipAddress: String(host), port: port),
            let canonical = address.ipAddress
        else { return nil }
        return SocketEndpoint(host: canonical, port: port, isIPv6: address.protocol == .inet6)
    }

    /// The address for NIO; nil cannot happen for a parsed endpoint, and callers treat it as an unusable address.
    var socketAddress: SocketAddress? { try? SocketAddress(ipAddress: host, port: port) }

    /// An address as users write it.
    static func text(of address: SocketAddress) -> String {
        let host = address.ipAddress ?? "?"
        return host.contains(":") ? "[\(host)]:\(address.port ?? 0)" : "\(host):\(address.port ?? 0)"
    }

    /// Whether only this machine can reach a listener there.
    var isLoopback: Bool { isIPv6 ? host == "::1" : host.hasPrefix("127.") }

    var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

    private static func portNumber(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.allSatisfy({ $0.isASCII && $0.isNumber }), let port = Int(text), port <= 65_535
        else { return nil }
        return port
    }
}

/// A listener flag's value: where to listen, or not at all.
enum ListenAddress: Hashable, Sendable, CustomStringConvertible {
    case off
    case endpoint(SocketEndpoint)

    static func parse(_ text: String) -> ListenAddress? {
        text == "off" ? .off : SocketEndpoint.parse(text).map(ListenAddress.endpoint)
    }

    var description: String {
        switch self {
        case .off: "off"
        case .endpoint(let endpoint): endpoint.description
        }
    }
}

/// A network in CIDR notation: `10.0.0.0/8`, `fd00::/8`; a bare address is a network of one.
struct NetworkText: Hashable, Sendable, CustomStringConvertible {
    /// 4 octets of an IPv4 address, or 16 of an IPv6 one.
    let octets: [UInt8]
    let prefixLength: Int

    static func parse(_ text: String) -> NetworkText? {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let host = parts.first, let octets = octets(host) else { return nil }
        guard parts.count == 2 else { return NetworkText(octets: octets, prefixLength: octets.count * 8) }
        guard !parts[1].isEmpty, parts[1].allSatisfy({ $0.isASCII && $0.isNumber }), let length = Int(parts[1]),
            length <= octets.count * 8
        else { return nil }
        return NetworkText(octets: octets, prefixLength: length)
    }

    private static func octets(_ text: Substring) -> [UInt8]? {
        if let address = IPAddressText.ipv4(text.utf8) { return bytes(address) }
        return IPAddressText.ipv6(text.utf8).map { bytes($0.high) + bytes($0.low) }
    }

    private static func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        stride(from: Number.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> Number($0)) }
    }

    private static func number<Number: FixedWidthInteger>(_ octets: some Sequence<UInt8>) -> Number {
        octets.reduce(0) { $0 << 8 | Number($1) }
    }

    var description: String {
        let address =
            octets.count == 4
            ? IPAddressText.format(ipv4: Self.number(octets))
            : IPAddressText.format(ipv6: (high: Self.number(octets.prefix(8)), low: Self.number(octets.suffix(8))))
        return "\(address)/\(prefixLength)"
    }
}
