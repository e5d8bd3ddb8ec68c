import Foundation
import Memberlist
import RegistryStore
import Replication

/// The keys of the gossip, read from where the settings say they are.
struct GossipKeys: Sendable {
    let given: [GossipKey]
    /// Where those stand; nil when there are none.
    let givenPlace: String?
    let fromFile: [GossipKey]
    let file: GossipKeyFile?
    let passphrase: String?
    let clusterName: String
    /// Of the passphrase's key; nil: the date's.
    private let fixedEpoch: UInt32?
    /// How errors name the passphrase.
    private let passphrasePlace: String

    init(_ values: SettingValues) throws(UserError) {
        given = try Self.keys(values)
        givenPlace = given.isEmpty ? nil : values.place(ClusterSettings.key.spec.name)
        file = values.value(ClusterSettings.keyFile).map { path in
            GossipKeyFile(place: values.place(ClusterSettings.keyFile.spec.name) + " \(path)", path: path)
        }
        fromFile = try file?.read().keys ?? []
        passphrase = try Self.passphrase(values)
        clusterName = values.value(ClusterSettings.clusterName) ?? "regdns"
        fixedEpoch = values.value(ClusterSettings.keyEpoch).flatMap { UInt32(exactly: $0) }
        passphrasePlace = values.place(ClusterSettings.passphraseFile.spec.name)
        // A passphrase has a key of each of three epochs.
        let count = given.count + fromFile.count + (passphrase == nil ? 0 : 3)
        guard count <= KeyRing.maxKeys else {
            throw UserError(
                what: values.place(ClusterSettings.key.spec.name),
                why: "there are \(count) keys in all, and room for \(KeyRing.maxKeys)",
                remedy: "leave out old ones")
        }
        guard clusterName.utf8.count <= 255, !clusterName.isEmpty else {
            throw UserError(
                what: values.place(ClusterSettings.clusterName.spec.name),
                why: "\(PlainText.quoted(clusterName)) is not a name", remedy: "write a word of at most 255 bytes")
        }
    }

    var isEmpty: Bool { given.isEmpty && fromFile.isEmpty && passphrase == nil }

    /// The number that a day gives the passphrase's key: a new one every 30 days. So nodes agree on it that remember
    /// nothing, and no key seals for longer (AES-GCM with random nonces wants another one well before 2^32 packets).
    static func epoch(atUnix milliseconds: Int64) -> UInt32 {
        UInt32(clamping: milliseconds / (30 * 24 * 3_600_000))
    }

    /// Whether the passphrase's key changes with the date.
    var followsDate: Bool { fixedEpoch == nil }

    /// The keys in order of use. Deriving a passphrase's takes some tenths of a second.
    func chain(
        unixMilliseconds: Int64 = RegistryClock.system.unixMilliseconds()
    ) async throws(UserError) -> KeyChain {
        var settings = KeySettings()
        settings.keys = (given + fromFile).map(\.base64)
        settings.passphrase = passphrase
        settings.cluster = clusterName
        settings.epoch = fixedEpoch ?? Self.epoch(atUnix: unixMilliseconds)
        do throws(KeyMaterialError) {
            return try await settings.load()
        } catch {
            throw UserError(what: passphrasePlace, why: "\(error)", remedy: "give another passphrase, or a key")
        }
    }

    /// By setting, how `check-config` names the keys instead of showing them.
    func fingerprints() async throws(UserError) -> [String: String] {
        var texts: [String: String] = [:]
        func tell(_ name: String, _ keys: [GossipKey]) {
            guard !keys.isEmpty else { return }
            texts[name] = "fingerprint " + keys.map(\.fingerprint).joined(separator: ", ")
        }
        tell(ClusterSettings.key.spec.name, given)
        tell(ClusterSettings.keyFile.spec.name, fromFile)
        let chain = try await chain()
        for source in chain.sources {
            guard case .passphrase = source else { continue }
            texts[ClusterSettings.passphraseFile.spec.name] = "fingerprint " + KeyChain.fingerprint(of: source)
        }
        return texts
    }

    // MARK: Reading

    private static func keys(_ values: SettingValues) throws(UserError) -> [GossipKey] {
        let texts = values.list(ClusterSettings.key)
        guard !texts.isEmpty else { return [] }
        do throws(KeyMaterialError) {
            return try GossipKey.list(texts)
        } catch {
            throw UserError(
                what: values.place(ClusterSettings.key.spec.name), why: "\(error)",
                remedy: "'regdns keygen gossip' makes one")
        }
    }

    /// What a file of other keys than before asks for, in this order.
    func changes(from old: [GossipKey], to new: [GossipKey]) -> [KeyChain.Change] {
        guard old != new else { return [] }
        var changes = new.map { KeyChain.Change.install(.key($0)) }
        if given.isEmpty, let first = new.first { changes.append(.use(.key(first))) }
        return changes + old.filter { !new.contains($0) && !given.contains($0) }.map { .remove(.key($0)) }
    }

    private static func passphrase(_ values: SettingValues) throws(UserError) -> String? {
        guard let path = values.value(ClusterSettings.passphraseFile) else { return nil }
        let place = values.place(ClusterSettings.passphraseFile.spec.name)
        if path == GossipChoice.variableInsteadOfFile {
            guard let passphrase = values.passphrase else {
                throw UserError(
                    what: "\(place) \(path)", why: "there is no such variable",
                    remedy: "set \(KeySettings.passphraseVariable), or name a file")
            }
            return passphrase
        }
        do {
            let text = String(decoding: try TextFile.read(path, maxBytes: GossipKeyFile.bytesMax), as: UTF8.self)
            let line = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).first ?? ""
            guard !line.isEmpty else { throw TextFile.ReadError(why: "its first line is empty") }
            return String(line)
        } catch {
            throw UserError(
                what: "\(place) \(path)", why: (error as? TextFile.ReadError)?.why ?? "cannot be read",
                remedy: "name a file whose first line is the passphrase")
        }
    }
}
