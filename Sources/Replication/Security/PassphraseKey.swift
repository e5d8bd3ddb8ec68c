import Crypto
import CryptoExtras
package import Memberlist

/// What a passphrase becomes: a master key of the cluster, of which each epoch's gossip key is derived.
package struct PassphraseKey: Hashable, Sendable {
    /// scrypt's parameters (RFC 7914): 128 MiB and some tenths of a second, so that guessing costs as much.
    static let rounds = 1 << 17
    static let blockSize = 8
    static let octets = 32

    /// HKDF's pseudorandom key of the master key (RFC 5869 §2.2, no salt).
    private let extracted: [UInt8]

    /// Takes 128 MiB for some tenths of a second; not on an event loop.
    ///
    /// - Parameter cluster: its name, so that one passphrase makes other keys in another cluster.
    /// - Throws: for an empty passphrase, and when the memory is not to be had.
    package init(passphrase: [UInt8], cluster: String) throws(KeyMaterialError) {
        guard !passphrase.isEmpty else { throw .emptyPassphrase }
        do {
            let master = try KDF.Scrypt.deriveKey(
                from: passphrase, salt: Array("regdns/1/\(cluster)".utf8), outputByteCount: Self.octets,
                rounds: Self.rounds, blockSize: Self.blockSize, parallelism: 1)
            extracted = Array(HKDF<SHA256>.extract(inputKeyMaterial: master, salt: [UInt8]()))
        } catch {
            throw .derivationFailed("\(error)")
        }
    }

    /// HKDF-SHA256 of the master key; info is "gossip" and the epoch in four octets, big-endian.
    package func key(epoch: UInt32) -> GossipKey {
        // Its first and only block (RFC 5869 §2.3), since a key is as long as a hash.
        let block = HMAC<SHA256>.authenticationCode(
            for: Array("gossip".utf8) + epoch.octets + [1], using: SymmetricKey(data: extracted))
        guard let key = GossipKey(octets: Array(block)) else { preconditionFailure("a hash has 32 octets") }
        return key
    }
}
