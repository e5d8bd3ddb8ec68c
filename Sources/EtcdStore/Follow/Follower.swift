import EtcdMessages
import GRPC
import Logging
import RegistryStore
import Synchronization

/// Carries out what `FollowerCore` decides: makes calls, reads the watch, brings changes into the table.
actor Follower {
    private var core: FollowerCore
    private let endpoints: [EtcdStoreConfiguration.Endpoint]
    private let table: ClusterTable
    private let connection: ClusterConnection
    private let applied: AppliedRevision
    private let leases: LeaseLengths
    private let counters: StoreCounters
    private let clock: RegistryClock
    private let logger: Logger
    private let staleAnswerSeconds: UInt32
    private var random = SystemRandomNumberGenerator()
    private var watch: GRPCClientStream?
    /// What was begun and waits for its task; few at a time, since each is an answer to one effect.
    private let jobs: AsyncStream<Job>
    private let newJobs: AsyncStream<Job>.Continuation
    /// What others may ask without waiting.
    private let facts: Mutex<FollowerFacts>

    /// A page may take so long; with `hasleader` a member without one refuses at once.
    private static let pageTimeout: Duration = .seconds(10)
    private static let tickTime: Duration = .milliseconds(250)

    private enum Job: Sendable {
        case connect(endpoint: Int, epoch: Int)
        case list(EtcdRangeRequest, isAudit: Bool, epoch: Int)
        case watch(EtcdWatchCreateRequest, epoch: Int)
        case tick(after: Int64)
        case close(GRPCClient)
        case send(EtcdWatchRequest, on: GRPCClientStream)
    }

    init(
        _ configuration: EtcdStoreConfiguration, registry: Registry, connection: ClusterConnection,
        applied: AppliedRevision, leases: LeaseLengths, counters: StoreCounters, clock: RegistryClock, logger: Logger
    ) {
        endpoints = configuration.endpoints.shuffled()
        let range = KeyRange(prefix: configuration.prefix)
        core = FollowerCore(endpoints: endpoints.count, range: range, timings: configuration.timings)
        core.keysMax = configuration.keysMax
        core.bytesMax = configuration.bytesMax
        table = ClusterTable(registry: registry, keys: ClusterKeys(configuration))
        staleAnswerSeconds = configuration.staleAnswerSeconds
        self.connection = connection
        self.applied = applied
        self.leases = leases
        self.counters = counters
        self.clock = clock
        self.logger = logger
        (jobs, newJobs) = AsyncStream.makeStream()
        facts = Mutex(FollowerFacts(staleSince: clock.monotonicMilliseconds()))
    }

    nonisolated var currentFacts: FollowerFacts { facts.withLock { $0 } }

    /// Follows the cluster until the task is cancelled.
    func run() async {
        handle(.start)
        await withDiscardingTaskGroup { group in
            group.addTask { await self.tickRegularly() }
            for await job in jobs { group.addTask { await self.perform(job) } }
            await connection.release("stopping")?.close()
            group.cancelAll()
        }
    }

    private func tickRegularly() async {
        while (try? await Task.sleep(for: Self.tickTime)) != nil {
            applied.expire(now: clock.monotonicMilliseconds())
            handle(.tick)
        }
    }

    private func handle(_ input: FollowerCore.Input) {
        for effect in core.handle(input, now: clock.monotonicMilliseconds(), random: &random) { begin(effect) }
        updateFacts()
    }

    // MARK: Effects

    private func begin(_ effect: FollowerCore.Effect) {
        switch effect {
        case .connect(let endpoint, let epoch): newJobs.yield(.connect(endpoint: endpoint, epoch: epoch))
        case .disconnect:
            endWatch()
            if let client = connection.release(currentFacts.problem ?? "connection lost") {
                newJobs.yield(.close(client))
            }
        case .forgetToken: connection.forgetToken()
        case .list(let request, let isAudit, let epoch):
            newJobs.yield(.list(request, isAudit: isAudit, epoch: epoch))
        case .watch(let request, let epoch): newJobs.yield(.watch(request, epoch: epoch))
        case .endWatch: endWatch()
        case .askProgress: askProgress()
        case .wake(let milliseconds): newJobs.yield(.tick(after: milliseconds))
        case .replace(let values, let revision, let restarts):
            counters.lists.count()
            tookOver(table.replace(values, revision: revision, restarts: restarts))
            applied.advance(to: revision)
        case .apply(let batches):
            for batch in batches {
                counters.events.count(batch.changes.count)
                tookOver(table.apply(batch))
                applied.advance(to: batch.revision)
            }
        case .repair(let values, let revision, let deletedSince):
            counters.audits.count()
            let outcome = table.repair(values, revision: revision, deletedSince: deletedSince)
            tookOver(outcome)
            guard outcome.changed > 0 else { return }
            counters.repairs.count(outcome.changed)
            logger.error(
                "the watch has lost changes; a full list made them good",
                metadata: ["changes": "\(outcome.changed)", "revision": "\(revision)"])
        case .note(let note): tell(note)
        }
    }

    private func tookOver(_ outcome: ClusterTable.Outcome) {
        leases.ask(for: outcome.newLeases)
        guard outcome.refused > 0 else { return }
        counters.refusedKeys.count(outcome.refused)
        logger.error(
            "keys of the cluster are too long for this node, or it is full; they are not served",
            metadata: ["keys": "\(outcome.refused)"])
    }

    private func endWatch() {
        watch?.cancel()
        watch = nil
    }

    private func askProgress() {
        guard let watch else { return }
        var request = EtcdWatchRequest()
        request.progressRequest = EtcdWatchProgressRequest()
        newJobs.yield(.send(request, on: watch))
    }

    private func perform(_ job: Job) async {
        switch job {
        case .tick(let milliseconds):
            // Cancelled: the time has come anyhow.
            try? await Task.sleep(for: .milliseconds(milliseconds))
            handle(.tick)
        case .close(let client): await client.close()
        case .send(let request, let stream):
            // When it cannot be sent, the stream's reader hears why.
            try? await stream.send(request)
        case .connect(let endpoint, let epoch): await connect(to: endpoints[endpoint], epoch: epoch)
        case .list(let request, let isAudit, let epoch): await list(request, isAudit: isAudit, epoch: epoch)
        case .watch(let request, let epoch): await follow(request, epoch: epoch)
        }
    }

    private func connect(to endpoint: EtcdStoreConfiguration.Endpoint, epoch: Int) async {
        do throws(GRPCStatus) {
            try await connection.connect(to: endpoint)
            counters.connects.count()
            handle(.connected(epoch: epoch))
        } catch {
            handle(.failed(error, epoch: epoch))
        }
    }

    private func list(_ request: EtcdRangeRequest, isAudit: Bool, epoch: Int) async {
        do throws(GRPCStatus) {
            let page: EtcdRangeResponse = try await connection.call(
                "/etcdserverpb.KV/Range", request, timeout: Self.pageTimeout, needsLeader: !request.serializable)
            handle(.page(page, isAudit: isAudit, epoch: epoch))
        } catch {
            handle(.listFailed(error, isAudit: isAudit, epoch: epoch))
        }
    }

    /// Reads a watch to its end. The next message is read when this one is in the table: a long answer waits in the
    /// cluster, not here.
    private func follow(_ create: EtcdWatchCreateRequest, epoch: Int) async {
        do throws(GRPCStatus) {
            let stream = try connection.stream("/etcdserverpb.Watch/Watch")
            guard epoch == core.epoch else { return stream.cancel() }
            watch = stream
            var request = EtcdWatchRequest()
            request.createRequest = create
            try await stream.send(request)
            while let message = try await stream.next() {
                handle(.watched(try ClusterConnection.message(in: message), epoch: epoch))
            }
            handle(.failed(GRPCStatus(.unavailable, "the watch ended"), epoch: epoch))
        } catch {
            handle(.failed(error, epoch: epoch))
        }
    }

    // MARK: Telling

    private func updateFacts() {
        let isLive = core.isLive
        let now = clock.monotonicMilliseconds()
        facts.withLock { facts in
            facts.phase = core.phase.rawValue
            facts.hasContent = core.hasContent
            facts.position = core.position
            facts.clusterID = core.clusterID
            facts.endpoint = endpoints[core.endpoint].description
            if isLive { facts.staleSince = nil } else if facts.staleSince == nil { facts.staleSince = now }
        }
        table.registry.deadlines.answerSecondsMax = isLive ? .max : staleAnswerSeconds
    }

    private func tell(_ note: FollowerCore.Note) {
        switch note {
        case .live:
            facts.withLock { $0.problem = nil }
            logger.info("following the etcd cluster", metadata: ["endpoint": "\(endpoints[core.endpoint])"])
        case .lost(let reason, let pause):
            // Our own end cuts the streams as well.
            guard !Task.isCancelled else { return }
            counters.losses.count()
            facts.withLock { $0.problem = reason }
            logger.warning(
                "the etcd cluster cannot be followed; names are answered from the last state",
                metadata: ["reason": "\(reason)", "next_try_ms": "\(pause)"])
        case .compacted(let revision):
            counters.compactions.count()
            logger.notice("the cluster has forgotten what was missed; listing", metadata: ["revision": "\(revision)"])
        case .listsAnew(let reason): logger.notice("listing the etcd cluster anew", metadata: ["reason": "\(reason)"])
        case .historyChanged(let reason):
            counters.historyChanges.count()
            logger.critical(
                "the etcd cluster is not what it was: a restored backup, or another cluster; taking over its content",
                metadata: ["reason": "\(reason)"])
        case .staleList:
            logger.warning("the etcd cluster has no quorum; its content is one member's and may be old")
        case .tooMuch: counters.overLimit.count()
        case .auditFailed(let reason):
            logger.notice("the regular full list failed", metadata: ["reason": "\(reason)"])
        }
    }
}

/// What is known of the follower at a moment.
struct FollowerFacts: Sendable {
    var phase = FollowerCore.Phase.idle.rawValue
    var hasContent = false
    var position: Int64 = 0
    var clusterID: UInt64 = 0
    var endpoint = ""
    /// Monotonic milliseconds; nil while live.
    var staleSince: Int64?
    var problem: String?
}
