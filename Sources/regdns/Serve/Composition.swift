import DNSServer
import DNSWire
import EtcdAPI
import EtcdStore
import HTTPAdmin
import Logging
import NIOCore
import NIOPosix
import Persistence
import RegistryStore
import Replication
import ServiceLifecycle
import TLS
import UnixSignals

/// The server: everything built from the settings, wired together, and run until it is told to stop.
///
/// Order of the start: settings are checked, zones are read, the registry is made, DNS and etcd are bound, then the
/// services run, HTTP binds, and the start line is printed. Order of the end: not ready, lame duck, DNS, HTTP, etcd,
/// expiry.
struct Composition: Sendable {
    let settings: ServeSettings
    let logs: LogFactory
    let readiness = Readiness()
    let clock = RegistryClock.system

    /// How long requests under way may take after the lame duck time.
    static let drainTime: Duration = .seconds(15)

    func run() async throws {
        let log = logs.logger("main")
        for warning in settings.warnings { log.warning("\(warning)") }

        let registry = makeRegistry()
        let data = try makeData(registry)
        let forwarding = try Forwarding(settings, log: logs.logger("forward"))
        let dns = makeDNS(registry, forwarding)
        let zones = settings.zonesDirectory.map { path in
            ZoneDirectory(path: path, view: dns.view, logger: logs.logger("zones"))
        }
        try zones?.loadFirst()

        let dnsAddresses = try await bind(dns)
        let cluster = makeCluster(registry, dns.view)
        let gossip = try await makeGossip(registry, dns.view)
        let mark = try await gossip?.chooseMark()
        let etcd = try await makeEtcd(registry, cluster, data, mark: mark)
        let start = StartLine(
            dns: dnsAddresses, http: [], etcd: etcd.server?.addresses.map(\.description) ?? [],
            gossip: gossip?.boundAddress, node: settings.node, domain: settings.domain.textWithoutFinalDot,
            store: settings.store.name)
        let rate = QueryRate()
        let queries: @Sendable () -> UInt64 = { dns.totals.values.first { $0.name == "queries" }?.value ?? 0 }
        let operations = ServerFacts(
            settings: settings, readiness: readiness, registry: registry, dns: dns, forwarder: forwarding.forwarder,
            etcd: etcd, zones: zones, rate: rate, cluster: cluster, data: data, gossip: gossip)

        // The first is the last one to be stopped: what the others still write is kept.
        var services: [any Service] = data.map { [$0] } ?? []
        // Behind all doors: the others hear that this node goes when it answers nobody any more.
        if let gossip { services.append(gossip) }
        services += [
            ExpiryLoop(registry: gossip == nil ? registry : nil, directories: etcd.keyspace, writer: cluster?.store),
            Observation(registry: registry, rate: rate, queries: queries, logger: logs.logger("store")),
            Reloading(logger: log) {
                zones?.reload(all: true)
                cluster?.reloadCertificates()
                await gossip?.reloadKeys()
            },
        ]
        if let zones { services.append(zones) }
        if let cluster { services.append(cluster) }
        if let wide = etcd.wide { services.append(WideFollowing(wide: wide)) }
        if let server = etcd.server { services.append(server) }
        let gates: [(any ReadinessGate)?] = [cluster, gossip]
        let announcement = Announcement(
            start: start, gates: gates.compactMap { $0 }, readiness: readiness, store: settings.store,
            data: settings.data, logger: log)
        services.append(announcement)
        services.append(makeHTTP(registry, etcd: etcd.handler, operations, announcement))
        services.append(DNSAfterContent(dns: dns, cluster: cluster))
        services.append(LameDuck(time: settings.lameDuck, readiness: readiness, logger: log))
        try await run(services)
    }

