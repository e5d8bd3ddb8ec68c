/// What the connections of a gRPC server may cost.
package struct GRPCServerConfiguration: Sendable {
    /// The longest request message, in bytes; 2 MiB is etcd's.
    package var messageBytesMax = 2_097_152
    /// Calls under way on one connection.
    package var streamsMax = 4096
    /// Bytes of a request's fields, as HTTP/2 counts them.
    package var headerBytesMax = 16_384
    /// Unsent bytes of one call above which its handler is asked to wait, and below which it may go on.
    package var unsentBytesHigh = 65_536
    package var unsentBytesLow = 16_384
    /// Bytes of requests and answers that one connection may hold.
    package var connectionHeldBytesMax = 67_108_864
    /// For a request to arrive whole, from its first byte.
    package var receivingDeadline: Duration = .seconds(30)
    /// For a client to take something of what waits for it.
    package var sendingDeadline: Duration = .seconds(30)
    /// Without a call.
    package var idleDeadline: Duration = .seconds(300)
    /// After so long without a byte from a client with calls under way it is pinged; then it has so long to answer.
    package var keepaliveInterval: Duration = .seconds(120)
    package var keepaliveDeadline: Duration = .seconds(20)
    /// How often deadlines are looked at.
    package var checkInterval: Duration = .seconds(5)
    /// Control frames (PING, SETTINGS, PRIORITY, WINDOW_UPDATE) and tiny DATA frames beyond those that answers account
    /// for: at once, and per second.
    package var controlFramesMax = 1000
    package var controlFramesPerSecond = 100
    /// RST_STREAM frames in ten seconds.
    package var resetsMax = 2000
    /// How streams with messages both ways end when the server goes down.
    package var drainStatus = GRPCStatus(.unavailable, "etcdserver: server stopped")

    package init() {}
}
