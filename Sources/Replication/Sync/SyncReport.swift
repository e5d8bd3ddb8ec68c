package import RegistryStore

/// What a sync that this node asked for has done.
package struct SyncReport: Sendable {
    /// The peer's hello: who it is, and what it had when the stream began.
    package let peer: HelloFrame
    /// Never `open`.
    package internal(set) var state = SyncProgress.State.open
    package internal(set) var wasReset = false
    /// The peer gave the repair that was asked for.
    package internal(set) var wasRepair = false
    package internal(set) var pages = 0
    /// Operations that came.
    package internal(set) var operations = 0
    /// Entries changed here.
    package internal(set) var changes = 0
    /// Operations that became the last word on their keys.
    package internal(set) var fresh = 0
    /// Operations that this node could not take over; then nothing is joined.
    package internal(set) var refused = 0
    /// Entries that a reset removed.
    package internal(set) var dropped = 0
    /// Entries that a reset would have removed, had their leases not been running here.
    package internal(set) var reasserted = 0
    /// Octets of records, both ways; the hellos are not among them.
    package internal(set) var bytesIn = 0
    package internal(set) var bytesOut = 0
    /// From the dialling to the end.
    package internal(set) var milliseconds: Int64 = 0

    package var isComplete: Bool { state == .complete }
    package var seconds: Double { Double(milliseconds) / 1_000 }

    init(peer: HelloFrame) { self.peer = peer }

    /// Takes in what a page brought and did.
    mutating func add(_ page: SyncPage, _ progress: SyncProgress) {
        switch page.opening {
        case .reset: wasReset = true
        case .repair: (wasReset, wasRepair) = (true, true)
        case .delta, nil: break
        }
        pages += 1
        operations += page.operations.count
        changes += progress.receipt.changes.count
        fresh += progress.receipt.fresh.count
        refused += progress.receipt.refused
        dropped += progress.dropped
        reasserted += progress.reasserted
        state = progress.state
    }
}
