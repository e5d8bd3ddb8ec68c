package import NIOCore

/// In which order the upstream servers are asked. Servers that lately gave no answer come last in every case.
package enum ForwardPolicy: String, CaseIterable, Sendable {
    /// A new random order for every question.
    case random
    /// Each question starts one server further on.
    case rotate
    /// Always in the order given.
    case sequential
}

/// How a client came, and so how upstream servers are asked first.
package enum ForwardTransport: Sendable {
    case udp
    case tcp
}

/// The settings of a `Forwarder`. All bounds hold per forwarder.
package struct ForwarderConfiguration: Sendable {
    /// Where questions go. Empty: everything is answered SERVFAIL.
    package var upstreams: [SocketAddress]
    /// In which order `upstreams` are asked.
    package var policy: ForwardPolicy
    /// How long one server is waited for, once.
    package var queryTimeout: Duration = .seconds(2)
    /// How long all tries for one question take at most. Each try gets at most its even share of what is left, so
    /// that every server is asked. Less than the five seconds that stub resolvers wait.
    package var totalTimeout: Duration = .milliseconds(4500)
    /// As `totalTimeout`, when there is a stale answer to fall back on (RFC 8767 §5, client response timer).
    package var totalTimeoutWhenStale: Duration = .milliseconds(1800)
    /// How long a server that did not answer comes after the others.
    package var holdDown: Duration = .seconds(10)
    /// Names of fewer labels are answered SERVFAIL without asking anyone, as SkyDNS does.
    package var ndots = 2

    /// Answers kept; 0 turns the cache off.
    package var cacheSize = 10_000
    /// Octets of messages kept, over all answers.
    package var cacheOctetsMax = 64 << 20
    /// TTLs below are raised to this.
    package var cacheMinTTL: Duration = .zero
    /// TTLs above are lowered to this, those of negative answers too (RFC 2308 §5).
    package var cacheMaxTTL: Duration = .seconds(3600)
    /// How long an answer may be used after its end when no server answers (RFC 8767); zero turns that off.
    package var serveStale: Duration = .seconds(3600)
    /// TTL of the records of a stale answer, and how long it is given without asking upstream again (RFC 8767 §5).
    package var staleTTL: Duration = .seconds(30)
    /// How long a failure is remembered (RFC 2308 §7.1; RFC 9520 §3.2 wants one second or more).
    package var failureTTL: Duration = .seconds(2)

    /// Different questions under way; each holds one socket. More are answered SERVFAIL and counted as dropped.
    package var maxInFlight = 512
    /// Clients that wait for a question somebody else asked. More are answered SERVFAIL and counted as dropped.
    package var maxWaiters = 10_000

    /// Settings with the defaults of `regdns serve`.
    package init(upstreams: [SocketAddress], policy: ForwardPolicy = .random) {
        self.upstreams = upstreams
        self.policy = policy
    }
}

/// The source of random ids and orders; a seam so that tests can choose them.
package struct ForwarderRandom: RandomNumberGenerator, Sendable {
    private let bits: @Sendable () -> UInt64

    /// Takes a function that gives 64 random bits and may be called from any thread.
    package init(_ bits: @escaping @Sendable () -> UInt64) {
        self.bits = bits
    }

    /// The system's generator, fit for cryptography: ids must not be guessed (RFC 5452 §4.3).
    package static let system = ForwarderRandom {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }

    /// The next 64 random bits.
    package func next() -> UInt64 { bits() }
}

extension Duration {
    /// Whole milliseconds, cut; for sums with the injected clock.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds &* 1000 &+ attoseconds / 1_000_000_000_000_000
    }

    /// Whole seconds as a TTL, within 0 and 2^31 - 1 (RFC 2181 §8).
    var ttlSeconds: UInt32 {
        UInt32(min(max(components.seconds, 0), Int64(Int32.max)))
    }
}
