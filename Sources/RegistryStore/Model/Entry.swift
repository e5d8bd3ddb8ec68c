/// What the value of an entry means.
package enum Content: Hashable, Sendable {
    /// A service the DNS answers and the HTTP dialects show.
    case service(Registration)
    /// Bytes that are no service; served by the etcd doors only.
    case opaque
}

/// One key of the store with its current value; immutable, replaced as a whole by every change but a renewal.
package final class Entry: Sendable {
    package let namespace: Namespace
    /// The exact key bytes: identity. Never folded, never decoded for comparison.
    package let key: [UInt8]
    package let content: Content
    /// The bytes as an etcd door put them; nil for registrations of the dialects, whose value is rendered when read.
    package let storedValue: [UInt8]?
    /// The lease that ends this entry, nil for entries that stay.
    package let lease: LeaseID?
    /// Where the lease's deadline is read without a lock; `LeaseDeadlines.none` when there is no lease.
    package let deadlineSlot: UInt32
    /// Replicated version; equal puts keep it.
    package let version: Version
    /// Node-local revision of the first put since the key was last absent (etcd's create_revision).
    package let createRevision: Int64
    /// Node-local revision of the last put (etcd's mod_revision).
    package let modRevision: Int64
    /// Puts since creation, from 1 (etcd's version).
    package let putCount: Int64
    /// Unix milliseconds of the registration (last put that was not a renewal).
    package let registeredAt: Int64

    package init(
        namespace: Namespace, key: [UInt8], content: Content, storedValue: [UInt8]?, lease: LeaseID?,
        deadlineSlot: UInt32, version: Version, createRevision: Int64, modRevision: Int64, putCount: Int64,
        registeredAt: Int64
    ) {
        self.namespace = namespace
        self.key = key
        self.content = content
        self.storedValue = storedValue
        self.lease = lease
        self.deadlineSlot = deadlineSlot
        self.version = version
        self.createRevision = createRevision
        self.modRevision = modRevision
        self.putCount = putCount
        self.registeredAt = registeredAt
    }

    /// The registration when this entry is a service.
    package var registration: Registration? {
        if case .service(let registration) = content { return registration }
        return nil
    }
}
