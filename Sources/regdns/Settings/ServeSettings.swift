import DNSWire
import Logging

/// What `serve` runs with: the settings as typed values, checked against each other.
struct ServeSettings: Sendable {
    let dns: [SocketEndpoint]
    let dnsThreads: Int?
    let http: [SocketEndpoint]
    let etcd: [SocketEndpoint]

    let domain: OwnerName
    let zonesDirectory: String?
    let ttl: UInt32
    let minTTL: UInt32
    let priority: Int
    let hostmaster: OwnerName
    let local: OwnerName?
    let ndots: Int
    let pathPrefix: String
    let roundRobin: Bool
    let stubZones: Bool

    let forward: Forwarding
    let forwardPolicy: String
    /// Nil: loopback and private networks.
    let allowRecursion: [NetworkText]?
    let cacheSize: Int
    let cacheMinTTL: Duration
    let cacheMaxTTL: Duration
    let serveStale: Duration

    let leaseDefault: Duration
    let leaseMin: Duration
    let leaseMax: Duration
    let namespaceCapacity: Int
    let store: StoreChoice
    /// Nil: in memory only.
    let data: DataSettings?
    /// Nil: this node is alone.
    let gossip: GossipChoice?

    let node: String
    let logLevel: Logger.Level
    let logFormat: LogFormat
    let lameDuck: Duration
    /// What the log must say about settings that were taken without effect, and about unknown variables.
    let warnings: [String]

    /// Where forwarders come from when no setting names any.
    static let resolverFile = "/etc/resolv.conf"

    /// Who is asked for names that are not ours.
    enum Forwarding: Hashable, Sendable {
        case off
        /// Servers in the order of the setting.
        case servers([SocketEndpoint])
        /// The servers of a file in resolv.conf's format.
        case file(String)
    }

    /// - Parameter hostName: the node's name when none is set.
    init(_ values: SettingValues, hostName: String) throws(UserError) {
        dns = Self.endpoints(values.list(ListenerSettings.dns))
        dnsThreads = values.value(ListenerSettings.dnsThreads)
        http = Self.endpoints(values.list(ListenerSettings.http))
        etcd = Self.endpoints(values.list(ListenerSettings.etcd))

        domain = try Self.domain(values)
        zonesDirectory = values.value(AnswerSettings.zones)
        ttl = UInt32(values.value(AnswerSettings.ttl) ?? 3_600)
        minTTL = UInt32(values.value(AnswerSettings.minTTL) ?? 60)
        priority = values.value(AnswerSettings.priority) ?? 10
        hostmaster = try Self.hostmaster(values, domain: domain)
        local = try Self.name(AnswerSettings.local, values)
        ndots = values.value(AnswerSettings.ndots) ?? 2
        pathPrefix = values.value(AnswerSettings.pathPrefix) ?? "skydns"
        roundRobin = values.value(AnswerSettings.roundRobin) ?? true
        stubZones = values.value(AnswerSettings.stubZones) ?? false

        forward = try Self.forwarding(values)
        forwardPolicy = values.value(ForwardSettings.policy) ?? "random"
        let networks = values.list(ForwardSettings.allowRecursion)
        allowRecursion = networks.isEmpty ? nil : networks
        cacheSize = values.value(ForwardSettings.cacheSize) ?? 10_000
        cacheMinTTL = values.value(ForwardSettings.cacheMinTTL) ?? .zero
        cacheMaxTTL = values.value(ForwardSettings.cacheMaxTTL) ?? .seconds(3_600)
        serveStale = values.value(ForwardSettings.serveStale) ?? .seconds(3_600)

        leaseDefault = values.value(RegistrySettings.leaseDefault) ?? .seconds(30)
        leaseMin = values.value(RegistrySettings.leaseMin) ?? .seconds(10)
        leaseMax = values.value(RegistrySettings.leaseMax) ?? .seconds(600)
        namespaceCapacity = values.value(RegistrySettings.namespaceCapacity) ?? -1

        store = try StoreChoice(values)
        data = store.isExternal ? nil : try DataSettings(values)
        gossip = try GossipChoice(values, store: store)

        node = values.value(OperationSettings.node) ?? hostName
        logLevel = values.value(OperationSettings.logLevel) ?? .info
        logFormat = values.value(OperationSettings.logFormat) ?? .text
        lameDuck = values.value(OperationSettings.lameDuck) ?? .zero
        warnings = Self.warnings(values)
        try check(values)
    }

    // MARK: Reading

    private static func endpoints(_ addresses: [ListenAddress]) -> [SocketEndpoint] {
        addresses.compactMap { address in
            if case .endpoint(let endpoint) = address { return endpoint }
            return nil
        }
    }