    private func run(_ services: [any Service]) async throws {
        // The group tells each step at info; people want to know of its trouble only.
        var quiet = logs.logger("lifecycle")
        quiet.logLevel = max(quiet.logLevel, .warning)
        var configuration = ServiceGroupConfiguration(
            services: services.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet)
        configuration.maximumGracefulShutdownDuration =
            settings.lameDuck + Self.drainTime + (settings.gossip == nil ? .zero : GossipService.leaveTime)
        try await ServiceGroup(configuration: configuration).run()
        logs.logger("main").info("stopped")
    }

    // MARK: Parts

    private func makeRegistry() -> Registry {
        var limits = RegistryLimits()
        limits.namespaceCapacity = settings.namespaceCapacity
        return Registry(
            layout: KeyLayout(prefix: settings.pathPrefix, domain: settings.domain), node: settings.node,
            origin: .random(in: 1 ... .max), limits: limits, clock: clock,
            isMirror: settings.store.isExternal)
    }

    private func makeData(_ registry: Registry) throws(UserError) -> DataService? {
        guard let data = settings.data else { return nil }
        return try DataService(data, registry: registry, clock: clock, logger: logs.logger("data"))
    }

    private func makeGossip(_ registry: Registry, _ view: DNSView) async throws(UserError) -> GossipService? {
        guard let choice = settings.gossip else { return nil }
        let logger = logs.logger("replication")
        var environment = SyncEnvironment()
        environment.clock = clock
        environment.logger = logger
        let replication = ReplicationService(
            choice.replicatorSettings(node: settings.node, isKnown: GossipFiles(settings.data)?.knowsPeers ?? false),
            registry: registry, clock: clock,
            sync: SyncStreams(registry: registry, node: settings.node, environment: environment), logger: logger,
            vouch: { view.vouch(until: $0) })
        // Until it has what the others have, there is no telling which names exist.
        view.setHasContent(replication.notReady == nil)
        return try await GossipService.start(
            GossipService.Parts(
                choice: choice, registry: registry, replication: replication, view: view, data: settings.data,
                lookup: .system(servers: Forwarding.resolvers(settings)), readiness: readiness, clock: clock,
                logger: logs.logger("gossip")))
    }

    private func makeCluster(_ registry: Registry, _ view: DNSView) -> ClusterService? {
        guard case .etcd(let cluster) = settings.store else { return nil }
        var configuration = cluster.configuration(prefix: registry.layout.prefixBytes)
        configuration.places = Keyspace.places(below: configuration.prefix)
        let logger = logs.logger("store")
        return ClusterService(
            store: EtcdStore(configuration, registry: registry, clock: clock, logger: logger), tls: cluster.tls,
            view: view, logger: logger)
    }

    /// All keys of the cluster, for those that v2 clients keep beside the names; nil where the cluster asks who calls:
    /// v2 clients are not asked here, and this node's rights are lent to nobody beyond the names.
    private func makeWide(_ registry: Registry) -> WideKeyspace? {
        guard case .etcd(let cluster) = settings.store, cluster.credentials == nil else { return nil }
        let prefix = registry.layout.prefixBytes
        var configuration = cluster.configuration(prefix: Array("/".utf8))
        configuration.places = WideKeyspace.places(besides: prefix)
        configuration.keysMax = Self.wideKeysMax
        configuration.bytesMax = Self.wideBytesMax
        configuration.passesCallsOn = false
        let logger = logs.logger("store-v2")
        return WideKeyspace(besides: prefix, clock: clock, revision: { registry.revision }) { [clock, configuration] in
            var limits = RegistryLimits()
            limits.maxEntries = configuration.keysMax
            limits.maxMemoryBytes = configuration.bytesMax
            let copy = Registry(
                layout: registry.layout, node: registry.node, origin: .random(in: 1 ... .max), limits: limits,
                clock: clock, isMirror: true)
            let store = EtcdStore(configuration, registry: copy, clock: clock, logger: logger)
            return WideKeyspace.Source(
                keyspace: Keyspace(
                    registry: copy, writer: store, leftToOthers: prefix, numbers: .clusters, clock: clock),
                writer: store,
                run: { await store.run() }, hasContent: { store.status.hasContent },
                isOverLimit: { store.isOverLimit },
                show: { _ = await store.waitForRevision($0, milliseconds: 1_000) })
        }
    }

