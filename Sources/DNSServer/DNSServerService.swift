import DNSWire
package import Logging
package import NIOCore
import NIOPosix
package import RegistryStore
import ServiceLifecycle
import Synchronization

/// The DNS side as a service: the view, UDP threads, TCP, and what asks elsewhere.
package final class DNSServerService: Service {
    package let view: DNSView
    package let totals = EngineTotals()
    private let configuration: DNSServerConfiguration
    private let registry: Registry
    private let clock: RegistryClock
    private let forwarder: Forwarder
    private let stubs: StubMatcher?
    private let logger: Logger
    private let bound: Mutex<Bound?> = Mutex(nil)

    /// What `bind` made and `run` uses.
    private struct Bound: Sendable {
        var workers: [UDPWorker]
        var tcp: TCPServer
        var channels: [any Channel]
        var deferred: DeferredAnswers
    }

    /// The view follows the registry from here on.
    package init(
        configuration: DNSServerConfiguration, registry: Registry, clock: RegistryClock, forwarder: Forwarder,
        stubs: StubMatcher?, logger: Logger
    ) {
        self.configuration = configuration
        self.registry = registry
        self.clock = clock
        self.forwarder = forwarder
        self.stubs = stubs
        self.logger = logger
        view = DNSView(configuration: configuration.view, layout: registry.layout)
        registry.addObserver(view)
        if let stubs { registry.addObserver(stubs) }
    }

    /// Binds every address, UDP and TCP, and returns them with their real ports.
    package func bind() async throws -> [SocketAddress] {
        let deferred = DeferredAnswers(
            view: view, engine: try makeEngine(), forwarder: forwarder, stubs: stubs,
            allowed: configuration.allowRecursion,
            clock: clock,
            udpPayloadMax: configuration.udpPayloadMax)
        let group = MultiThreadedEventLoopGroup.singleton
        let tcp = try await TCPServer(
            group: group, deferred: deferred, totals: totals, clock: clock, limits: configuration.tcp,
            makeEngine: { try self.makeEngine() })
        var bound = Bound(workers: [], tcp: tcp, channels: [], deferred: deferred)
        var addresses: [SocketAddress] = []
        for wanted in configuration.listen {
            let (address, channel) = try await bindTCP(tcp, wanted)
            bound.channels.append(channel)
            for _ in 0..<max(1, configuration.threads) {
                bound.workers.append(try makeWorker(address, deferred, onlyIPv6: isOnlyIPv6(wanted)))
            }
            addresses.append(address)
        }
        self.bound.withLock { $0 = bound }
        return addresses
    }

    /// Whether an IPv6 wildcard must leave IPv4 alone: another listener has the same port there.
    private func isOnlyIPv6(_ address: SocketAddress) -> Bool {
        guard case .v6 = address, let port = address.port, port != 0 else { return false }
        return configuration.listen.contains { other in
            if case .v4 = other { return other.port == port }
            return false
        }
    }

    /// Finds a port that UDP and TCP both have free, and listens on TCP.
    private func bindTCP(_ tcp: TCPServer, _ wanted: SocketAddress) async throws -> (SocketAddress, any Channel) {
        var attempts = wanted.port == 0 ? 16 : 1
        while true {
            attempts -= 1
            var address = wanted
            do {
                // Unshared, so that somebody else's port is noticed; the threads' shared sockets follow at once.
                let descriptor = try DatagramSocket.bind(wanted, sharesPort: false, onlyIPv6: isOnlyIPv6(wanted))
                address.port = DatagramSocket.port(of: descriptor)
                DatagramSocket.close(descriptor)
                return (address, try await tcp.bind(address, onlyIPv6: isOnlyIPv6(wanted)))
            } catch {
                if attempts > 0 { continue }
                throw DNSServerError(flag: "--dns", value: Self.text(wanted), reason: Self.reason(error))
            }
        }
    }

    private func makeWorker(
        _ address: SocketAddress, _ deferred: DeferredAnswers, onlyIPv6: Bool
    ) throws -> UDPWorker {
        do {
            return UDPWorker(
                socket: try DatagramSocket(binding: address, onlyIPv6: onlyIPv6), engine: try makeEngine(),
                deferred: deferred,
                totals: totals,
                clock: clock, logger: logger)
        } catch let error as SystemCallError {
            throw DNSServerError(flag: "--dns", value: Self.text(address), reason: "\(error)")
        }
    }

    private func makeEngine() throws -> EngineBox {
        guard
            let engine = AnswerEngine(
                view: view, deadlines: registry.deadlines, stubs: stubs, udpPayloadMax: configuration.udpPayloadMax,
                version: configuration.version)
        else {
            throw DNSServerError(
                flag: "--dns-threads", value: "\(configuration.threads)",
                reason: "more than \(Epochs.readersMax) threads and event loops in all; use fewer threads or addresses")
        }
        return EngineBox(engine)
    }

    private static func text(_ address: SocketAddress) -> String {
        let host = address.ipAddress ?? "?"
        return address.family == 10 ? "[\(host)]:\(address.port ?? 0)" : "\(host):\(address.port ?? 0)"
    }

    private static func reason(_ error: any Error) -> String {
        if let error = error as? IOError, error.errnoCode == 98 { return "address already in use" }
        return "\(error)"
    }

    /// Serves until graceful shutdown; `bind` comes first.
    package func run() async throws {
        guard let bound = bound.withLock({ $0 }) else { return }
        for worker in bound.workers { try worker.start() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await bound.deferred.run() }
            group.addTask { await self.reclaimRegularly() }
            await withGracefulShutdownHandler {
                await withTaskCancellationHandler {
                    // Ends when the deferred answers end, which `stop` brings about.
                    await group.next()
                } onCancel: {
                    Self.stop(bound)
                }
            } onGracefulShutdown: {
                Self.stop(bound)
            }
            group.cancelAll()
        }
    }

    private static func stop(_ bound: Bound) {
        for channel in bound.channels { channel.close(promise: nil) }
        for worker in bound.workers { worker.stop() }
        bound.deferred.stop()
    }

    /// Frees retired answers also when nothing is written any more.
    private func reclaimRegularly() async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: .seconds(1)) } catch { return }
            view.reclaim()
        }
    }

    /// Figures of the transports for metrics and status.
    package var transportCounts: [(name: String, value: UInt64)] {
        guard let bound = bound.withLock({ $0 }) else { return [] }
        let tcp = bound.tcp.counters
        let deferred = bound.deferred.counts
        return [
            ("tcp_connections_open", UInt64(max(0, tcp.open.load(ordering: .relaxed)))),
            ("tcp_connections_accepted_total", tcp.accepted.load(ordering: .relaxed)),
            ("tcp_connections_refused_total", tcp.refused.load(ordering: .relaxed)),
            ("tcp_connections_timed_out_total", tcp.timedOut.load(ordering: .relaxed)),
            ("deferred_in_flight", UInt64(max(0, deferred.inFlight))),
            ("deferred_refused_total", deferred.refused),
        ]
    }
}
