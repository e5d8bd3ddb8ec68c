import Foundation
import Memberlist
import RegdnsTestKit
import Replication
import Testing

@Suite("Keys")
struct KeyTests {
    /// Computed by Python: `hashlib.scrypt(b"correct horse", salt=b"regdns/1/" + cluster, n=2**17, r=8, p=1)`
    /// (32 octets), then HKDF of RFC 5869 by `hmac`.
    static let derived: [(cluster: String, keys: [(epoch: UInt32, key: String)])] = [
        (
            "blue",
            [
                (0, "f6cdccbf7ae3700e62bede3b9290c77c20f4cf242f35d37f001e89c7ef20b254"),
                (1, "0f5ee74aa8388bcdd4227b4d87546759bf8531e235e3b84ef2322a78a26058e1"),
                (.max, "a22dc6952f6f4890fb7ad0fef3c052b96b9fdc16ba34467e4a963a2411d26e68"),
            ]
        ),
        (
            "green",
            [
                (0, "854bfaa2a0a15d7d7bbd9b427190a228302140ba37006ad7f25ec30d12e957ed"),
                (1, "af4b55b2018b2b4205e1e1df179055655aee20fcffbc4c15e39ae608b4d5d28e"),
                (.max, "1ef80eceb67cb7fddec4822749908ba40863060c9a597e051657bb1974908b59"),
            ]
        ),
    ]

    /// Made once: each takes its time.
    static let passphrase = Result { try PassphraseKey(passphrase: Array("correct horse".utf8), cluster: "blue") }

    @Test("A passphrase's keys are those that anybody computes", arguments: derived)
    func derivation(cluster: String, keys: [(epoch: UInt32, key: String)]) throws {
        let passphrase =
            cluster == "blue"
            ? try Self.passphrase.get()
            : try PassphraseKey(passphrase: Array("correct horse".utf8), cluster: cluster)
        for (epoch, key) in keys { #expect(hex(passphrase.key(epoch: epoch).octets) == key, "epoch \(epoch)") }
        #expect(throws: KeyMaterialError.emptyPassphrase) { try PassphraseKey(passphrase: [], cluster: cluster) }
    }

    @Test("Keys from flags, files and a passphrase, in this order")
    func settings() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "regdns-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (keyFile, passphraseFile) = (folder.appending(path: "keys"), folder.appending(path: "passphrase"))
        try Data("\(Self.sixteen)\n".utf8).write(to: keyFile)
        try Data("correct horse\r\n".utf8).write(to: passphraseFile)
        var settings = KeySettings()
        #expect(try await settings.load().isEmpty)
        settings.cluster = "blue"
        settings.epoch = 1
        settings.keys = [Self.thirtyTwo]
        settings.keyFile = keyFile.path()
        settings.passphraseFile = passphraseFile.path()
        settings.passphrase = "another one"
        let passphrase = try Self.passphrase.get()
        #expect(
            try await settings.load().ring.keys == [
                try GossipKey(base64: Self.thirtyTwo), try GossipKey(base64: Self.sixteen), passphrase.key(epoch: 1),
                passphrase.key(epoch: 2), passphrase.key(epoch: 0),
            ])
        settings.keyFile = "/nonexistent/keys"
        await #expect {
            try await settings.load()
        } throws: { error in
            "\(error)".hasPrefix("/nonexistent/keys cannot be read")
        }
    }

    @Test("Neighbouring epochs understand each other, and no farther ones")
    func epochs() async throws {
        let passphrase = try Self.passphrase.get()
        func node(_ name: NodeName, _ epoch: UInt32) async throws -> TestNode {
            try await .start(name) { $0.keys = KeyChain([.passphrase(passphrase)], epoch: epoch) }
        }
        let (first, second, third) = (try await node("e1", 1), try await node("e2", 2), try await node("e3", 3))
        #expect(try await second.node.join([first.node.address]).count == 1)
        #expect(try await first.node.join([third.node.address]).isEmpty)
        try await first.node.change(.advance(epoch: 2))
        #expect(try await first.node.join([third.node.address]).count == 1)
        for node in [first, second, third] {
            try await node.wait(forAlive: 3)
            try await node.node.change(.advance(epoch: 1))
        }
        #expect(try await first.node.keys().epoch == 2, "an epoch never goes back")
        for node in [first, second, third] { await node.node.shutdown() }
    }

    @Test("The first seals, all open, and steps out of order are refused")
    func chain() throws {
        let keys = try (0..<20).map { try #require(GossipKey(octets: [UInt8](repeating: UInt8($0), count: 16))) }
        let passphrase = try Self.passphrase.get()
        var chain = KeyChain()
        #expect(chain.isEmpty && chain.ring.isEmpty)
        try chain.apply(.install(.key(keys[0])))
        try chain.apply(.install(.passphrase(passphrase)))
        #expect(chain.ring.keys == [keys[0], passphrase.key(epoch: 0), passphrase.key(epoch: 1)])
        try chain.apply(.advance(epoch: 7))
        try chain.apply(.use(.passphrase(passphrase)))
        #expect(chain.ring.keys == [7, 8, 6].map { passphrase.key(epoch: $0) } + [keys[0]])
        #expect(throws: KeyRingError.isPrimary) { try chain.apply(.remove(.passphrase(passphrase))) }
        #expect(throws: KeyRingError.unknownKey) { try chain.apply(.remove(.key(keys[1]))) }
        #expect(throws: KeyRingError.unknownKey) { try chain.apply(.use(.key(keys[1]))) }
        for key in keys[1...12] { try chain.apply(.install(.key(key))) }
        let full = chain
        #expect(throws: KeyRingError.full(limit: 16)) { try chain.apply(.install(.key(keys[13]))) }
        #expect(chain == full)
        try chain.apply(.install(.key(keys[5])))
        #expect(chain == full, "an installed key is there already")
        try chain.apply(.remove(.key(keys[0])))
        #expect(!chain.ring.keys.contains(keys[0]))
    }

    static let sixteen = "AAECAwQFBgcICQoLDA0ODw=="
    static let thirtyTwo = "1KuYIsWUOcJlmkd1GwiTzBIDrrjnpVzj9k5jmxhkDGk="

    @Test(
        "Files of keys",
        arguments: [
            ("[\"\(sixteen)\", \"\(thirtyTwo)\"]", [sixteen, thirtyTwo], nil),
            ("# ours\n\n  \(thirtyTwo)  # primary\r\n\(sixteen)\n", [thirtyTwo, sixteen], nil),
            ("", [], .noKeys), ("# nothing\n", [], .noKeys), ("[]", [], .noKeys),
            ("[1]", [], .badJSON), ("[\"a\"", [], .badJSON),
            ("\(sixteen)\n!!\n", [], .notBase64(place: 2)), ("AAEC\n", [], .badLength(place: 1, octets: 3)),
            (String(repeating: "\(sixteen)\n", count: 17), [], .tooMany(limit: 16)),
        ] as [(String, [String], KeyMaterialError?)])
    func files(text: String, keys: [String], wanted: KeyMaterialError?) {
        do throws(KeyMaterialError) {
            #expect(try GossipKey.list(file: Data(text.utf8)).map(\.base64) == keys)
            #expect(wanted == nil)
        } catch {
            #expect(error == wanted)
        }
    }
}
