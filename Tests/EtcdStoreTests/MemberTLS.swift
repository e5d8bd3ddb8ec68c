import Foundation
import RegdnsTestKit
import TLS

@testable import EtcdStore

/// The certificates of a cluster's listeners for clients, and of a client that they take.
struct MemberTLS: Sendable {
    let authority: TestAuthority
    let server: TestAuthority.Identity
    /// Nil when nobody asks who clients are.
    let administrator: TestAuthority.Identity?
    let client: ClientTLS

    /// - Parameter demandsCertificates: from clients; then common names are users of the cluster.
    init(demandsCertificates: Bool = false) async throws {
        authority = try await TestAuthority()
        server = try await authority.issue("server", names: "DNS:localhost,IP:127.0.0.1")
        administrator = demandsCertificates ? try await authority.issue("root", names: "DNS:root") : nil
        client = try ClientTLS.reading(authority, administrator)
    }

    var flags: [String] {
        ["--cert-file", server.certificate, "--key-file", server.key]
            + (administrator == nil ? [] : ["--client-cert-auth", "--trusted-ca-file", authority.certificate])
    }

    /// For etcdctl.
    var controlFlags: [String] {
        ["--cacert", authority.certificate]
            + (administrator.map { ["--cert", $0.certificate, "--key", $0.key] } ?? [])
    }
}

extension TLSParts {
    static func reading(_ authority: TestAuthority, _ identity: TestAuthority.Identity? = nil) throws -> TLSParts {
        func read(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }
        return TLSParts(
            authorities: try read(authority.certificate), certificate: try identity.map { try read($0.certificate) },
            key: try identity.map { try read($0.key) })
    }
}

extension ClientTLS {
    /// As the store's: for an authority's servers, and with a certificate of ours.
    static func reading(_ authority: TestAuthority, _ identity: TestAuthority.Identity? = nil) throws -> ClientTLS {
        try ClientTLS(try .reading(authority, identity), protocols: ["h2"])
    }
}

extension EtcdStoreConfiguration {
    mutating func use(_ tls: ClientTLS?) {
        if let tls { secure = { try tls.secure($0, host: $1) } }
    }
}
