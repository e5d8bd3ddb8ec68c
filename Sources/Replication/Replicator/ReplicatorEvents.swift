import RegistryStore

/// What happens to a replicator.
package enum ReplicatorEvent: Sendable {
    /// The other members that are alive and speak this protocol, and those of them that say that they are ready.
    case peers([String], ready: [String] = [])
    /// Time passes: every 50 ms or so, and first after a pause.
    case tick
    /// Another node's message.
    case message([UInt8])
    /// The end of a `pull`.
    case pulled(id: UInt64, PullOutcome)
    /// The node is about to leave the cluster. Whatever others it meets after that are new to it: it syncs with them
    /// before it is ready again.
    case leaving
    /// Whether leases are kept when too many are over at once.
    case preserve(Preservation?)
}

/// What a replicator wants done.
package enum ReplicatorEffect: Hashable, Sendable {
    /// Send a message to a member, once; it may be lost.
    case send([UInt8], to: String)
    /// Take over what a member has, by a session over a stream (`Registry.beginSession`); `pulled` in the end.
    case pull(id: UInt64, from: String, isRepair: Bool)
}

/// How a pull ended.
package enum PullOutcome: Hashable, Sendable {
    /// The peer's whole context was joined.
    case complete
    /// The peer serves others, and asks to come back after so many milliseconds.
    case busy(retryAfter: Int64)
    /// Nothing was joined; what arrived stays.
    case failed(reason: String)
}

/// How far a node has come.
package enum ReplicatorPhase: String, Hashable, Sendable {
    /// Nobody is there yet.
    case joining
    /// Takes over what two others have.
    case syncing
    /// Has what two others had when it came, or is the first of its cluster.
    case ready
}

/// What a replicator counts, from its start on.
package struct ReplicatorCounters: Hashable, Sendable {
    /// Operations of messages that were new here, that were known, and that could not be taken over.
    package var applied = 0
    package var known = 0
    package var refused = 0
    package var announcementsSent = 0
    /// Announcements given up since they waited too long, had no room, or did not fit a packet. Digests find them.
    package var announcementsLate = 0
    package var announcementsBeyondLimit = 0
    package var announcementsTooLong = 0
    package var digestsSent = 0
    package var digestMismatches = 0
    package var packetSessions = 0
    package var packetSessionsFailed = 0
    package var pulls = 0
    package var pullsFailed = 0
    package var pullsBusy = 0
    package var repairs = 0
    /// Times that equal contexts had unequal entries.
    package var divergences = 0
    package var badFrames = 0
    package var unknownVersions = 0
    package var unknownKinds = 0
    /// Messages of a node that is no member here.
    package var strangers = 0
    package var adoptionsFailed = 0
    package var adoptionsBeyondLimit = 0
    package var freshStarts = 0
    /// Times that the process had stood still.
    package var standstills = 0
    /// How old new operations were when they came here.
    package var staleness = StalenessHistogram()

    package init() {}
}

/// Counts of ages by upper bounds in milliseconds.
package struct StalenessHistogram: Hashable, Sendable {
    package static let bounds: [Int64] = [25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000]
    /// One more than bounds: what is older than the last.
    package private(set) var counts = [Int](repeating: 0, count: bounds.count + 1)
    package private(set) var sumMilliseconds: Int64 = 0

    mutating func add(_ milliseconds: Int64) {
        let age = max(0, milliseconds)
        counts[Self.bounds.firstIndex { age <= $0 } ?? Self.bounds.count] += 1
        sumMilliseconds &+= age
    }
}
