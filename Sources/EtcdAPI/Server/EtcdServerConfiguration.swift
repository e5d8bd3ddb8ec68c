package import GRPC

/// Where the etcd port listens and what its connections may cost.
package struct EtcdServerConfiguration: Sendable {
    /// An address to listen on; port 0 lets the kernel choose.
    package struct Address: Sendable, Hashable, CustomStringConvertible {
        /// An IPv4 or IPv6 address (without brackets) or a host name.
        package let host: String
        package let port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    package var addresses: [Address]
    /// Connections open at once over all addresses; more are closed as they come.
    package var connectionsMax = 4096
    /// Bytes of request bodies and unsent answers over all connections; a request that would pass it is answered 503.
    package var heldBytesMax = 268_435_456
    /// Bytes of one field of a request head (or of its target), and of all of them; more is answered 431.
    package var headerFieldBytesMax = 32_768
    package var headerBytesMax = 65_536
    /// For a connection to show which protocol it speaks (contract section 1).
    package var undecidedDeadline: Duration = .seconds(5)
    /// From the first byte of a request to its last.
    package var receivingDeadline: Duration = .seconds(30)
    /// Between two requests.
    package var idleDeadline: Duration = .seconds(120)
    /// For a client to take the next piece of an answer (256 KiB).
    package var sendingDeadline: Duration = .seconds(30)
    /// How long a connection that was answered early is read on, so that the answer is not lost to a reset.
    package var lingerDeadline: Duration = .seconds(2)
    /// On shutdown, for requests under way to end.
    package var drainDeadline: Duration = .seconds(5)

    /// Bounds of connections that speak HTTP/2. `heldBytesMax` is over both kinds.
    package var grpc = GRPCServerConfiguration()

    package init(addresses: [Address]) { self.addresses = addresses }
}

/// Why the etcd port is not there.
package enum EtcdServerError: Error, CustomStringConvertible {
    /// An address cannot be listened on: which, and the system's reason.
    case cannotListen(EtcdServerConfiguration.Address, reason: String)

    /// One line that names the setting, the address and the reason.
    package var description: String {
        switch self {
        case .cannotListen(let address, let reason): "--etcd \(address): cannot listen: \(reason)"
        }
    }
}
