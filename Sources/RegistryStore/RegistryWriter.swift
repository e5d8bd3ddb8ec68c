/// What doors write through: the registry itself, or the external store that it mirrors.
package protocol RegistryWriter: Sendable {
    /// Applies a batch of wishes, all or nothing. Returns when this node's registry shows it, or soon after.
    @discardableResult
    func apply(_ intents: [Intent]) async throws(RegistryError) -> Receipt

    /// Heartbeat by the id of the HTTP dialects. Throws `notFound` when there is no such instance (any more).
    func renew(namespace: Namespace, id: String) async throws(RegistryError)

    /// Makes a lease that may own many keys. Nil lets the store choose an id. Throws `leaseExists`.
    func grantLease(id: LeaseID?, milliseconds: Int64) async throws(RegistryError) -> LeaseInfo

    /// Ends a lease and deletes its keys. Throws `unknownLease`.
    @discardableResult
    func revokeLease(_ id: LeaseID) async throws(RegistryError) -> Receipt

    /// Restarts a lease. Throws `unknownLease`.
    func keepAlive(_ id: LeaseID) async throws(RegistryError) -> LeaseInfo
}

extension Registry: RegistryWriter {}