    private static func domain(_ values: SettingValues) throws(UserError) -> OwnerName {
        let domain = try name(AnswerSettings.domain, values)
        guard let domain, !domain.isRoot else {
            throw UserError(
                what: values.place("domain"), why: "the root is nobody's domain",
                remedy: "write a name like skydns.local")
        }
        return domain
    }

    /// A domain name; nil when the setting says nothing.
    private static func name(_ setting: Setting<String>, _ values: SettingValues) throws(UserError) -> OwnerName? {
        guard let text = values.value(setting) else { return nil }
        do {
            return try OwnerName(text)
        } catch {
            throw UserError(
                what: values.place(setting.spec.name), why: "\(PlainText.quoted(text)) is not a domain name: \(error)",
                remedy: "write a name like skydns.local")
        }
    }

    /// The SOA's mail address as a name: the first `@` becomes a dot, dots before it are kept by a backslash.
    private static func hostmaster(_ values: SettingValues, domain: OwnerName) throws(UserError) -> OwnerName {
        let setting = AnswerSettings.hostmaster
        let given = values.value(setting) ?? "hostmaster.\(domain)"
        let parts = given.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        let local = parts.count == 2 ? parts[0].replacing(".", with: "\\.") + "." : ""
        do {
            return try OwnerName(local + (parts.last ?? ""))
        } catch {
            throw UserError(
                what: values.place(setting.spec.name),
                why: "\(PlainText.quoted(given)) is not a mail address for an SOA record: \(error)",
                remedy: "write one like hostmaster@skydns.local")
        }
    }

    private static func forwarding(_ values: SettingValues) throws(UserError) -> Forwarding {
        let targets = values.list(ForwardSettings.forward)
        var servers: [SocketEndpoint] = []
        for target in targets {
            switch target {
            case .off: return .off
            case .server(let server): servers.append(server)
            case .file(let path):
                guard targets.count == 1 else {
                    throw UserError(
                        what: values.place("forward"), why: "the file \(path) stands beside other values",
                        remedy: "write the file alone, or servers only")
                }
                return .file(path)
            }
        }
        return servers.isEmpty ? .file(resolverFile) : .servers(servers)
    }

    private static func warnings(_ values: SettingValues) -> [String] {
        var lines: [String] = []
        for spec in SettingTable.all {
            guard case .withoutEffect(let warning) = spec.availability, let entry = values.entry(spec.name),
                entry.text != spec.defaultText
            else { continue }
            lines.append("\(values.place(spec.name)) has no effect: \(warning)")
        }
        if values.value(StoreSettings.store) == "memory" {
            for spec in StoreSettings.external where values.entry(spec.name) != nil {
                lines.append("\(values.place(spec.name)) has no effect: the store is memory; --store etcd uses it")
            }
        }
        lines += DataSettings.warnings(values) + GossipChoice.warnings(values)
        for (name, nearest) in values.unknownVariables {
            lines.append("\(name) is no variable of regdns" + (nearest.map { "; did you mean \($0)?" } ?? ""))
        }
        return lines
    }

    // MARK: Checks across settings

    private func check(_ values: SettingValues) throws(UserError) {
        for (name, lease) in [("lease-min", leaseMin), ("lease-default", leaseDefault), ("lease-max", leaseMax)]
        where lease < .milliseconds(1) {
            throw UserError(
                what: values.place(name), why: "a lease of \(DurationText.format(lease)) ends at once",
                remedy: "write a longer one, like 30s")
        }
        guard leaseMin <= leaseMax else {
            throw UserError(
                what: values.place("lease-min"),
                why: "\(DurationText.format(leaseMin)) is longer than the longest lease, "
                    + DurationText.format(leaseMax),
                remedy: "lower --lease-min or raise --lease-max")
        }
        guard cacheMinTTL <= cacheMaxTTL else {
            throw UserError(
                what: values.place("cache-min-ttl"),
                why: "\(DurationText.format(cacheMinTTL)) is longer than --cache-max-ttl, "
                    + DurationText.format(cacheMaxTTL),
                remedy: "lower the one or raise the other")
        }
        if let open = http.first(where: { !$0.isLoopback }), values.value(AccessSettings.insecure) != true {
            throw UserError(
                what: values.place("http") + " \(open)",
                why: "others could change registrations there, for --auth is none",
                remedy: "listen on 127.0.0.1, or add --insecure to allow it")
        }
        guard pathPrefix.contains(where: { $0 != "/" }), pathPrefix.utf8.count <= 255 else {
            throw UserError(
                what: values.place("path-prefix"),
                why: "\(PlainText.quoted(pathPrefix)) is not the beginning of a path",
                remedy: "write a word like skydns")
        }
        guard !node.isEmpty, node.utf8.count <= 255, !node.contains(where: \.isWhitespace) else {
            throw UserError(
                what: values.place("node"), why: "\(PlainText.quoted(node)) is not a node name",
                remedy: "write a word of at most 255 bytes")
        }
    }
}
