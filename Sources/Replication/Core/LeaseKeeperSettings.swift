/// How a node counts leases in a cluster. All times in milliseconds.
package struct LeaseKeeperSettings: Sendable {
    /// This node's name.
    package var node: String
    /// What a lease gets beyond its length when its home is gone: this, or half its length when that is more.
    package var graceMin: Int64 = 10_000
    /// How often heartbeats are passed on.
    package var batchInterval: Int64 = 250
    /// Heartbeats of one batch.
    package var batchMax = 1000
    /// When a batch without an answer is repeated, after it was first sent.
    package var repeats: [Int64] = [250, 500, 1000]
    /// When this node becomes the home of leases whose home does not answer.
    package var adoptAfter: Int64 = 2000
    /// Batches that may be without an answer.
    package var batchesMax = 256
    /// How often a steward looks for leases of homes that are gone.
    package var lookInterval: Int64 = 5000
    /// A pause between two ticks that is looked at as a standstill of the process.
    package var pauseMin: Int64 = 1000
    /// Leases of absent homes that are asked about at once.
    package var endsMax = 2000
    /// Leases of all homes together of which is remembered what their homes said when they left.
    package var handedOverMax = 262_144
    /// Nil when every lease ends when its time is over.
    package var preservation: Preservation?

    package init(node: String, preservation: Preservation? = nil) {
        self.node = node
        self.preservation = preservation
    }

    func grace(_ length: Int64) -> Int64 { max(graceMin, length / 2) }
}

/// When leases do not end although their time is over, because so many at once mean that something else is wrong.
package struct Preservation: Hashable, Sendable {
    /// Own leases: more than this share of them, and more than `leasesMin`, over within `window`.
    package var leasesPercent = 15
    package var leasesMin = 5
    /// Members: more than this share of them gone within `window`, or all.
    package var membersPercent = 30
    package var window: Int64 = 60_000
    /// Of a service's instances, this share or `instancesMin` end within `window`, whichever is more.
    package var instancesPercent = 15
    package var instancesMin = 5
    /// After so long leases end at the rate of `instancesPercent` all the same.
    package var max: Int64 = 3_600_000

    package init() {}
}
