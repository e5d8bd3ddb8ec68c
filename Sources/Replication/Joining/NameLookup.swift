import DNSWire
package import Memberlist
package import NIOCore
import NIOPosix

/// How names become addresses.
package struct NameLookup: Sendable {
    /// The targets of a name's SRV records, best first; empty when it has none.
    package var services: @Sendable (_ name: String) async throws -> [(host: String, port: UInt16)]
    /// The IP addresses of a host.
    package var addresses: @Sendable (_ host: String) async throws -> [[UInt8]]

    package init(
        services: @escaping @Sendable (_ name: String) async throws -> [(host: String, port: UInt16)],
        addresses: @escaping @Sendable (_ host: String) async throws -> [[UInt8]]
    ) {
        self.services = services
        self.addresses = addresses
    }

    /// Asks DNS servers, and this machine's own files and resolver for hosts.
    ///
    /// - Parameter servers: asked in this order until one answers; empty: names have no SRV records.
    package static func system(servers: [SocketAddress]) -> NameLookup {
        let client = DNSClient(servers: servers, eventLoop: MultiThreadedEventLoopGroup.singleton.any())
        return NameLookup(
            services: { try await client.services($0) },
            addresses: { host in
                var found = try await client.addresses(host)
                if let own = try await resolved(host), !found.contains(own) { found.append(own) }
                return found
            })
    }

    /// What `getaddrinfo` says first; nil when it knows nothing.
    private static func resolved(_ host: String) async throws -> [UInt8]? {
        try await NIOThreadPool.singleton.runIfActive {
            guard let address = try? SocketAddress.makeAddressResolvingHost(host, port: 1) else { return nil }
            return GossipAddress(address)?.ip
        }
    }

    // MARK: Seeds

    /// The addresses of a name of `--join-dns`: its SRV records' targets, or else its own.
    func members(named name: Seed) async throws -> [GossipAddress] {
        switch name {
        case .address(let address): return [address]
        case .host(let host, let port):
            let services = try await services(host)
            guard services.isEmpty else {
                var found: [GossipAddress] = []
                for service in services.prefix(GossipJoiner.addressesMax) {
                    found += try await addresses(of: service.host, port: service.port)
                }
                return found
            }
            return try await addresses(of: host, port: port)
        }
    }

    /// The addresses of a seed of `--join`.
    package func addresses(of seed: Seed) async throws -> [GossipAddress] {
        switch seed {
        case .address(let address): [address]
        case .host(let host, let port): try await addresses(of: host, port: port)
        }
    }

    private func addresses(of host: String, port: UInt16) async throws -> [GossipAddress] {
        if let address = GossipAddress(ipText: host, port: port) { return [address] }
        return try await addresses(host).compactMap { GossipAddress(ip: $0, port: port) }
    }
}
