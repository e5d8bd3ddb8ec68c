package import Logging
package import RegistryStore

/// How much the sync streams take. What happens at each bound is in the article SyncStreams.
package struct SyncSettings: Hashable, Sendable {
    /// Sessions that this node serves at a time; beyond, `bye(busy)`.
    package var servedMax = 4
    /// Streams of others at a time, those included that have asked for nothing yet; beyond, they are closed.
    package var streamsMax = 16
    /// Syncs that this node asks for at a time; beyond, `busyHere`.
    package var pulledMax = 2
    /// When a peer is told to come back.
    package var retryMilliseconds: Int64 = 1_000
    /// The longest time that a busy peer's advice counts for.
    package var retryMax: Int64 = 60_000
    /// A stream on which nothing goes on for so long is closed.
    package var stallMilliseconds: Int64 = 10_000
    /// So is one that takes longer than this.
    package var streamMilliseconds: Int64 = 600_000
    /// About how large a page is.
    package var pageBytes = 262_144
    package var pageOperations = 1_024
    /// The longest message of a peer that was asked.
    package var answerBytes = 16_777_216
    /// The longest message of a peer that asks.
    package var wantBytes = 4_194_304

    package init() {}
}

/// What sync streams take from outside.
package struct SyncEnvironment: Sendable {
    package var clock = RegistryClock.system
    /// Waits for so many milliseconds; it may end early.
    package var sleep: @Sendable (Int64) async throws -> Void = { try await Task.sleep(for: .milliseconds($0)) }
    package var logger = Logger(label: "regdns.sync")

    package init() {}
}
