import RegistryStore

/// Doing what the keeper of leases wants.
extension Replicator {
    /// Own leases that one step may find over.
    private static let dueMax = 2_000

    mutating func tickLeases() {
        let heartbeats = registry.takeHeartbeats()
        if !heartbeats.isEmpty { feed(.heartbeats(heartbeats)) }
        feed(.tick)
        let due = registry.dueLeases(limit: Self.dueMax)
        guard !due.isEmpty || keeper.preserves else { return }
        let own = registry.ownLeases()
        feed(.due(due, of: settings.node, ownCount: own.counted, preservedCount: own.preserved))
    }

    mutating func feed(_ event: LeaseEvent) {
        for effect in keeper.step(event, now: now) { perform(effect) }
    }

    private mutating func perform(_ effect: LeaseEffect) {
        switch effect {
        case .send(let frame, let name): send(frame.body, to: name)
        case .renew(let batch, let sender, let renewals, let sentUnix):
            let refused = registry.renewForwarded(
                renewals.map { (id: $0.id, age: $0.ageMilliseconds) },
                sentUnix: clocks.ownTime(of: sentUnix, from: sender, now: now))
            var homes: [LeaseID: String] = [:]
            for id in refused { homes[id] = registry.lease(id)?.home }
            feed(.renewed(batch: batch, from: sender, refused: refused, homes: homes))
        case .adopt(let ids, let peer):
            if let peer, isPeer(peer) { adopt(ids, after: peer) } else { adopt(ids) }
        case .listHomes: feed(.homes(registry.homes()))
        case .list(let home): feed(.leases(registry.leases(countedBy: home), of: home))
        case .describe(let ids, let home):
            feed(.due(registry.describe(ids, countedBy: home), of: home, ownCount: 0))
        case .expire(let ids, let home): registry.expire(ids, countedBy: home)
        case .preserve(let ids, let home): registry.preserve(ids, countedBy: home)
        case .endPreserving(let home): registry.endPreserving(countedBy: home)
        case .extendOwn(let pause): registry.extendLeases(afterPause: pause)
        }
    }

    /// Makes this node the home of leases that still run.
    mutating func adopt(_ ids: [LeaseID]) {
        for id in ids where registry.lease(id) != nil {
            do {
                try registry.adopt(id)
            } catch {
                // Over between the look and now; the next heartbeat comes up with it again.
                counters.adoptionsFailed += 1
            }
        }
    }
}
