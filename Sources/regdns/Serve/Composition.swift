import DNSServer
import DNSWire
import EtcdAPI
import HTTPAdmin
import Logging
import NIOCore
import NIOPosix
import RegistryStore
import ServiceLifecycle
import UnixSignals

/// Builds the server from its settings and runs it: the one place that knows all modules.
struct Composition {
    private let settings: ServeSettings
    private let clock = RegistryClock.system
    private let logger: Logger

    init(_ settings: ServeSettings) {
        self.settings = settings
        logger = Self.logger("MAIN", settings)
    }

    private static func logger(_ module: String, _ settings: ServeSettings) -> Logger {
        Logger(label: module) { label in
            ServerLogHandler(module: label, format: settings.logFormat, level: settings.logLevel)
        }
    }

    /// Serves until SIGTERM or SIGINT. Throws what the user can mend as `UserError`.
    func run() async throws {
        ProcessLimits.raiseOpenFiles()
        ProcessLimits.ignoreBrokenPipes()
        for warning in settings.warnings { logger.warning("\(warning)") }
        let domain = try name(settings.domain, "--domain")
        let registry = Registry(
            layout: KeyLayout(prefix: settings.pathPrefix, domain: domain), node: settings.node,
            origin: .random(in: 1 ... .max), limits: limits, clock: clock)
        let dns = try dnsService(registry, domain)
        let zones = settings.zonesDirectory.map { ZoneDirectory(path: $0, view: dns.service.view, logger: Self.logger("ZONES", settings)) }
        try zones?.loadFirst()
        let parts = Parts(
            registry: registry, dns: dns.service, forwarder: dns.forwarder, zones: zones, readiness: Readiness(),
            rate: QueryRate())
        var line = StartLine(dns: [], http: [], etcd: [], node: settings.node, domain: settings.domain)
        line.dns = try await bindDNS(parts).map(Self.text)
        let handler = EtcdHTTPHandler(keyspace: Keyspace(registry: registry)) { parts.readiness.isReady }
        let etcd = try await bindEtcd(handler)
        line.etcd = etcd?.addresses.map(\.description) ?? []
        try await serve(parts, handler, etcd, line)
    }

    /// What the parts of the server know of each other.
    private struct Parts: Sendable {
        let registry: Registry
        let dns: DNSServerService
        let forwarder: Forwarder
        let zones: ZoneDirectory?
        let readiness: Readiness
        let rate: QueryRate
    }

    private var limits: RegistryLimits {
        var limits = RegistryLimits()
        limits.namespaceCapacity = settings.namespaceCapacity
        return limits
    }

    // MARK: DNS

    private func dnsService(_ registry: Registry, _ domain: OwnerName) throws -> (
        service: DNSServerService, forwarder: Forwarder
    ) {
        let listen = try settings.dns.map { try SocketAddress(ipAddress: $0.host, port: $0.port) }
        var view = ViewConfiguration(domain: domain, hostmaster: try hostmaster())
        view.ttl = settings.ttl
        view.minTTL = settings.minTTL
        view.priority = settings.priority
        view.local = try settings.local.flatMap { $0.isEmpty ? nil : try name($0, "--local") }
        view.ndots = settings.ndots
        view.roundRobin = settings.roundRobin
        view.stubZones = settings.stubZones
        view.forwards = settings.forward != .off
        let configuration = DNSServerConfiguration(
            listen: listen, threads: settings.dnsThreads ?? System.coreCount, view: view,
            allowRecursion: networks, version: "regdns \(Version.text)")
        var forwarding = ForwarderConfiguration(
            upstreams: Forwarder.excluding(try upstreams(), listeners: listen),
            policy: ForwardPolicy(rawValue: settings.forwardPolicy) ?? .random)
        forwarding.ndots = settings.ndots
        forwarding.cacheSize = settings.cacheSize
        forwarding.cacheMinTTL = settings.cacheMinTTL
        forwarding.cacheMaxTTL = settings.cacheMaxTTL
        forwarding.serveStale = settings.serveStale
        let clock = clock
        let forwarder = Forwarder(
            configuration: forwarding, group: MultiThreadedEventLoopGroup.singleton,
            milliseconds: { clock.monotonicMilliseconds() })
        let stubs = settings.stubZones ? StubMatcher(domain: domain, layout: registry.layout) : nil
        let service = DNSServerService(
            configuration: configuration, registry: registry, clock: clock, forwarder: forwarder, stubs: stubs,
            logger: Self.logger("DNS", settings))
        return (service, forwarder)
    }

