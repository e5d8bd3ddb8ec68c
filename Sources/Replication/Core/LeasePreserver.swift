import RegistryStore

/// Keeps leases whose time is over when too many are over at once: then more likely something stands between the
/// clients and this node than that all of them have died. After Eureka's idea.
struct LeasePreserver: Sendable {
    let rules: Preservation
    /// How many own leases ran out within the window, each once.
    private var lapses: [(at: Int64, count: Int)] = []
    /// Since when own leases are kept.
    private var ownSince: Int64?
    private var alive = 1
    /// Members that went within the window and have not come back.
    private var gone: [(at: Int64, name: String)] = []
    /// Since when leases of absent homes are kept, and how many members there were before.
    private var orphans: (since: Int64, membersBefore: Int)?
    /// Ends of each service within the window.
    private var ends: [ServiceName: [Int64]] = [:]

    private struct ServiceName: Hashable, Sendable {
        let namespace: Namespace
        let service: [UInt8]
    }

    init(_ rules: Preservation) { self.rules = rules }

    var isPaused: Bool { ownSince != nil || orphans != nil }

    /// Leases of homes that went are not over yet: whether they are to be kept shows at once, not when they are.
    mutating func sawMembers(_ names: [String], gone went: [String], now: Int64) {
        forget(now)
        gone.removeAll { member in names.contains { sameName($0, member.name) } }
        gone += went.map { (now, $0) }
        alive = names.count
        if let orphans {
            // Members that come back end it, or new ones in their place.
            let isEnough = alive * 100 >= orphans.membersBefore * (100 - rules.membersPercent)
            if alive > 1, isEnough { self.orphans = nil }
        } else if !gone.isEmpty {
            let before = alive + gone.count
            if alive <= 1 || gone.count * 100 > before * rules.membersPercent { orphans = (now, before) }
        }
    }

    /// Those leases that may end now.
    ///
    /// - Parameter own: how many leases this node counts, and how many of them are preserved, when it counts these; nil
    ///   when it is the steward of their home.
    mutating func admit(_ due: [DueLease], own: (count: Int, preserved: Int)?, now: Int64) -> [LeaseID] {
        forget(now)
        let since = if let own { ownPause(due, own, now: now) } else { orphans?.since }
        // Own leases kept for long enough go all the same, but for the last ones.
        if let since, now &- since < rules.max { return [] }
        var admitted: [LeaseID] = []
        var ending: [ServiceName: Int] = [:]
        for lease in due where mayEnd(lease, &ending, isPaused: since != nil, now: now) { admitted.append(lease.id) }
        return admitted
    }

    private mutating func forget(_ now: Int64) {
        lapses.removeAll { now &- $0.at >= rules.window }
        gone.removeAll { now &- $0.at >= rules.window }
        if let orphans, now &- orphans.since >= rules.max { self.orphans = nil }
        for (service, times) in ends where times.first.map({ now &- $0 >= rules.window }) ?? true {
            let kept = times.filter { now &- $0 < rules.window }
            ends[service] = kept.isEmpty ? nil : kept
        }
    }

    private mutating func ownPause(_ due: [DueLease], _ own: (count: Int, preserved: Int), now: Int64) -> Int64? {
        // What is preserved comes up again and again, and has lapsed once.
        let fresh = due.count { !$0.isPreserved }
        if fresh > 0 { lapses.append((now, fresh)) }
        let lapsed = lapses.reduce(0) { $0 + $1.count }
        let many = max(rules.leasesMin, own.count * rules.leasesPercent / 100)
        if ownSince == nil, lapsed > many { ownSince = now }
        // Renewed leases are not over any more; once few are, clients are back.
        if ownSince != nil, lapsed <= many, own.preserved + fresh <= many { ownSince = nil }
        return ownSince
    }

    /// - Parameter ending: instances that the same call has admitted, which `serviceCount` still counts.
    private mutating func mayEnd(
        _ lease: DueLease, _ ending: inout [ServiceName: Int], isPaused: Bool, now: Int64
    ) -> Bool {
        guard let service = lease.service else { return true }
        let name = ServiceName(namespace: lease.namespace, service: Array(service.utf8))
        let alsoNow = ending[name] ?? 0
        if isPaused, lease.serviceCount - alsoNow <= lease.instances { return false }
        // The share is of what there was before the window's ends.
        let recent = ends[name]?.count ?? 0
        let before = lease.serviceCount - alsoNow + recent
        let share = max(rules.instancesMin, before * rules.instancesPercent / 100)
        // A lease ends as a whole, even when it alone has more instances than that.
        guard recent == 0 || recent + lease.instances <= share else { return false }
        ends[name, default: []] += [Int64](repeating: now, count: lease.instances)
        ending[name] = alsoNow + lease.instances
        return true
    }
}
