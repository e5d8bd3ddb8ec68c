import FoundationEssentials
import NIOCore
import NIOSSL

/// Why a TLS connection failed, in words for those who keep the two sides' certificates. BoringSSL's own are names of
/// its source, and one name for many reasons.
struct TLSFault: Error, CustomStringConvertible {
    let description: String

    /// What this side brought.
    struct Facts {
        let ownAuthorities: Bool
        let hasCertificate: Bool
    }

    /// - Parameter peer: the other side's certificate, as far as it was shown.
    init(_ error: any Error, host: String, peer: NIOSSLCertificate?, facts: Facts) {
        switch error {
        case let error as NIOSSLExtraError where error == .failedToValidateHostname:
            description = "its certificate is not for \(host)\(peer.map { ", but for \(Self.names(of: $0))" } ?? "")"
        case let error as NIOSSLExtraError where error == .serverHostnameImpossibleToMatch:
            description = "no certificate can be for the name \(host)"
        case NIOSSLError.uncleanShutdown:
            description = "cut off by the server"
        default:
            description = Self.text(of: error, peer: peer, facts: facts)
        }
    }

    /// What BoringSSL says, without its places and numbers.
    static func text(of error: any Error) -> String {
        let stack: NIOBoringSSLErrorStack? =
            switch error {
            case NIOSSLError.handshakeFailed(.sslError(let stack)), BoringSSLError.sslError(let stack),
                BoringSSLError.unknownError(let stack), NIOSSLError.handshakeFailed(.unknownError(let stack)):
                stack
            default: nil
            }
        guard let stack, !stack.isEmpty else { return "\(error)" }
        let names = stack.map { error in
            // `Error: 268435581 error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED at x.cc:1`.
            let end = error.description.split(separator: ":OPENSSL_internal:").last ?? ""
            return end.split(separator: " at ").first.map(String.init) ?? error.description
        }
        return names.joined(separator: ", ")
    }

    private static func text(of error: any Error, peer: NIOSSLCertificate?, facts: Facts) -> String {
        let text = text(of: error)
        if text.contains("CERTIFICATE_VERIFY_FAILED") { return refusal(of: peer, facts) }
        let certificate = facts.hasCertificate ? "our client certificate" : "a client certificate, and we have none"
        for (name, meaning) in [
            ("EOF during handshake", "the server cut the TLS handshake off; does it speak TLS?"),
            ("WRONG_VERSION_NUMBER", "what the server sends is no TLS"),
            ("HTTP_REQUEST", "what the server sends is no TLS"),
            ("ALERT_CERTIFICATE_REQUIRED", "the server demands \(certificate)"),
            (
                "ALERT_BAD_CERTIFICATE",
                facts.hasCertificate ? "the server does not take \(certificate)" : "the server demands \(certificate)"
            ),
            ("ALERT_UNKNOWN_CA", "the server does not know the authority of our client certificate"),
            ("ALERT_CERTIFICATE_UNKNOWN", "the server does not take our client certificate"),
            ("ALERT_CERTIFICATE_EXPIRED", "the server says that our client certificate is not valid now"),
            ("ALERT_UNSUPPORTED_CERTIFICATE", "the server says that our client certificate is not made for clients"),
            ("PROTOCOL_VERSION", "the server speaks no TLS 1.2 or newer"),
            ("UNSUPPORTED_PROTOCOL", "the server speaks no TLS 1.2 or newer"),
            ("NO_APPLICATION_PROTOCOL", "the server speaks TLS, but nothing within it that we do"),
        ] where text.contains(name) {
            return meaning
        }
        return "TLS: \(text)"
    }

    private static func refusal(of peer: NIOSSLCertificate?, _ facts: Facts) -> String {
        if let peer {
            let now = Date().timeIntervalSince1970
            if now > Double(peer.notValidAfter) { return "its certificate ended at \(time(peer.notValidAfter))" }
            if now < Double(peer.notValidBefore) { return "its certificate begins at \(time(peer.notValidBefore))" }
        }
        let trusted = facts.ownAuthorities ? "those of the file that names them" : "the system's"
        return "its certificate is not trusted: not issued by an authority we trust (\(trusted)), or not for servers"
    }

    private static func time(_ seconds: Int) -> String {
        Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601)
    }

    /// Who a certificate is for, shortened.
    private static func names(of certificate: NIOSSLCertificate) -> String {
        // `<NIOSSLCertificate;serial_number=…;common_name=…;alternative_names=…>`
        let facts = certificate.description.split(separator: ";").dropFirst(2).joined(separator: ", ")
        return String(facts.replacing(">", with: "").prefix(200))
    }
}

/// Stands behind the TLS handler of a connection and says its errors in our words.
final class TLSFaultTeller: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let tls: NIOSSLHandler
    private let host: String
    private let facts: TLSFault.Facts

    init(_ tls: NIOSSLHandler, host: String, facts: TLSFault.Facts) {
        self.tls = tls
        self.host = host
        self.facts = facts
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError:
            context.fireErrorCaught(TLSFault(error, host: host, peer: tls.peerCertificate, facts: facts))
        default: context.fireErrorCaught(error)
        }
    }
}
