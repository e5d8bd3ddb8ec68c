import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix

/// What the end of a call means to its caller.
enum ClientStatus {
    static func of(trailers: HPACKHeaders) -> GRPCStatus {
        guard let text = trailers.first(name: "grpc-status") else {
            return GRPCStatus(.internalError, "the server ended the call without a status")
        }
        let message = StatusText.decode(trailers.first(name: "grpc-message") ?? "")
        guard let code = Int(text).flatMap({ GRPCStatusCode(rawValue: $0) }) else {
            return GRPCStatus(.unknown, "status \(text): \(message)")
        }
        return code == .ok ? .ok : GRPCStatus(code, message)
    }

    /// Why there is no connection, in the system's words.
    static func reason(of error: any Error) -> String {
        if let status = error as? GRPCStatus { return status.message }
        guard let error = error as? NIOConnectionError else { return "\(error)" }
        if error.dnsAError != nil || error.dnsAAAAError != nil { return "no address for the name \(error.host)" }
        let reasons = error.connectionErrors.map { failure in
            (failure.error as? IOError).map { $0.errnoCode == ECONNREFUSED ? "connection refused" : "\($0)" }
                ?? "\(failure.error)"
        }
        return reasons.joined(separator: "; ")
    }

    /// Whether the other side closed the connection without having read all of what it was sent.
    static func isReset(_ error: any Error) -> Bool { (error as? IOError)?.errnoCode == ECONNRESET }

    /// An answer that is not gRPC's (http-grpc-status-mapping.md of the gRPC project).
    static func of(http: String, contentType: String?) -> GRPCStatus {
        let code: GRPCStatusCode =
            switch http {
            case "400": .internalError
            case "401": .unauthenticated
            case "403": .permissionDenied
            case "404": .unimplemented
            case "429", "502", "503", "504": .unavailable
            default: .unknown
            }
        return GRPCStatus(code, "no gRPC answer: HTTP status \(http), content type \(contentType ?? "none")")
    }

    /// A stream that was reset (PROTOCOL-HTTP2.md of the gRPC project, "Errors").
    static func of(reset code: HTTP2ErrorCode?) -> GRPCStatus {
        let status: GRPCStatusCode =
            switch code {
            case .refusedStream?: .unavailable
            case .cancel?: .cancelled
            case .enhanceYourCalm?: .resourceExhausted
            case .inadequateSecurity?: .permissionDenied
            default: .internalError
            }
        return GRPCStatus(status, "the server reset the call: \(code.map { "\($0)" } ?? "no reason")")
    }
}
