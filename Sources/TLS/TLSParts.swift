import NIOSSL

/// The contents of the PEM files behind one side of TLS connections, as they were read.
package struct TLSParts: Sendable {
    /// Certificates of the authorities that are trusted; nil: the system's.
    package var authorities: [UInt8]?
    /// This side's own certificate, with those between it and its authority.
    package var certificate: [UInt8]?
    /// The key of `certificate`.
    package var key: [UInt8]?

    package init(authorities: [UInt8]? = nil, certificate: [UInt8]? = nil, key: [UInt8]? = nil) {
        self.authorities = authorities
        self.certificate = certificate
        self.key = key
    }
}

/// What is wrong with one of the parts; in a form that follows the name of its file.
package struct TLSPartError: Error, Sendable, Hashable {
    package enum Part: Sendable, Hashable {
        case authorities, certificate, key
    }

    package let part: Part
    package let why: String
    /// What the file should hold.
    package let expected: String
}

extension TLSParts {
    func trustRoots() throws(TLSPartError) -> NIOSSLTrustRoots {
        guard let authorities else { return .default }
        return .certificates(try Self.certificates(in: authorities, .authorities))
    }

    /// This side's certificate with its key; nil when it has none.
    func identity() throws(TLSPartError) -> (chain: [NIOSSLCertificate], key: NIOSSLPrivateKey)? {
        guard let certificate else { return nil }
        let chain = try Self.certificates(in: certificate, .certificate)
        do {
            // Without a callback the library might ask at the terminal.
            let key = try NIOSSLPrivateKey(bytes: key ?? [], format: .pem) { (_: ([UInt8]) -> Void) throws in
                throw NIOSSLError.failedToLoadPrivateKey
            }
            return (chain, key)
        } catch {
            throw TLSPartError(
                part: .key, why: "holds no private key that can be read",
                expected: "-----BEGIN PRIVATE KEY-----, not encrypted")
        }
    }

    private static func certificates(
        in text: [UInt8], _ part: TLSPartError.Part
    ) throws(TLSPartError) -> [NIOSSLCertificate] {
        do {
            return try NIOSSLCertificate.fromPEMBytes(text)
        } catch {
            throw TLSPartError(
                part: part, why: "holds no certificate, or a broken one", expected: "-----BEGIN CERTIFICATE----- (PEM)")
        }
    }
}
