/// The store without time, threads or chance: state and wishes and `now` go in, changes come out.
///
/// Every call either does all it was asked for or leaves the state as it was. `Registry` is the only owner; it guards
/// the core with a lock, reads the clock, and tells the observers.
struct StoreCore: ~Copyable {
    let layout: KeyLayout
    let isMirror: Bool
    let limits: RegistryLimits
    var namespaces: [Namespace: NamespaceIndex] = [:]
    var leases: LeaseTable
    var tombstones: TombstoneTable
    var feed: ChangeFeed
    var skipped: SkippedValues
    var clock: HybridClock
    /// Operations of other processes that have been taken over.
    var context: CausalContext
    /// Why nothing can be kept on the disk now; nil when it can, or need not be.
    var keepingFailure: RegistryError?
    /// As long as that is so: the last revision that an equal put may take.
    var equalPutsThrough = Int64.max
    /// Since when an origin of the context has had neither entry nor tombstone, in monotonic milliseconds.
    var idleOrigins: [UInt64: Int64] = [:]
    /// When origins were looked through last, in monotonic milliseconds.
    var lastSweep: Int64 = 0
    /// When a session with a peer was completed, or a peer had nothing new, in monotonic milliseconds; nil before that.
    var lastSync: Int64?
    /// Reset sessions completed here: what they removed has left no trace for those whom this node tells.
    var resetsJoined = 0
    /// What replication looks entries up by; nil until the node is one of a cluster.
    var replica: ReplicaIndex?
    /// Heartbeats for leases that other nodes count; nil when such a heartbeat makes this node the home.
    var forwarding: HeartbeatQueue?
    /// Why this node must not make versions now; nil when it may.
    var fence: WriteFence?
    /// When this process last gave leases time by itself, after a start or a pause: one that was not renewed since then
    /// runs without anybody having said that its owner is there.
    var gaveTimeAt = Int64.min
    /// Batches that changed something since the start.
    private(set) var revision: Int64 = 0
    private(set) var entryCount = 0
    private(set) var entryBytes = 0
    private(set) var instanceCount = 0
    private(set) var serviceCount = 0
    var counters = Counters()

    /// What has been done since the start.
    struct Counters {
        var puts = 0
        var deletes = 0
        var renewals = 0
        var expirations = 0
        var refusals = 0
        var remoteRefused = 0
        var remoteBeyondLimit = 0
    }

    /// `origin` must differ between any two processes that ever share a cluster.
    init(layout: KeyLayout, node: String, origin: UInt64, limits: RegistryLimits, isMirror: Bool = false) {
        self.layout = layout
        self.isMirror = isMirror
        self.limits = limits
        leases = LeaseTable(node: node, origin: origin, slotsMax: limits.maxLeases)
        tombstones = TombstoneTable(limits: limits)
        feed = ChangeFeed(limits: limits)
        skipped = SkippedValues(limits: limits)
        clock = HybridClock(origin: origin)
        context = CausalContext(limits: limits)
    }

    /// What has happened in a batch so far, and what takes it back.
    struct Batch {
        /// The revision the batch will have when it changes anything.
        let revision: Int64
        fileprivate let clockBefore: HybridClock
        var changes: [Change] = []
        /// Values that do not decode, by the place of their change.
        var skipped: [Int: SkippedValue] = [:]
        /// Leases taken, changed, and to be ended when the batch is done.
        var allocated: [UInt32] = []
        var changed: [LeaseRecord] = []
        var ended: [UInt32] = []
        var renewals = 0
        /// Granted leases whose last entry has left them.
        var left: [UInt32] = []
        /// Ids that entries have left and that others wait for.
        var freed: [(namespace: Namespace, id: String)] = []
        /// Slots of leases counted elsewhere whose heartbeats are to be passed on.
        var forwarded: [UInt32] = []
        /// A removal in this batch: a later put of the key must be newer than it.
        var hasRemovals = false
        /// Tombstones were kept as the changes came, as a batch can that is never taken back.
        var hasTombstones = false
        /// The batch is only tried and always taken back.
        var isRehearsal = false
    }

    /// What a call did, for the owner to pass on.
    struct Outcome: Sendable {
        var receipt: Receipt
        /// Nil when nothing changed.
        var batch: ChangeBatch?
        var skipped: [SkippedValue] = []
        /// Operations of other nodes that had not been seen before.
        var fresh: [RemoteOperation] = []
        /// Operations of other nodes that this node could not take over.
        var refused = 0
    }

    func beginBatch() -> Batch { Batch(revision: nextRevision, clockBefore: clock) }

    /// An external store may have said the greatest number there is; it is given again then.
    var nextRevision: Int64 { revision == .max ? .max : revision + 1 }

    /// A batch of a mirror, whose revisions are the external store's.
    func beginBatch(revision: Int64) -> Batch { Batch(revision: revision, clockBefore: clock) }