    private func name(_ text: String, _ flag: String) throws(UserError) -> OwnerName {
        do throws(WireError) {
            return try OwnerName(text)
        } catch {
            throw UserError(
                what: flag, why: "\(PlainText.quoted(text)) is no domain name: \(error)", remedy: "write a name like a.example")
        }
    }

    /// The SOA's RNAME: the first `@` stands for a dot (SkyDNS); `hostmaster.<domain>` when nothing is set.
    private func hostmaster() throws(UserError) -> OwnerName {
        var text = settings.hostmaster ?? ""
        if text.isEmpty { text = "hostmaster." + settings.domain }
        if let at = text.firstIndex(of: "@") { text.replaceSubrange(at...at, with: ".") }
        return try name(text, "--hostmaster")
    }

    private var networks: [ClientNetwork] {
        let given = settings.allowRecursion ?? Self.privateNetworks.compactMap(NetworkText.parse)
        return given.compactMap { ClientNetwork(octets: $0.octets, prefixLength: $0.prefixLength) }
    }

    /// Loopback, private and link-local networks (RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291).
    private static let privateNetworks = [
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "::1/128",
        "fc00::/7", "fe80::/10",
    ]

    private func upstreams() throws -> [SocketAddress] {
        switch settings.forward {
        case .off: return []
        case .servers(let servers): return try servers.map { try SocketAddress(ipAddress: $0.host, port: $0.port) }
        case .file(let path):
            let octets: [UInt8]
            do throws(TextFile.ReadError) {
                octets = try TextFile.read(path, maxBytes: 1 << 20)
            } catch {
                logger.warning("no forwarders: the file cannot be read", metadata: ["file": "\(path)", "error": "\(error)"])
                return []
            }
            let parsed = ResolvConf.parse(String(decoding: octets, as: UTF8.self))
            for line in parsed.ignored { logger.warning("\(path):\(line.line): ignored: \(line.reason)") }
            return parsed.nameservers
        }
    }

    // MARK: Listeners

    private func bindDNS(_ parts: Parts) async throws -> [SocketAddress] {
        do {
            return try await parts.dns.bind()
        } catch let error as DNSServerError {
            throw Self.listenError(error.flag, error.value, error.reason)
        }
    }

    private func bindEtcd(_ handler: EtcdHTTPHandler) async throws -> EtcdServer? {
        guard !settings.etcd.isEmpty else { return nil }
        do throws(EtcdServerError) {
            return try await EtcdServer.bind(
                configuration: EtcdServerConfiguration(addresses: settings.etcd.map { .init(host: $0.host, port: $0.port) }),
                handler: handler, logger: Self.logger("ETCD", settings))
        } catch {
            switch error {
            case .cannotListen(let address, let reason): throw Self.listenError("--etcd", "\(address)", reason)
            }
        }
    }

    private static func listenError(_ flag: String, _ address: String, _ reason: String) -> UserError {
        UserError(
            what: "\(flag) \(address)", why: "cannot listen: \(reason)",
            remedy: "end the program that uses it, or choose another address with \(flag)")
    }

    private static func text(_ address: SocketAddress) -> String {
        let host = address.ipAddress ?? ""
        return (host.contains(":") ? "[\(host)]" : host) + ":\(address.port ?? 0)"
    }

    // MARK: Running

