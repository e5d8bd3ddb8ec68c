// The settings of the listeners, the answers, and forwarding: the first part of the table.

enum ListenerSettings: SettingSection {
    static let title = "Listeners"

    static let dns = Setting(
        "dns", "IP:PORT", .listen, default: "127.0.0.1:5354", list: true,
        variables: [DropInVariable("SKYDNS_ADDR")],
        help: "UDP and TCP DNS. [::]:53 is dual stack, port 0 lets the kernel choose.")
    static let dnsThreads = Setting(
        "dns-threads", "N", .integer(1...1_024), note: "number of cores", help: "Threads that answer UDP.")
    static let dnsTLS = Setting(
        "dns-tls", "IP:PORT", .listen, default: "off", list: true, .later(harmless: []),
        help: "DNS over TLS (RFC 7858).")
    static let http = Setting(
        "http", "IP:PORT", .listen, default: "127.0.0.1:8080", list: true,
        variables: [DropInVariable("A8_API_PORT") { "0.0.0.0:" + $0 }],
        help: "Admin API and all HTTP dialects.")
    static let etcd = Setting(
        "etcd", "IP:PORT", .listen, default: "127.0.0.1:2379", list: true, help: "etcd's client API.")
    static let tlsCertificate = Setting(
        "tls-cert", "FILE", .path, .later(harmless: []),
        help: "Certificate chain (PEM) for HTTP, etcd and DNS over TLS.")
    static let tlsKey = Setting("tls-key", "FILE", .path, .later(harmless: []), help: "Its private key (PEM).")
    static let tlsClientCA = Setting(
        "tls-client-ca", "FILE", .path, .later(harmless: []),
        help: "Authorities whose client certificates are asked for.")
    static let requireHTTPS = Setting(
        "require-https", "BOOL", .boolean, default: "false", .later(harmless: []),
        variables: [DropInVariable("A8_REQUIRE_HTTPS")], help: "Redirect API requests to https.")
    static let trustedProxies = Setting(
        "trusted-proxies", "CIDR", .network, list: true, .later(harmless: []),
        help: "Proxies whose forwarding headers are believed.")

    static let settings = [
        dns.spec, dnsThreads.spec, dnsTLS.spec, http.spec, etcd.spec, tlsCertificate.spec, tlsKey.spec,
        tlsClientCA.spec, requireHTTPS.spec, trustedProxies.spec,
    ]
}

enum AnswerSettings: SettingSection {
    static let title = "Answers"

    static let domain = Setting(
        "domain", "NAME", .text, default: "skydns.local", variables: [DropInVariable("SKYDNS_DOMAIN")],
        help: "The domain that registrations live in.")
    static let zones = Setting(
        "zones", "DIR", .path, help: "Zone files *.zone (RFC 1035 master format), read again on change and SIGHUP.")
    static let ttl = Setting(
        "ttl", "SECONDS", .seconds, default: "3600",
        help: "How long an answer may be cached, when nothing shorter is known.")
    static let minTTL = Setting(
        "min-ttl", "SECONDS", .seconds, default: "60", help: "How long a negative answer may be cached.")
    static let priority = Setting(
        "priority", "N", .integer(0...65_535), default: "10",
        help: "SRV priority and MX preference of values without one.")
    static let hostmaster = Setting(
        "hostmaster", "MAIL", .text, note: "hostmaster.<domain>", help: "Mail address in the SOA record.")
    static let local = Setting("local", "NAME", .text, help: "The name that local.dns.<domain> is answered with.")
    static let ndots = Setting(
        "ndots", "N", .integer(0...127), default: "2",
        variables: [DropInVariable("SKYDNS_NDOTS") { Int($0).map { $0 > 0 } ?? true ? $0 : nil }],
        help: "Names with fewer labels are never forwarded.")
    static let pathPrefix = Setting(
        "path-prefix", "WORD", .text, default: "skydns", variables: [DropInVariable("SKYDNS_PATH_PREFIX")],
        help: "First part of the keys of services.")
    static let roundRobin = Setting(
        "round-robin", "BOOL", .boolean, default: "true", help: "Rotate the records of an answer.")
    static let stubZones = Setting(
        "stubzones", "BOOL", .boolean, default: "false",
        help: "Forward the zones that are stored under stub.dns.<domain>.")
    static let rateLimit = Setting(
        "rate-limit", "N", .integer(0...1_000_000), default: "0", .later(harmless: []),
        help: "Responses per second and client prefix; 0 is off.")
    static let dnssecKey = Setting(
        "dnssec-key", "BASENAME", .path, list: true,
        .withoutEffect(warning: "answers are not signed in this version"),
        help: "Key pair as dnssec-keygen writes it (without effect yet: answers are not signed).")
    static let dnssecDenial = Setting(
        "dnssec-denial", "compact|nsec3", .choice("compact", "nsec3"), default: "compact",
        .withoutEffect(warning: "answers are not signed in this version"),
        help: "How absent names are proven (without effect yet).")
    static let consulDomain = Setting(
        "consul-domain", "NAME", .text, note: "off", .later(harmless: ["off"]),
        help: "Also answer Consul's names there.")
    static let consulDatacenter = Setting(
        "consul-datacenter", "NAME", .text, default: "dc1", .later(harmless: []),
        help: "The datacenter in Consul's names.")

