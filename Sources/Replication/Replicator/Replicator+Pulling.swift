import RegistryStore

/// Streams that this node takes over what others have by.
struct PullState: Sendable {
    enum Purpose: Sendable {
        case lack
        case repair
        /// Before the node is ready.
        case bootstrap
        /// After a standstill.
        case doubt
        /// Before it becomes the home of leases whose home says that it does not count them.
        case adoption([LeaseID])
    }

    struct Pull: Sendable {
        let id: UInt64
        let peer: String
        let purpose: Purpose
    }

    var lastID: UInt64 = 0
    var running: [Pull] = []
    /// When a peer may be asked again.
    var notBefore: [String: Int64] = [:]
    /// Leases to be adopted after a pull, by the peer, the oldest first.
    var adoptions: [(peer: String, leases: [LeaseID])] = []

    var waitingLeases: Int { adoptions.reduce(0) { $0 + $1.leases.count } }
}

extension Replicator {
    /// Begins a pull if that peer may be asked now.
    mutating func pull(from peer: String, for purpose: PullState.Purpose) -> Bool {
        guard isPeer(peer), pulls.running.count < ReplicatorSettings.pullsMax,
            !pulls.running.contains(where: { sameName($0.peer, peer) }),
            pulls.notBefore[peer].map({ $0 <= now.monotonic }) ?? true
        else { return false }
        pulls.lastID += 1
        pulls.running.append(PullState.Pull(id: pulls.lastID, peer: peer, purpose: purpose))
        counters.pulls += 1
        let isRepair = if case .repair = purpose { true } else { false }
        effects.append(.pull(id: pulls.lastID, from: peer, isRepair: isRepair))
        return true
    }

    /// Others have forgotten removals that this node never heard of. Before anything is said to others or taken from
    /// them: what was removed there must not come back by way of this node.
    mutating func beginFreshIfAloneTooLong() {
        guard registry.wasAloneTooLong else { return }
        counters.freshStarts += 1
        registry.startFresh(origin: UInt64.random(in: 1 ... .max, using: &dice))
        // What was dropped is asked for again at once.
        noteChange()
        needsDigests = true
    }

    mutating func pulled(_ id: UInt64, _ outcome: PullOutcome) {
        guard let index = pulls.running.firstIndex(where: { $0.id == id }) else { return }
        let pull = pulls.running.remove(at: index)
        if registry.revision != seenRevision { noteChange() }
        switch outcome {
        case .complete:
            pulls.notBefore[pull.peer] = nil
            repair.agreedAt[pull.peer] = now.monotonic
        case .busy(let time):
            counters.pullsBusy += 1
            pulls.notBefore[pull.peer] = now.monotonic &+ min(max(time, 50), 10_000)
        case .failed:
            counters.pullsFailed += 1
            pulls.notBefore[pull.peer] = now.monotonic &+ ReplicatorSettings.pullPause
        }
        switch pull.purpose {
        case .lack, .repair: break
        case .doubt: if outcome == .complete { standstill.doubtedSince = nil }
        case .bootstrap: bootstrap.ended(with: pull.peer, outcome)
        // A lease that this pull has ended is not there any more; the others need a home.
        case .adoption(let leases): adopt(leases)
        }
    }

    /// Makes this node the home of leases once it has heard what their home knows of them.
    mutating func adopt(_ leases: [LeaseID], after peer: String) {
        guard pulls.waitingLeases + leases.count <= ReplicatorSettings.adoptionsMax else {
            counters.adoptionsBeyondLimit += leases.count
            return adopt(leases)
        }
        if let index = pulls.adoptions.firstIndex(where: { sameName($0.peer, peer) }) {
            pulls.adoptions[index].leases += leases
        } else {
            pulls.adoptions.append((peer, leases))
        }
        beginAdoptions()
    }

    mutating func tickPulls() {
        pulls.notBefore = pulls.notBefore.filter { $0.value > now.monotonic }
        beginAdoptions()
    }

    private mutating func beginAdoptions() {
        for (peer, leases) in pulls.adoptions {
            if !isPeer(peer) {
                adopt(leases)
            } else if !pull(from: peer, for: .adoption(leases)) {
                continue
            }
            pulls.adoptions.removeAll { sameName($0.peer, peer) }
        }
    }
}
