/// The bounds of a store. A write that would pass one is refused with `RegistryError.limitExceeded`, which carries the
/// name given here as `limit`; the history bounds drop the oldest instead.
package struct RegistryLimits: Sendable {
    /// `entries`: keys over all namespaces.
    package var maxEntries = 4_194_304
    /// `memory_bytes`: sum of the entries' estimated sizes.
    package var maxMemoryBytes = 1 << 30
    /// `key_bytes`: length of one key.
    package var maxKeyBytes = 512
    /// `value_bytes`: length of a value put as bytes; 1.5 MiB as etcd's requests.
    package var maxValueBytes = 1_572_864
    /// `registration_bytes`: all texts of a registration of the HTTP dialects or of a catalog together.
    package var maxRegistrationBytes = 65_536
    /// `tags`: tags of one registration. An etcd value with more is a plain SkyDNS value.
    package var maxTags = 64
    /// `namespace_bytes`: length of a namespace's name.
    package var maxNamespaceBytes = 1024
    /// `leases`: leases alive at a time, one of which each leased registration has. At most 2^24.
    package var maxLeases = 4_194_304
    /// `lease_milliseconds`: longest lease, etcd's 9,000,000,000 s.
    package var maxLeaseMilliseconds: Int64 = 9_000_000_000_000
    /// `intents`: wishes of one batch.
    package var maxIntentsPerBatch = 100_000
    /// `transaction_reads`: entries that the conditions and ranges of one transaction look at, each counted as often
    /// as it is looked at. All happens while others wait.
    package var maxReadsPerTransaction = 1_000_000
    /// `namespace_capacity`: instances of one namespace; -1 for no bound. An instance that exists may be written again.
    package var namespaceCapacity = -1
    /// Changes kept for watches that resume; the oldest go first.
    package var feedEvents = 65_536
    /// Bytes kept by the feed; the oldest changes go first.
    package var feedBytes = 64 << 20
    /// How long the tombstone of a leased entry is kept.
    package var tombstoneMilliseconds: Int64 = 24 * 3_600_000
    /// How long the tombstone of an entry without lease is kept.
    package var permanentTombstoneMilliseconds: Int64 = 30 * 24 * 3_600_000
    /// Memory for tombstones; the oldest go first.
    package var tombstoneBytes = 64 << 20
    /// `waiters`: tasks that wait for a change.
    package var maxWaiters = 65_536
    /// Skipped values kept for the admin call; further ones are only counted.
    package var skippedValuesKept = 1000
    /// Leases that one call of `expireDue` ends; the rest follows with the next call.
    package var expiriesPerCall = 2000
    /// Length of the name of a node that counts leases.
    package var maxNodeNameBytes = 255
    /// Processes whose operations the causal context remembers.
    package var maxOrigins = 4096
    /// Operations of other nodes have room up to so many times `maxEntries` and `maxMemoryBytes`: what their doors took
    /// at the same time as those of this node must fit.
    private static let remoteFactor = 2
    /// Holes remembered in the operations of one origin.
    package var maxGapsPerOrigin = 1024

    package init() {}

    /// Entries beyond which no other node's entry is taken over.
    package var remoteEntries: Int { Self.clampedProduct(maxEntries, Self.remoteFactor) }
    /// Estimated bytes of entries beyond which no other node's write is taken over that makes them more.
    package var remoteMemoryBytes: Int { Self.clampedProduct(maxMemoryBytes, Self.remoteFactor) }

    private static func clampedProduct(_ a: Int, _ b: Int) -> Int {
        let product = a.multipliedReportingOverflow(by: b)
        return product.overflow ? .max : product.partialValue
    }
}
