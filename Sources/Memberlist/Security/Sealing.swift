import Crypto

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// AES-GCM as memberlist uses it: version, nonce, ciphertext, tag.
package enum Sealing {
    static let nonceOctets = 12
    static let tagOctets = 16
    private static let block = 16

    /// The two forms. Version 0 pads as PKCS7, always by at least one octet; only nodes configured for protocol 1 send
    /// it.
    package enum Version: UInt8, Sendable, CaseIterable {
        case padded = 0
        case plain = 1

        /// The most octets that sealing adds.
        package var overhead: Int { 1 + nonceOctets + tagOctets + (self == .padded ? block : 0) }
    }

    /// How long `count` octets are when sealed.
    static func sealedCount(_ count: Int, _ version: Version) -> Int {
        count + 1 + nonceOctets + tagOctets + (version == .padded ? block - count % block : 0)
    }

    /// - Parameters:
    ///   - data: what is authenticated with it and not sent.
    ///   - random: gives the nonce; it must be a cryptographic one outside of tests.
    package static func seal(
        _ plain: [UInt8], key: GossipKey, version: Version, data: [UInt8], random: inout some RandomNumberGenerator
    ) throws(GossipWireError) -> [UInt8] {
        var text = plain
        if version == .padded {
            let count = block - plain.count % block
            text += [UInt8](repeating: UInt8(count), count: count)
        }
        let nonce = (0..<nonceOctets).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        do {
            let box = try AES.GCM.seal(
                text, using: SymmetricKey(data: key.octets), nonce: AES.GCM.Nonce(data: nonce), authenticating: data)
            return [version.rawValue] + nonce + box.ciphertext + box.tag
        } catch {
            throw .sealFailed
        }
    }

    /// Tries every key in order.
    package static func open(
        _ sealed: ArraySlice<UInt8>, keys: KeyRing, data: [UInt8]
    ) throws(GossipWireError) -> (plain: [UInt8], version: Version) {
        guard let first = sealed.first else { throw .empty }
        guard let version = Version(rawValue: first) else { throw .unknownSealVersion(first) }
        guard sealed.count >= 1 + nonceOctets + tagOctets else { throw .sealTooShort }
        let nonce = sealed.dropFirst().prefix(nonceOctets)
        let text = sealed.dropFirst(1 + nonceOctets).dropLast(tagOctets)
        let tag = sealed.suffix(tagOctets)
        for key in keys.keys {
            guard
                let box = try? AES.GCM.SealedBox(
                    nonce: AES.GCM.Nonce(data: Array(nonce)), ciphertext: Array(text), tag: Array(tag)),
                let opened = try? AES.GCM.open(
                    box, using: SymmetricKey(data: key.octets), authenticating: data)
            else { continue }
            return (version == .padded ? try unpad(Array(opened)) : Array(opened), version)
        }
        throw .noKeyOpens
    }

    private static func unpad(_ text: [UInt8]) throws(GossipWireError) -> [UInt8] {
        guard let last = text.last, (1...UInt8(block)).contains(last), text.count >= Int(last) else {
            throw .badPadding
        }
        return Array(text.dropLast(Int(last)))
    }
}
