import RegistryStore

/// Keeps leases whose time is over when too many are over at once: then more likely something stands between the
/// clients and this node than that all of them have died. After Eureka's idea.
struct LeasePreserver: Sendable {
    let rules: Preservation
    /// Own leases that ran out within the window, once each.
    private var lapsed: [(at: Int64, id: LeaseID)] = []
    /// Since when own leases are kept.
    private var ownSince: Int64?
    /// How many members went within the window.
    private var gone: [(at: Int64, count: Int)] = []
    private var alive = 1
    private var orphansSince: Int64?
    /// Ends of each service within the window.
    private var ends: [ServiceName: [Int64]] = [:]

    private struct ServiceName: Hashable, Sendable {
        let namespace: Namespace
        let service: [UInt8]
    }

    init(_ rules: Preservation) { self.rules = rules }

    var isPaused: Bool { ownSince != nil || orphansSince != nil }

    mutating func sawMembers(alive count: Int, gone: Int, now: Int64) {
        alive = count
        if gone > 0 { self.gone.append((now, gone)) }
    }

    /// Those leases that may end now.
    ///
    /// - Parameter ownCount: leases that this node counts at present.
    mutating func admit(_ due: [DueLease], isOwn: Bool, ownCount: Int, now: Int64) -> [LeaseID] {
        forget(now)
        let since = isOwn ? ownPause(due, ownCount: ownCount, now: now) : orphanPause(now)
        // Kept for long enough: then slowly, but they go.
        if let since, now &- since < rules.max { return [] }
        var admitted: [LeaseID] = []
        var ending: [ServiceName: Int] = [:]
        for lease in due where mayEnd(lease, &ending, isPaused: since != nil, now: now) { admitted.append(lease.id) }
        return admitted
    }

    private mutating func forget(_ now: Int64) {
        lapsed.removeAll { now &- $0.at >= rules.window }
        gone.removeAll { now &- $0.at >= rules.window }
        for (service, times) in ends {
            let kept = times.filter { now &- $0 < rules.window }
            ends[service] = kept.isEmpty ? nil : kept
        }
    }

    private mutating func ownPause(_ due: [DueLease], ownCount: Int, now: Int64) -> Int64? {
        let known = Set(lapsed.map(\.id))
        for lease in due where !known.contains(lease.id) { lapsed.append((now, lease.id)) }
        let many = max(rules.leasesMin, ownCount * rules.leasesPercent / 100)
        if ownSince == nil, lapsed.count > many { ownSince = now }
        // Renewed leases are not over any more; once few are, clients are back.
        if ownSince != nil, due.count <= many, lapsed.count <= many { ownSince = nil }
        return ownSince
    }

    private mutating func orphanPause(_ now: Int64) -> Int64? {
        let lost = gone.reduce(0) { $0 + $1.count }
        let isMany = lost > 0 && (alive <= 1 || lost * 100 > (alive + lost) * rules.membersPercent)
        if isMany, orphansSince == nil { orphansSince = now }
        // Alone or not, members that come back end it; so does an hour.
        if orphansSince != nil, gone.isEmpty, alive > 1 { orphansSince = nil }
        return orphansSince
    }

    /// - Parameter ending: instances that the same call has admitted, which `serviceCount` still counts.
    private mutating func mayEnd(
        _ lease: DueLease, _ ending: inout [ServiceName: Int], isPaused: Bool, now: Int64
    ) -> Bool {
        guard let service = lease.service else { return true }
        let name = ServiceName(namespace: lease.namespace, service: Array(service.utf8))
        let alsoNow = ending[name] ?? 0
        if isPaused, lease.serviceCount - alsoNow <= 1 { return false }
        // The share is of what there was before the window's ends.
        let recent = ends[name]?.count ?? 0
        let before = lease.serviceCount - alsoNow + recent
        guard recent < max(rules.instancesMin, before * rules.instancesPercent / 100) else { return false }
        ends[name, default: []].append(now)
        ending[name] = alsoNow + 1
        return true
    }
}
