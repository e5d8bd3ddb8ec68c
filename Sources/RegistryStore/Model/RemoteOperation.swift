/// An operation as replication carries it: the last word of some node about one key.
package struct RemoteOperation: Sendable {
    package var namespace: Namespace
    package var key: [UInt8]
    package var version: Version
    /// Nil for an expiry or a delete.
    package var value: PutValue?
    package var lease: RemoteLease?
    /// Of a removal: whether the entry had a lease, which shortens how long the removal is remembered.
    package var wasLeased: Bool

    /// The lease of a write, and the node that counts it.
    package struct RemoteLease: Hashable, Sendable {
        package var id: LeaseID
        package var milliseconds: Int64
        package var isShared: Bool
        package var isSuspended: Bool
        package var home: String

        package init(id: LeaseID, milliseconds: Int64, isShared: Bool, isSuspended: Bool, home: String) {
            self.id = id
            self.milliseconds = milliseconds
            self.isShared = isShared
            self.isSuspended = isSuspended
            self.home = home
        }
    }

    package init(
        namespace: Namespace, key: [UInt8], version: Version, value: PutValue?, lease: RemoteLease? = nil,
        wasLeased: Bool = false
    ) {
        self.namespace = namespace
        self.key = key
        self.version = version
        self.value = value
        self.lease = lease
        self.wasLeased = wasLeased
    }
}

extension RemoteOperation {
    /// About what it takes on the wire.
    package var estimatedBytes: Int {
        var count = 64 + key.count
        switch value {
        case .bytes(let bytes): count += bytes.count
        case .registration(let registration): count += registration.textBytes
        case nil: break
        }
        if let lease { count += 24 + lease.home.utf8.count }
        return count
    }
}

/// What taking over operations of other nodes did.
package struct MergeReceipt: Sendable {
    package internal(set) var receipt: Receipt
    /// Those that are the last word on their keys now: to be passed on.
    package let fresh: [RemoteOperation]
    /// Malformed, or without room for their lease. They are not in the context, so that they come again.
    package let refused: Int

    /// Changes in the order of the operations.
    package var changes: [Change] { receipt.changes }
    package var revision: Int64 { receipt.revision }
}