    private static let wideKeysMax = 200_000
    private static let wideBytesMax = 256 << 20

    private func makeDNS(_ registry: Registry, _ forwarding: Forwarding) -> DNSServerService {
        var view = ViewConfiguration(domain: settings.domain, hostmaster: settings.hostmaster)
        view.ttl = settings.ttl
        view.minTTL = settings.minTTL
        view.priority = settings.priority
        view.local = settings.local
        view.ndots = settings.ndots
        view.roundRobin = settings.roundRobin
        view.stubZones = settings.stubZones
        view.forwards = forwarding.isOn
        let configuration = DNSServerConfiguration(
            listen: settings.dns.compactMap(\.socketAddress), threads: settings.dnsThreads ?? System.coreCount,
            view: view, allowRecursion: forwarding.clients, version: Version.text)
        let stubs = settings.stubZones ? StubMatcher(domain: settings.domain, layout: registry.layout) : nil
        return DNSServerService(
            configuration: configuration, registry: registry, clock: clock, forwarder: forwarding.forwarder,
            stubs: stubs, logger: logs.logger("dns"))
    }

    private func bind(_ dns: DNSServerService) async throws(UserError) -> [String] {
        do {
            return try await dns.bind().map(SocketEndpoint.text(of:))
        } catch let error as DNSServerError {
            throw .listener(error.flag, error.value, error.reason)
        } catch {
            throw .listener("--dns", settings.dns.map(\.description).joined(separator: ","), "\(error)")
        }
    }

    private func makeEtcd(
        _ registry: Registry, _ cluster: ClusterService?, _ data: DataService?, mark: UInt8?
    ) async throws(UserError) -> EtcdDoor {
        let readiness = readiness
        let own = data?.numbers ?? RevisionNumbers(startUnixMilliseconds: clock.unixMilliseconds())
        let keyspace = Keyspace(
            registry: registry, writer: cluster?.store, durability: data?.keeper,
            numbers: cluster == nil ? own.tagged(mark ?? 0) : .clusters, clock: clock)
        let listening = ListeningAddresses()
        let proxy = cluster?.store.proxyRoutes
        var configuration = EtcdV3Configuration()
        configuration.hasSeveralMembers = mark != nil
        let v3 =
            proxy == nil
            ? EtcdV3(keyspace: keyspace, configuration: configuration, etcdAddresses: { listening.addresses }) : nil
        let wide = makeWide(registry)
        let handler = EtcdHTTPHandler(
            keyspace: keyspace, v3: v3, proxy: proxy, wide: wide, etcdAddresses: { listening.addresses },
            isServing: { readiness.isReady && cluster?.notReady == nil })
        guard !settings.etcd.isEmpty else {
            return EtcdDoor(keyspace: keyspace, wide: wide, handler: handler, server: nil)
        }
        let listeners = EtcdServerConfiguration(
            addresses: settings.etcd.map { .init(host: $0.host, port: $0.port) })
        do {
            let server = try await EtcdServer.bind(
                configuration: listeners, handler: handler, routes: handler.routes, logger: logs.logger("etcd"),
                eventLoopGroup: Self.etcdLoops)
            listening.set(server.addresses.map { EtcdAddress(host: $0.host, port: $0.port) })
            return EtcdDoor(keyspace: keyspace, wide: wide, handler: handler, server: server)
        } catch {
            switch error {
            case .cannotListen(let address, let reason): throw .listener("--etcd", "\(address)", reason)
            }
        }
    }

    /// The event loops of the etcd port: few, for writers wait for each other at the registry's lock, and two loops
    /// that write all the time spend an eighth of their time on that. They live as long as the process.
    private static let etcdLoops = MultiThreadedEventLoopGroup(numberOfThreads: max(1, System.coreCount / 4))

