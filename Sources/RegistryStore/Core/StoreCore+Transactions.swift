extension StoreCore {
    /// Runs steps as one batch: all or nothing.
    mutating func transact(
        _ steps: [Step], now: Moment
    ) throws(RegistryError) -> (results: [StepResult], outcome: Outcome) {
        let plan = plan(steps)
        let intents = Self.intents(of: plan)
        var batch = beginBatch()
        let results: [StepResult]
        do throws(RegistryError) {
            try Validation.bound("intents", intents.count, limits.maxIntentsPerBatch)
            var place = 0
            results = try run(plan, &place, &batch, now: now)
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

    private func plan(_ steps: [Step]) -> [Planned] {
        steps.map { step in
            switch step {
            case .intent(let intent): return .intent(intent)
            case .range(let namespace, let lower, let upper, let limit, let past):
                return .range(namespace, lower, upper, limit, at: past)
            case .branch(let conditions, let then, let otherwise):
                let holds = conditions.allSatisfy { condition in
                    condition.holds(
                        range(condition.namespace, lower: condition.lower, upper: condition.upper, limit: .max).entries)
                }
                return .branch(holds, plan(holds ? then : otherwise))
            }
        }
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
                results.append(.changes(Array(batch.changes[before...])))
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

    /// As `range`, but as the store was after `revision`: the present content with later changes undone. O(log n +
    /// changes since + entries given). Throws `compacted` when changes since then are not kept, and `futureRevision`.
    func range(
        _ namespace: Namespace, lower: [UInt8], upper: [UInt8]?, limit: Int, at past: Int64
    ) throws(RegistryError) -> RangeResult {
        guard past < revision else {
            guard past == revision else { throw .futureRevision(current: revision) }
            return range(namespace, lower: lower, upper: upper, limit: limit)
        }
        guard past >= feed.compactedRevision else { throw .compacted(oldest: feed.compactedRevision) }
        let changed = changed(namespace, lower: lower, upper: upper, since: past)
        // What is there now and was not then, and the other way round.
        var total = range(namespace, lower: lower, upper: upper, limit: 0).totalCount
        var here = 0
        for (key, before) in changed {
            let isHere = entry(namespace, key: key) != nil
            if isHere { here += 1 }
            total += (before == nil ? 0 : 1) - (isHere ? 1 : 0)
        }
        let wanted = min(total, max(limit, 0))
        // So many of the present entries hold enough unchanged ones.
        let (enough, overflow) = wanted.addingReportingOverflow(here)
        var entries = range(namespace, lower: lower, upper: upper, limit: overflow ? .max : enough).entries
            .filter { changed[$0.key] == nil }
        entries += changed.values.compactMap { $0 }
        entries.sort { ByteOrder.compare($0.key, $1.key) < 0 }
        return RangeResult(
            entries: Array(entries.prefix(wanted)), totalCount: total, more: wanted < total, revision: revision)
    }

    /// The keys of a range that changed after a revision, with what was there at it.
    private func changed(
        _ namespace: Namespace, lower: [UInt8], upper: [UInt8]?, since past: Int64
    ) -> [[UInt8]: Entry?] {
        var changed: [[UInt8]: Entry?] = [:]
        for change in feed.changes(after: past) where change.namespace == namespace {
            let key = change.key
            guard ByteOrder.compare(lower, key) <= 0, upper.map({ ByteOrder.compare(key, $0) < 0 }) ?? true else {
                continue
            }
            // The first change after the moment knows what was there at it.
            if changed[key] == nil { changed[key] = .some(change.previous) }
        }
        return changed
    }
}
