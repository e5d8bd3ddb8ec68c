/// What the store holds and has done; one consistent reading for metrics and the status call.
package struct RegistryCounts: Hashable, Sendable {
    package var revision: Int64 = 0
    /// The greatest revision that can no longer be resumed from.
    package var compactedRevision: Int64 = 0
    package var namespaces = 0
    package var entries = 0
    /// Entries that the HTTP dialects show.
    package var instances = 0
    /// Distinct service names, per namespace.
    package var services = 0
    /// Estimated bytes of the entries.
    package var entryBytes = 0
    package var leases = 0
    package var tombstones = 0
    package var tombstoneBytes = 0
    package var feedEvents = 0
    package var feedBytes = 0
    package var waiters = 0
    package var observers = 0
    /// Values that do not decode, at present.
    package var skippedValues = 0
    /// Processes whose operations the causal context remembers, and holes in them.
    package var origins = 0
    package var gaps = 0
    // Since the start:
    package var skippedValuesTotal = 0
    package var puts = 0
    package var deletes = 0
    package var renewals = 0
    package var expirations = 0
    package var refusals = 0
    /// Operations of other nodes that were malformed or had no room.
    package var remoteRefused = 0
    /// Of those, what had no room: too many entries, bytes of entries or leases.
    package var remoteBeyondLimit = 0
    /// Tombstones given up under the memory bound, before their time.
    package var tombstonesEvicted = 0
    /// Changes given up under the feed's bounds.
    package var feedEventsDropped = 0

    package init() {}
}