    private func makeHTTP(
        _ registry: Registry, etcd: EtcdHTTPHandler, _ facts: ServerFacts, _ announcement: Announcement
    ) -> any Service {
        guard !settings.http.isEmpty else {
            announcement.listening([])
            return Idle()
        }
        let counters = HTTPCounters()
        var routes = RouteTable<HTTPAdmin.Operation>()
        let own = facts.data.map { KeptWriter(registry: registry, durability: $0.keeper) } as (any RegistryWriter)?
        let writer: any RegistryWriter = facts.cluster?.store ?? own ?? registry
        Amalgam8Door(
            registry: registry, writer: writer,
            leases: LeasePolicy(
                defaultMilliseconds: settings.leaseDefault.wholeMilliseconds,
                minMilliseconds: settings.leaseMin.wholeMilliseconds,
                maxMilliseconds: settings.leaseMax.wholeMilliseconds),
            feed: EventFeed(registry: registry, counters: counters)
        ).addRoutes(to: &routes)
        OperationsDoor(
            registry: registry, build: .init(version: Version.number, compiler: Version.compiler),
            providers: facts.providers(http: counters), clock: clock
        ).addRoutes(to: &routes)
        let gossip = facts.gossip
        let control = gossip.map {
            GossipControl(
                service: $0, data: ReplicationDoor(service: $0.replication, node: $0.node, clock: clock))
        }
        ClusterDoor(control: control as (any ClusterControl)? ?? NoCluster(), counters: counters)
            .addRoutes(to: &routes)
        let dispatcher = AdminDispatcher(
            routes: routes, authenticator: OpenAuthenticator(),
            fallback: { request, call in await etcd.answer(request, call) }, counters: counters, clock: clock,
            logger: logs.logger("http"))
        let server = AdminServer(
            addresses: settings.http.map { .init(host: $0.host, port: $0.port) }, dispatcher: dispatcher,
            counters: counters, warnings: WarningLimiter(now: clock.monotonicMilliseconds), logger: logs.logger("http"),
            onBound: { addresses in
                gossip?.listening(addresses.map(\.description))
                announcement.listening(addresses.map(\.description))
            })
        return HTTPService(server: server)
    }
}

extension StoreChoice.Cluster {
    /// How the keys of the cluster with a prefix are followed.
    fileprivate func configuration(prefix: [UInt8]) -> EtcdStoreConfiguration {
        var configuration = EtcdStoreConfiguration(endpoints: endpoints, prefix: prefix, credentials: credentials)
        if let tls = tls?.client { configuration.secure = { try tls.secure($0, host: $1) } }
        return configuration
    }
}

/// The etcd door: its handler also serves the HTTP listener, its own listener may be off.
struct EtcdDoor: Sendable {
    let keyspace: Keyspace
    /// Of a cluster.
    let wide: WideKeyspace?
    let handler: EtcdHTTPHandler
    let server: EtcdServer?
}

/// The DNS. At the start, questions wait in the sockets until the store's content is there, for a short time.
private struct DNSAfterContent: Service {
    let dns: DNSServerService
    let cluster: ClusterService?

    func run() async throws {
        await cancelWhenGracefulShutdown { await cluster?.waitShortlyForContent() }
        try await dns.run()
    }
}

/// The HTTP listeners, with their errors in our words.
private struct HTTPService: Service {
    let server: AdminServer

    func run() async throws {
        do {
            try await server.run()
        } catch let error as HTTPListenError {
            throw UserError.listener(error.flag, "\(error.address)", error.reason)
        }
    }
}

extension UserError {
    /// A listener that cannot be had.
    static func listener(_ flag: String, _ address: String, _ why: String) -> UserError {
        UserError(
            what: "\(flag) \(address)", why: why, remedy: "stop what uses it, or choose another address with \(flag)")
    }
}

extension Duration {
    /// Whole milliseconds, cut.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds &* 1_000 &+ attoseconds / 1_000_000_000_000_000
    }
}
