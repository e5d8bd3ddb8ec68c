import HTTPTypes
import RegistryStore

extension APIError {
    /// The one place where the store's refusals become Amalgam8's statuses.
    ///
    /// - Parameter message: what the operation says when it fails (contract section 1).
    init(_ error: RegistryError, failing message: String) {
        switch error {
        case .notFound, .unknownLease:
            self.init(.gone, message)
        case .leaseExists(let lease):
            self.init(.conflict, message, detail: "lease \(lease.rawValue) exists")
        case .preconditionFailed(_, .exists, _):
            self.init(.gone, message)
        case .preconditionFailed:
            self.init(.conflict, message, detail: "the entry was changed at the same time; read it and try again")
        case .limitExceeded(let limit, let value, let bound):
            // What the client sent is too long; or there is no room, for its namespace (403) or for anyone (503).
            let detail = "\(limit): \(value) is above \(bound)"
            switch limit {
            case "key_bytes", "value_bytes", "registration_bytes", "tags", "namespace_bytes", "lease_milliseconds":
                self.init(.badRequest, message, detail: detail)
            case "namespace_capacity": self.init(.forbidden, message, detail: detail)
            default: self.init(.serviceUnavailable, message, detail: detail)
            }
        case .invalid(let field, let value, let expected):
            self.init(.badRequest, message, detail: "\(field): \"\(value)\", expected \(expected)")
        case .compacted(let oldest):
            self.init(.gone, message, detail: "revisions before \(oldest) are not kept")
        case .futureRevision(let current):
            self.init(.badRequest, message, detail: "the current revision is \(current)")
        case .unavailable(let reason, let seconds):
            self.init(.serviceUnavailable, message, detail: reason, retryAfterSeconds: seconds)
        }
    }
}
