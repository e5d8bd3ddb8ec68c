// The settings of the cluster, and those of the catalogs, which later versions bring: the last part of the table.

import Replication

enum ClusterSettings: SettingSection {
    static let title = "Cluster"

    static let gossip = Setting(
        "gossip", "IP:PORT", .gossip, default: "off",
        help: "Gossip with the other nodes, UDP and TCP (7946 is the usual port).")
    static let advertise = Setting(
        "advertise", "IP:PORT", .endpoint, note: "where --gossip listens",
        help: "Gossip address told to others; port 0 is that of --gossip.")
    static let join = Setting("join", "HOST:PORT", .seed, list: true, help: "Members to join.")
    static let joinDNS = Setting(
        "join-dns", "NAME", .seed, help: "Name with SRV records, or addresses, of members; asked again and again.")
    static let joinDirectory = Setting(
        "join-dir", "DIR", .path, variables: [DropInVariable("A8_CLUSTER_DIR")],
        help: "Shared folder of member files, as in Amalgam8.")
    static let clusterName = Setting(
        "cluster-name", "NAME", .text, default: "regdns",
        help: "Goes into the keys that are made from a passphrase.")
    static let minPeers = Setting(
        "min-peers", "N", .integer(0...1_000), default: "0",
        help: "Other nodes of regdns that must be there before this one is ready.")
    static let profile = Setting(
        "gossip-profile", "lan|wan|local|fast", .choice("lan", "wan", "local", "fast"), default: "lan",
        help: "How fast failures are noticed.")
    static let dialect = Setting(
        "gossip-dialect", "plain|serf", .choice("plain", "serf"), default: "plain",
        help: "Whose messages are spoken: memberlist's alone, or serf's agents' too.")
    static let allowSkew = Setting(
        "allow-skew", nil, .boolean, default: "false",
        help: "Take writes although this node's clock is over 5 s away from the others'.")
    static let preservation = Setting(
        "preservation", "off|on", .boolean, default: "off",
        help: "Hold back the end of leases when too many are due at once.")

    static let key = Setting(
        "gossip-key", "BASE64", .text, list: true, secret: true,
        help: "Keys of 16, 24 or 32 octets; the first one encrypts, all decrypt.")
    static let keyFile = Setting(
        "gossip-key-file", "FILE", .path, help: "File of such keys: one per line, or serf's keyring.")
    static let passphraseFile = Setting(
        "passphrase-file", "FILE", .path,
        variables: [DropInVariable(KeySettings.passphraseVariable) { _ in GossipChoice.variableInsteadOfFile }],
        help: "File whose first line is the passphrase that keys are made from, which P2P_PSK may hold itself.")
    static let keyEpoch = Setting(
        "gossip-epoch", "N", .integer(0...Int(UInt32.max)), note: "by the date",
        help: "Number of the passphrase's key, where it does not follow from the date.")

    /// Those without which the others say nothing.
    static let others = [
        advertise.spec, join.spec, joinDNS.spec, joinDirectory.spec, clusterName.spec, minPeers.spec, profile.spec,
        dialect.spec, allowSkew.spec, preservation.spec, key.spec, keyFile.spec, passphraseFile.spec, keyEpoch.spec,
    ]
    static let settings = [gossip.spec] + others
}

extension ValueForm where Value == ListenAddress {
    static let gossip = ValueForm(
        noun: "an address to listen on", example: "IP:PORT like 10.0.0.1:7946 or 0.0.0.0:7946, or off",
        read: ListenAddress.parse)
}

extension ValueForm where Value == Seed {
    static let seed = ValueForm(
        noun: "a member's address", example: "HOST:PORT like node1.example:7946 or 10.0.0.1:7946"
    ) { text in
        do throws(Seed.Malformed) { return try Seed(text) } catch { return nil }
    }
}

enum CatalogSettings: SettingSection {
    static let title = "Catalogs (not in this version)"

    static let settings: [SettingSpec] = docker + kubernetes + others

    private static let docker: [SettingSpec] = [
        later("catalog-docker", "URL", .url, "Docker engine: unix:///var/run/docker.sock or tcp://…"),
        later("catalog-docker-ip", "IP", .text, "Address of published ports."),
        later("catalog-docker-internal", "BOOL", .boolean, "Register the ports inside the container."),
        later("catalog-docker-explicit", "BOOL", .boolean, "Only containers with a service label."),
        later("catalog-docker-use-ip-from-label", "LABEL", .text, "Label that holds the address."),
        later("catalog-docker-tags", "TAGS", .text, "Tags for all services."),
        later("catalog-docker-ttl", "SECONDS", .seconds, "Lease of its registrations."),
        later("catalog-docker-ttl-refresh", "SECONDS", .seconds, "How often they are renewed."),
        later("catalog-docker-resync", "SECONDS", .seconds, "How often everything is listed again."),
        later("catalog-docker-cleanup", "BOOL", .boolean, "Remove registrations without a container."),
        later(
            "catalog-docker-deregister", "always|on-success", .choice("always", "on-success"),
            "When a stopped container is deregistered."),
        later("catalog-docker-hostname", "NAME", .text, "Host name in the ids."),
        later("catalog-docker-host-address", "IP", .text, "Address of the host."),
    ]

    private static let kubernetes: [SettingSpec] = [
        later(
            "catalog-kubernetes", "URL|in-cluster|FILE", .text, variables: [DropInVariable("A8_K8S_URL")],
            "Kubernetes API server."),
        later("catalog-kubernetes-token-file", "FILE", .path, "Bearer token for it."),
        later("catalog-kubernetes-ca", "FILE", .path, "Its authority (PEM)."),
        later("catalog-kubernetes-namespace", "NAME", .text, list: true, "Its namespaces; none means all."),
        later(
            "catalog-kubernetes-tags", "merged|version|labels", .choice("merged", "version", "labels"),
            "What becomes a tag."),
    ]

    private static let others: [SettingSpec] = [
        later(
            "catalog-files", "DIR", .path, variables: [DropInVariable("A8_FS_CATALOG")],
            "Folder of registrations in files."),
        later(
            "catalog-eureka", "URL", .url, list: true, variables: [DropInVariable("A8_EUREKA_URL")],
            "Eureka server to mirror."),
        later("catalog-ssdp", "IFACE", .text, list: true, "Interfaces to listen on for SSDP."),
        later("catalog-ssdp-urns", "FILE", .path, "What its device types are called."),
        later("catalog-ssdp-search", "DURATION", .duration, "How often it is searched."),
    ]
}

extension SettingSection {
    /// A setting of a later version that nothing reads yet; `off` and `false` are taken, for they ask for nothing.
    fileprivate static func later<Value>(
        _ name: String, _ placeholder: String, _ form: ValueForm<Value>, default defaultText: String? = nil,
        list: Bool = false, secret: Bool = false, variables: [DropInVariable] = [], _ help: String
    ) -> SettingSpec {
        Setting(
            name, placeholder, form, default: defaultText, list: list, secret: secret,
            .later(harmless: ["off", "false"]), variables: variables, help: help
        ).spec
    }
}
