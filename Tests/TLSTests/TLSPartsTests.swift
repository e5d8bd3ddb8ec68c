import Foundation
import RegdnsTestKit
import Testing

@testable import TLS

/// What certificate files may hold.
@Suite("Certificates and keys")
struct TLSPartsTests {
    private func read(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

    private func failure(_ parts: TLSParts) -> TLSPartError? {
        do throws(TLSPartError) {
            _ = try ClientTLS(parts, protocols: ["h2"])
            return nil
        } catch {
            return error
        }
    }

    @Test("what fits is taken: no files, authorities, chains, keys of several kinds and forms")
    func good() async throws {
        let authority = try await TestAuthority()
        let other = try await TestAuthority("Other")
        let identity = try await authority.issue("client", names: "DNS:client")
        let (root, otherRoot) = (try read(authority.certificate), try read(other.certificate))
        let (certificate, key) = (try read(identity.certificate), try read(identity.key))
        let old = authority.path("old-form.key")
        try await authority.openssl(["ec", "-in", identity.key, "-out", old])
        for parts in [
            TLSParts(), TLSParts(authorities: root),
            TLSParts(authorities: Array("a comment\n".utf8) + root + otherRoot),
            TLSParts(certificate: certificate, key: key), TLSParts(certificate: certificate + root, key: try read(old)),
            // Both in one file, named twice.
            TLSParts(certificate: certificate + key, key: certificate + key),
        ] {
            #expect(failure(parts) == nil)
        }
    }

    @Test("what does not is refused by its part")
    func bad() async throws {
        let authority = try await TestAuthority()
        let identity = try await authority.issue("client", names: "DNS:client")
        let stranger = try await authority.issue("stranger", names: "DNS:stranger")
        let (certificate, key) = (try read(identity.certificate), try read(identity.key))
        let encrypted = authority.path("encrypted.key")
        try await authority.openssl(["ec", "-in", identity.key, "-aes128", "-passout", "pass:x", "-out", encrypted])
        let noCertificate = "holds no certificate, or a broken one"
        let noKey = "holds no private key that can be read"
        let cut = Array(certificate.prefix(certificate.count / 2))
        let spoilt = String(decoding: certificate, as: UTF8.self).replacing("MII", with: "MIJ")
        let cases: [(TLSParts, TLSPartError.Part, String)] = [
            (TLSParts(authorities: []), .authorities, noCertificate),
            (TLSParts(authorities: Array("hello".utf8)), .authorities, noCertificate),
            (TLSParts(authorities: key), .authorities, noCertificate),
            (TLSParts(authorities: cut), .authorities, noCertificate),
            (TLSParts(authorities: certificate + cut), .authorities, noCertificate),
            (TLSParts(certificate: Array(spoilt.utf8), key: key), .certificate, noCertificate),
            (TLSParts(certificate: key, key: key), .certificate, noCertificate),
            (TLSParts(certificate: certificate, key: certificate), .key, noKey),
            (TLSParts(certificate: certificate, key: []), .key, noKey),
            (TLSParts(certificate: certificate), .key, noKey),
            (TLSParts(certificate: certificate, key: try read(encrypted)), .key, noKey),
            (
                TLSParts(certificate: certificate, key: try read(stranger.key)), .key,
                "is not the key of the certificate"
            ),
        ]
        for (parts, part, why) in cases {
            let error = try #require(failure(parts), "\(part) \(why)")
            #expect(error.part == part && error.why == why, "\(error)")
            #expect(!error.expected.isEmpty)
        }
    }

    @Test(
        "addresses are no names for SNI",
        arguments: [
            ("127.0.0.1", nil), ("::1", nil), ("fe80::1%eth0", nil), ("etcd.test", "etcd.test"),
            ("etcd.test.", "etcd.test"), ("1.2.3", "1.2.3"),
        ] as [(String, String?)])
    func serverNames(host: String, expected: String?) {
        #expect(ClientTLS.serverName(of: host) == expected)
    }
}
