import Foundation
import NIOHTTP1
import RegdnsTestKit
import RegistryStore
import Testing

@testable import regdns

@Suite("Keys of a cluster of real processes", .serialized)
struct ClusterKeyTests {
    private static let old = "HfE3cCvQSkCxyvJ/0d0z3JtNHqKAqdYTLsOLJzf3m1s="
    private static let new = "Ql0+ByJbJTPwOSXfMjCtgEYqV1x0s1lY9Zgk2mSxyhM="
    private static let third = "cg8StVXbQJ0gPvMd9o7yrg=="

    private func fingerprints(_ node: ClusterNode) async throws -> [String] {
        let keys = try await node.json(.GET, "keys").member("keys")?.arrayValue ?? []
        return keys.compactMap { $0.member("fingerprint")?.stringValue }
    }

    @Test("Another key is kept out, and the log of numbers shows it")
    func wrongKey() async throws {
        let first = try await ClusterNode("n1", ["--gossip-key", Self.old])
        let stranger = try await ClusterNode("n2", join: [first], ["--gossip-key", Self.new])
        let plain = try await ClusterNode("n3", join: [first])
        _ = try await eventually("refused strangers are counted") { () -> Bool? in
            let metrics = try await first.metrics()
            return metrics.contains(#/decrypt_failures_total\{kind="stream"\} [1-9]/#) ? true : nil
        }
        let status = try await eventually("a degradation") { () -> String? in
            let status = try await first.status()
            return status.contains("no key of this node opens") ? status : nil
        }
        #expect(status.contains(#/gossip_encryption +on/#), "\(status)")
        for node in [first, stranger, plain] { try await node.sees([(node.name, "alive")], within: .seconds(1)) }
        let body = #"{"addresses":["\#(first.gossip)"]}"#
        #expect(try await stranger.ask(.POST, "join", body).status == 502)
    }

    @Test("A key is changed over HTTP on three nodes, step by step, and no step overtakes")
    func rotation() async throws {
        let nodes = try await ClusterNode.cluster(3, ["--gossip-key", Self.old])
        let body = #"{"key":"\#(Self.new)"}"#
        let before = try await fingerprints(nodes[0])
        #expect(before.count == 1)
        #expect(try await nodes[0].ask(.POST, "keys/install", body).status == 200)
        let hasty = try await nodes[0].ask(.POST, "keys/use", body)
        #expect(hasty.status == 409)
        let reason = hasty.headers.first(name: "Error-Detail") ?? ""
        #expect(reason.contains("has not installed the key"), "\(reason)")
        for node in nodes.dropFirst() { #expect(try await node.ask(.POST, "keys/install", body).status == 200) }
        try await nodes[0].insist("keys/use", body)
        #expect(try await nodes[0].ask(.POST, "keys/remove", body).status == 409)
        let tooEarly = try await nodes[0].ask(.POST, "keys/remove", #"{"key":"\#(Self.old)"}"#)
        #expect(tooEarly.headers.first(name: "Error-Detail")?.contains("encrypts with the key") == true)
        for node in nodes.dropFirst() { try await node.insist("keys/use", body) }
        for node in nodes { try await node.insist("keys/remove", #"{"key":"\#(Self.old)"}"#) }
        for node in nodes {
            let after = try await fingerprints(node)
            #expect(after.count == 1 && after != before)
        }
        // Whoever has the new key comes in, and they still hear each other.
        let fourth = try await ClusterNode("n4", join: [nodes[1]], ["--gossip-key", Self.new])
        for node in nodes + [fourth] { try await node.sees((1...4).map { ("n\($0)", "alive") }) }
    }

    @Test("SIGHUP reads the key file again, where it changed; a broken one changes nothing")
    func reload() async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("keys", Self.old)
        let node = try await ClusterNode("n1", ["--gossip-key-file", file])
        let before = try await fingerprints(node)
        _ = try folder.write("keys", "\(Self.new)\n\(Self.old)\n")
        node.server.process.signal(SIGHUP)
        let both = try await eventually("two keys") { () -> [String]? in
            let keys = try await fingerprints(node)
            return keys.count == 2 && keys.last == before.first ? keys : nil
        }
        _ = try folder.write("keys", "no key\n")
        node.server.process.signal(SIGHUP)
        _ = try await node.server.process.error(containing: "gossip key 1 ")
        #expect(try await fingerprints(node) == both)
        _ = try folder.write("keys", Self.new)
        node.server.process.signal(SIGHUP)
        _ = try await eventually("the new key alone") { () -> Bool? in
            try await fingerprints(node) == Array(both.prefix(1)) ? true : nil
        }
    }

    @Test("What is changed over HTTP is in the key file: a restart has it, and SIGHUP finds nothing new")
    func keptInFile() async throws {
        let folder = try TemporaryFolder()
        let files = try ["n1", "n2"].map { try folder.write($0, "# ours\n\(Self.old)\n") }
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: files[1])
        let first = try await ClusterNode("n1", ["--gossip-key-file", files[0]])
        let second = try await ClusterNode("n2", join: [first], ["--gossip-key-file", files[1]])
        let nodes = [first, second]
        for node in nodes { try await node.sees([("n1", "alive"), ("n2", "alive")]) }
        let (new, old) = (#"{"key":"\#(Self.new)"}"#, #"{"key":"\#(Self.old)"}"#)
        for (step, body, text) in [
            ("install", new, "# ours\n\(Self.old)\n\(Self.new)\n"), ("use", new, "# ours\n\(Self.new)\n\(Self.old)\n"),
            ("remove", old, "# ours\n\(Self.new)\n"),
        ] {
            for (node, file) in zip(nodes, files) {
                try await node.insist("keys/\(step)", body)
                #expect(try String(contentsOfFile: file, encoding: .utf8) == text)
                #expect(try await node.json(.GET, "keys").member("kept")?.boolValue == true)
            }
        }
        let permissions = try FileManager.default.attributesOfItem(atPath: files[1])[.posixPermissions]
        #expect(permissions as? Int == 0o640)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["n1", "n2"])
        let keys = try await fingerprints(second)
        // The last one cannot go, wherever that is asked.
        #expect(try await first.ask(.POST, "keys/remove", new).status == 409)

        second.server.process.signal(SIGTERM)
        #expect(try await second.server.process.end().status == 0)
        let again = try await ClusterNode("n2", join: [first], ["--gossip-key-file", files[1]])
        #expect(try await fingerprints(again) == keys)
        for node in [first, again] { try await node.sees([("n1", "alive"), ("n2", "alive")]) }

        // Somebody edits the file, and it is not read yet: nothing is written over it.
        let edited = "\(Self.new)\n\(Self.old)\n"
        _ = try folder.write("n2", edited)
        let refused = try await again.ask(.POST, "keys/install", #"{"key":"\#(Self.third)"}"#)
        #expect(refused.status == 409)
        #expect(refused.headers.first(name: "Error-Detail")?.contains("somebody has changed it") == true)
        #expect(try String(contentsOfFile: files[1], encoding: .utf8) == edited)
        again.server.process.signal(SIGHUP)
        _ = try await eventually("both keys") { try await fingerprints(again).count == 2 ? true : nil }
        #expect(try await again.ask(.POST, "keys/install", #"{"key":"\#(Self.third)"}"#).status == 200)
        #expect(try String(contentsOfFile: files[1], encoding: .utf8) == edited + Self.third + "\n")
    }

    @Test("A key file that cannot be written: the change is refused, and nothing has changed")
    func unwritableFile() async throws {
        let folder = try TemporaryFolder()
        // The file written beside it would have too long a name, whoever asks for it.
        let file = try folder.write(String(repeating: "k", count: 254), Self.old + "\n")
        let node = try await ClusterNode("n1", ["--gossip-key-file", file])
        let before = try await fingerprints(node)
        let refused = try await node.ask(.POST, "keys/install", #"{"key":"\#(Self.new)"}"#)
        #expect(refused.status == 409)
        let reason = refused.headers.first(name: "Error-Detail") ?? ""
        // So long a name leaves no room for more.
        #expect(reason.hasPrefix("--gossip-key-file \(file.prefix(100))"), "\(reason)")
        #expect(!reason.contains(Self.new) && !reason.contains(Self.old))
        #expect(try await fingerprints(node) == before)
        #expect(try String(contentsOfFile: file, encoding: .utf8) == Self.old + "\n")
    }

    @Test("Keys of a flag or a variable are forgotten by a restart, and the answer says so")
    func forgotten() async throws {
        let flag = try await ClusterNode("n1", ["--gossip-key", Self.old])
        let variable = try await ClusterNode("n2", environment: ["REGDNS_GOSSIP_KEY": Self.old])
        for (node, place) in [(flag, "--gossip-key"), (variable, "REGDNS_GOSSIP_KEY")] {
            #expect(try await node.json(.GET, "keys").member("kept")?.boolValue == true)
            let answer = try await node.json(.POST, "keys/install", #"{"key":"\#(Self.new)"}"#)
            #expect(answer.member("kept")?.boolValue == false)
            let warning = answer.member("warning")?.stringValue ?? ""
            #expect(warning.hasPrefix("a restart begins with the keys of \(place) again"), "\(warning)")
            try await node.insist("keys/remove", #"{"key":"\#(Self.new)"}"#)
            #expect(try await node.json(.GET, "keys").member("warning") == nil)
        }
    }

    @Test("Keys that are none are refused and never repeated")
    func badKeys() async throws {
        let node = try await ClusterNode("n1", ["--gossip-key", Self.old])
        for body in [#"{"key":"c2hvcnQ="}"#, #"{"key":"%%"}"#, #"{"key":7}"#, "{}"] {
            let refused = try await node.ask(.POST, "keys/install", body)
            #expect(refused.status == 400)
            let detail = refused.headers.first(name: "Error-Detail")
            #expect(detail == "key: expected 16, 24 or 32 octets in base64")
        }
        #expect(try await node.ask(.POST, "keys/remove", #"{"key":"\#(Self.new)"}"#).status == 409)
        #expect(try await node.ask(.POST, "keys/rotate").status == 409)
        let open = try await ClusterNode("n2")
        #expect(try await open.ask(.POST, "keys/install", #"{"key":"\#(Self.new)"}"#).status == 409)
        #expect(try await open.json(.GET, "keys").member("encrypted")?.boolValue == false)
    }

    @Test("A passphrase by file or by P2P_PSK is one key; its epoch is raised at one node, and a restart keeps it")
    func passphrase() async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("passphrase", "a whole sentence\n")
        let data = folder.path + "/data"
        let first = try await ClusterNode("n1", ["--passphrase-file", file])
        let variable = ["P2P_PSK": "a whole sentence"]
        let second = try await ClusterNode("n2", join: [first], ["--data-dir", data], environment: variable)
        let other = try await ClusterNode(
            "n3", join: [first], ["--passphrase-file", try folder.write("other", "another one")])
        for node in [first, second] { try await node.sees([("n1", "alive"), ("n2", "alive")]) }
        try await other.sees([("n3", "alive")])
        #expect(try await fingerprints(first) == fingerprints(second))

        let begin = try #require(try await first.json(.GET, "keys").member("epoch")?.int64Value)
        #expect(begin >= Int64(GossipKeys.epoch(atUnix: 1_795_000_000_000)))
        for epoch in begin + 1...begin + 2 {
            _ = try await eventually("epoch \(epoch) at n1") { () -> Bool? in
                try await first.ask(.POST, "keys/rotate").status == 200 ? true : nil
            }
            _ = try await eventually("epoch \(epoch) at n2") { () -> Bool? in
                try await second.json(.GET, "keys").member("epoch")?.int64Value == epoch ? true : nil
            }
        }
        second.server.process.signal(SIGTERM)
        #expect(try await second.server.process.end().status == 0)
        let again = try await ClusterNode("n2", join: [first], ["--data-dir", data], environment: variable)
        try await again.sees([("n1", "alive"), ("n2", "alive")])
        #expect(try await again.json(.GET, "keys").member("epoch")?.int64Value == begin + 2)
        let fresh = try await ClusterNode(
            "n5", join: [first], ["--passphrase-file", file, "--gossip-epoch", "\(begin + 2)"])
        try await fresh.sees([("n1", "alive"), ("n2", "alive"), ("n5", "alive")])
    }
}
