package import RegistryStore

/// Where an endpoint value points, as far as the DNS can say it (INTERFACE section 4).
///
/// Endpoint values are opaque text to the dialects. `host`, `host:port`, `[v6]:port` and `scheme://host[:port]/…` are
/// understood; anything else stays registered and is not answered.
package enum EndpointAddress: Equatable, Sendable {
    /// What the DNS answers with; port 0 when the value names none and its scheme has none.
    case understood(host: ServiceHost, port: Int)
    /// Why the DNS cannot answer with the value.
    case unusable(reason: String)

    package init(_ value: String) {
        var authority = value[...]
        var defaultPort = 0
        if let mark = value.firstRange(of: "://") {
            let scheme = value[..<mark.lowerBound]
            guard Self.isScheme(scheme) else {
                self = .unusable(reason: "\"\(scheme)\" is no URL scheme")
                return
            }
            authority = value[mark.upperBound...]
            if let end = authority.firstIndex(where: { $0 == "/" || $0 == "?" || $0 == "#" }) {
                authority = authority[..<end]
            }
            if let user = authority.lastIndex(of: "@") { authority = authority[authority.index(after: user)...] }
            defaultPort = Self.defaultPort(scheme.lowercased())
        }
        self = Self.parse(authority: authority, defaultPort: defaultPort)
    }

    private static func parse(authority: Substring, defaultPort: Int) -> EndpointAddress {
        if authority.isEmpty { return .unusable(reason: "no host") }
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return .unusable(reason: "\"[\" without \"]\"") }
            let inner = authority[authority.index(after: authority.startIndex)..<end]
            guard inner.contains(":"), address(inner) != nil else {
                return .unusable(reason: "\"\(inner)\" is no IPv6 address")
            }
            return with(host: inner, port: authority[authority.index(after: end)...], defaultPort: defaultPort)
        }
        // More than one colon without brackets: an IPv6 address alone.
        if let colon = authority.firstIndex(of: ":"), authority.lastIndex(of: ":") != colon {
            return with(host: authority, port: "", defaultPort: defaultPort)
        }
        guard let colon = authority.firstIndex(of: ":") else {
            return with(host: authority, port: "", defaultPort: defaultPort)
        }
        return with(host: authority[..<colon], port: authority[colon...], defaultPort: defaultPort)
    }

    /// - Parameter port: empty, or a colon and digits.
    private static func with(host: Substring, port: Substring, defaultPort: Int) -> EndpointAddress {
        var number = defaultPort
        if !port.isEmpty {
            let digits = port.dropFirst()
            guard port.first == ":", !digits.isEmpty, digits.utf8.allSatisfy(isDigit), let parsed = Int(digits),
                parsed <= 65_535
            else { return .unusable(reason: "\"\(digits)\" is no port from 0 to 65535") }
            number = parsed
        }
        if let address = address(host) { return .understood(host: address, port: number) }
        if let fault = hostNameFault(host) { return .unusable(reason: fault) }
        return .understood(host: .name(String(host)), port: number)
    }

    private static func address(_ text: Substring) -> ServiceHost? {
        switch ServiceHost(text: String(text)) {
        case .ipv4(let bits): .ipv4(bits)
        case .ipv6(let high, let low): .ipv6(high, low)
        case .none, .name: nil
        }
    }

    /// What keeps a text from being a host name (RFC 1123 section 2.1, underscores allowed); nil when nothing does.
    private static func hostNameFault(_ text: Substring) -> String? {
        let name = text.hasSuffix(".") ? text.dropLast() : text
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard name.utf8.count <= 253, labels.allSatisfy({ (1...63).contains($0.count) }) else {
            return "a host name has labels of 1 to 63 octets, 253 in all"
        }
        guard labels.allSatisfy({ $0.allSatisfy(isHostOctet) }) else {
            return "a host name has letters, digits, \"-\" and \"_\" only"
        }
        guard let last = labels.last, !last.allSatisfy(isDigit) else {
            return "\"\(text)\" is neither an IPv4 address nor a host name"
        }
        return nil
    }

    private static func isHostOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default: isDigit(octet)
        }
    }

    private static func isDigit(_ octet: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(octet) }

    private static func isScheme(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, isHostOctet(first), !isDigit(first) else { return false }
        return text.utf8.allSatisfy { octet in
            octet == UInt8(ascii: "+") || octet == UInt8(ascii: ".") || octet != UInt8(ascii: "_") && isHostOctet(octet)
        }
    }

    private static func defaultPort(_ scheme: String) -> Int {
        switch scheme {
        case "http", "ws": 80
        case "https", "wss": 443
        default: 0
        }
    }
}
