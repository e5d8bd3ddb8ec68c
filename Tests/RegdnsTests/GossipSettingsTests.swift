import Foundation
import Memberlist
import RegdnsTestKit
import Replication
import Testing

@testable import regdns

@Suite("Settings of the cluster")
struct GossipSettingsTests {
    static let key = "HfE3cCvQSkCxyvJ/0d0z3JtNHqKAqdYTLsOLJzf3m1s="
    static let other = "cg8StVXbQJ0gPvMd9o7yrg=="

    private func settings(
        _ flags: [String: [String]], environment: [String: String] = [:]
    ) throws -> ServeSettings {
        try ServeSettings(try SettingValues(flags: flags, environment: environment), hostName: "host")
    }

    private func choice(_ flags: [String: [String]], environment: [String: String] = [:]) throws -> GossipChoice {
        let all = flags.merging(["gossip": ["127.0.0.1:7946"]]) { own, _ in own }
        return try #require(try settings(all, environment: environment).gossip)
    }

    private func failure(_ flags: [String: [String]], environment: [String: String] = [:]) -> String? {
        do {
            _ = try settings(flags, environment: environment)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test("Without gossip there is none; with it the defaults are memberlist's")
    func defaults() throws {
        #expect(try settings([:]).gossip == nil)
        #expect(try settings(["gossip": ["off"]]).gossip == nil)
        let choice = try choice([:])
        #expect("\(choice.bind)" == "127.0.0.1:7946")
        #expect(choice.advertise == nil && choice.timing == .lan && choice.dialect == .plain && choice.keys.isEmpty)
        #expect(choice.seeds.isEmpty && choice.names.isEmpty && choice.directory == nil && choice.minPeers == 0)
        #expect(!choice.allowsSkew && !choice.preservation)
    }

    @Test("Every setting of the cluster arrives")
    func all() async throws {
        let choice = try choice([
            "gossip": ["[::1]:7000"], "advertise": ["10.0.0.1:0"], "join": ["n1.example,10.0.0.2:7001", "[fd00::1]:9"],
            "join-dns": ["regdns.example:7002"], "join-dir": ["/nonexistent/members"], "gossip-profile": ["fast"],
            "gossip-dialect": ["serf"], "gossip-key": ["\(Self.key),\(Self.other)"], "min-peers": ["2"],
            "allow-skew": ["true"], "preservation": ["on"], "gossip-epoch": ["3"],
        ])
        #expect("\(choice.bind)" == "[0:0:0:0:0:0:0:1]:7000")
        #expect(choice.advertise.map { "\($0)" } == "10.0.0.1:0")
        #expect(
            choice.seeds == [
                .host("n1.example", port: 7_946), try Seed("10.0.0.2:7001"), try Seed("[fd00::1]:9"),
            ])
        #expect(choice.names == [.host("regdns.example", port: 7_002)])
        #expect(choice.directory == "/nonexistent/members")
        #expect(choice.timing == .fast && choice.dialect == .serf && choice.minPeers == 2)
        #expect(choice.allowsSkew && choice.preservation)
        let chain = try await choice.keys.chain()
        #expect(chain.sources == [.key(try GossipKey(base64: Self.key)), .key(try GossipKey(base64: Self.other))])
        #expect(chain.epoch == 3)
    }

    @Test("Keys of flags come before those of a file, in serf's form or one a line, and before the passphrase's")
    func keyOrder() async throws {
        let folder = try TemporaryFolder()
        let passphrase = try folder.write("passphrase", "correct horse\nbattery\n")
        let (key, other) = (try GossipKey(base64: Self.key), try GossipKey(base64: Self.other))
        for text in ["[\"\(Self.other)\"]", "# ours\n\(Self.other)  # first\n"] {
            let file = try folder.write("keys", text)
            let chain = try await choice(["gossip-key": [Self.key], "gossip-key-file": [file]]).keys.chain()
            #expect(chain.sources == [.key(key), .key(other)])
        }
        // Deriving takes seconds in a debug build.
        let chain = try await choice(["gossip-key": [Self.key], "passphrase-file": [passphrase]]).keys.chain()
        let derived = try PassphraseKey(passphrase: Array("correct horse".utf8), cluster: "regdns")
        #expect(chain.sources == [.key(key), .passphrase(derived)])
        let empty = try folder.write("empty", "\nsecond line\n")
        #expect(
            failure(["gossip": ["127.0.0.1:1"], "passphrase-file": [empty]])?.hasPrefix(
                "regdns: --passphrase-file \(empty): its first line is empty") == true)
    }

