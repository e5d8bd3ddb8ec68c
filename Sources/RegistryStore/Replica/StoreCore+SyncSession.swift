extension StoreCore {
    /// Removes entries that the sender of a reset session knew and does not have, from a dot on, at most `steps` of
    /// them looked at. Those whose lease is kept up here are written anew: the client renews them, and nobody knows any
    /// more whether they had been deleted or had only seemed to run out.
    mutating func drop(
        from start: Dot, context: CausalContext, live: DotSet, steps: Int, now: Moment
    ) -> (outcome: Outcome, resume: Dot?, reasserted: Int) {
        var batch = beginBatch()
        batch.hasTombstones = true
        var stale: [Entry] = []
        var left = steps
        var resume: Dot?
        replica?.forEach(from: start) { entry in
            let dot = entry.version.dot
            guard left > 0 else {
                resume = dot
                return false
            }
            left -= 1
            if context.contains(origin: dot.origin, sequence: dot.sequence), !live.contains(dot) {
                stale.append(entry)
            }
            return true
        }
        var reasserted = 0
        for entry in stale {
            if isKeptUp(entry, now: now) {
                rewrite(entry, over: entry.version.hlc, &batch)
                reasserted += 1
            } else {
                var version = entry.version
                version.kind = .delete
                remove(entry, version: version, in: space(entry.namespace), &batch)
                dropEmpty(entry.namespace)
            }
        }
        return (commit(batch, now: now), resume, reasserted)
    }

    /// Whether this node counts the lease of an entry and it has not run out.
    func runsHere(_ entry: Entry, now: Moment) -> Bool {
        entry.lease != nil && leases.isHome(entry.deadlineSlot)
            && leases.deadlines.deadline(entry.deadlineSlot) > now.monotonic
    }

    /// Takes over the sender's context at the end of a whole session, all origins at once.
    mutating func join(_ rows: [SyncOrigin], _ joined: CausalContext, isReset: Bool, now: Moment) {
        if isReset { resetsJoined += 1 }
        for row in rows where row.origin != clock.origin && joined.origins[row.origin] != nil {
            if let idle = row.idleMilliseconds, !hasAnything(of: row.origin) {
                let since = now.monotonic &- min(max(idle, 0), originKeep)
                idleOrigins[row.origin] = min(idleOrigins[row.origin] ?? since, since)
            }
            tombstones.raiseFloor(of: row.origin, to: row.floor)
        }
        var joined = joined
        joined.forget(origin: clock.origin)
        context.join(joined)
        lastSync = now.monotonic
    }

    // MARK: Origins that have come to an end

    /// How long an origin without entries and tombstones is remembered.
    private var originKeep: Int64 { limits.tombstoneMilliseconds &+ 24 * 3_600_000 }

    private static let sweepInterval: Int64 = 60_000

    func hasAnything(of origin: UInt64) -> Bool {
        if replica?.sums[origin] != nil { return true }
        var found = false
        tombstones.forEach(from: Dot(origin: origin, sequence: 0)) { tombstone in
            found = tombstone.version.origin == origin
            return false
        }
        return found
    }

    /// Forgets origins that have had neither entry nor tombstone for long enough. Looks once a minute: O(origins).
    mutating func forgetIdleOrigins(now: Moment) {
        guard replica != nil, now.monotonic >= lastSweep &+ Self.sweepInterval else { return }
        lastSweep = now.monotonic
        for (origin, _) in context.sorted {
            guard !hasAnything(of: origin) else {
                idleOrigins[origin] = nil
                continue
            }
            let since = idleOrigins[origin] ?? now.monotonic
            idleOrigins[origin] = since
            if now.monotonic &- since >= originKeep {
                context.forget(origin: origin)
                tombstones.forgetFloor(of: origin)
                idleOrigins[origin] = nil
            }
        }
    }

    // MARK: After being alone for too long

    /// Whether the lease of an entry runs here because its owner wrote or renewed it, not because this process gave it
    /// time after a start or a pause. What only seems to run must not come back once others have ended it.
    func isKeptUp(_ entry: Entry, now: Moment) -> Bool {
        runsHere(entry, now: now)
            && leases.deadlines.deadline(entry.deadlineSlot) &- leases.length(entry.deadlineSlot) > gaveTimeAt
    }

    /// Whether no session has been completed for so long that others may have forgotten removals that this node never
    /// heard of.
    func wasAloneTooLong(now: Moment) -> Bool {
        guard let lastSync else { return false }
        return now.monotonic &- lastSync > limits.tombstoneMilliseconds
    }

    /// Begins anew under a new origin: what has a lease that is not counted here goes, and once the time of their
    /// tombstones is over too, so do entries without lease. Those whose lease is kept up here are written anew; one
    /// that only got time after a pause or a start may have been removed elsewhere meanwhile. Tombstones stay. What
    /// stays is all that this node knows of afterwards, so that others ask for what it wrote and removed alone.
    mutating func startFresh(origin: UInt64, now: Moment) -> Outcome {
        let dropsPermanent = lastSync.map { now.monotonic &- $0 > limits.permanentTombstoneMilliseconds } ?? true
        context.forgetAll()
        idleOrigins = [:]
        tombstones.forgetFloors()
        clock.restart(origin: origin)
        lastSync = now.monotonic
        var batch = beginBatch()
        batch.hasTombstones = true
        for change in snapshot().changes {
            guard let entry = change.current else { continue }
            if isKeptUp(entry, now: now) {
                rewrite(entry, over: entry.version.hlc, &batch)
            } else if entry.lease != nil || dropsPermanent {
                var version = entry.version
                version.kind = .delete
                remove(entry, version: version, in: space(entry.namespace), &batch)
                dropEmpty(entry.namespace)
            }
        }
        var dots: [Dot] = []
        for change in snapshot().changes { if let entry = change.current { dots.append(entry.version.dot) } }
        dots += tombstones.all().map(\.version.dot)
        // From the lowest on, each is put behind the last: holes are not looked for.
        for dot in dots.sorted() where dot.origin != origin {
            context.insert(origin: dot.origin, sequence: dot.sequence)
        }
        return commit(batch, now: now)
    }
}
