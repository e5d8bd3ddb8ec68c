package import RegistryStore

/// A call that was routed and authenticated.
package struct Invocation: Sendable {
    package let call: HTTPCall
    package let namespace: Namespace
    package let parameters: PathParameters

    package init(call: HTTPCall, namespace: Namespace, parameters: PathParameters = PathParameters()) {
        self.call = call
        self.namespace = namespace
        self.parameters = parameters
    }
}

/// What a route leads to.
package struct Operation: Sendable {
    package enum Access: Sendable {
        /// No token is looked at (`/`, `/uptime`, health, metrics).
        case open
        /// The token decides the namespace; a body must be JSON.
        case tenant
    }

    /// Name in metrics and the log, as in the contract: Register, Renew, ListInstances, …
    package let name: String
    package let access: Access
    package let handle: @Sendable (Invocation) async throws(APIError) -> HTTPAnswer

    package init(
        _ name: String, access: Access,
        handle: @escaping @Sendable (Invocation) async throws(APIError) -> HTTPAnswer
    ) {
        self.name = name
        self.access = access
        self.handle = handle
    }
}
