import RegistryStore

/// What a node does not know after its process stood still.
struct StandstillState: Sendable {
    var lastTick: Int64?
    /// Since when this node goes on after a standstill without having heard what the others have.
    var doubtedSince: Int64?
}

/// After a standstill (a paused machine, a stopped process) leases that others count may be over, and nobody could tell
/// this node. Until it has taken over what another node has, it does not vouch for its own content.
extension Replicator {
    /// Until when what the registry holds may be answered, in monotonic milliseconds; nil while that is in doubt.
    package var vouchedUntil: Int64? {
        standstill.doubtedSince == nil ? now.monotonic &+ ReplicatorSettings.standstillMin : nil
    }

    mutating func noteStandstill() {
        defer { standstill.lastTick = now.monotonic }
        guard let last = standstill.lastTick, now.monotonic &- last > ReplicatorSettings.standstillMin,
            phase == .ready, !peers.isEmpty
        else { return }
        counters.standstills += 1
        standstill.doubtedSince = now.monotonic
    }

    /// Asks whoever may be asked. Where nobody answers in time, the node is on its own side of a split and answers what
    /// it has, as it would have done without the standstill.
    mutating func endDoubt() {
        guard let since = standstill.doubtedSince else { return }
        guard !peers.isEmpty, now.monotonic &- since < ReplicatorSettings.doubtMax else {
            standstill.doubtedSince = nil
            return
        }
        for peer in peers { _ = pull(from: peer, for: .doubt) }
    }
}
