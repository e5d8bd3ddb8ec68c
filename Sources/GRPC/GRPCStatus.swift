/// How a call ended: a code and a text, as the trailers `grpc-status` and `grpc-message` carry them.
package struct GRPCStatus: Error, Sendable, Hashable, CustomStringConvertible {
    package let code: GRPCStatusCode
    /// For people; sent percent-encoded.
    package let message: String

    package init(_ code: GRPCStatusCode, _ message: String) {
        self.code = code
        self.message = message
    }

    package static let ok = GRPCStatus(.ok, "")

    package var description: String { "\(code): \(message)" }
}

/// The status codes of gRPC (statuscodes.md of the gRPC project).
package enum GRPCStatusCode: Int, Sendable, Hashable {
    case ok = 0
    case cancelled, unknown, invalidArgument, deadlineExceeded, notFound, alreadyExists, permissionDenied
    case resourceExhausted, failedPrecondition, aborted, outOfRange, unimplemented, internalError, unavailable
    case dataLoss, unauthenticated
}
