import RegistryStore
import Replication

/// What the preservation of one process is to do, by records of its own. Times in monotonic milliseconds of its
/// machine.
struct ClusterKeeping {
    /// Entries that leases ended for since the last tick began.
    var ended: [Entry] = []
    /// The leases that the process counted before the tick, and those of them that were over.
    private(set) var own: Set<LeaseID> = []
    private(set) var over: Set<LeaseID> = []
    /// Since when a lease is over that is not ended.
    private var overdue: [LeaseID: Int64] = [:]
    /// When own leases came to be over, each once.
    private var lapses: [Int64] = []
    /// Whether own leases are kept now, and since when that may be at the earliest.
    private(set) var isPaused = false
    private(set) var pausedSince: Int64?
    private var peers: Set<String> = []
    private var gone: [String: Int64] = [:]
    /// Since when leases of absent homes are kept, and how many members there were.
    private(set) var orphans: (since: Int64, members: Int)?
    /// When instances of a service were ended.
    private var ends: [String: [Int64]] = [:]

    /// Milliseconds by which two views of one moment may differ.
    static let slack: Int64 = 100

    mutating func beforeTick(_ registry: Registry) {
        let leases = registry.leases(countedBy: registry.node)
        own = Set(leases.map(\.id))
        over = Set(leases.filter { $0.remainingMilliseconds == 0 }.map(\.id))
        ended = []
    }

    /// - Parameters:
    ///   - stillOver: own leases that are over after the tick.
    ///   - gone: those that were over before and have ended, also where no entry hung on them. Others were given time
    ///     instead, and have not lapsed.
    mutating func afterTick(stillOver: Set<LeaseID>, gone: Set<LeaseID>, _ rules: Preservation, now: Int64) {
        for id in over.intersection(stillOver.union(gone)).sorted() where overdue[id] == nil {
            overdue[id] = now
            lapses.append(now)
        }
        let many = max(rules.leasesMin, own.count * rules.leasesPercent / 100)
        lapses.removeAll { now - $0 > rules.window + 1_000 }
        let present = overdue.count { over.contains($0.key) }
        pausedSince = lapses.count > many || present > many ? pausedSince ?? now : nil
        let recent = lapses.count { now - $0 < rules.window - 1_000 }
        isPaused = recent > many || isPaused && present > many
        overdue = overdue.filter { stillOver.contains($0.key) }
    }

    /// Notes that instances of a service ended.
    ///
    /// - Returns: how many others have within the window.
    mutating func noteEnds(of service: String, _ count: Int, _ rules: Preservation, now: Int64) -> Int {
        let recent = (ends[service] ?? []).filter { now - $0 < rules.window - Self.slack }
        ends[service] = recent + [Int64](repeating: now, count: count)
        return recent.count
    }

    mutating func sawPeers(_ names: [String], _ rules: Preservation, now: Int64) {
        for name in peers.subtracting(names) { gone[name] = now }
        for name in names { gone[name] = nil }
        gone = gone.filter { now - $0.value < rules.window }
        if let orphans, now - orphans.since >= rules.max { self.orphans = nil }
        peers = Set(names)
        let alive = names.count + 1
        if let orphans {
            let isBack = alive > 1 && alive * 100 >= orphans.members * (100 - rules.membersPercent)
            if isBack { self.orphans = nil }
        } else if !gone.isEmpty, alive == 1 || gone.count * 100 > (alive + gone.count) * rules.membersPercent {
            orphans = (now, alive + gone.count)
        }
    }
}

extension ClusterWorld {
    /// How long what is over may be preserved, in microseconds: the pause, then one lease of a service in each window.
    var preservedBound: Int64 {
        guard let rules = scenario.rules else { return 0 }
        let leases = Int64(clients.count { $0.isLeased })
        return (rules.max + rules.window * (leases + 2) + 2_000) * 1_000
    }

    /// Whether nobody has ended anything lately: with preservation that goes on for long.
    var isToldOfEnds: Bool { scenario.preservation == 0 || now - books.lastMade > bound + 1_000_000 }

