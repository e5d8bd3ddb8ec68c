import Foundation
import RegdnsTestKit
import Testing

@testable import regdns

@Suite("The command line from outside")
struct CommandLineTests {
    @Test("Help and version end with 0")
    func help() async throws {
        for arguments in [[], ["--help"], ["help"], ["serve", "--help"], ["add", "--help"], ["--version"]] {
            let ended = try await RegdnsProcess.run(arguments)
            #expect(ended.status == 0, "\(arguments)")
            #expect(ended.output.contains("regdns"), "\(arguments)")
            #expect(ended.errors == "", "\(arguments)")
        }
        let help = try await RegdnsProcess.run(["serve", "--help"]).output
        for spec in SettingTable.all { #expect(help.contains("--\(spec.name)"), "\(spec.name)") }
        let verbs = try await RegdnsProcess.run(["--help"]).output
        for verb in [
            "serve", "check-config", "add", "get", "list", "delete", "watch", "lookup", "members", "status", "keygen",
            "export", "import",
        ] {
            #expect(verbs.contains("  \(verb) "), "\(verb)")
        }
    }

    @Test(
        "Wrong usage ends with 2 and one line that names the place",
        arguments: [
            (["serve", "--dnx", "1"], "regdns: command line: Unknown option '--dnx'"),
            (["serve", "--dns", "nowhere"], "regdns: --dns: 'nowhere' is not an address to listen on"),
            (["serve", "--ttl"], "regdns: command line: Missing value"),
            (
                ["serve", "--config", "/nonexistent/regdns.yaml"],
                "regdns: --config /nonexistent/regdns.yaml: does not exist"
            ),
            (
                ["serve", "--join", "127.0.0.1:7946"],
                "regdns: --join: there is no cluster without --gossip; add --gossip IP:PORT"
            ),
            (["serve", "--http", "0.0.0.0:0"], "regdns: --http 0.0.0.0:0: others could change registrations there"),
            (["serve", "--zones", "/nonexistent/zones"], "regdns: --zones /nonexistent/zones: "),
            (["serve", "extra"], "regdns: command line: Unexpected argument 'extra'"),
            (["chek-config"], "regdns: command line: 'chek-config' is no verb; did you mean 'check-config'?"),
            (["keygen"], "regdns: command line: Missing expected argument '<gossip|token|dnssec>'"),
            (["keygen", "dnssec"], "regdns: keygen dnssec: is not available in this version"),
            (["members", "--anything"], "regdns: command line: Unknown option '--anything'"),
            (["export"], "regdns: export: is not available in this version"),
            (["lookup", "a..b"], "regdns: NAME: 'a..b' is not a domain name"),
            (["lookup", "a", "NOTYPE"], "regdns: TYPE: 'NOTYPE' is no record type"),
            (["lookup", "a", "--tls"], "regdns: --tls: is not available in this version"),
            (["add", "web"], "regdns: command line: Missing expected argument '<ENDPOINT>'"),
            (
                ["add", "web", "10.0.0.1", "--lease", "soon"],
                "regdns: --lease: 'soon' is not a duration of whole seconds"
            ),
            (["add", "web", "10.0.0.1", "--metadata", "{"], "regdns: --metadata: '{' is no JSON"),
            (
                ["get", "web", "--server", "https://127.0.0.1"],
                "regdns: --server https://127.0.0.1: https: is not available"
            ),
            (["list", "--output", "xml"], "regdns: command line: "),
            (["list", "--token", "a", "--namespace", "b"], "regdns: --namespace: a token is given too"),
        ])
    func usage(arguments: [String], expected: String) async throws {
        let ended = try await RegdnsProcess.run(arguments)
        #expect(ended.status == 2)
        #expect(ended.output == "")
        #expect(ended.errors.hasPrefix(expected), "\(ended.errors)")
        #expect(ended.errors.split(separator: "\n").count == 1 && ended.errors.contains("; "), "\(ended.errors)")
    }

    @Test("Nobody there ends with 3")
    func unreachable() async throws {
        for arguments in [["list", "--server", "http://127.0.0.1:1"], ["lookup", "a", "--dns", "127.0.0.1:1"]] {
            let ended = try await RegdnsProcess.run(arguments)
            #expect(ended.status == 3, "\(ended.errors)")
            #expect(ended.errors.split(separator: "\n").count == 1)
        }
    }

    @Test("check-config says what would be used and from where")
    func checkConfig() async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("regdns.yaml", "lease:\n  min: 5s\n")
        let ended = try await RegdnsProcess.run(
            ["check-config", "--config", file, "--ttl", "60", "--output", "table"],
            environment: ["REGDNS_MIN_TTL": "7", "REGDNS_DOMIAN": "x"])
        #expect(ended.status == 0)
        let rows = ended.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(rows.contains(["ttl", "60", "flag"]))
        #expect(rows.contains(["min-ttl", "7", "environment", "REGDNS_MIN_TTL"]))
        #expect(rows.contains(["lease-min", "5s", "\(file):2"]))
        #expect(rows.contains(["lease-max", "10m", "default"]))
        #expect(ended.errors.contains("REGDNS_DOMIAN is no variable of regdns; did you mean REGDNS_DOMAIN?"))
    }

    @Test("check-config refuses what serve would refuse")
    func checkConfigRefuses() async throws {
        let folder = try TemporaryFolder()
        _ = try folder.write(
            "broken.zone", "$ORIGIN example.test.\n@ 60 IN SOA ns1 host 1 2 3 4 5\nwww 60 IN A 1.2.3\n")
        for verb in ["check-config", "serve"] {
            let ended = try await RegdnsProcess.run([verb, "--zones", folder.path])
            #expect(ended.status == 2)
            #expect(ended.errors.contains("broken.zone:3"), "\(ended.errors)")
        }
        let broken = try folder.write("ca.pem", "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
        for verb in ["check-config", "serve"] {
            let ended = try await RegdnsProcess.run(
                [verb, "--store", "etcd", "--store-address", "https://127.0.0.1:1", "--store-ca", broken])
            #expect(ended.status == 2)
            #expect(ended.errors.hasPrefix("regdns: --store-ca \(broken): holds no certificate"), "\(ended.errors)")
        }
    }
}

/// A folder that goes with the test.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "regdns-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file and returns its path.
    func write(_ name: String, _ text: String) throws -> String {
        let file = "\(path)/\(name)"
        try Data(text.utf8).write(to: URL(filePath: file))
        return file
    }
}
