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