    /// After a tick: what ended was allowed to, and what is over and stays is known to be preserved.
    func checkKeeping(of node: ClusterNode, _ process: ClusterProcess, _ rules: Preservation) {
        let registry = process.registry
        let time = node.moment.monotonic
        let stillOver = registry.leases(countedBy: registry.node).filter { $0.remainingMilliseconds == 0 }.map(\.id)
        let gone = process.keeping.over.filter { registry.lease($0) == nil }
        process.keeping.afterTick(stillOver: Set(stillOver), gone: gone, rules, now: time)
        for id in stillOver {
            guard let entry = registry.keys(of: id).first, !registry.deadlines.isPreserved(entry.deadlineSlot) else {
                continue
            }
            fail(
                .preservation,
                "n\(node.number) neither ends nor preserves the lease of \(name(of: entry)), which is over")
        }
        var byLease: [(lease: LeaseID, entries: [Entry])] = []
        for entry in process.keeping.ended {
            guard let lease = entry.lease else { continue }
            if byLease.last?.lease == lease {
                byLease[byLease.count - 1].entries.append(entry)
            } else {
                byLease.append((lease, [entry]))
            }
        }
        for (lease, entries) in byLease { checkEnd(of: lease, entries, by: node, process, rules, now: time) }
        process.keeping.ended = []
    }

    private func checkEnd(
        of lease: LeaseID, _ entries: [Entry], by node: ClusterNode, _ process: ClusterProcess, _ rules: Preservation,
        now time: Int64
    ) {
        guard let entry = entries.first else { return }
        figures.keepingChecks += 1
        let keeping = process.keeping
        let isOwn = keeping.own.contains(lease)
        let since = isOwn ? (keeping.isPaused ? keeping.pausedSince : nil) : keeping.orphans?.since
        if let since, time - since < rules.max - ClusterKeeping.slack {
            fail(
                .preservation,
                "n\(node.number) ends the lease of \(name(of: entry)) \(time - since) ms after too many "
                    + (isOwn ? "leases were over" : "members went"))
        }
        guard let service = entry.indexedService else { return }
        let count = entries.count { $0.indexedService == service }
        let present = instances(of: service, process)
        if isOwn, keeping.isPaused, present == 0 {
            fail(
                .preservation,
                "n\(node.number) ends \(name(of: entry)), the last of its service, while leases are preserved")
        }
        let recent = process.keeping.noteEnds(of: service, count, rules, now: time)
        let share = max(rules.instancesMin, (present + recent + count) * rules.instancesPercent / 100)
        if recent > 0, recent + count > share {
            fail(
                .preservation,
                "n\(node.number) ends \(recent + count) instances of \(service) within \(rules.window) ms; \(present) "
                    + "are left")
        }
    }

    /// Whether what has ended for its owner may be there for good: the last of a service, whose home preserves leases.
    func mayStay(_ key: [UInt8]) -> Bool {
        guard let rules = scenario.rules else { return false }
        for node in nodes {
            guard let process = node.running, home(of: key, process) == node.name,
                let entry = process.registry.entry(namespace: .default, key: key), let lease = entry.lease,
                let service = entry.indexedService, process.registry.deadlines.isPreserved(entry.deadlineSlot)
            else { continue }
            let own = process.registry.ownLeases()
            let isPaused = own.preserved > max(rules.leasesMin, own.counted * rules.leasesPercent / 100)
            let others = process.registry.keys(of: lease).count { $0.indexedService == service }
            return isPaused && instances(of: service, process) == others
        }
        return false
    }

    /// A lease that a node counts, and that it has acknowledged a heartbeat for within its length, is not over there.
    func checkMarks(of client: ClusterClient, _ live: [(node: ClusterNode, process: ClusterProcess)]) {
        guard scenario.preservation > 0 else { return }
        for (node, process) in live {
            guard let last = client.acks[node.number], now - last < (scenario.lease - 100) * 1_000 else { continue }
            for key in client.keys where home(of: key, process) == node.name {
                guard let entry = process.registry.entry(namespace: .default, key: key),
                    process.registry.deadlines.isPreserved(entry.deadlineSlot)
                else { continue }
                fail(
                    .preservation,
                    "n\(node.number) takes \(client.name) for over, \((now - last) / 1_000) ms after a heartbeat there")
            }
        }
    }

    private func instances(of service: String, _ process: ClusterProcess) -> Int {
        books.keyBytes.count { process.registry.entry(namespace: .default, key: $0)?.indexedService == service }
    }

    private func name(of entry: Entry) -> String { books.name(books.number(of: entry.key)) }
}
