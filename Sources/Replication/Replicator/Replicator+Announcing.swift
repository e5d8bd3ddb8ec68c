import RegistryStore

/// Telling others of changes at once, by packets that may be lost.
extension Replicator {
    /// Changes looked at by one step; with more, digests tell of the rest.
    private static let changesMax = 20_000
    private static let changesAtOnce = 4_096

    /// Queues what happened here since the last look: writes of any door, and ends of leases.
    mutating func collectOwn() {
        let revision = registry.revision
        guard revision != seenRevision else { return }
        noteChange()
        guard !peers.isEmpty else {
            seenRevision = revision
            return
        }
        let origin = registry.origin
        var seen = 0
        while seenRevision < revision {
            guard seen < Self.changesMax,
                let batches = try? registry.changes(after: seenRevision, limit: Self.changesAtOnce),
                let last = batches.last
            else {
                // Too many, or the history is shorter than what happened.
                counters.announcementsBeyondLimit += 1
                needsDigests = true
                seenRevision = revision
                return
            }
            for batch in batches {
                for change in batch.changes
                where change.contentChanged && !change.isReshown && change.version.origin == origin {
                    queue(change.namespace, change.key, change.version)
                }
                seen += batch.changes.count
            }
            seenRevision = last.revision
        }
    }

    private mutating func queue(_ namespace: Namespace, _ key: [UInt8], _ version: Version) {
        let isQueued = queue.add(
            AnnouncementQueue.Key(namespace: namespace, key: key), version, now: now.monotonic)
        if !isQueued { counters.announcementsBeyondLimit += 1 }
    }

    /// How often an announcement is sent: in a cluster of 10 to 99 nodes twice `sendsPerDigit`.
    var sendsMax: Int {
        var digits = 1
        var size = 10
        while size < peers.count + 2 {
            digits += 1
            size *= 10
        }
        return digits * settings.sendsPerDigit
    }

    /// Sends what is queued to some peers.
    mutating func announce() {
        earnAllowance()
        guard !peers.isEmpty else { return }
        counters.announcementsLate += queue.dropUnsent(before: now.monotonic &- settings.announcedWithin)
        let sendsMax = sendsMax
        let last = queue.lastSerial
        while queue.count > 0 {
            let targets = somePeers(settings.fanout)
            guard allowance >= min(settings.payloadMax * targets.count, settings.announcedBytesPerSecond) else {
                return
            }
            guard let message = nextAnnouncement(sends: targets.count, limit: sendsMax, through: last) else { return }
            for target in targets { effects.append(.send(message, to: target)) }
            counters.announcementsSent += targets.count
            allowance -= message.count * targets.count
        }
    }

    private mutating func earnAllowance() {
        let elapsed = min(max(now.monotonic &- allowanceAt, 0), 1_000)
        allowanceAt = now.monotonic
        let earned = Int(elapsed) * settings.announcedBytesPerSecond / 1_000
        allowance = min(allowance + earned, settings.announcedBytesPerSecond)
    }

    /// Peers drawn by lot, each at most once.
    mutating func somePeers(_ count: Int) -> [String] {
        guard count < peers.count else { return peers }
        var drawn: [String] = []
        while drawn.count < count {
            let name = peers[Int.random(in: 0..<peers.count, using: &dice)]
            if !drawn.contains(where: { sameName($0, name) }) { drawn.append(name) }
        }
        return drawn
    }

    /// A message of the operations that are due, as many as fit; nil when there are none.
    private mutating func nextAnnouncement(sends: Int, limit: Int, through last: UInt64) -> [UInt8]? {
        var operations: [RemoteOperation] = []
        var message: [UInt8]?
        var tooLong = 0
        let registry = registry
        let room = settings.payloadMax
        queue.take(sends: sends, limit: limit, through: last) { key in
            guard let operation = registry.operation(namespace: key.namespace, key: key.key) else { return .useless }
            // Operations of a message share tables, so that only the whole tells its size.
            let longer = Frame(.delta(operations + [operation])).encoded()
            guard longer.count <= room else {
                guard operations.isEmpty else { return .full }
                tooLong += 1
                return .useless
            }
            operations.append(operation)
            message = longer
            return .given
        }
        if tooLong > 0 {
            counters.announcementsTooLong += tooLong
            needsDigests = true
        }
        return message
    }

    /// Takes over what another node announced, and passes on what is new.
    mutating func take(announced operations: [RemoteOperation]) {
        let receipt = registry.merge(operations)
        counters.applied += receipt.fresh.count
        counters.refused += receipt.refused
        counters.known += operations.count - receipt.fresh.count - receipt.refused
        if !receipt.fresh.isEmpty { noteChange() }
        let limit = sendsMax
        for operation in receipt.fresh {
            counters.staleness.add(now.unix &- Int64(clamping: operation.version.hlc >> 16))
            queue(operation.namespace, operation.key, operation.version)
        }
        let fresh = Set(receipt.fresh.map(\.version))
        for operation in operations where !fresh.contains(operation.version) {
            queue.heard(
                AnnouncementQueue.Key(namespace: operation.namespace, key: operation.key), operation.version,
                limit: limit)
        }
    }
}
