package import NIOCore
import NIOSSL
import Synchronization

/// The client's side of TLS connections: who is trusted, and who we are. TLS 1.2 or newer; the server's certificate
/// must be for the host that was asked for.
package final class ClientTLS: Sendable {
    private struct Material {
        let context: NIOSSLContext
        let facts: TLSFault.Facts
    }

    private let protocols: [String]
    private let material: Mutex<Material>

    /// - Parameter protocols: what the server is offered to be spoken over TLS, by ALPN (RFC 7301).
    package init(_ parts: TLSParts, protocols: [String]) throws(TLSPartError) {
        self.protocols = protocols
        material = Mutex(try Self.material(parts, protocols))
    }

    /// Takes other certificates for connections that come; those that are stay as they were. When it throws, nothing
    /// has changed.
    package func renew(_ parts: TLSParts) throws(TLSPartError) {
        let new = try Self.material(parts, protocols)
        material.withLock { $0 = new }
    }

    /// Puts TLS at the end of a new connection's pipeline; call on its event loop. What fails is told by `errorCaught`,
    /// with a description for operators.
    ///
    /// - Parameter host: a name, or an IP address, which is no name for SNI (RFC 6066 §3) and is compared with the
    ///   certificate's addresses.
    package func secure(_ channel: any Channel, host: String) throws {
        let material = material.withLock { $0 }
        do {
            let handler = try NIOSSLClientHandler(context: material.context, serverHostname: Self.serverName(of: host))
            try channel.pipeline.syncOperations.addHandlers(
                handler, TLSFaultTeller(handler, host: host, facts: material.facts))
        } catch {
            throw TLSFault(error, host: host, peer: nil, facts: material.facts)
        }
    }

    static func serverName(of host: String) -> String? {
        // A zone belongs to this machine (RFC 4007 §11), a final dot to the DNS.
        let address = host.split(separator: "%", omittingEmptySubsequences: false).first.map(String.init) ?? host
        if (try? SocketAddress(ipAddress: address, port: 0)) != nil { return nil }
        return host.hasSuffix(".") ? String(host.dropLast()) : host
    }

    private static func material(_ parts: TLSParts, _ protocols: [String]) throws(TLSPartError) -> Material {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = protocols
        configuration.trustRoots = try parts.trustRoots()
        // Whoever closes a connection has no use for the other side's goodbye.
        configuration.shutdownTimeout = .milliseconds(500)
        if let identity = try parts.identity() {
            configuration.certificateChain = identity.chain.map { .certificate($0) }
            configuration.privateKey = .privateKey(identity.key)
        }
        do {
            return Material(
                context: try NIOSSLContext(configuration: configuration),
                facts: .init(ownAuthorities: parts.authorities != nil, hasCertificate: parts.certificate != nil))
        } catch NIOSSLError.failedToLoadPrivateKey {
            throw TLSPartError(
                part: .key, why: "is not the key of the certificate", expected: "the key that belongs to it")
        } catch NIOSSLError.failedToLoadCertificate {
            throw TLSPartError(
                part: .certificate, why: "cannot be used as one's own certificate",
                expected: "an RSA, ECDSA or Ed25519 one")
        } catch {
            throw TLSPartError(
                part: .authorities, why: "cannot be used: \(TLSFault.text(of: error))",
                expected: "authorities, or those of the system (ca-certificates)")
        }
    }
}
