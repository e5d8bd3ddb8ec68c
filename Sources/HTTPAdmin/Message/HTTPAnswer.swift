package import HTTPTypes

/// One response of a door, before the listener adds what every answer carries.
package struct HTTPAnswer: Sendable {
    /// Sends one piece of a streamed body and waits until the connection takes it; throws when the client has gone.
    package typealias Send = @Sendable ([UInt8]) async throws -> Void

    package enum Body: Sendable {
        case bytes([UInt8])
        /// A body without end, written piece by piece until the closure returns or its task is cancelled.
        case stream(@Sendable (@escaping Send) async throws -> Void)
    }

    package var status: HTTPResponse.Status
    package var headers: HTTPFields
    package var body: Body

    package init(status: HTTPResponse.Status, headers: HTTPFields = [:], body: Body = .bytes([])) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The bytes of a body that is not streamed; empty for streams.
    package var bytes: [UInt8] {
        if case .bytes(let bytes) = body { return bytes }
        return []
    }
}

extension HTTPField.Name {
    /// A field name written in this source.
    static func known(_ text: StaticString) -> HTTPField.Name {
        // Only literals come here, so a name that is no token is a mistake every test run meets.
        guard let name = HTTPField.Name("\(text)") else { preconditionFailure("\(text) is no field name") }
        return name
    }

    /// Request id as Amalgam8 writes it on the wire (the canonical form of REQUEST_ID).
    static let requestID = known("Request_id")
    /// Request id under the name Amalgam8's Go client looks for.
    static let legacyRequestID = known("Sd-Request-Id")
    /// What exactly was wrong with a request, beside the fixed messages of the contract.
    static let errorDetail = known("Error-Detail")
    static let forwardedProto = known("X-Forwarded-Proto")
    static let secureMark = known("$WSSC")
    static let lastEventID = known("Last-Event-ID")
}