    @Test("P2P_PSK is the passphrase, below REGDNS_PASSPHRASE_FILE and flags; the cluster's name goes into the key")
    func passphraseVariable() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("passphrase", "of the file")
        for (flags, environment, expected, cluster) in [
            ([:], [:], "of the variable", "regdns"),
            (["cluster-name": ["east"]], [:], "of the variable", "east"),
            (["passphrase-file": [file]], [:], "of the file", "regdns"),
            ([:], ["REGDNS_PASSPHRASE_FILE": file], "of the file", "regdns"),
        ] as [([String: [String]], [String: String], String, String)] {
            let environment = environment.merging(["P2P_PSK": "of the variable"]) { own, _ in own }
            let keys = try choice(flags, environment: environment).keys
            #expect(keys.passphrase == expected && keys.clusterName == cluster)
        }
    }

    @Test(
        "What cannot be is refused by name",
        arguments: [
            (["join": ["10.0.0.1"]], "--join: there is no cluster without --gossip; add --gossip"),
            (["gossip": ["off"], "gossip-key": [key]], "--gossip-key: there is no cluster without --gossip"),
            (["allow-skew": ["true"]], "--allow-skew: there is no cluster without --gossip"),
            (["gossip": ["10.0.0.1"]], "--gossip: '10.0.0.1' is not an address to listen on; write IP:PORT"),
            (
                ["gossip": ["127.0.0.1:1"], "store": ["etcd"], "store-address": ["h"]],
                "--gossip 127.0.0.1:1: the store is etcd, which the nodes share already; leave one"
            ),
            (
                ["gossip": ["192.0.2.1:1"]],
                "--gossip 192.0.2.1:1: without a key it is open to everybody who reaches the public address "
                    + "192.0.2.1:1; add --gossip-key or --passphrase-file"
            ),
            (
                ["gossip": ["127.0.0.1:1"], "advertise": ["192.0.2.1:1"]],
                "--gossip 127.0.0.1:1: without a key it is open to everybody who reaches the public address"
            ),
            (
                ["gossip": ["127.0.0.1:1"], "advertise": ["0.0.0.0:1"]],
                "--advertise 0.0.0.0:1: nobody can reach that address"
            ),
            (["gossip": ["127.0.0.1:1"], "join": ["a b"]], "--join: 'a b' is not a member's address; write HOST:PORT"),
            (["gossip": ["127.0.0.1:1"], "join": ["h:0"]], "--join: 'h:0' is not a member's address"),
            (["gossip": ["127.0.0.1:1"], "join-dns": ["h:99999"]], "--join-dns: 'h:99999' is not a member's address"),
            (["gossip": ["127.0.0.1:1"], "join-dir": ["/etc/hostname"]], "--join-dir /etc/hostname: is no folder"),
            (
                ["gossip": ["127.0.0.1:1"], "gossip-key": ["\(key),c2hvcnQ="]],
                "--gossip-key: gossip key 2 has 5 octets, expected 16, 24 or 32 in base64; 'regdns keygen gossip'"
            ),
            (["gossip": ["127.0.0.1:1"], "gossip-key": ["%%"]], "--gossip-key: gossip key 1 is not base64"),
            (
                ["gossip": ["127.0.0.1:1"], "gossip-key-file": ["/nonexistent"]],
                "--gossip-key-file /nonexistent: does not exist"
            ),
            (
                ["gossip": ["127.0.0.1:1"], "gossip-key-file": ["/etc/hostname"]],
                "--gossip-key-file /etc/hostname: "
            ),
            (
                ["gossip": ["127.0.0.1:1"], "passphrase-file": ["/nonexistent"]],
                "--passphrase-file /nonexistent: does not exist; name a file whose first line"
            ),
            (
                ["gossip": ["127.0.0.1:1"], "passphrase-file": ["$P2P_PSK"]],
                "--passphrase-file $P2P_PSK: there is no such variable"
            ),
            (["gossip": ["127.0.0.1:1"], "gossip-profile": ["slow"]], "--gossip-profile: 'slow' is not one of"),
            (["gossip": ["127.0.0.1:1"], "min-peers": ["-1"]], "--min-peers: '-1' is not a whole number"),
            (["gossip": ["127.0.0.1:1"], "cluster-name": [""]], "--cluster-name: '' is not a name"),
        ] as [([String: [String]], String)])
    func errors(flags: [String: [String]], expected: String) {
        let failure = failure(flags)
        #expect(failure?.hasPrefix("regdns: " + expected) == true, "\(failure ?? "no failure")")
        #expect(failure?.contains(Self.key) == false && failure?.contains("; ") == true)
    }

    @Test("A public address is served with a key, or when it is asked for")
    func exposure() {
        for more in [["gossip-key": [Self.key]], ["insecure": ["true"]]] {
            #expect(failure(["gossip": ["192.0.2.1:1"]].merging(more) { own, _ in own }) == nil)
        }
    }

    @Test("Variables of other programs are no mistake on a node without a cluster, and are told of")
    func foreignVariables() throws {
        let settings = try settings([:], environment: ["P2P_PSK": "secret", "A8_CLUSTER_DIR": "/tmp/sd-cluster"])
        #expect(
            settings.warnings.sorted() == [
                "A8_CLUSTER_DIR has no effect: there is no cluster without --gossip",
                "P2P_PSK has no effect: there is no cluster without --gossip",
            ])
        let own = failure([:], environment: ["REGDNS_JOIN": "10.0.0.1"])
        #expect(own?.hasPrefix("regdns: REGDNS_JOIN: there is no cluster without --gossip") == true)
        let choice = try choice([:], environment: ["A8_CLUSTER_DIR": "/nonexistent/sd-cluster"])
        #expect(choice.directory == "/nonexistent/sd-cluster")
    }

    @Test("check-config shows fingerprints in place of keys")
    func checkConfig() async throws {
        let fingerprint = try GossipKey(base64: Self.key).fingerprint
        let ended = try await RegdnsProcess.run(
            ["check-config", "--gossip", "127.0.0.1:7946", "--gossip-key", Self.key, "--output", "table"],
            environment: ["P2P_PSK": "open sesame"])
        #expect(ended.status == 0, "\(ended.errors)")
        #expect(ended.output.contains("(hidden) (fingerprint \(fingerprint))"), "\(ended.output)")
        #expect(!ended.output.contains(Self.key) && !ended.output.contains("sesame"))
        let derived = try PassphraseKey(passphrase: Array("open sesame".utf8), cluster: "regdns").key(epoch: 0)
        #expect(ended.output.contains("$P2P_PSK (fingerprint \(derived.fingerprint))"), "\(ended.output)")
        #expect(ended.output.contains("environment P2P_PSK"))
    }

    @Test("Fingerprints are fixed, and differ between keys")
    func fingerprints() throws {
        #expect(try GossipKey(base64: Self.key).fingerprint.count == 16)
        #expect(try GossipKey(base64: Self.key).fingerprint != GossipKey(base64: Self.other).fingerprint)
    }

    @Test("keygen gossip makes a key that --gossip-key takes, and another one each time")
    func keygenGossip() async throws {
        let keys = [
            try await RegdnsProcess.run(["keygen", "gossip"]).output.trimmingCharacters(in: .newlines),
            try await RegdnsProcess.run(["keygen", "gossip"]).output.trimmingCharacters(in: .newlines),
        ]
        #expect(keys[0] != keys[1])
        for key in keys { #expect(try GossipKey(base64: key).octets.count == 32) }
    }

    @Test("keygen token makes letters that need no escapes")
    func keygenToken() async throws {
        let token = try await RegdnsProcess.run(["keygen", "token"]).output
        #expect(token.wholeMatch(of: #/[A-Za-z0-9_-]{43}\n/#) != nil, "\(token)")
    }

    @Test("Metadata come back as they were written, and others' are told apart")
    func tags() throws {
        var tags = GossipTags(origin: 0xabc, version: "0.1.0", adminPort: 8_080, isReady: true)
        tags.take(KeyChain(keys: [try GossipKey(base64: Self.key)]))
        let meta = tags.meta
        #expect(meta.first == 0xff && meta.count < 128)
        let read = try #require(MemberTags.decode(meta))
        #expect(read["role"] == "regdns" && read["rd"] == "1-1" && read["o"] == "abc" && read["a"] == "8080")
        #expect(read["v"] == "0.1.0" && read["r"] == "1" && read["e"] == nil && read["k"]?.count == 8)
        var many = tags
        many.keys = (0..<KeyRing.maxKeys).map { "\(10_000_000 + $0)" }
        #expect(many.meta.count <= CoreSettings.maxMetaOctets)
        for broken in [[], [0xff], [0xff, 0x81], [0xff, 0x81, 0xa1, 0x61, 0x01], Array("text".utf8), meta + [0]] {
            #expect(MemberTags.decode(broken as [UInt8]) == nil)
        }
    }

    @Test(
        "Keys are written in the form that their file has, and comments stay",
        arguments: [
            ("K1\n", "K2\nK1\n"), ("K1", "K2\nK1\n"),
            ("# all\n\n  K1   # first\n# end\r\n", "# all\n# end\nK2\n  K1   # first\n"),
            (#"["K1"]"#, "[\n  \"K2\",\n  \"K1\"\n]\n"), (" \n[ \"K3\",\n\"K1\" ]", "[\n  \"K2\",\n  \"K1\"\n]\n"),
        ])
    func keyText(old: String, new: String) throws {
        func filled(_ text: String) -> String {
            text.replacing("K1", with: Self.key).replacing("K2", with: Self.other).replacing(
                "K3", with: "AAAAAAAAAAAAAAAAAAAAAA==")
        }
        let keys = try [Self.other, Self.key].map { try GossipKey(base64: $0) }
        let text = GossipKeyText.write(keys, in: filled(old))
        #expect(text == filled(new))
        #expect(try GossipKey.list(file: Data(text.utf8)) == keys)
    }

    @Test("A key file is replaced behind its link, with its permissions; one of other keys than known is left alone")
    func keyFile() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("real", Self.key)
        try FileManager.default.setAttributes([.posixPermissions: 0o440], ofItemAtPath: path)
        let link = folder.path + "/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
        let file = GossipKeyFile(place: "--gossip-key-file \(link)", path: link)
        let keys = try [Self.other, Self.key].map { try GossipKey(base64: $0) }
        try file.write(keys, known: [keys[1]])
        #expect(try file.read().keys == keys)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == path)
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o440)
        #expect(throws: UserError.self) { try file.write([keys[0]], known: [keys[1]]) }
        // As many nodes with one file do: it is there already.
        try file.write(keys, known: [keys[1]])
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["link", "real"])
    }

    @Test("A mark is the name's where that is free, else any that is; when all are taken it is shared")
    func mark() {
        var random = SeededRandom(seed: 1)
        #expect(GossipMark.preferred(of: "n1") == GossipMark.preferred(of: "n1"))
        #expect(Set((0..<5_000).map { GossipMark.preferred(of: "n\($0)") }) == Set(GossipMark.all))
        #expect(GossipMark.free(7, besides: [6, 8], random: &random) == 7)
        var seen: Set<UInt8> = []
        for _ in 0..<200 { seen.insert(GossipMark.free(7, besides: [7, 8], random: &random)) }
        #expect(seen.isDisjoint(with: [7, 8, 0]) && seen.count > 50)
        #expect(GossipMark.free(7, besides: Set(GossipMark.all).subtracting([9]), random: &random) == 9)
        #expect(GossipMark.free(7, besides: Set(GossipMark.all), random: &random) == 7)
    }
}
