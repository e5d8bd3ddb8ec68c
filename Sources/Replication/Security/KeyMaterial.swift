package import FoundationEssentials
package import Memberlist

/// Why a key, or a file of keys, is none.
package enum KeyMaterialError: Error, Hashable, Sendable {
    case emptyPassphrase
    /// The library's words.
    case derivationFailed(String)
    /// The key at this place, counted from 1, is not base64.
    case notBase64(place: Int)
    /// The key at this place, counted from 1, has another length than 16, 24 or 32 octets.
    case badLength(place: Int, octets: Int)
    case noKeys
    case tooMany(limit: Int)
    /// A file that begins as a JSON array and is none of texts.
    case badJSON
    case unreadable(path: String, reason: String)
}

extension KeyMaterialError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .emptyPassphrase: "the passphrase is empty"
        case .derivationFailed(let words): "no key could be derived from the passphrase: \(words)"
        case .notBase64(let place): "gossip key \(place) is not base64"
        case .badLength(let place, let octets):
            "gossip key \(place) has \(octets) octets, expected 16, 24 or 32 in base64"
        case .noKeys: "there are no gossip keys"
        case .tooMany(let limit): "there are more than \(limit) gossip keys"
        case .unreadable(let path, let reason): "\(path) cannot be read: \(reason)"
        case .badJSON: "the key file begins with '[' and is no JSON array of base64 texts"
        }
    }
}

extension GossipKey {
    /// - Parameter place: of the key in its list, for the error; the key itself is never shown.
    package init(base64: String, place: Int = 1) throws(KeyMaterialError) {
        guard let data = Data(base64Encoded: base64) else { throw .notBase64(place: place) }
        guard let key = GossipKey(octets: Array(data)) else { throw .badLength(place: place, octets: data.count) }
        self = key
    }

    package var base64: String { Data(octets).base64EncodedString() }

    /// The keys of a list, the one that seals first.
    package static func list(_ texts: [String]) throws(KeyMaterialError) -> [GossipKey] {
        guard !texts.isEmpty else { throw .noKeys }
        guard texts.count <= KeyRing.maxKeys else { throw .tooMany(limit: KeyRing.maxKeys) }
        var keys: [GossipKey] = []
        for (index, text) in texts.enumerated() { keys.append(try GossipKey(base64: text, place: index + 1)) }
        return keys
    }

    /// The keys of a file: a JSON array of base64 texts as serf's keyring, or one key a line; `#` begins a comment.
    package static func list(file: Data) throws(KeyMaterialError) -> [GossipKey] {
        let text = String(decoding: file, as: UTF8.self)
        if text.drop(while: \.isWhitespace).first == "[" {
            let texts: [String]
            do {
                texts = try JSONDecoder().decode([String].self, from: file)
            } catch {
                throw .badJSON
            }
            return try list(texts)
        }
        let lines = text.split(whereSeparator: \.isNewline).map { line in
            String(line.prefix { $0 != "#" }.filter { !$0.isWhitespace })
        }
        return try list(lines.filter { !$0.isEmpty })
    }
}
