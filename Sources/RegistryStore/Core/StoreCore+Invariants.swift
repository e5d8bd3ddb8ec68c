extension StoreCore {
    /// What is wrong with the store, nil when nothing is. O(n log n); for tests and the simulator.
    func checkInvariants() -> String? {
        var sums = (entries: 0, bytes: 0, instances: 0, services: 0, owned: 0)
        for (name, index) in namespaces {
            if index.isEmpty || index.namespace != name { return "namespace \(name) is empty or misplaced" }
            if let problem = check(index) { return "namespace \(name): \(problem)" }
            sums.entries += index.byKey.count
            sums.instances += index.byID.count
            sums.services += index.serviceCount
            var problem: String?
            index.byKey.forEach { entry in
                sums.bytes += entry.cost
                if entry.lease != nil { sums.owned += 1 }
                problem = checkLease(of: entry)
                return problem == nil
            }
            if let problem { return "namespace \(name): \(problem)" }
        }
        if let problem = checkReplica() { return "replication: \(problem)" }
        if sums.entries != entryCount || sums.bytes != entryBytes { return "the sums of the entries are wrong" }
        if sums.instances != instanceCount || sums.services != serviceCount { return "the sums of services are wrong" }
        if let problem = leases.checkInvariants() { return problem }
        for id in leases.allIDs(sharedOnly: true) {
            if let slot = leases.slot(of: id), leases.isMirrored(slot), leases.owner(slot).isEmpty {
                return "lease \(id.rawValue) is mirrored and has no key"
            }
        }
        let owned = leases.allIDs(sharedOnly: false).reduce(0) { sum, id in
            sum + (leases.slot(of: id).map { leases.owner($0).entries.count } ?? 0)
        }
        return owned == sums.owned ? nil : "leases own \(owned) entries, \(sums.owned) entries have leases"
    }

    /// Whether the index of dots and the hashes are what they would be if they were made now.
    private func checkReplica() -> String? {
        if let problem = tombstones.checkInvariants() { return problem }
        guard let replica else { return nil }
        if let problem = replica.checkInvariants() { return "dots: \(problem)" }
        let anew = ReplicaIndex(key: replica.key)
        for change in snapshot().changes { if let entry = change.current { anew.insert(entry) } }
        guard anew.hash == replica.hash, anew.sums == replica.sums else { return "the hashes are wrong" }
        guard anew.count == replica.count else { return "\(replica.count) dots instead of \(anew.count)" }
        var problem: String?
        replica.forEach(from: .first) { entry in
            if self.entry(entry.namespace, key: entry.key) !== entry { problem = "a dot leads to an old entry" }
            return problem == nil
        }
        return problem
    }

    private func check(_ index: NamespaceIndex) -> String? {
        if let problem = index.byKey.checkInvariants() { return "keys: \(problem)" }
        if let problem = index.byID.checkInvariants() { return "ids: \(problem)" }
        if let problem = index.byService.checkInvariants() { return "services: \(problem)" }
        var visible = 0
        var problem: String?
        index.byKey.forEach { entry in
            if !isShownAsDue(entry, in: index) {
                problem = "\(entry.indexedID ?? "nothing") is not the id that is its key's due"
                return false
            }
            guard let id = entry.indexedID else { return true }
            visible += 1
            if index.find(id: id) !== entry { problem = "id \(id) does not lead to its entry" }
            return problem == nil
        }
        if let problem { return problem }
        if visible != index.byID.count || visible != index.byService.count { return "ids and services do not agree" }
        return index.serviceCount == index.serviceNames().count ? nil : "the number of services is wrong"
    }

    /// Whether an entry has the first of the ids that it may have.
    private func isShownAsDue(_ entry: Entry, in index: NamespaceIndex) -> Bool {
        let identity = identity(
            of: entry.content, key: entry.key, version: entry.version, modRevision: entry.modRevision, over: nil,
            in: index)
        guard ByteOrder.same(identity?.id ?? entry.instance?.id ?? "", entry.indexedID ?? "") else { return false }
        return entry.missedIDs.allSatisfy { id, _ in index.firstWaiting(for: id) != nil }
    }

    private func checkLease(of entry: Entry) -> String? {
        guard let lease = entry.lease else {
            return entry.deadlineSlot == LeaseDeadlines.none ? nil : "a slot without a lease"
        }
        guard leases.slot(of: lease) == entry.deadlineSlot else { return "a lease that is not in its slot" }
        let owned = leases.owner(entry.deadlineSlot).entries.contains { $0 === entry }
        return owned ? nil : "a lease that does not know its entry"
    }
}
