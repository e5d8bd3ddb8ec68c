// The settings of the cluster and of the catalogs, which later versions bring: the last part of the table.

enum ClusterSettings: SettingSection {
    static let title = "Cluster (not in this version)"

    static let settings: [SettingSpec] = [
        later("gossip", "IP:PORT", .listen, default: "off", "Gossip, UDP and TCP."),
        later("advertise", "IP:PORT", .endpoint, "Gossip address told to others."),
        later("join", "HOST:PORT", .text, list: true, "Members to join."),
        later("join-dns", "NAME", .text, "Name whose addresses are members."),
        later(
            "join-dir", "DIR", .path, variables: [DropInVariable("A8_CLUSTER_DIR")],
            "Folder of member files, as in Amalgam8."),
        later("gossip-key", "BASE64", .text, list: true, secret: true, "Keys of the gossip; the first one encrypts."),
        later("gossip-key-file", "FILE", .path, "File of such keys."),
        later("passphrase-file", "FILE", .path, "Passphrase that the key is made from."),
        later(
            "gossip-profile", "lan|wan|local|fast", .choice("lan", "wan", "local", "fast"), default: "lan",
            "How fast failures are noticed."),
        later(
            "gossip-dialect", "plain|serf", .choice("plain", "serf"), default: "plain", "Whose messages are spoken."),
    ]
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
