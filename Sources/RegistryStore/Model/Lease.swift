/// The id of a lease, as etcd's v3 leases: never 0.
package struct LeaseID: Hashable, Comparable, Sendable {
    package let rawValue: Int64
    package init(_ rawValue: Int64) { self.rawValue = rawValue }
    package static func < (a: LeaseID, b: LeaseID) -> Bool { a.rawValue < b.rawValue }
}

/// A snapshot of a lease for its readers.
package struct LeaseInfo: Sendable {
    package let id: LeaseID
    /// Length granted, in milliseconds.
    package let lengthMilliseconds: Int64
    /// Milliseconds left at the time of reading; nil while suspended.
    package let remainingMilliseconds: Int64?
    /// Unix milliseconds of the last renewal (or grant).
    package let renewedAt: Int64
    /// Name of the node that counts this lease; empty when an external store does.
    package let home: String
    package let isSuspended: Bool

    package init(
        id: LeaseID, lengthMilliseconds: Int64, remainingMilliseconds: Int64?, renewedAt: Int64, home: String,
        isSuspended: Bool
    ) {
        self.id = id
        self.lengthMilliseconds = lengthMilliseconds
        self.remainingMilliseconds = remainingMilliseconds
        self.renewedAt = renewedAt
        self.home = home
        self.isSuspended = isSuspended
    }
}
