package import HTTPTypes

/// A refusal in Amalgam8's words. The body holds the message alone, as its clients compare it; what exactly was wrong
/// (field, value, what was expected) goes into the field `Error-Detail`.
package struct APIError: Error, Sendable {
    package let status: HTTPResponse.Status
    package let message: String
    package let detail: String?
    /// When another try may succeed, in seconds (RFC 9110 section 10.2.3).
    package let retryAfterSeconds: Int?

    package init(
        _ status: HTTPResponse.Status, _ message: String, detail: String? = nil, retryAfterSeconds: Int? = nil
    ) {
        self.status = status
        self.message = message
        self.detail = detail
        self.retryAfterSeconds = retryAfterSeconds
    }

    package func with(detail: String) -> APIError { APIError(status, message, detail: detail) }

    package var answer: HTTPAnswer {
        var answer = HTTPAnswer.json(status) { $0.member("Error", message) }
        if let detail { answer.headers[.errorDetail] = HeaderText.fieldValue(detail) }
        if let retryAfterSeconds { answer.headers[.retryAfter] = "\(retryAfterSeconds)" }
        return answer
    }

    package static let resourceNotFound = APIError(.notFound, "Resource not found")
    package static let methodNotAllowed = APIError(.methodNotAllowed, "Method not allowed")
    package static let malformedPath = APIError(.badRequest, "Malformed request path")
    package static let badContentType = APIError(
        .unsupportedMediaType, "Bad Content-Type or charset, expected 'application/json'")
    package static let missingAuthorization = APIError(.unauthorized, "Missing request Authorization header")
    package static let malformedAuthorization = APIError(
        .unauthorized, "Malformed request Authorization header, expecting Bearer Token")
    package static let invalidToken = APIError(.unauthorized, "Authorization failure, invalid token")
    package static let issuerUnavailable = APIError(
        .serviceUnavailable, "Authorization failure, unable to validate token with issuer")
    package static let internalError = APIError(.internalServerError, "Internal Server Error")
}
