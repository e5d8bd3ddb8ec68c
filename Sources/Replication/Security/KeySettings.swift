import FoundationEssentials
import Memberlist
import NIOPosix

/// Where a node's keys come from. All that are given are taken, in this order; the first one seals.
package struct KeySettings: Sendable {
    /// The variable of the environment that holds a passphrase, as PhysarumSM's programs have it.
    package static let passphraseVariable = "P2P_PSK"

    /// Base64.
    package var keys: [String] = []
    /// `GossipKey.list(file:)`.
    package var keyFile: String?
    /// A file whose first line is the passphrase.
    package var passphraseFile: String?
    /// The passphrase itself; without effect beside a file of one.
    package var passphrase: String?
    /// Part of what passphrases' keys are derived of.
    package var cluster = ""
    package var epoch: UInt32 = 0

    package init() {}

    /// Reads the files, and derives the passphrase's key, which takes some tenths of a second. Empty when nothing is
    /// given.
    package func load() async throws(KeyMaterialError) -> KeyChain {
        var sources: [KeyChain.Source] = []
        if !keys.isEmpty { sources += try GossipKey.list(keys).map(KeyChain.Source.key) }
        if let keyFile { sources += try GossipKey.list(file: try Self.read(keyFile)).map(KeyChain.Source.key) }
        var passphrase = passphrase
        if let passphraseFile {
            let text = String(decoding: try Self.read(passphraseFile), as: UTF8.self)
            passphrase = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).first.map(
                String.init)
        }
        if let passphrase { sources.append(.passphrase(try await Self.derive(passphrase, cluster))) }
        var chain = KeyChain([], epoch: epoch)
        do throws(KeyRingError) {
            for source in sources { try chain.apply(.install(source)) }
        } catch {
            throw .tooMany(limit: KeyRing.maxKeys)
        }
        return chain
    }

    private static func read(_ path: String) throws(KeyMaterialError) -> Data {
        do {
            return try Data(contentsOf: URL(filePath: path))
        } catch {
            throw .unreadable(path: path, reason: "\(error)")
        }
    }

    private static func derive(_ passphrase: String, _ cluster: String) async throws(KeyMaterialError) -> PassphraseKey
    {
        do {
            return try await NIOThreadPool.singleton.runIfActive {
                try PassphraseKey(passphrase: Array(passphrase.utf8), cluster: cluster)
            }
        } catch let error as KeyMaterialError {
            throw error
        } catch {
            throw .derivationFailed("\(error)")
        }
    }
}
