// The settings of the registry, of access to it, and of its store: the second part of the table.

enum RegistrySettings: SettingSection {
    static let title = "Registrations"

    static let leaseDefault = Setting(
        "lease-default", "DURATION", .duration, default: "30s", variables: [DropInVariable("A8_DEFAULT_TTL")],
        help: "Lease of a registration over HTTP that asks for none.")
    static let leaseMin = Setting(
        "lease-min", "DURATION", .duration, default: "10s", variables: [DropInVariable("A8_MIN_TTL")],
        help: "Shortest lease over HTTP.")
    static let leaseMax = Setting(
        "lease-max", "DURATION", .duration, default: "10m", variables: [DropInVariable("A8_MAX_TTL")],
        help: "Longest lease over HTTP.")
    static let namespaceCapacity = Setting(
        "namespace-capacity", "N", .integer(-1...Int.max), default: "-1",
        variables: [DropInVariable("A8_NAMESPACE_CAPACITY")],
        help: "Instances that a namespace may hold; -1 sets no bound.")
    static let namespaceDomain = Setting(
        "namespace-domain", "NS=DOMAIN", .text, note: "default=<domain>", list: true, .later(harmless: []),
        help: "The domain in which a namespace is visible.")
    static let namespaceClients = Setting(
        "namespace-clients", "NS=CIDR", .text, list: true, .later(harmless: []), help: "Who may ask for its names.")

    static let settings = [
        leaseDefault.spec, leaseMin.spec, leaseMax.spec, namespaceCapacity.spec, namespaceDomain.spec,
        namespaceClients.spec,
    ]
}

enum AccessSettings: SettingSection {
    static let title = "Access"

    static let auth = Setting(
        "auth", "none|trusted|jwt", .choice("none", "trusted", "jwt"), default: "none", list: true,
        .later(harmless: []), variables: [DropInVariable("A8_AUTH_MODE")],
        help: "How HTTP requests are authenticated.")
    static let jwtSecretFile = Setting(
        "jwt-secret-file", "FILE", .path, .later(harmless: []), help: "Shared secret of tokens (HS256).")
    static let jwtKeyFile = Setting(
        "jwt-key-file", "FILE", .path, .later(harmless: []), help: "Public key of tokens (PEM or JWKS).")
    static let insecure = Setting(
        "insecure", nil, .boolean, default: "false",
        help: "Allow HTTP without authentication beyond loopback, and gossip without a key on public addresses.")

    static let settings = [auth.spec, jwtSecretFile.spec, jwtKeyFile.spec, insecure.spec]
}

enum StoreSettings: SettingSection {
    static let title = "Store"

    static let dataDirectory = Setting(
        "data-dir", "DIR", .path, note: "memory only", help: "Keeps registrations over restarts.")
    static let sync = Setting(
        "sync", "always|interval", .choice("always", "interval"), default: "interval",
        help: "Whether a reply waits for the disk, or the disk is told once a second.")
    static let store = Setting(
        "store", "memory|etcd|redis", .choice("memory", "etcd", "redis"), default: "memory", .later(harmless: ["etcd"]),
        variables: [DropInVariable("A8_STORE") { $0 == "inmem" ? "memory" : $0 }],
        help: "Where the truth lives.")
    static let address = Setting(
        "store-address", "URL", .url, list: true, secret: true,
        variables: [DropInVariable("ETCD_MACHINES"), DropInVariable("A8_STORE_ADDRESS")],
        help: "The external store.")
    static let authority = Setting(
        "store-ca", "FILE", .path, note: "the system's",
        help: "Authorities that its https addresses are trusted by (PEM).")
    static let certificate = Setting("store-cert", "FILE", .path, help: "Client certificate for it (PEM).")
    static let key = Setting("store-key", "FILE", .path, help: "The certificate's key (PEM).")
    static let user = Setting("store-user", "NAME", .text, help: "User name for it.")
    static let passwordFile = Setting(
        "store-password-file", "FILE", .path, help: "File with the password for it.")

    /// Those of a store that is elsewhere.
    static let external = [
        address.spec, authority.spec, certificate.spec, key.spec, user.spec, passwordFile.spec,
    ]
    static let settings = [dataDirectory.spec, sync.spec, store.spec] + external
}

enum OperationSettings: SettingSection {
    static let title = "Operation"

    static let node = Setting("node", "NAME", .text, note: "host name", help: "Name of this node.")
    static let logLevel = Setting(
        "log-level", "LEVEL", .logLevel, default: "info", variables: [DropInVariable("A8_LOG_LEVEL")],
        help: "trace, debug, info, notice, warning, error or critical.")
    static let logFormat = Setting(
        "log-format", "text|json|logstash", .logFormat, default: "text",
        variables: [DropInVariable("A8_LOG_FORMAT")], help: "Form of the log lines on standard error.")
    static let lameDuck = Setting(
        "lame-duck", "DURATION", .duration, default: "0s",
        help: "After SIGTERM: not ready, but answering, for so long.")

    static let settings = [node.spec, logLevel.spec, logFormat.spec, lameDuck.spec]
}
