import Basics
import Crypto
package import Memberlist

extension GossipKey {
    /// What names the key without telling it: the first eight octets of a hash, in hexadecimal.
    package var fingerprint: String {
        let hash = SHA256.hash(data: Array("regdns gossip key fingerprint\u{0}".utf8) + octets)
        return HexText.lower(hash.prefix(8))
    }
}

extension KeyChain {
    /// What names a source without telling it. A passphrase's is that of its key of epoch 0, so that it stays.
    package static func fingerprint(of source: Source) -> String {
        switch source {
        case .key(let key): key.fingerprint
        case .passphrase(let passphrase): passphrase.key(epoch: 0).fingerprint
        }
    }
}
