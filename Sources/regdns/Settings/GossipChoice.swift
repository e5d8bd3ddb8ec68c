import Foundation
import Memberlist
import Replication

/// How this node is part of a cluster.
struct GossipChoice: Sendable {
    let bind: GossipAddress
    /// Nil: derived from where it listens.
    let advertise: GossipAddress?
    let timing: GossipTiming
    let dialect: Dialect
    let keys: GossipKeys
    let seeds: [Seed]
    let names: [Seed]
    /// The shared folder of member files.
    let directory: String?
    let minPeers: Int
    let allowsSkew: Bool
    let preservation: Bool
    /// Whether a public address may be served without a key.
    let isInsecure: Bool

    /// In the place of a file's path: the passphrase is in the variable of this name.
    static let variableInsteadOfFile = "$" + KeySettings.passphraseVariable

    /// Nil when this node is alone.
    init?(_ values: SettingValues, store: StoreChoice) throws(UserError) {
        guard case .endpoint(let endpoint)? = values.value(ClusterSettings.gossip),
            let bind = GossipAddress(endpoint)
        else {
            try Self.refuseIdle(values)
            return nil
        }
        self.bind = bind
        if store.isExternal {
            throw UserError(
                what: values.place("gossip") + " \(endpoint)",
                why: "the store is \(store.name), which the nodes share already",
                remedy: "leave one of --gossip and --store out")
        }
        advertise = try Self.advertise(values)
        timing =
            switch values.value(ClusterSettings.profile) {
            case "wan": .wan
            case "local": .local
            case "fast": .fast
            default: .lan
            }
        dialect = values.value(ClusterSettings.dialect) == "serf" ? .serf : .plain
        keys = try GossipKeys(values)
        seeds = values.list(ClusterSettings.join)
        names = [values.value(ClusterSettings.joinDNS)].compactMap { $0 }
        directory = values.value(ClusterSettings.joinDirectory)
        minPeers = values.value(ClusterSettings.minPeers) ?? 0
        allowsSkew = values.value(ClusterSettings.allowSkew) ?? false
        preservation = values.value(ClusterSettings.preservation) ?? false
        isInsecure = values.value(AccessSettings.insecure) ?? false
        try checkExposure(values)
        try checkDirectory(values)
    }

    private static func advertise(_ values: SettingValues) throws(UserError) -> GossipAddress? {
        guard let endpoint = values.value(ClusterSettings.advertise) else { return nil }
        guard let address = GossipAddress(endpoint), address.ip.contains(where: { $0 != 0 }) else {
            throw UserError(
                what: values.place("advertise") + " \(endpoint)", why: "nobody can reach that address",
                remedy: "write the address that the other nodes reach this one at")
        }
        return address
    }

    private func checkExposure(_ values: SettingValues) throws(UserError) {
        guard keys.isEmpty, !isInsecure else { return }
        do throws(GossipNodeError) {
            try Exposure.check(bind: bind, advertise: advertise)
        } catch {
            guard case .publicWithoutKey(let address) = error else { throw UserError(gossip: error, at: "\(bind)") }
            throw UserError(
                what: values.place("gossip") + " \(bind)",
                why: "without a key it is open to everybody who reaches the public address \(address)",
                remedy: "add --gossip-key or --passphrase-file, listen on a private address, or add --insecure")
        }
    }

    /// A folder that is not there is made by the server.
    private func checkDirectory(_ values: SettingValues) throws(UserError) {
        guard let directory, FileManager.default.fileExists(atPath: directory) else { return }
        guard FileManager.default.fileExists(atPath: directory + "/.") else {
            throw UserError(
                what: values.place("join-dir") + " \(directory)", why: "is no folder",
                remedy: "name a folder that all nodes share, or one that can be made")
        }
        guard FileManager.default.isWritableFile(atPath: directory) else {
            throw UserError(
                what: values.place("join-dir") + " \(directory)", why: "this user may not write in it",
                remedy: "change its owner or mode, or name another")
        }
    }

    // MARK: Without gossip

    /// Settings of a cluster without one are a mistake, but for variables of the programs replaced.
    private static func refuseIdle(_ values: SettingValues) throws(UserError) {
        for spec in ClusterSettings.others where isGiven(spec, values) && !isForeign(spec, values) {
            throw UserError(
                what: values.place(spec.name), why: "there is no cluster without --gossip",
                remedy: "add --gossip IP:PORT like 10.0.0.1:7946, or leave it out")
        }
    }

    /// Variables of the programs replaced that say nothing to this server.
    static func warnings(_ values: SettingValues) -> [String] {
        guard case .endpoint? = values.value(ClusterSettings.gossip) else {
            return ClusterSettings.others.filter { isGiven($0, values) }.map {
                "\(values.place($0.name)) has no effect: there is no cluster without --gossip"
            }
        }
        return []
    }

    /// Whether somebody said something else than the default.
    private static func isGiven(_ spec: SettingSpec, _ values: SettingValues) -> Bool {
        guard let entry = values.entry(spec.name) else { return false }
        return entry.origin != .byDefault && entry.text != spec.defaultText
    }

    private static func isForeign(_ spec: SettingSpec, _ values: SettingValues) -> Bool {
        guard case .variable(let name)? = values.entry(spec.name)?.origin else { return false }
        return name != spec.environmentName
    }

    // MARK: For the node

    /// - Parameters:
    ///   - meta: the first metadata.
    ///   - chain: from `GossipKeys.chain`.
    func settings(node: String, meta: [UInt8], chain: KeyChain) -> GossipSettings {
        var settings = GossipSettings(name: NodeName(node), bind: bind)
        settings.advertise = advertise
        settings.meta = meta
        settings.dialect = dialect
        settings.timing = timing
        settings.keys = chain
        settings.isInsecure = isInsecure
        return settings
    }

    /// - Parameter isKnown: whether members are known of before.
    func replicatorSettings(node: String, isKnown: Bool) -> ReplicatorSettings {
        var settings = ReplicatorSettings(
            node: node, expectsPeers: isKnown || !seeds.isEmpty || !names.isEmpty || directory != nil)
        settings.minPeers = minPeers
        settings.allowsSkew = allowsSkew
        settings.preservation = preservation ? Preservation() : nil
        return settings
    }

    /// - Parameters:
    ///   - own: what others are told.
    ///   - candidates: where known peers are kept.
    func joinSettings(own: GossipAddress, candidates: CandidateFile?) -> JoinSettings {
        var settings = JoinSettings()
        settings.seeds = seeds
        settings.names = names
        settings.directory = directory.map { MemberDirectory(path: $0, own: own) }
        settings.candidates = candidates
        return settings
    }
}

extension GossipAddress {
    init?(_ endpoint: SocketEndpoint) {
        guard let port = UInt16(exactly: endpoint.port) else { return nil }
        self.init(ipText: endpoint.host, port: port)
    }
}

extension UserError {
    /// A node of the gossip that does not start.
    init(gossip error: GossipNodeError, at address: String) {
        switch error {
        case .cannotBind(_, let reason): self = .listener("--gossip", address, reason)
        default:
            self.init(
                what: "--gossip \(address)", why: "\(error)", remedy: "change the settings of the cluster")
        }
    }
}
