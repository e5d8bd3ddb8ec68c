/// A node's way to being ready.
struct BootstrapState: Sendable {
    /// Peers whose whole content was taken over.
    var synced: [String] = []
    /// Peers that say that they are ready. Others may be as new as this node, and know nothing yet.
    var readyPeers: [String] = []
    /// Pulls that failed.
    var failures = 0
    /// Why the last one did.
    var problem: String?

    func isReady(_ peer: String) -> Bool { readyPeers.contains { sameName($0, peer) } }
    func isSynced(_ peer: String) -> Bool { synced.contains { sameName($0, peer) } }

    mutating func ended(with peer: String, _ outcome: PullOutcome) {
        switch outcome {
        case .complete:
            synced.append(peer)
            problem = nil
        case .busy: problem = "\(peer) serves others"
        case .failed(let reason):
            failures += 1
            problem = "\(peer): \(reason)"
        }
    }
}

extension Replicator {
    /// Why the node is not ready; nil when it is.
    package var notReady: String? {
        switch phase {
        case .ready: nil
        case .joining:
            settings.minPeers > 0
                ? "gossip: \(peers.count) of \(settings.minPeers) other nodes are there (--min-peers)"
                : "gossip: joining, no other member is there yet"
        case .syncing: "gossip: taking over what the others have" + (bootstrap.problem.map { " (\($0))" } ?? "")
        }
    }

    /// - Parameter time: since the node began.
    mutating func tickPhase(aliveFor time: Int64) {
        switch phase {
        case .ready: return
        case .joining:
            if !peers.isEmpty, peers.count >= settings.minPeers {
                phase = .syncing
                continueSyncing()
            } else if peers.isEmpty, settings.minPeers == 0, time >= settings.soloAfter {
                phase = .ready
            }
        case .syncing: continueSyncing()
        }
    }

    private mutating func continueSyncing() {
        guard !peers.isEmpty, peers.count >= settings.minPeers else {
            phase = .joining
            return
        }
        let synced = peers.filter(bootstrap.isSynced)
        let isTried = bootstrap.failures >= ReplicatorSettings.bootstrapTries
        // Where somebody is ready, at least one who is has to be among them.
        let hasContent = synced.contains(where: bootstrap.isReady) || !peers.contains(where: bootstrap.isReady)
        let isEnough = synced.count >= min(ReplicatorSettings.bootstrapPeers, peers.count)
        guard !hasContent || !(isEnough || isTried && !synced.isEmpty) else {
            phase = .ready
            return
        }
        guard !pulls.running.contains(where: { if case .bootstrap = $0.purpose { true } else { false } }) else {
            return
        }
        let open = peers.filter { !bootstrap.isSynced($0) }
        let ready = open.filter(bootstrap.isReady)
        let candidates = ready.isEmpty ? open : ready
        guard !candidates.isEmpty else { return }
        let first = Int.random(in: 0..<candidates.count, using: &dice)
        for place in candidates.indices {
            if pull(from: candidates[(first + place) % candidates.count], for: .bootstrap) { return }
        }
    }
}
