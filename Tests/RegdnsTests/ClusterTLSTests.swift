import Foundation
import NIOHTTP1
import RegdnsTestKit
import RegistryStore
import Testing

@testable import regdns

@Suite("The server in front of an etcd that speaks TLS", .timeLimit(.minutes(2)))
struct ClusterTLSTests {
    @Test("registers, resolves, and reads its certificates again at SIGHUP")
    func wholeServer() async throws {
        let authority = try await TestAuthority()
        let identity = try await authority.issue("server", names: "IP:127.0.0.1")
        let folder = try TemporaryFolder()
        let ports = try await FreePorts.take(2)
        let member = EtcdProcess(
            "m", in: URL(filePath: folder.path), clientPort: ports[0], peerPort: ports[1], isSecure: true)
        try await member.start(flags: [
            "--cert-file", identity.certificate, "--key-file", identity.key, "--client-cert-auth",
            "--trusted-ca-file", authority.certificate,
        ])
        let client = try await authority.issue("regdns", names: "DNS:regdns")
        let pem = try String(contentsOfFile: client.certificate, encoding: .utf8)
        let certificate = try folder.write("client.pem", pem)
        let server = try await RunningServer([
            "--store", "etcd", "--store-address", member.clientURL, "--store-ca", authority.certificate,
            "--store-cert", certificate, "--store-key", client.key,
        ])
        let added = try await server.run("add", "web", "10.0.0.7:8000", "--lease", "60s")
        #expect(added.status == 0, "\(added.errors)")
        #expect(try await server.run("lookup", "web.skydns.local").output == "10.0.0.7\n")

        _ = try folder.write("client.pem", "nothing")
        server.process.signal(SIGHUP)
        let line = try await server.process.error(containing: "stay in use")
        #expect(line.contains("--store-cert \(certificate): holds no certificate"), "\(line)")
        #expect(try await server.run("status").output.contains("holds no certificate"))
        #expect(try await server.run("lookup", "web.skydns.local").output == "10.0.0.7\n")
        _ = try folder.write("client.pem", pem)
        server.process.signal(SIGHUP)
        _ = try await server.process.error(containing: "certificates for the store read")
        #expect(try await !server.run("status").output.contains("holds no certificate"))
        server.process.signal(SIGTERM)
        #expect(try await server.process.end().status == 0)
        try await member.kill()
    }

    @Test("a store that is not trusted: not ready, and why")
    func notTrusted() async throws {
        let (authority, stranger) = (try await TestAuthority(), try await TestAuthority("Stranger"))
        let identity = try await authority.issue("server", names: "IP:127.0.0.1")
        let folder = try TemporaryFolder()
        // The start line, which names real ports, comes when the store was read.
        let ports = try await FreePorts.take(3)
        let member = EtcdProcess(
            "m", in: URL(filePath: folder.path), clientPort: ports[0], peerPort: ports[1], isSecure: true)
        try await member.start(flags: ["--cert-file", identity.certificate, "--key-file", identity.key])
        let process = try await RegdnsProcess([
            "serve", "--dns", "127.0.0.1:0", "--http", "127.0.0.1:\(ports[2])", "--etcd", "off", "--forward", "off",
            "--store", "etcd", "--store-address", member.clientURL, "--store-ca", stranger.certificate,
        ])
        let line = try await process.error(containing: "its certificate is not trusted")
        #expect(line.contains("127.0.0.1:\(ports[0])"), "\(line)")
        let http = HTTPClient(server: try ServerURL("http://127.0.0.1:\(ports[2])"), token: nil)
        let readiness = try await http.send(.GET, "/readyz")
        #expect(readiness.status == 503)
        let text = String(decoding: readiness.body, as: UTF8.self)
        #expect(text.contains("its certificate is not trusted"), "\(text)")
        process.signal(SIGTERM)
        #expect(try await process.end().status == 0)
        try await member.kill()
    }
}
