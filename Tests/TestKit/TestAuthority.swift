import Foundation

/// An authority that issues certificates, by openssl; its folder goes with it.
package final class TestAuthority: Sendable {
    /// The paths of a certificate and its key.
    package struct Identity: Sendable {
        package let certificate: String
        package let key: String
    }

    /// Failed, with what openssl said.
    struct OpenSSLError: Error, CustomStringConvertible {
        let description: String
    }

    private let folder: String
    private let name: String

    package init(_ name: String = "Test Authority") async throws {
        self.name = name
        let url = FileManager.default.temporaryDirectory.appending(path: "regdns-authority-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        folder = url.path
        try await openssl(
            ["req", "-x509"] + Self.newKey + [
                "-keyout", path("ca.key"), "-out", certificate, "-subj", "/CN=\(name)", "-days", "30",
            ])
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private static let newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

    /// The path of its own certificate.
    package var certificate: String { path("ca.pem") }

    /// A path in its folder.
    package func path(_ file: String) -> String { "\(folder)/\(file)" }

    /// Issues a certificate to a common name; one that was issued to it before is overwritten.
    ///
    /// - Parameters:
    ///   - names: as openssl writes them: `DNS:a.test,IP:127.0.0.1`.
    ///   - days: how long it is valid from now on; below 0 it has ended.
    package func issue(_ commonName: String, names: String, days: Int = 30) async throws -> Identity {
        let identity = Identity(certificate: path("\(commonName).pem"), key: path("\(commonName).key"))
        let (request, extensions) = (path("\(commonName).csr"), path("\(commonName).ext"))
        let text = "subjectAltName=\(names)\nextendedKeyUsage=serverAuth,clientAuth\n"
        try Data(text.utf8).write(to: URL(filePath: extensions))
        try await openssl(
            ["req"] + Self.newKey + ["-keyout", identity.key, "-out", request, "-subj", "/CN=\(commonName)"])
        try await openssl([
            "x509", "-req", "-in", request, "-CA", certificate, "-CAkey", path("ca.key"), "-CAcreateserial",
            "-days", "\(days)", "-extfile", extensions, "-out", identity.certificate,
        ])
        return identity
    }

    /// Runs openssl; throws when it fails.
    package func openssl(_ arguments: [String]) async throws {
        let ended = try await ChildProcess(
            "/usr/bin/openssl", arguments, environment: ["PATH": "/usr/bin:/bin", "HOME": folder]
        ).end()
        guard ended.status == 0 else { throw OpenSSLError(description: "openssl \(arguments): \(ended.errors)") }
    }
}