    static let settings = [
        domain.spec, zones.spec, ttl.spec, minTTL.spec, priority.spec, hostmaster.spec, local.spec, ndots.spec,
        pathPrefix.spec, roundRobin.spec, stubZones.spec, rateLimit.spec, dnssecKey.spec, dnssecDenial.spec,
        consulDomain.spec, consulDatacenter.spec,
    ]
}

enum ForwardSettings: SettingSection {
    static let title = "Forwarding"

    static let forward = Setting(
        "forward", "IP:PORT", .forward, note: "/etc/resolv.conf", list: true,
        variables: [DropInVariable("SKYDNS_NAMESERVERS")],
        help: "Servers for all other names; off answers REFUSED.")
    static let policy = Setting(
        "forward-policy", "random|rotate|sequential", .choice("random", "rotate", "sequential"), default: "random",
        help: "Which server is asked first.")
    static let allowRecursion = Setting(
        "allow-recursion", "CIDR", .network, note: "loopback and private networks", list: true,
        help: "Who may have names forwarded; others get REFUSED.")
    static let cacheSize = Setting(
        "cache-size", "N", .integer(0...10_000_000), default: "10000", help: "Forwarded answers kept; 0 keeps none.")
    static let cacheMinTTL = Setting(
        "cache-min-ttl", "DURATION", .duration, default: "0s", help: "Shortest time that a forwarded answer is kept.")
    static let cacheMaxTTL = Setting(
        "cache-max-ttl", "DURATION", .duration, default: "1h", help: "Longest time that a forwarded answer is kept.")
    static let serveStale = Setting(
        "serve-stale", "DURATION", .duration, default: "1h",
        help: "How long an expired answer still serves when no server answers (RFC 8767).")

    static let settings = [
        forward.spec, policy.spec, allowRecursion.spec, cacheSize.spec, cacheMinTTL.spec, cacheMaxTTL.spec,
        serveStale.spec,
    ]
}

/// One value of `--forward`.
enum ForwardTarget: Hashable, Sendable {
    case off
    /// A file in resolv.conf's format.
    case file(String)
    case server(SocketEndpoint)
}

extension ValueForm where Value == ForwardTarget {
    static let forward = ValueForm(
        noun: "a DNS server", example: "IP:PORT like 9.9.9.9:53, a file like /etc/resolv.conf, or off"
    ) { text in
        if text == "off" { return .off }
        if text.hasPrefix("/") { return .file(text) }
        guard let server = SocketEndpoint.parse(text, defaultPort: 53), server.port != 0 else { return nil }
        return .server(server)
    }
}
