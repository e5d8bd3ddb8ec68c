import Memberlist
import Replication

/// What a node of regdns says of itself in its metadata: texts of one or two letters, for there is little room.
struct GossipTags: Hashable, Sendable {
    /// Hexadecimal digits of a fingerprint, as many as tell sixteen keys apart.
    static let fingerprintDigits = 8

    /// Of the registrations that this process makes.
    var origin: UInt64
    var version: String
    /// Nil while HTTP is off, or not yet there.
    var adminPort: Int?
    var isReady = false
    /// Shortened fingerprints of the keys, the one that seals first.
    var keys: [String] = []
    /// Of the passphrase's key; nil without a passphrase.
    var epoch: UInt32?
    /// In the revisions and lease ids that this node gives etcd's clients; 0 before it is chosen.
    var mark: UInt8 = 0

    /// The keys of a chain.
    mutating func take(_ chain: KeyChain) {
        keys = chain.sources.map { Self.short(KeyChain.fingerprint(of: $0)) }
        epoch = chain.hasPassphrase ? chain.epoch : nil
    }

    static func short(_ fingerprint: String) -> String { String(fingerprint.prefix(fingerprintDigits)) }

    /// The metadata; about 80 octets, and nine for each key.
    var meta: [UInt8] {
        var tags = ReplicationTags.tags(origin: origin)
        tags["v"] = version
        tags[ReplicationTags.readyTag] = isReady ? "1" : "0"
        if let adminPort { tags["a"] = "\(adminPort)" }
        if let epoch { tags["e"] = "\(epoch)" }
        if mark != 0 { tags["m"] = "\(mark)" }
        if !keys.isEmpty { tags["k"] = keys.joined(separator: ",") }
        return MemberTags.encode(tags)
    }
}

/// What another member says of itself, as far as we understand it.
struct PeerTags: Sendable {
    /// By name; nil for metadata of another form.
    let tags: [String: String]?

    init(_ member: Member) { tags = MemberTags.decode(member.meta) }

    var isRegdns: Bool { tags?["role"] == "regdns" }
    var isReady: Bool? { tags?[ReplicationTags.readyTag].map { $0 == "1" } }
    var version: String { tags?["v"] ?? "" }
    var epoch: UInt32? { tags?["e"].flatMap { UInt32($0) } }
    var mark: UInt8? { tags?["m"].flatMap { UInt8($0) } }
    var keys: [String] { tags?["k"]?.split(separator: ",").map(String.init) ?? [] }
}

extension KeyChain {
    var hasPassphrase: Bool {
        sources.contains { source in
            if case .passphrase = source { true } else { false }
        }
    }
}
