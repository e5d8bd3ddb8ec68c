import Crypto
import FoundationEssentials

/// One side's hello, and the keys that come of both.
///
///     shared    = X25519(own private key, other public key)
///     key       = HKDF-SHA256(shared, salt: nonce of dialler || nonce of answerer, info, 32 octets)
///     info      = "regdns/sync/1" || length of label || label || SHA-256(hello of dialler)
///                 || SHA-256(hello of answerer) || direction (0 from the dialler, 1 from the answerer)
///
/// No gossip key is in it: during a rotation the two sides may seal with different ones. The hellos themselves
/// travel sealed by the gossip key of who sends them, under the label, so nobody outside can make or change one; a
/// repeated old one is of no use to who does not know its private key.
struct SyncGreeting: Sendable {
    let hello: HelloFrame
    /// The hello as it travels.
    let bytes: [UInt8]
    /// Nil in a cluster without keys.
    private let privateKey: Curve25519.KeyAgreement.PrivateKey?

    /// Nonce and key are used for one stream.
    init(
        node: String, origin: UInt64, digest: DigestFrame, nonce: [UInt8],
        privateKey: Curve25519.KeyAgreement.PrivateKey?
    ) {
        hello = HelloFrame(
            versions: Frame.version...Frame.version, node: node, origin: origin, nonce: nonce,
            publicKey: privateKey.map { Array($0.publicKey.rawRepresentation) } ?? [], digest: digest)
        bytes = Frame(.hello(hello)).encoded()
        self.privateKey = privateKey
    }

    /// What a peer's first message says.
    static func read(_ bytes: [UInt8]) throws(SyncFailure) -> HelloFrame {
        let frame: Frame
        do throws(FrameError) {
            frame = try Frame(decoding: bytes)
        } catch {
            throw .frame(error)
        }
        guard case .hello(let hello) = frame.body else { throw .unexpected(frame.name) }
        guard hello.versions.contains(Frame.version) else { throw .versions(hello.versions) }
        return hello
    }

    /// The ciphers for what this side sends and for what it gets.
    ///
    /// - Parameters:
    ///   - other: the other side's hello, as it came.
    ///   - isDialler: whether this side has dialled.
    func agree(
        with other: [UInt8], isDialler: Bool, label: [UInt8]
    ) throws(SyncFailure) -> (sends: SyncCipher, receives: SyncCipher) {
        let theirs = try Self.read(other)
        let (sends, receives): (SyncCipher.Direction, SyncCipher.Direction) =
            isDialler ? (.fromDialler, .fromAnswerer) : (.fromAnswerer, .fromDialler)
        guard let privateKey else {
            guard theirs.publicKey.isEmpty else { throw .badKey }
            return (SyncCipher(checking: sends), SyncCipher(checking: receives))
        }
        guard !theirs.publicKey.isEmpty else { throw .plainRefused }
        do {
            let key = try Curve25519.KeyAgreement.PublicKey(rawRepresentation: theirs.publicKey)
            let shared = try privateKey.sharedSecretFromKeyAgreement(with: key)
            // A key of small order makes a secret that everybody knows (RFC 7748 §6.1).
            if shared == [UInt8](repeating: 0, count: 32) { throw SyncFailure.badKey }
            let (nonces, hellos) =
                isDialler
                ? (hello.nonce + theirs.nonce, [bytes, other]) : (theirs.nonce + hello.nonce, [other, bytes])
            var info = Array("regdns/sync/1".utf8) + [UInt8(truncatingIfNeeded: label.count)] + label
            for hello in hellos { info += SHA256.hash(data: hello) }
            func cipher(_ direction: SyncCipher.Direction) -> SyncCipher {
                SyncCipher(
                    key: shared.hkdfDerivedSymmetricKey(
                        using: SHA256.self, salt: nonces, sharedInfo: info + [direction.rawValue],
                        outputByteCount: 32))
            }
            return (cipher(sends), cipher(receives))
        } catch {
            throw .badKey
        }
    }
}

extension SyncGreeting {
    /// A greeting with a fresh nonce, and a fresh key if it is to be sealed. Both are the system's random numbers.
    static func fresh(node: String, origin: UInt64, digest: DigestFrame, isSealed: Bool) -> SyncGreeting {
        var random = SystemRandomNumberGenerator()
        let nonce = (0..<HelloFrame.nonceBytes).map { _ in UInt8.random(in: 0...255, using: &random) }
        return SyncGreeting(
            node: node, origin: origin, digest: digest, nonce: nonce,
            privateKey: isSealed ? Curve25519.KeyAgreement.PrivateKey() : nil)
    }
}
