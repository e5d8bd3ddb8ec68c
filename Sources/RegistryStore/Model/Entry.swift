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
    private let hlc: UInt64
    private let origin: UInt64
    private let sequence: UInt64
    /// Node-local revision of the first put since the key was last absent (etcd's create_revision).
    package let createRevision: Int64
    /// Node-local revision of the last put (etcd's mod_revision).
    package let modRevision: Int64
    /// Puts since creation, from 1 (etcd's version).
    package let putCount: Int64
    /// Unix milliseconds of the registration (last put that was not a renewal).
    package let registeredAt: Int64
    /// How the HTTP dialects show an entry that does not say it by itself: a plain SkyDNS value, or an instance whose
    /// id belongs to another key. Derived from the key; nil for all others.
    package let derivedIdentity: InstanceIdentity?

    package init(
        namespace: Namespace, key: [UInt8], content: Content, storedValue: [UInt8]?, lease: LeaseID?,
        deadlineSlot: UInt32, version: Version, createRevision: Int64, modRevision: Int64, putCount: Int64,
        registeredAt: Int64, derivedIdentity: InstanceIdentity? = nil
    ) {
        self.namespace = namespace
        self.key = key
        self.content = content
        self.storedValue = storedValue
        self.lease = lease
        self.deadlineSlot = deadlineSlot
        hlc = version.hlc
        origin = version.origin
        sequence = version.sequence
        self.createRevision = createRevision
        self.modRevision = modRevision
        self.putCount = putCount
        self.registeredAt = registeredAt
        self.derivedIdentity = derivedIdentity
    }

    /// Replicated version; equal puts keep it. Its kind is always a write.
    package var version: Version { Version(hlc: hlc, kind: .write, origin: origin, sequence: sequence) }

    /// The registration when this entry is a service.
    package var registration: Registration? {
        if case .service(let registration) = content { return registration }
        return nil
    }

    /// The registration's attributes when it has any.
    package var instance: InstanceAttributes? {
        if case .service(let registration) = content { return registration.instance }
        return nil
    }

    /// Service, id and tags as the HTTP dialects show them; nil when they do not show this entry.
    package var identity: InstanceIdentity? {
        if let derivedIdentity { return derivedIdentity }
        return instance.map { InstanceIdentity(service: $0.service, id: $0.id, tags: $0.tags) }
    }

    /// Whether the HTTP dialects show this entry.
    package var isVisibleInstance: Bool { derivedIdentity != nil || instance != nil }

    /// Under which id the HTTP dialects find this entry.
    var indexedID: String? { derivedIdentity?.id ?? instance?.id }

    /// Under which service the HTTP dialects list this entry.
    package var indexedService: String? { derivedIdentity?.service ?? instance?.service }
}

/// How the HTTP dialects name an entry. Immutable.
package final class InstanceIdentity: Hashable, Sendable {
    package let service: String
    package let id: String
    package let tags: [String]

    package init(service: String, id: String, tags: [String]) {
        self.service = service
        self.id = id
        self.tags = tags
    }

    package static func == (a: InstanceIdentity, b: InstanceIdentity) -> Bool {
        a === b || (a.service == b.service && a.id == b.id && a.tags == b.tags)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(service)
        hasher.combine(id)
    }
}
