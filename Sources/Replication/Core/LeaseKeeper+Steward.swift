import RegistryStore

/// Standing in for homes that are gone.
extension LeaseKeeper {
    /// Notes homes that are not there, and asks for the leases of those whose steward this node is.
    mutating func lookAfter(_ homes: [String]) -> [LeaseEffect] {
        for home in homes where !isAlive(home) && !home.isEmpty && !absent.contains(where: { sameName($0.name, home) })
        {
            absent.append(AbsentHome(name: home))
        }
        absent.sort { precedes($0.name, $1.name) }
        guard !hasLeft else { return [] }
        return absent.filter { sameName(counter(of: $0.name), settings.node) }.map { .list(of: $0.name) }
    }

    /// Begins to count leases that were not counted yet: each runs its full length and a grace from the moment this
    /// node saw its home go or first saw the lease; less when the home said what was left. Forgets those that are gone.
    mutating func stand(in home: String, for leases: [LeaseInfo], now: Int64) -> [LeaseEffect] {
        guard let index = absent.firstIndex(where: { sameName($0.name, home) }) else { return [] }
        guard !hasLeft, sameName(counter(of: home), settings.node), !leases.isEmpty else {
            return absent[index].forget()
        }
        let handed = handedOver.first { sameName($0.home, home) }?.deadlines ?? [:]
        let known = absent[index].deadlines
        var deadlines: [LeaseID: Int64] = [:]
        for lease in leases where !lease.isSuspended {
            let grace = settings.grace(lease.lengthMilliseconds)
            let fresh =
                handed[lease.id].map { min($0, now &+ lease.lengthMilliseconds) &+ grace } ?? now
                &+ lease.lengthMilliseconds &+ grace
            deadlines[lease.id] = known[lease.id] ?? fresh
        }
        absent[index].deadlines = deadlines
        return []
    }

    /// Leases of absent homes whose time is over.
    func askAboutEnds(now: Int64) -> [LeaseEffect] {
        absent.compactMap { home in
            let over = home.deadlines.filter { $0.value <= now }.keys.sorted().prefix(settings.endsMax)
            return over.isEmpty ? nil : .describe(Array(over), of: home.name)
        }
    }

    /// Ends what may end; what is preserved comes up again.
    mutating func end(
        _ leases: [DueLease], of home: String, own: (count: Int, preserved: Int), now: Int64
    ) -> [LeaseEffect] {
        let isOwn = sameName(home, settings.node)
        guard isOwn || !isAlive(home) else { return [] }
        var ended = leases.map(\.id)
        var kept: [DueLease] = []
        if preserver != nil {
            ended = preserver?.admit(leases, own: isOwn ? own : nil, now: now) ?? []
            let ending = Set(ended)
            kept = leases.filter { !ending.contains($0.id) }
        }
        noteEnded(ended.count, preserved: kept.count { !$0.isPreserved }, isOwn: isOwn)
        if !isOwn, let index = absent.firstIndex(where: { sameName($0.name, home) }) {
            for lease in leases { absent[index].deadlines[lease.id] = now &+ 1000 }
            for id in ended { absent[index].deadlines[id] = nil }
            if !kept.isEmpty { absent[index].isPreserved = true }
        }
        // Those that are preserved already were not renewed: that they are is not said again.
        let fresh = kept.filter { !$0.isPreserved }.map(\.id)
        return (ended.isEmpty ? [] : [.expire(ended, of: home)]) + (fresh.isEmpty ? [] : [.preserve(fresh, of: home)])
    }

    // MARK: Leaving

    /// Leases of one message.
    private static let handoverMax = 100

    /// Tells the node that will be the steward how long the own leases run.
    mutating func leave(_ leases: [LeaseInfo]) -> [LeaseEffect] {
        hasLeft = true
        var effects: [LeaseEffect] = []
        for index in absent.indices { effects += absent[index].forget() }
        let others = members.filter { !sameName($0, settings.node) }
        guard let steward = Rendezvous.steward(of: settings.node, among: others) else { return effects }
        let running = leases.compactMap { lease in
            lease.remainingMilliseconds.map { Handover(id: lease.id, remainingMilliseconds: $0) }
        }
        for start in stride(from: 0, to: running.count, by: Self.handoverMax) {
            let part = Array(running[start..<min(start + Self.handoverMax, running.count)])
            effects.append(.send(Frame(.handover(part)), to: steward))
        }
        return effects
    }

    /// Nodes whose words are remembered.
    private static let homesMax = 64

    /// Remembers what a home says of its leases as it leaves.
    mutating func take(_ leases: [Handover], from home: String, now: Int64) -> [LeaseEffect] {
        let index = handedOver.firstIndex { sameName($0.home, home) }
        var deadlines = index.map { handedOver[$0].deadlines } ?? [:]
        if let index { handedOver.remove(at: index) }
        let others = handedOver.reduce(0) { $0 + $1.deadlines.count }
        var beyond = 0
        for lease in leases {
            guard deadlines[lease.id] != nil || others + deadlines.count < settings.handedOverMax else {
                beyond += 1
                continue
            }
            let end = now.addingReportingOverflow(lease.remainingMilliseconds)
            deadlines[lease.id] = end.overflow ? nil : end.partialValue
        }
        noteHandedOverBeyondLimit(beyond)
        handedOver.append(HandedOver(home: home, at: now, deadlines: deadlines))
        if handedOver.count > Self.homesMax { handedOver.removeFirst() }
        return []
    }
}