    private func serve(_ parts: Parts, _ handler: EtcdHTTPHandler, _ etcd: EtcdServer?, _ start: StartLine) async throws {
        let announce: @Sendable ([HTTPAdmin.ListenAddress]) -> Void = { http in
            var line = start
            line.http = http.map(\.description)
            parts.readiness.started()
            StandardStreams.print("\(line)")
        }
        var services: [any Service] = [ExpiryLoop(registry: parts.registry), parts.dns]
        if let zones = parts.zones { services.append(zones) }
        if let etcd { services.append(etcd) }
        if settings.http.isEmpty {
            announce([])
        } else {
            services.append(httpServer(parts, handler, announce))
        }
        let totals = parts.dns.totals
        services.append(
            Observation(
                registry: parts.registry, rate: parts.rate,
                queries: { totals.values.first { $0.name == "queries" }?.value ?? 0 },
                logger: Self.logger("STORE", settings)))
        services.append(LameDuck(time: settings.lameDuck, readiness: parts.readiness, logger: logger))
        logger.info("registrations are kept in memory only; they are lost when this process ends")
        let group = ServiceGroup(
            configuration: .init(
                services: services.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint],
                logger: Self.quiet(logger)))
        do {
            try await group.run()
        } catch let error as HTTPListenError {
            throw Self.listenError(error.flag, "\(error.address)", error.reason)
        }
    }

    /// The group announces every step of a shutdown; a line at info level per service is too much.
    private static func quiet(_ logger: Logger) -> Logger {
        var logger = logger
        logger.logLevel = max(logger.logLevel, .warning)
        return logger
    }

    private func httpServer(
        _ parts: Parts, _ handler: EtcdHTTPHandler, _ announce: @escaping @Sendable ([HTTPAdmin.ListenAddress]) -> Void
    ) -> AdminServer {
        let counters = HTTPCounters()
        let logger = Self.logger("API", settings)
        let clock = clock
        var routes = RouteTable<HTTPAdmin.Operation>()
        let leases = LeasePolicy(
            defaultMilliseconds: settings.leaseDefault.wholeMilliseconds,
            minMilliseconds: settings.leaseMin.wholeMilliseconds, maxMilliseconds: settings.leaseMax.wholeMilliseconds)
        Amalgam8Door(
            registry: parts.registry, leases: leases, feed: EventFeed(registry: parts.registry, counters: counters)
        ).addRoutes(to: &routes)
        OperationsDoor(
            registry: parts.registry,
            build: .init(version: Version.text, compiler: "swift"), providers: providers(parts, counters, handler)
        ).addRoutes(to: &routes)
        let dispatcher = AdminDispatcher(
            routes: routes, authenticator: OpenAuthenticator(),
            fallback: { request, body in await handler.respond(to: request, body: body) }, counters: counters,
            logger: logger)
        return AdminServer(
            addresses: settings.http.map { HTTPAdmin.ListenAddress(host: $0.host, port: $0.port) }, dispatcher: dispatcher,
            counters: counters, warnings: WarningLimiter(now: { clock.monotonicMilliseconds() }), logger: logger,
            onBound: { announce($0) })
    }

    private func providers(
        _ parts: Parts, _ counters: HTTPCounters, _ handler: EtcdHTTPHandler
    ) -> OperationsDoor.Providers {
        var providers = OperationsDoor.Providers()
        providers.notReady = { parts.readiness.notReady }
        providers.facts = { [("store", "memory"), ("sync", "none")] }
        providers.degradations = {
            var found: [OperationsDoor.Degradation] = []
            for problem in parts.zones?.problems ?? [] { found.append(.init(what: "zones", why: problem)) }
            for address in parts.forwarder.silentUpstreams {
                found.append(.init(what: "forwarder \(Self.text(address))", why: "gave no answer when last asked"))
            }
            return found
        }
        providers.figures = { [("queries_per_second", parts.rate.perSecond)] }
        providers.metrics = [
            { counters.families() }, { ServerMetrics.dns(parts.dns) }, { ServerMetrics.forwarder(parts.forwarder.counters) },
            { ServerMetrics.registry(parts.registry.counts()) }, { ServerMetrics.etcd(handler.counters) },
        ]
        return providers
    }
}

extension Duration {
    /// Whole milliseconds, cut.
    fileprivate var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds &* 1000 &+ attoseconds / 1_000_000_000_000_000
    }
}
