package import NIOCore

/// The name servers that a `resolv.conf` names (resolv.conf(5)).
package struct ResolvConf: Sendable {
    /// A line that was left out, and why.
    package struct IgnoredLine: Hashable, Sendable {
        /// Counted from 1.
        package let line: Int
        /// In words, with the value.
        package let reason: String
    }

    /// In the order of the file, without repetitions.
    package private(set) var nameservers: [SocketAddress] = []
    /// Lines that should have told a name server and did not, and unknown keywords.
    package private(set) var ignored: [IgnoredLine] = []

    /// More than these are ignored; resolvers read three.
    package static let nameserversMax = 16
    /// More lines than these are not reported.
    private static let ignoredMax = 16
    private static let otherKeywords: Set<Substring> = ["domain", "search", "sortlist", "options", "lookup", "family"]

    /// Reads the file's text. Scopes (`fe80::1%eth0`) are looked up among the machine's interfaces.
    package static func parse(_ text: String) -> ResolvConf {
        var result = ResolvConf()
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (place, line) in lines.enumerated() {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard let keyword = words.first, !keyword.hasPrefix("#"), !keyword.hasPrefix(";") else { continue }
            if otherKeywords.contains(keyword) { continue }
            guard keyword == "nameserver" else {
                result.ignore(line: place + 1, "unknown keyword '\(keyword)'")
                continue
            }
            guard words.count > 1 else {
                result.ignore(line: place + 1, "nameserver without an address")
                continue
            }
            switch address(words[1]) {
            case .success(let address): result.add(address, line: place + 1)
            case .failure(let reason): result.ignore(line: place + 1, reason.text)
            }
        }
        return result
    }

    private struct Reason: Error {
        let text: String
    }

    private mutating func add(_ address: SocketAddress, line: Int) {
        if nameservers.contains(address) { return }
        guard nameservers.count < Self.nameserversMax else {
            return ignore(line: line, "more than \(Self.nameserversMax) name servers")
        }
        nameservers.append(address)
    }

    private mutating func ignore(line: Int, _ reason: String) {
        guard ignored.count < Self.ignoredMax else { return }
        ignored.append(IgnoredLine(line: line, reason: reason))
    }

    /// `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0` or, with a port, `[192.0.2.1]:5353` as the BSDs write it.
    private static func address(_ word: Substring) -> Result<SocketAddress, Reason> {
        var host = word
        var port = 53
        if word.hasPrefix("["), let close = word.lastIndex(of: "]") {
            host = word[word.index(after: word.startIndex)..<close]
            let rest = word[word.index(after: close)...]
            if !rest.isEmpty {
                guard rest.hasPrefix(":"), let number = UInt16(rest.dropFirst()), number > 0 else {
                    return .failure(Reason(text: "bad port in '\(word)'"))
                }
                port = Int(number)
            }
        }
        let parts = host.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = try? SocketAddress(ipAddress: String(first), port: port) else {
            return .failure(Reason(text: "'\(word)' is not an IP address"))
        }
        guard parts.count == 2 else { return .success(address) }
        guard case .v6 = address else {
            return .failure(Reason(text: "'\(word)' has a scope but is not an IPv6 address"))
        }
        // The host is numeric, as was checked: this resolves the scope and asks no name server.
        guard let scoped = try? SocketAddress.makeAddressResolvingHost(String(host), port: port) else {
            return .failure(Reason(text: "no interface '\(parts[1])' for '\(word)'"))
        }
        return .success(scoped)
    }
}
