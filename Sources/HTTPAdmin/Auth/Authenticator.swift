package import HTTPTypes
package import RegistryStore

/// What an authenticator says to a token.
package enum AuthenticationVerdict: Sendable {
    /// The tenant the request acts for.
    case namespace(Namespace)
    /// A token is needed and none was given.
    case missing
    /// The token is not good; ends a chain.
    case refused
    /// The token is of another kind; the next authenticator of a chain may know it.
    case notRecognised
    /// The issuer cannot be asked.
    case unavailable
}

/// Turns bearer tokens into namespaces. One per mode of `--auth`; several make a chain.
package protocol Authenticator: Sendable {
    /// - Parameter token: the token as sent; nil or empty when there was none.
    func authenticate(token: String?) async -> AuthenticationVerdict
}

/// Mode `none`: everything belongs to the namespace `default`, and a foreign token is a mistake worth telling.
package struct OpenAuthenticator: Authenticator {
    package init() {}

    package func authenticate(token: String?) async -> AuthenticationVerdict {
        guard let token, !token.isEmpty, token != Namespace.default.name else { return .namespace(.default) }
        return .refused
    }
}

/// The Authorization field as Amalgam8 reads it (contract section 3).
package enum BearerToken: Equatable, Sendable {
    case absent
    case malformed
    case token(String)

    package init(_ headers: HTTPFields) {
        guard let field = headers[.authorization].map(HeaderText.trimmed), !field.isEmpty else {
            self = .absent
            return
        }
        let parts = field.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "Bearer" || parts[0] == "bearer", !parts[1].isEmpty else {
            self = .malformed
            return
        }
        self = .token(String(parts[1]))
    }
}
