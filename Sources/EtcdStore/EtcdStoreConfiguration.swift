package import GRPC
package import NIOCore
package import RegistryStore

/// Where the cluster is, which of its keys are followed, and as whom.
package struct EtcdStoreConfiguration: Sendable {
    /// A member's client address.
    package struct Endpoint: Hashable, Sendable, CustomStringConvertible {
        package var host: String
        package var port: Int
        /// Whether it speaks TLS.
        package var isSecure: Bool

        package init(host: String, port: Int, isSecure: Bool = false) {
            self.host = host
            self.port = port
            self.isSecure = isSecure
        }

        package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    /// At least one; tried in an order chosen at random.
    package var endpoints: [Endpoint]
    /// The keys that are followed and written begin so, as `/skydns/`; empty for all keys there are.
    package var prefix: [UInt8]
    /// Where keys of other namespaces lie among those that are followed; none lies within another.
    package var places: [MirrorPlace] = []
    /// Whether `proxyRoutes` are used.
    package var passesCallsOn = true
    /// The most keys, and bytes of keys and values, that are read; more are left where they are, and the cluster is not
    /// followed.
    package var keysMax = Int.max
    package var bytesMax = Int.max
    /// Nil when the cluster does not ask who calls.
    package var credentials: Credentials?
    package var timings = FollowerTimings()
    /// Of each write; above it nothing is known of its outcome.
    package var writeDeadline: Duration = .seconds(3)
    /// Above every TTL of an answer while the cluster cannot be followed, in seconds.
    package var staleAnswerSeconds: UInt32 = 30
    /// How connections are made, apart from TLS.
    package var client: GRPCClientConfiguration
    /// Puts TLS in front of a connection to the host; called on the connection's event loop.
    package var secure: @Sendable (any Channel, _ host: String) throws -> Void = { _, _ in throw NoTLS() }

    private struct NoTLS: Error, CustomStringConvertible {
        var description: String { "TLS is not set up" }
    }

    package struct Credentials: Sendable {
        package var user: String
        package var password: String

        package init(user: String, password: String) {
            self.user = user
            self.password = password
        }
    }

    package init(endpoints: [Endpoint], prefix: [UInt8], credentials: Credentials? = nil) {
        self.endpoints = endpoints
        self.prefix = prefix
        self.credentials = credentials
        client = GRPCClientConfiguration()
        // A page of a list; longer ones are asked for again with half as many keys.
        client.messageBytesMax = 64 << 20
        client.callsMax = 10_000
    }

    /// How a connection to a member is made.
    func client(for endpoint: Endpoint) -> GRPCClientConfiguration {
        guard endpoint.isSecure else { return client }
        var client = client
        client.scheme = "https"
        client.configureTransport = { [plain = client.configureTransport, secure] channel in
            try plain?(channel)
            try secure(channel, endpoint.host)
        }
        return client
    }
}
