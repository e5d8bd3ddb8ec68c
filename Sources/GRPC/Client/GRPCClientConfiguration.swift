package import NIOCore

/// How a client connects, and what its connection may cost.
package struct GRPCClientConfiguration: Sendable {
    /// For the name, the connection, what `configureTransport` adds (a TLS handshake), and the server's first frame.
    package var connectTimeout: Duration = .seconds(2)
    /// The longest message taken from the server, in bytes.
    package var messageBytesMax = 4_194_304
    /// Calls under way at once; one more ends with `ResourceExhausted`.
    package var callsMax = 1000
    /// Received messages of a stream that may wait for its reader, in bytes; beyond it the server has to wait.
    package var streamWindow = 1_048_576
    /// Unsent bytes of one stream above which `send` waits.
    package var unsentBytesHigh = 65_536
    /// While calls are under way, the server is pinged when it has been silent for so long; nil: never. etcd closes
    /// connections that ping more often than every 5 s.
    package var keepaliveInterval: Duration? = .seconds(10)
    /// Pings without calls, too. etcd closes connections that do (its `PermitWithoutStream` is off).
    package var keepaliveWithoutCalls = false
    /// After a ping without any byte from the server for so long, the connection is given up.
    package var keepaliveDeadline: Duration = .seconds(5)
    /// `:authority`; nil: host and port.
    package var authority: String?
    /// `http` or `https`, as `configureTransport` has it.
    package var scheme = "http"
    package var userAgent = "regdns-grpc"
    /// Puts handlers in front of HTTP/2, such as TLS; called on the connection's event loop. An error that they tell
    /// by `errorCaught` ends the connection, with its description as the reason.
    package var configureTransport: (@Sendable (any Channel) throws -> Void)?
    /// Told once, when a connection that was made is no more: why.
    package var onClose: (@Sendable (GRPCStatus) -> Void)?

    package init() {}
}
