extension StoreCore {
    /// Runs steps as one batch: all or nothing.
    mutating func transact(
        _ steps: [Step], now: Moment
    ) throws(RegistryError) -> (results: [StepResult], outcome: Outcome) {
        var reads = 0
        let plan = try plan(steps, &reads)
        let intents = Self.intents(of: plan)
        var batch = beginBatch()
        let results: [StepResult]
        do throws(RegistryError) {
            try Validation.bound("intents", intents.count, limits.maxIntentsPerBatch)
            var place = 0
            results = try run(plan, &place, &batch, now: now)
            if batch.changes.contains(where: \.contentChanged) { try checkFence() }
            try checkKeeping(batch)
        } catch {
            rollBack(batch, now: now)
            for intent in intents { dropEmpty(intent.namespace) }
            throw error
        }
        if batch.hasRemovals || batch.changes.isEmpty { for intent in intents { dropEmpty(intent.namespace) } }
        return (results, commit(batch, now: now))
    }

    /// Steps whose conditions have been looked at.
    private enum Planned {
        case intent(Intent)
        case range(Namespace, [UInt8], [UInt8]?, Int, at: Int64?)
        case branch(Bool, [Planned])
    }

    /// - Parameter reads: entries looked at, or to be looked at, which are bounded.
    private func plan(_ steps: [Step], _ reads: inout Int) throws(RegistryError) -> [Planned] {
        var planned: [Planned] = []
        for step in steps {
            switch step {
            case .intent(let intent): planned.append(.intent(intent))
            case .range(let namespace, let lower, let upper, let limit, let past):
                try count(namespace, lower, upper, limit: limit, &reads)
                planned.append(.range(namespace, lower, upper, limit, at: past))
            case .branch(let conditions, let then, let otherwise):
                let holds = try hold(conditions, &reads)
                planned.append(.branch(holds, try plan(holds ? then : otherwise, &reads)))
            }
        }
        return planned
    }

    private func hold(_ conditions: [StepCondition], _ reads: inout Int) throws(RegistryError) -> Bool {
        for condition in conditions {
            let (namespace, lower, upper) = (condition.namespace, condition.lower, condition.upper)
            try count(namespace, lower, upper, limit: .max, &reads)
            guard condition.holds(range(namespace, lower: lower, upper: upper, limit: .max).entries) else {
                return false
            }
        }
        return true
    }

    /// Counts what reading a range costs before it is read.
    private func count(
        _ namespace: Namespace, _ lower: [UInt8], _ upper: [UInt8]?, limit: Int, _ reads: inout Int
    ) throws(RegistryError) {
        reads += min(range(namespace, lower: lower, upper: upper, limit: 0).totalCount, max(limit, 0))
        try Validation.bound("transaction_reads", reads, limits.maxReadsPerTransaction)
    }

    private static func intents(of plan: [Planned]) -> [Intent] {
        plan.flatMap { step -> [Intent] in
            switch step {
            case .intent(let intent): [intent]
            case .range: []
            case .branch(_, let steps): intents(of: steps)
            }
        }
    }

    private mutating func run(
        _ plan: [Planned], _ place: inout Int, _ batch: inout Batch, now: Moment
    ) throws(RegistryError) -> [StepResult] {
        var results: [StepResult] = []
        for step in plan {
            switch step {
            case .intent(let intent):
                let before = batch.changes.count
                try perform(intent, at: place, &batch, now: now)
                place += 1
                results.append(.changes(Self.asked(batch.changes[before...])))
            case .range(let namespace, let lower, let upper, let limit, let past):
                if let past {
                    results.append(
                        .range(
                            try range(
                                namespace, lower: lower, upper: upper, limit: limit, at: past, undoing: batch.changes)))
                } else {
                    results.append(.range(range(namespace, lower: lower, upper: upper, limit: limit)))
                }
            case .branch(let holds, let steps):
                results.append(.branch(succeeded: holds, try run(steps, &place, &batch, now: now)))
            }
        }
        return results
    }

    /// As `range`, but as the store was after `revision`: the present content with later changes undone, those of a
    /// batch under way included. O(log n + changes kept since + entries given). Throws `compacted` when changes since
    /// then are not kept, and `futureRevision`.
    func range(
        _ namespace: Namespace, lower: [UInt8], upper: [UInt8]?, limit: Int, at past: Int64,
        undoing pending: [Change] = []
    ) throws(RegistryError) -> RangeResult {
        guard past < revision || !pending.isEmpty else {
            guard past == revision else { throw .futureRevision(current: revision) }
            return range(namespace, lower: lower, upper: upper, limit: limit)
        }
        guard past <= revision else { throw .futureRevision(current: revision) }
        guard past >= feed.compactedRevision else { throw .compacted(oldest: feed.compactedRevision) }
        var old: [[UInt8]: Entry?] = [:]
        let keys = KeyRange(lower: lower, upper: upper)
        func undo(_ change: Change) {
            let key = change.key
            guard change.namespace == namespace, keys.contains(key) else { return }
            // The first change after the moment knows what was there at it.
            if old[key] == nil { old[key] = .some(change.previous) }
        }
        for change in feed.changes(after: past) { undo(change) }
        for change in pending { undo(change) }
        guard !old.isEmpty else { return range(namespace, lower: lower, upper: upper, limit: limit) }
        return merge(old, into: namespace, lower: lower, upper: upper, limit: limit)
    }

    /// The entries of a range with those of some keys replaced by older ones.
    private func merge(
        _ old: [[UInt8]: Entry?], into namespace: Namespace, lower: [UInt8], upper: [UInt8]?, limit: Int
    ) -> RangeResult {
        let present = namespaces[namespace]
        let returning = old.values.compactMap { $0 }.sorted { ByteOrder.compare($0.key, $1.key) < 0 }
        let replaced = old.keys.count { present?.byKey.find($0) != nil }
        let total =
            range(namespace, lower: lower, upper: upper, limit: 0).totalCount - replaced + returning.count
        let wanted = min(total, max(limit, 0))
        var entries: [Entry] = []
        entries.reserveCapacity(wanted)
        var next = 0
        if wanted > 0 {
            present?.byKey.forEach(from: lower) { entry in
                if let upper, ByteOrder.compare(entry.key, upper) >= 0 { return false }
                while next < returning.count, entries.count < wanted,
                    ByteOrder.compare(returning[next].key, entry.key) < 0
                {
                    entries.append(returning[next])
                    next += 1
                }
                if entries.count < wanted, old[entry.key] == nil { entries.append(entry) }
                return entries.count < wanted
            }
        }
        entries += returning[next...].prefix(wanted - entries.count)
        return RangeResult(entries: entries, totalCount: total, more: wanted < total, revision: revision)
    }
}
