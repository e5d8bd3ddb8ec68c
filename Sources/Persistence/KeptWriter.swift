package import RegistryStore

/// Writes to a registry that is kept on a disk: each call returns when what it wrote is kept.
///
/// Heartbeats change nothing that is kept, wait for nothing, and go on while the disk fails.
package struct KeptWriter: RegistryWriter {
    private let registry: Registry
    private let durability: any RegistryDurability

    package init(registry: Registry, durability: any RegistryDurability) {
        self.registry = registry
        self.durability = durability
    }

    @discardableResult
    package func apply(_ intents: [Intent]) async throws(RegistryError) -> Receipt {
        try await durability.waitForRoom()
        let receipt = try registry.apply(intents)
        // An equal put too: what it found may not be kept yet.
        if !durability.isSettled { try await durability.settle() }
        return receipt
    }

    package func renew(namespace: Namespace, id: String) async throws(RegistryError) {
        try registry.renew(namespace: namespace, id: id)
    }

    package func grantLease(id: LeaseID?, milliseconds: Int64) async throws(RegistryError) -> LeaseInfo {
        let lease = try registry.grantLease(id: id, milliseconds: milliseconds)
        try await durability.settle()
        return lease
    }

    @discardableResult
    package func revokeLease(_ id: LeaseID) async throws(RegistryError) -> Receipt {
        let receipt = try registry.revokeLease(id)
        try await durability.settle()
        return receipt
    }

    package func keepAlive(_ id: LeaseID) async throws(RegistryError) -> LeaseInfo { try registry.keepAlive(id) }
}
