import Replication

/// What runs came to; of several runs the sums, and the worst of each bound.
package struct ClusterFigures: Sendable {
    package var runs = 0
    package var virtualSeconds: Int64 = 0
    package var events = 0
    package var packets = 0
    package var packetBytes = 0
    package var flipped = 0
    package var unreadable = 0
    package var babbled = 0
    package var pulls = 0
    package var pullsFailed = 0
    package var pages = 0
    package var sessions = 0
    package var packetSessions = 0
    package var packetSessionsFailed = 0
    package var resets = 0
    package var repairs = 0
    package var divergences = 0
    package var freshStarts = 0
    package var operations = 0
    package var lateKeys = 0
    package var adopted = 0
    package var endedAsSteward = 0
    /// Runs with preservation, leases that were kept by it, and ends of leases that were looked at for it.
    package var preservingRuns = 0
    package var preserved = 0
    package var keepingChecks = 0
    package var stickChecks = 0
    /// Times that a node did not know a client that had been acknowledged before.
    package var lostRegistrations = 0
    package var faults: [ClusterFault.Kind: Int] = [:]
    // The worst of all runs.
    package var healMilliseconds: Int64 = 0
    package var convergenceMilliseconds: Int64 = 0
    package var staleMilliseconds: Int64 = 0
    package var readyMilliseconds: Int64 = 0
    package var queuedMax = 0
    package var gapsMax = 0
    /// From the making of operations to their arrival, by upper bounds of `delayBounds`, and beyond.
    package var delays = [Int](repeating: 0, count: delayBounds.count + 1)

    package static let delayBounds: [Int64] = [10, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]

    package init() {}

    /// Takes in what the processes counted at last.
    mutating func finish(_ world: ClusterWorld) {
        runs = 1
        preservingRuns = world.scenario.preservation > 0 ? 1 : 0
        virtualSeconds = world.now / 1_000_000
        operations = world.books.made.count
        lateKeys = world.books.late.count
        for delay in world.books.delays {
            delays[Self.delayBounds.firstIndex { delay <= $0 } ?? Self.delayBounds.count] += 1
        }
        for node in world.nodes {
            guard let replicator = node.process?.replicator else { continue }
            packetSessions += replicator.counters.packetSessions
            packetSessionsFailed += replicator.counters.packetSessionsFailed
            divergences += replicator.counters.divergences
            repairs += replicator.counters.repairs
            adopted += replicator.keeper.counts.adopted
            endedAsSteward += replicator.keeper.counts.endedAsSteward
            preserved += replicator.keeper.counts.preserved
        }
    }

    package mutating func add(_ other: ClusterFigures) {
        for path in Self.sums { self[keyPath: path] += other[keyPath: path] }
        virtualSeconds += other.virtualSeconds
        for (kind, count) in other.faults { faults[kind, default: 0] += count }
        for place in delays.indices { delays[place] += other.delays[place] }
        for path in Self.worsts { self[keyPath: path] = max(self[keyPath: path], other[keyPath: path]) }
        queuedMax = max(queuedMax, other.queuedMax)
        gapsMax = max(gapsMax, other.gapsMax)
    }

    private static var sums: [WritableKeyPath<ClusterFigures, Int>] {
        [
            \.runs, \.events, \.packets, \.packetBytes, \.flipped, \.unreadable, \.babbled, \.pulls, \.pullsFailed,
            \.pages, \.sessions, \.packetSessions, \.packetSessionsFailed, \.resets, \.repairs, \.divergences,
            \.freshStarts, \.operations, \.lateKeys, \.adopted, \.endedAsSteward, \.stickChecks, \.lostRegistrations,
            \.preservingRuns, \.preserved, \.keepingChecks,
        ]
    }

    private static var worsts: [WritableKeyPath<ClusterFigures, Int64>] {
        [\.healMilliseconds, \.convergenceMilliseconds, \.staleMilliseconds, \.readyMilliseconds]
    }

    /// The least bound that covers a share of the arrivals, in milliseconds; nil beyond the last.
    private func delay(share: Double) -> Int64? {
        let wanted = Double(delays.reduce(0, +)) * share
        var sum = 0
        for (place, count) in delays.enumerated() {
            sum += count
            if Double(sum) >= wanted { return place < Self.delayBounds.count ? Self.delayBounds[place] : nil }
        }
        return nil
    }

    package var text: String {
        let names = faults.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.key.rawValue) \($0.value)" }
        func share(_ share: Double) -> String { delay(share: share).map { "\($0)" } ?? "over 10000" }
        return """
            \(runs) runs, \(virtualSeconds) virtual s, \(events) events, \(packets) packets, \(operations) operations
            faults: \(names.joined(separator: ", ")); \(flipped) bits flipped, \(unreadable) packets unreadable, \
            \(babbled) old or senseless messages
            sessions: \(packetSessions) by packets (\(packetSessionsFailed) given up), \(pulls) pulls \
            (\(pullsFailed) failed), \(pages) pages, \(sessions) whole, \(resets) resets, \(divergences) divergences, \
            \(repairs) repairs, \(freshStarts) fresh starts
            leases: \(adopted) adopted, \(endedAsSteward) ended by stewards, \(lostRegistrations) registered again, \
            \(stickChecks) looks at clients that stay with a node
            preservation: \(preservingRuns) runs, \(preserved) leases kept, \(keepingChecks) ends looked at
            arrival of operations, ms: p50 \(share(0.5)), p90 \(share(0.9)), p99 \(share(0.99)); keys set aside: \
            \(lateKeys)
            worst: heal \(healMilliseconds) ms, equal after \(convergenceMilliseconds) ms (I3), stopped and there \
            \(staleMilliseconds) ms (I7), ready after \(readyMilliseconds) ms (I12), queue \(queuedMax) octets, gaps \
            \(gapsMax) (I10)
            """
    }
}
