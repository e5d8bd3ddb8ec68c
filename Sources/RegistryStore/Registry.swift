import Synchronization

/// Told of every batch, in revision order and without gaps.
///
/// Called by the writer while it holds the store: what it does delays all writes, and it must not call the `Registry`
/// (reading `LeaseDeadlines` is fine).
package protocol RegistryObserver: Sendable {
    /// Takes one batch. The first one after `addObserver` is the whole content.
    func registryDidChange(_ batch: ChangeBatch)
}

/// The registry: the one store of all doors, with one serial writer.
///
/// All calls are synchronous, safe from any thread, and short: O(log n) per key unless said otherwise. A write returns
/// after every observer has seen it.
package final class Registry: Sendable {
    package let layout: KeyLayout
    /// The name of this node in the cluster, and the home of the leases it counts.
    package let node: String
    /// The deadlines of all leases, to be read without a lock.
    package let deadlines: LeaseDeadlines
    package let limits: RegistryLimits
    /// Whether an external store holds the truth: then only `mirror` changes this copy of it, every other write throws
    /// `unavailable`, and revisions are that store's.
    package let isMirror: Bool
    let clock: RegistryClock
    let state: Mutex<State>
    let position = JournalPosition()
    private let onSkippedValue: (@Sendable (SkippedValue) -> Void)?

    struct State: ~Copyable {
        var core: StoreCore
        var observers: [any RegistryObserver] = []
        var waiters = ChangeWaiters()
        /// Nil while nobody keeps the registry on a disk.
        var journal: StoreJournal?
    }

    /// - Parameters:
    ///   - origin: random per process start.
    ///   - isMirror: whether the registry is the copy of an external store.
    ///   - onSkippedValue: called once for each value put that the DNS cannot use although it lies where it looks;
    ///     outside the store, after the write.
    package init(
        layout: KeyLayout, node: String, origin: UInt64, limits: RegistryLimits = .init(),
        clock: RegistryClock = .system, isMirror: Bool = false,
        onSkippedValue: (@Sendable (SkippedValue) -> Void)? = nil
    ) {
        let core = StoreCore(layout: layout, node: node, origin: origin, limits: limits, isMirror: isMirror)
        self.layout = layout
        self.node = node
        self.limits = limits
        self.isMirror = isMirror
        self.clock = clock
        self.onSkippedValue = onSkippedValue
        deadlines = core.leases.deadlines
        state = Mutex(State(core: core))
    }

    // MARK: Writing

    /// Applies a batch of wishes, all or nothing, under one revision.
    @discardableResult
    package func apply(_ intents: [Intent]) throws(RegistryError) -> Receipt {
        try write { (core, now) throws(RegistryError) in try core.apply(intents, now: now) }
    }

    /// Heartbeat by the id of the HTTP dialects: restarts the entry's lease if it has one and publishes nothing.
    /// Throws `notFound` when there is no such instance (any more).
    package func renew(namespace: Namespace, id: String) throws(RegistryError) {
        try perform { (core, now) throws(RegistryError) -> ((), StoreCore.Outcome?) in
            ((), try core.renew(namespace, id: id, now: now))
        }
    }

    /// Ends the leases that have run out. Called every 50 to 100 ms; does at most `limits.expiriesPerCall` at once.
    /// Gives what was removed, nil when nothing was; each lease has a revision of its own.
    @discardableResult
    package func expireDue() -> Receipt? {
        let told = state.withLock { state in state.tell(state.core.expireDue(now: clock.now)) }
        finish(told)
        guard let last = told.outcomes.last else { return nil }
        return Receipt(revision: last.receipt.revision, changes: told.outcomes.flatMap(\.receipt.changes))
    }

    /// Runs a write of the core and everything that belongs to one.
    func write(
        _ body: (inout StoreCore, Moment) throws(RegistryError) -> StoreCore.Outcome
    ) throws(RegistryError) -> Receipt {
        try perform { (core, now) throws(RegistryError) -> (Receipt, StoreCore.Outcome?) in
            let outcome = try body(&core, now)
            return (outcome.receipt, outcome)
        }
    }

    /// As `write`, for calls that give something else and need not have written.
    func perform<Value: Sendable>(
        _ body: (inout StoreCore, Moment) throws(RegistryError) -> (Value, StoreCore.Outcome?)
    ) throws(RegistryError) -> Value {
        try checkWritable()
        let (value, told) = try state.withLock { (state) throws(RegistryError) -> (Value, Told?) in
            let (value, outcome) = try body(&state.core, clock.now)
            return (value, outcome.map { state.tell([$0]) })
        }
        if let told { finish(told) }
        return value
    }

    /// Throws when only an external store may be written.
    func checkWritable() throws(RegistryError) {
        guard isMirror else { return }
        throw .unavailable(reason: "this node's copy of the external store cannot be written", retryAfterSeconds: 1)
    }

    /// What is left to do of writes once the store is free again.
    struct Told: Sendable {
        let outcomes: [StoreCore.Outcome]
        let waiters: [ChangeWaiters.Continuation]
        let revision: Int64
    }

    func finish(_ told: Told) {
        for waiter in told.waiters { waiter.resume(returning: told.revision) }
        guard let onSkippedValue else { return }
        for outcome in told.outcomes { for value in outcome.skipped { onSkippedValue(value) } }
    }

    // MARK: Following

    /// Adds an observer, which sees the whole content as one batch at once and every later batch as it happens.
    package func addObserver(_ observer: any RegistryObserver) {
        state.withLock { state in
            observer.registryDidChange(state.core.snapshot())
            state.observers.append(observer)
        }
    }

    /// The batches after a revision, whole and in order, until `limit` changes are reached. Throws `compacted` when
    /// some are not kept any more, and `futureRevision`.
    package func changes(after: Int64, limit: Int = .max) throws(RegistryError) -> [ChangeBatch] {
        try state.withLock { (state) throws(RegistryError) in try state.core.changes(after: after, limit: limit) }
    }

    /// Forgets the history up to and including a revision. Throws `compacted` and `futureRevision` as etcd does.
    package func compact(through: Int64) throws(RegistryError) {
        try state.withLock { (state) throws(RegistryError) in try state.core.compact(through: through) }
    }

    /// Revision of the last batch; 0 before the first.
    package var revision: Int64 { state.withLock { $0.core.revision } }

    /// One consistent reading of all sizes and counters.
    package func counts() -> RegistryCounts {
        state.withLock { state in
            var counts = state.core.counts()
            counts.observers = state.observers.count
            counts.waiters = state.waiters.count
            return counts
        }
    }
}

extension Registry.State {
    /// Shows batches to the observers and collects who waits for them.
    mutating func tell(_ outcomes: [StoreCore.Outcome]) -> Registry.Told {
        var hasChanged = false
        for outcome in outcomes {
            guard let batch = outcome.batch else { continue }
            hasChanged = true
            journal?.note(batch, leases: core.leases)
            for observer in observers { observer.registryDidChange(batch) }
        }
        boundJournal()
        let waiters = hasChanged ? waiters.take(before: core.revision) : []
        return Registry.Told(outcomes: outcomes, waiters: waiters, revision: core.revision)
    }
}