    /// Takes over the revision of an external store where no change of ours says it.
    mutating func setRevision(_ revision: Int64) { self.revision = revision }

    /// Makes a batch final: ends leases, keeps tombstones, appends to the feed.
    mutating func commit(_ batch: Batch, now: Moment) -> Outcome {
        var batch = batch
        settleIDs(&batch)
        for slot in batch.ended { leases.release(slot) }
        releaseLeft(batch.left)
        counters.renewals += batch.renewals
        for slot in batch.forwarded { _ = forward(slot, now: now) }
        guard !batch.changes.isEmpty else {
            return Outcome(receipt: Receipt(revision: revision, changes: []))
        }
        var notices: [SkippedValue] = []
        for (index, change) in batch.changes.enumerated() {
            if change.isReshown {
                continue
            } else if change.current != nil {
                counters.puts += 1
            } else if change.kind == .expiry {
                counters.expirations += 1
            } else {
                counters.deletes += 1
            }
            if !batch.hasTombstones { bury(change, now: now) }
            if change.contentChanged { skipped.remove(change.namespace, change.key) }
            if let notice = batch.skipped[index] {
                skipped.add(notice)
                notices.append(notice)
            }
        }
        revision = batch.revision
        let result = ChangeBatch(revision: revision, changes: batch.changes)
        feed.append(result)
        return Outcome(
            receipt: Receipt(revision: revision, changes: Self.asked(batch.changes[...])), batch: result,
            skipped: notices)
    }

    /// Forgets granted leases that others count and that have no key here any more. What becomes of them is known only
    /// where they are counted, and never told here: there is no operation for a lease.
    private mutating func releaseLeft(_ slots: [UInt32]) {
        for slot in slots where leases.owner(slot).isEmpty && !leases.isHome(slot) && !leases.isMirrored(slot) {
            leases.release(slot)
        }
    }

    /// Changes without those of entries that are only shown under another id because of them.
    static func asked(_ changes: ArraySlice<Change>) -> [Change] { changes.filter { !$0.isReshown } }

    /// Makes the tombstone of a removal, or forgets that of a key that is there again.
    mutating func bury(_ change: Change, now: Moment) {
        if let current = change.current {
            if change.previous == nil { tombstones.supersede(current.namespace, current.key) }
        } else if let previous = change.previous {
            tombstones.insert(
                previous.namespace, previous.key, change.version, at: now.monotonic, wasLeased: previous.lease != nil)
        }
    }

    /// Takes everything in the batch back.
    mutating func rollBack(_ batch: Batch, now: Moment) {
        for change in batch.changes.reversed() {
            swap(change.current, for: change.previous, in: space(change.namespace))
        }
        for slot in batch.allocated { leases.release(slot) }
        for record in batch.changed.reversed() { leases.restore(record, now: now.monotonic) }
        clock = batch.clockBefore
        counters.refusals += 1
    }

    /// The index of a namespace, made when it is missing; `dropEmpty` takes it away again.
    mutating func space(_ namespace: Namespace) -> NamespaceIndex {
        if let index = namespaces[namespace] { return index }
        let index = NamespaceIndex(namespace: namespace, ranksByRevision: isMirror)
        namespaces[namespace] = index
        return index
    }

    /// Forgets a namespace without entries.
    mutating func dropEmpty(_ namespace: Namespace) {
        if let index = namespaces[namespace], index.isEmpty { namespaces[namespace] = nil }
    }

    /// Puts `current` in the place of `previous`, either of which may be nil, in all indexes and sums, and hangs it on
    /// its lease.
    mutating func swap(_ previous: Entry?, for current: Entry?, in index: NamespaceIndex) {
        serviceCount -= index.serviceCount
        index.replace(previous, by: current)
        serviceCount += index.serviceCount
        if let replica { Self.note(previous, current, in: replica) }
        if let previous {
            if previous.lease != current?.lease { leases.detach(previous) }
            entryCount -= 1
            entryBytes -= previous.cost
            if previous.isVisibleInstance { instanceCount -= 1 }
        }
        if let current {
            leases.attach(current)
            entryCount += 1
            entryBytes += current.cost
            if current.isVisibleInstance { instanceCount += 1 }
        }
    }

    private static func note(_ previous: Entry?, _ current: Entry?, in replica: ReplicaIndex) {
        if let previous, let current, previous.version == current.version { return replica.replace(by: current) }
        if let previous { replica.remove(previous) }
        if let current { replica.insert(current) }
    }

    /// Removes an entry within a batch; a lease of its own ends with it.
    mutating func remove(_ entry: Entry, version: Version, in index: NamespaceIndex, _ batch: inout Batch) {
        replace(entry, by: nil, in: index, &batch)
        if entry.lease != nil, !leases.isShared(entry.deadlineSlot) { batch.ended.append(entry.deadlineSlot) }
        batch.changes.append(
            Change(kind: version.kind, previous: entry, current: nil, contentChanged: true, version: version))
        batch.hasRemovals = true
    }
}
