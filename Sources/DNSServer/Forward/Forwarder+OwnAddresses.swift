package import NIOCore

extension Forwarder {
    /// The upstream servers that are not this server itself, so that no question is forwarded in a circle.
    ///
    /// A wildcard listener is reached at every address of this machine; `[::]` is dual stack. Loopback addresses other
    /// than the listener's own belong to somebody else, unless the listener is a wildcard. `localAddresses` are the
    /// machine's by default.
    package static func excluding(
        _ upstreams: [SocketAddress], listeners: [SocketAddress], localAddresses: [SocketAddress]? = nil
    ) -> [SocketAddress] {
        let own = listeners.compactMap(Host.init)
        var local: Set<String> = []
        if own.contains(where: \.isWildcard) {
            let addresses = localAddresses ?? (try? System.enumerateDevices().compactMap(\.address)) ?? []
            local = Set(addresses.compactMap(Host.init).map(\.text))
        }
        return upstreams.filter { upstream in
            guard let host = Host(upstream) else { return false }
            // To send to the wildcard address is to send to this machine.
            let target = host.text == "0.0.0.0" ? "127.0.0.1" : host.text == "::" ? "::1" : host.text
            return !own.contains { listener in
                guard listener.port == host.port else { return false }
                guard listener.isWildcard else { return listener.text == target }
                let isIPv6 = target.contains(":")
                guard listener.text == "::" || !isIPv6 else { return false }
                return local.contains(target) || target == "::1" || !isIPv6 && target.hasPrefix("127.")
            }
        }
    }

    /// An IP address and port, comparable over the two families.
    private struct Host {
        /// As inet_ntop writes it; an IPv4 address inside IPv6 as the IPv4 address.
        let text: String
        let port: Int

        var isWildcard: Bool { text == "0.0.0.0" || text == "::" }

        init?(_ address: SocketAddress) {
            guard let text = address.ipAddress else { return nil }
            let mapped = "::ffff:"
            let isMapped = text.hasPrefix(mapped) && text.contains(".")
            self.text = isMapped ? String(text.dropFirst(mapped.count)) : text
            // Interface addresses come without a port.
            self.port = address.port ?? 0
        }
    }
}
