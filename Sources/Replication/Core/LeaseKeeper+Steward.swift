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
            absent[index].deadlines = [:]
            return []
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
    mutating func end(_ leases: [DueLease], of home: String, ownCount: Int, now: Int64) -> [LeaseEffect] {
        let isOwn = sameName(home, settings.node)
        guard isOwn || !isAlive(home) else { return [] }
        var ended = leases.map(\.id)
        if preserver != nil {
            ended = preserver?.admit(leases, isOwn: isOwn, ownCount: ownCount, now: now) ?? []
        }
        noteEnded(ended.count, preserved: leases.count - ended.count, isOwn: isOwn)
        if !isOwn, let index = absent.firstIndex(where: { sameName($0.name, home) }) {
            for lease in leases { absent[index].deadlines[lease.id] = now &+ 1000 }
            for id in ended { absent[index].deadlines[id] = nil }
        }
        return ended.isEmpty ? [] : [.expire(ended, of: home)]
    }

    // MARK: Leaving

    /// Leases of one message.
    private static let handoverMax = 100

    /// Tells the node that will be the steward how long the own leases run.
    mutating func leave(_ leases: [LeaseInfo]) -> [LeaseEffect] {
        hasLeft = true
        for index in absent.indices { absent[index].deadlines = [:] }
        let others = members.filter { !sameName($0, settings.node) }
        guard let steward = Rendezvous.steward(of: settings.node, among: others) else { return [] }
        let running = leases.compactMap { lease in
            lease.remainingMilliseconds.map { Handover(id: lease.id, remainingMilliseconds: $0) }
        }
        return stride(from: 0, to: running.count, by: Self.handoverMax).map { start in
            .send(Frame(.handover(Array(running[start..<min(start + Self.handoverMax, running.count)]))), to: steward)
        }
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
        handedOver.append(HandedOver(home: home, deadlines: deadlines))
        if handedOver.count > Self.homesMax { handedOver.removeFirst() }
        return []
    }
}
