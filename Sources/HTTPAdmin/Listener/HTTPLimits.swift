/// Bounds of the HTTP listener. Each is counted by `HTTPCounters` when it is reached.
package struct HTTPLimits: Sendable {
    /// Open connections of all listeners together; more are answered 503 and closed.
    package var connections = 4096
    /// Octets of one header field.
    package var headerFieldBytes = 16 << 10
    /// Octets of all header fields and the target together; more is 431.
    package var headerBytes = 32 << 10
    package var headerFields = 100
    /// Octets of a body; more is 413.
    package var bodyBytes = 1 << 20
    /// Octets of long answers (above 64 KiB) that wait for their readers, of all connections together; one more is
    /// answered 503 instead.
    package var answerBytes = 256 << 20
    /// From the opening of a connection to its first whole head.
    package var headTimeout: Duration = .seconds(10)
    /// From a head to the end of its body.
    package var bodyTimeout: Duration = .seconds(20)
    /// Between the requests of a kept connection.
    package var idleTimeout: Duration = .seconds(75)
    /// How long a client may leave an answer unread.
    package var writeTimeout: Duration = .seconds(30)
    /// How long a connection that is being closed may still send what is thrown away.
    package var lingerTimeout: Duration = .seconds(2)
    /// How long a request may keep its connection after the server was told to stop.
    package var drainTimeout: Duration = .seconds(10)

    package init() {}
}
