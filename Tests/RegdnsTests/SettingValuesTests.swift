import EtcdStore
import RegdnsTestKit
import Testing

@testable import regdns

@Suite("Settings from flags, environment, file and defaults")
struct SettingValuesTests {
    private func resolve(
        flags: [String: [String]] = [:], environment: [String: String] = [:], file: String? = nil
    ) throws -> SettingValues {
        let file = try file.map { try SettingsFile(path: "/etc/regdns.yaml", text: $0) }
        return try SettingValues(flags: flags, environment: environment, file: file)
    }

    private func failure(
        flags: [String: [String]] = [:], environment: [String: String] = [:], file: String? = nil
    ) -> String? {
        do {
            _ = try ServeSettings(
                resolve(flags: flags, environment: environment, file: file), hostName: "host")
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test("Every flag that the interface promises is in the table, once")
    func table() {
        let promised = """
            dns dns-threads dns-tls http etcd gossip advertise node join join-dns join-dir gossip-key gossip-key-file
            passphrase-file domain zones data-dir store store-address store-ca store-cert store-key store-user
            store-password-file lease-default lease-min lease-max ttl min-ttl priority hostmaster local ndots
            path-prefix round-robin stubzones forward forward-policy allow-recursion cache-size cache-min-ttl
            cache-max-ttl serve-stale dnssec-key dnssec-denial rate-limit namespace-domain namespace-clients
            namespace-capacity auth jwt-secret-file jwt-key-file tls-cert tls-key tls-client-ca require-https
            catalog-docker catalog-docker-ip catalog-docker-internal catalog-docker-explicit
            catalog-docker-use-ip-from-label catalog-docker-tags catalog-docker-ttl catalog-docker-ttl-refresh
            catalog-docker-resync catalog-docker-cleanup catalog-docker-deregister catalog-docker-hostname
            catalog-docker-host-address catalog-kubernetes catalog-kubernetes-token-file catalog-kubernetes-ca
            catalog-kubernetes-namespace catalog-kubernetes-tags catalog-files catalog-eureka catalog-ssdp
            catalog-ssdp-urns catalog-ssdp-search sync gossip-profile gossip-dialect consul-domain consul-datacenter
            trusted-proxies insecure log-level log-format lame-duck cluster-name min-peers allow-skew preservation
            gossip-epoch
            """.split { $0 == " " || $0 == "\n" }.map(String.init)
        #expect(SettingTable.all.map(\.name).sorted() == promised.sorted())
    }

    @Test("Every default is a text that its own setting accepts")
    func defaults() {
        for spec in SettingTable.all {
            if let text = spec.defaultText { #expect(spec.accepts(text), "\(spec.name)") }
        }
    }

    @Test("Flag beats environment beats replaced program's variable beats file beats default")
    func precedence() throws {
        let file = "lease:\n  min: 5s\n"
        let dropIn = ["A8_MIN_TTL": "4s"]
        let own = ["A8_MIN_TTL": "4s", "REGDNS_LEASE_MIN": "3s"]
        let steps: [(SettingValues, String, SettingOrigin)] = [
            (try resolve(), "10s", .byDefault),
            (try resolve(file: file), "5s", .file(path: "/etc/regdns.yaml", line: 2)),
            (try resolve(environment: dropIn, file: file), "4s", .variable("A8_MIN_TTL")),
            (try resolve(environment: own, file: file), "3s", .variable("REGDNS_LEASE_MIN")),
            (try resolve(flags: ["lease-min": ["1s", "2s"]], environment: own, file: file), "2s", .flag),
        ]
        for (values, text, origin) in steps {
            #expect(values.entry("lease-min")?.text == text)
            #expect(values.entry("lease-min")?.origin == origin)
        }
    }

    @Test("An empty variable counts as absent")
    func emptyVariable() throws {
        #expect(try resolve(environment: ["REGDNS_TTL": ""]).value(AnswerSettings.ttl) == 3_600)
    }

    @Test("Lists come repeated, comma separated, or as a YAML list")
    func lists() throws {
        let expected = ["10.0.0.0/8", "fd00::/8"]
        let ways = [
            try resolve(flags: ["allow-recursion": ["10.0.0.0/8", "fd00::/8"]]),
            try resolve(flags: ["allow-recursion": ["10.0.0.0/8, fd00::/8"]]),
            try resolve(environment: ["REGDNS_ALLOW_RECURSION": "10.0.0.0/8,fd00::/8"]),
            try resolve(file: "allow-recursion: [10.0.0.0/8, \"fd00::/8\"]"),
            try resolve(file: "allow:\n  recursion:\n    - 10.0.0.0/8\n    - fd00::/8\n"),
        ]
        for values in ways { #expect(values.list(ForwardSettings.allowRecursion).map(\.description) == expected) }
    }

    @Test(
        "File keys are flag names, whole or nested at any dash",
        arguments: [
            "cache-min-ttl: 5s", "cache:\n  min-ttl: 5s", "cache:\n  min:\n    ttl: 5s", "cache-min:\n  ttl: 5s",
            "# comment\n---\ncache-min-ttl: '5s'\n",
        ])
    func nesting(text: String) throws {
        #expect(try resolve(file: text).value(ForwardSettings.cacheMinTTL) == .seconds(5))
    }

    @Test("An empty file, and keys without a value, say nothing", arguments: ["", "# nothing\n", "ttl:\n", "ttl: ~\n"])
    func emptyFile(text: String) throws {
        #expect(try resolve(file: text).entry("ttl")?.origin == .byDefault)
    }

    @Test("Variables of the replaced programs")
    func dropIns() throws {
        let values = try resolve(environment: [
            "A8_API_PORT": "9000", "A8_DEFAULT_TTL": "20s", "A8_MAX_TTL": "1m", "A8_LOG_LEVEL": "fatal",
            "A8_LOG_FORMAT": "logstash", "A8_AUTH_MODE": "none", "A8_STORE": "inmem", "A8_NAMESPACE_CAPACITY": "5",
            "A8_REQUIRE_HTTPS": "false", "SKYDNS_ADDR": "127.0.0.1:53", "SKYDNS_DOMAIN": "Cluster.Local.",
            "SKYDNS_NAMESERVERS": "8.8.8.8:53,8.8.4.4:53", "SKYDNS_NDOTS": "0", "SKYDNS_PATH_PREFIX": "dns",
            "REGDNS_INSECURE": "true",
        ])
        let settings = try ServeSettings(values, hostName: "host")
        #expect(settings.http.map(\.description) == ["0.0.0.0:9000"])
        #expect(settings.leaseDefault == .seconds(20))
        #expect(settings.leaseMax == .seconds(60))
        #expect("\(settings.logLevel)" == "critical")
        #expect(settings.logFormat == .logstash)
        #expect(settings.namespaceCapacity == 5)
        #expect(settings.dns.map(\.description) == ["127.0.0.1:53"])
        #expect("\(settings.domain)" == "cluster.local.")
        #expect(settings.pathPrefix == "dns")
        #expect(settings.ndots == 2)
        guard case .servers(let servers) = settings.forward else {
            Issue.record("no servers")
            return
        }
        #expect(servers.map(\.description) == ["8.8.8.8:53", "8.8.4.4:53"])
    }

    @Test(
        "Errors name the place, the value, and what was expected",
        arguments: [
            (["ttl": ["abc"]], "regdns: --ttl: 'abc' is not a number of seconds; write whole seconds like 3600, or 1h"),
            (
                ["dns": ["127.0.0.1"]],
                "regdns: --dns: '127.0.0.1' is not an address to listen on; "
                    + "write IP:PORT like 127.0.0.1:5354 or [::]:53, or off"
            ),
            (
                ["dns": ["off", "127.0.0.1:1"]],
                "regdns: --dns: 'off' stands beside other values; "
                    + "write off alone, or leave it out"
            ),
            (
                ["lease-min": ["20m"]],
                "regdns: --lease-min: 20m is longer than the longest lease, 10m; "
                    + "lower --lease-min or raise --lease-max"
            ),
            (
                ["lease-default": ["0s"]],
                "regdns: --lease-default: a lease of 0s ends at once; write a longer one, like 30s"
            ),
            (
                ["domain": ["a..b"]],
                "regdns: --domain: 'a..b' is not a domain name: empty label at octet 2; write a name like skydns.local"
            ),
            (
                ["http": ["0.0.0.0:80"]],
                "regdns: --http 0.0.0.0:80: others could change registrations there, "
                    + "for --auth is none; listen on 127.0.0.1, or add --insecure to allow it"
            ),
            (
                ["catalog-docker": ["unix:///d"]],
                "regdns: --catalog-docker unix:///d: is not available in this version; leave it out"
            ),
            (["store": ["redis"]], "regdns: --store redis: is not available in this version; leave it out (memory)"),
            (["auth": ["jwt"]], "regdns: --auth jwt: is not available in this version; leave it out (none)"),
            (
                ["store": ["etcd"]],
                "regdns: --store etcd: nobody says where the cluster is; add "
                    + "--store-address http://10.0.0.1:2379,http://10.0.0.2:2379"
            ),
            (
                ["store": ["etcd"], "store-address": ["redis://h:6379"]],
                "regdns: --store-address: one of its values has no scheme that etcd speaks; write "
                    + "--store-address http://10.0.0.1:2379,http://10.0.0.2:2379"
            ),
            (
                ["store": ["etcd"], "store-address": ["http://h:1,http://h:99999"]],
                "regdns: --store-address: one of its values is no address of an etcd member; write "
                    + "--store-address http://10.0.0.1:2379,http://10.0.0.2:2379; the user is --store-user"
            ),
            (
                ["store": ["etcd"], "store-address": ["h"], "store-user": ["root"]],
                "regdns: --store-user root: there is no password for it; add --store-password-file"
            ),
            (
                ["store": ["etcd"], "store-address": ["h"], "store-password-file": ["/nonexistent"]],
                "regdns: --store-password-file: there is no user whose password it is; add --store-user"
            ),
            (
                [
                    "store": ["etcd"], "store-address": ["h"], "store-user": ["root"],
                    "store-password-file": ["/nonexistent"],
                ],
                "regdns: --store-password-file /nonexistent: does not exist; "
                    + "name a file that holds the password alone"
            ),
            (
                ["store": ["etcd"], "store-address": ["https://h"], "store-cert": ["/c.pem"]],
                "regdns: --store-cert /c.pem: its key is not given; add --store-key"
            ),
            (
                ["store": ["etcd"], "store-address": ["https://h"], "store-key": ["/c.key"]],
                "regdns: --store-key /c.key: the certificate that it is the key of is not given; add --store-cert"
            ),
            (
                ["store": ["etcd"], "store-address": ["https://h"], "store-ca": ["/nonexistent"]],
                "regdns: --store-ca /nonexistent: does not exist; name a PEM file that this user may read"
            ),
            (
                ["store": ["etcd"], "store-address": ["https://h"], "store-ca": ["/"]],
                "regdns: --store-ca /: is a folder; name a PEM file that this user may read"
            ),
            (
                ["store": ["etcd"], "store-address": ["https://h"], "store-ca": ["/etc/hostname"]],
                "regdns: --store-ca /etc/hostname: holds no certificate, or a broken one; "
                    + "expected: -----BEGIN CERTIFICATE----- (PEM)"
            ),
            (
                ["store": ["etcd"], "store-address": ["http://h,http://i"], "store-ca": ["/etc/hostname"]],
                "regdns: --store-ca /etc/hostname: no address of the store is https, nothing would be encrypted; "
                    + "write --store-address https://…, or leave it out"
            ),
            (
                ["path-prefix": ["/"]],
                "regdns: --path-prefix: '/' is not the beginning of a path; write a word like skydns"
            ),
            (["node": ["a b"]], "regdns: --node: 'a b' is not a node name; write a word of at most 255 bytes"),
        ])
    func errors(flags: [String: [String]], expected: String) {
        #expect(failure(flags: flags) == expected)
    }

    @Test(
        "Settings of later versions are taken as long as they ask for nothing",
        arguments: [
            ["gossip": ["off"]], ["store": ["memory"]], ["auth": ["none"]], ["require-https": ["no"]],
            ["catalog-docker": ["off"]], ["consul-datacenter": ["dc1"]], ["catalog-docker-internal": ["false"]],
        ])
    func harmless(flags: [String: [String]]) {
        #expect(failure(flags: flags) == nil)
    }

    @Test("DNSSEC keys are taken with a warning")
    func dnssec() throws {
        let values = try resolve(flags: ["dnssec-key": ["/k/Kx"], "dnssec-denial": ["nsec3"]])
        let settings = try ServeSettings(values, hostName: "host")
        #expect(settings.warnings.count == 2)
    }

    @Test("A non-loopback HTTP listener is allowed when asked for")
    func insecure() {
        #expect(failure(flags: ["http": ["0.0.0.0:80"], "insecure": ["true"]]) == nil)
        #expect(failure(flags: ["http": ["off"], "etcd": ["off"]]) == nil)
    }

    @Test(
        "Errors in variables and files name them",
        arguments: [
            ("lese-min: 1s", "/etc/regdns.yaml:1: lese-min: is no setting; did you mean 'lease-min'?"),
            ("lease:\n  mim: 1s", "/etc/regdns.yaml:2: lease.mim: is no setting; did you mean 'lease-min'?"),
            ("leese:\n  min: 1s", "/etc/regdns.yaml:1: leese: is no setting;"),
            ("\nttl: soon", "/etc/regdns.yaml:2: ttl: 'soon' is not a number of seconds"),
            ("ttl: 1\nttl: 2", "/etc/regdns.yaml:"),
            ("lease-min: 1s\nlease:\n  min: 2s", "/etc/regdns.yaml:3: lease.min: is given twice"),
            ("- a", "/etc/regdns.yaml:1: the file is no mapping"),
            ("ttl: [1", "/etc/regdns.yaml:"),
            ("dns: [[a]]", "/etc/regdns.yaml:1: dns: is a list of lists or mappings"),
            ("ttl: {a: 1}", "/etc/regdns.yaml:1: ttl: is no setting"),
        ])
    func fileErrors(text: String, expected: String) throws {
        let message = try #require(failure(file: text))
        #expect(message.hasPrefix("regdns: " + expected), "\(message)")
        #expect(!message.contains("\n"))
    }

    @Test("Errors in the environment name the variable")
    func variableErrors() throws {
        let message = try #require(failure(environment: ["SKYDNS_ADDR": "nowhere"]))
        #expect(message.hasPrefix("regdns: SKYDNS_ADDR: 'nowhere' is not an address to listen on"))
        let etcd = try #require(failure(environment: ["REGDNS_STORE": "etcd", "ETCD_MACHINES": "ftp://10.0.0.1:2379"]))
        #expect(etcd.hasPrefix("regdns: ETCD_MACHINES: one of its values has no scheme that etcd speaks"))
    }

    @Test("The store's addresses, with and without scheme and port; without the store they are only warned of")
    func store() throws {
        let machines = ["ETCD_MACHINES": "http://10.0.0.1:4001,10.0.0.2,[::1]:2380"]
        let settings = try ServeSettings(resolve(flags: ["store": ["etcd"]], environment: machines), hostName: "host")
        guard case .etcd(let cluster) = settings.store else {
            Issue.record("\(settings.store)")
            return
        }
        #expect(cluster.endpoints.map { "\($0)" } == ["10.0.0.1:4001", "10.0.0.2:2379", "[::1]:2380"])
        #expect(!cluster.endpoints.contains(where: \.isSecure) && cluster.tls == nil)
        let memory = try ServeSettings(resolve(environment: machines), hostName: "host")
        #expect(memory.store.name == "memory")
        #expect(memory.warnings == ["ETCD_MACHINES has no effect: the store is memory; --store etcd uses it"])
        let idle = try ServeSettings(resolve(flags: ["store-ca": ["/nonexistent"]]), hostName: "host")
        #expect(idle.warnings == ["--store-ca has no effect: the store is memory; --store etcd uses it"])
    }

    @Test("TLS is chosen for each of the store's addresses; those without a scheme have it when certificates are named")
    func storeTLS() async throws {
        let authority = try await TestAuthority()
        let identity = try await authority.issue("client", names: "DNS:client")
        let addresses = ["http://a,HTTPS://b:1,c"]
        for (files, expected) in [
            ([:], [false, true, false]), (["store-ca": [authority.certificate]], [false, true, true]),
            (["store-cert": [identity.certificate], "store-key": [identity.key]], [false, true, true]),
        ] {
            var flags = ["store": ["etcd"], "store-address": addresses]
            flags.merge(files) { $1 }
            let settings = try ServeSettings(resolve(flags: flags), hostName: "host")
            guard case .etcd(let cluster) = settings.store else {
                Issue.record("\(settings.store)")
                return
            }
            #expect(cluster.endpoints.map(\.isSecure) == expected)
            #expect(cluster.tls != nil)
        }
        let stranger = try await authority.issue("stranger", names: "DNS:stranger")
        let flags = [
            "store": ["etcd"], "store-address": ["https://h"], "store-cert": [identity.certificate],
            "store-key": [stranger.key],
        ]
        #expect(
            failure(flags: flags)
                == "regdns: --store-key \(stranger.key): is not the key of the certificate; "
                + "expected: the key that belongs to it")
    }

    @Test("Unknown variables are told with the nearest known one")
    func unknownVariables() throws {
        let values = try resolve(environment: ["REGDNS_DOMIAN": "x", "REGDNS_SERVER": "http://h"])
        #expect(values.unknownVariables.map(\.name) == ["REGDNS_DOMIAN"])
        #expect(values.unknownVariables.first?.nearest == "REGDNS_DOMAIN")
    }

    @Test("Secrets never show")
    func secrets() throws {
        let spec = try #require(SettingTable.byName["gossip-key"])
        let row = SettingReport.row(spec, entry: .init(text: "c2VjcmV0", origin: .flag), node: "n")
        #expect(row.text == "(hidden)")
        let message = try #require(failure(flags: ["store": ["etcd"], "store-address": ["http://user:hunter2@h"]]))
        #expect(!message.contains("hunter2"))
    }
}
