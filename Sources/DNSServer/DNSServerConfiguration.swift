package import NIOCore

/// Everything the DNS side of `regdns serve` is told.
package struct DNSServerConfiguration: Sendable {
    /// Addresses for UDP and TCP; port 0: the kernel chooses one for both.
    package var listen: [SocketAddress]
    /// Hot-path threads per address.
    package var threads: Int
    package var view: ViewConfiguration
    /// Networks whose questions for other names are forwarded; all others get REFUSED.
    package var allowRecursion: [ClientNetwork]
    /// What UDP answers are cut to, whatever a client offers (DNS flag day 2020).
    package var udpPayloadMax: Int = 1232
    package var tcp = TCPLimits()
    /// Text of `version.bind`.
    package var version: String

    package init(
        listen: [SocketAddress], threads: Int, view: ViewConfiguration, allowRecursion: [ClientNetwork], version: String
    ) {
        self.listen = listen
        self.threads = threads
        self.view = view
        self.allowRecursion = allowRecursion
        self.version = version
    }
}

/// Why the DNS side cannot start: which flag, which value, why.
package struct DNSServerError: Error, CustomStringConvertible, Sendable {
    /// The flag to look at, such as `--dns`.
    package let flag: String
    package let value: String
    package let reason: String

    package var description: String { "\(flag) \(value): \(reason)" }
}
