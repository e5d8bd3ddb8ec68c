package import GRPC
package import Logging
package import RegistryStore
import Synchronization

/// An etcd cluster as the store: this node's registry is the copy of its keys below one prefix, and writes go to it.
///
/// The follower keeps the copy as it is in the cluster, through losses of members and of the whole cluster: names go on
/// being answered from the last state. Leases are the cluster's; nothing runs out here.
package final class EtcdStore: Sendable {
    package let counters = StoreCounters()
    private let registry: Registry
    private let clock: RegistryClock
    private let connection: ClusterConnection
    private let applied: AppliedRevision
    private let leases: LeaseLengths
    private let keepAlives: KeepAliveLanes
    private let follower: Follower
    private let writer: ClusterWriter
    private let link: ProxyLink
    private let keys: ClusterKeys
    private let passesCallsOn: Bool

    /// - Parameter registry: made with `isMirror`; only this store changes it.
    package init(
        _ configuration: EtcdStoreConfiguration, registry: Registry, clock: RegistryClock = .system, logger: Logger
    ) {
        self.registry = registry
        self.clock = clock
        connection = ClusterConnection(configuration)
        applied = AppliedRevision()
        leases = LeaseLengths(registry: registry, connection: connection, counters: counters)
        keepAlives = KeepAliveLanes(connection: connection, clock: clock)
        let follower = Follower(
            configuration, registry: registry, connection: connection, applied: applied, leases: leases,
            counters: counters, clock: clock, logger: logger)
        self.follower = follower
        writer = ClusterWriter(
            configuration, registry: registry, connection: connection, applied: applied, keepAlives: keepAlives,
            counters: counters, clock: clock, hasContent: { follower.currentFacts.hasContent })
        link = ProxyLink(configuration, counters: counters) {
            let facts = follower.currentFacts
            return facts.staleSince == nil ? facts.endpoint : nil
        }
        keys = ClusterKeys(configuration)
        passesCallsOn = configuration.passesCallsOn
    }

    /// etcd's v3 services as the cluster answers them, for an etcd port. They are served while `run` is under way.
    package var proxyRoutes: GRPCRoutes {
        ClusterProxy(link: link, write: ProxiedWrite(keys: keys, registry: registry), counters: counters) {
            await self.show($0)
        }.routes
    }

    /// How long an answer to who wrote past this node waits for its copy.
    private static let showMilliseconds: Int64 = 1_000

    private func show(_ revision: Int64) async {
        // Nothing comes while the cluster is not followed.
        guard follower.currentFacts.staleSince == nil else { return }
        if await !waitForRevision(revision, milliseconds: Self.showMilliseconds) { counters.lateWrites.count() }
    }

    /// Follows the cluster and serves writes until the task is cancelled.
    package func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.follower.run() }
            group.addTask { await self.keepAlives.run() }
            group.addTask { await self.leases.run() }
            group.addTask { await self.writer.run() }
            if self.passesCallsOn { group.addTask { await self.link.run() } }
        }
    }

    // MARK: How it is

    /// Whether the cluster has more than this copy may hold: it is not whole.
    package var isOverLimit: Bool {
        counters.overLimit.load(ordering: .relaxed) > 0 || counters.refusedKeys.load(ordering: .relaxed) > 0 && isFull
    }

    private var isFull: Bool {
        let (counts, limits) = (registry.counts(), registry.limits)
        return counts.entries >= limits.maxEntries || counts.entryBytes > limits.maxMemoryBytes / 10 * 9
    }

    /// For readiness, status and metrics. From any thread, without waiting.
    package var status: Status {
        let facts = follower.currentFacts
        let now = clock.monotonicMilliseconds()
        return Status(
            phase: facts.phase, endpoint: facts.endpoint, hasContent: facts.hasContent,
            staleSeconds: facts.staleSince.map { Double(max(0, now - $0)) / 1000 }, problem: facts.problem,
            revision: facts.position, clusterID: facts.clusterID, leaseQuestionsWaiting: leases.waiting)
    }

    package struct Status: Sendable {
        /// `connecting`, `listing`, `watching`, ….
        package let phase: String
        /// The member that is followed, or tried next.
        package let endpoint: String
        /// False until the cluster was read once: the node has nothing to answer from.
        package let hasContent: Bool
        /// For how long the cluster has not been followed; nil while it is.
        package let staleSeconds: Double?
        /// Why it is not.
        package let problem: String?
        /// The cluster's revision that the copy has come to.
        package let revision: Int64
        package let clusterID: UInt64
        package let leaseQuestionsWaiting: Int
    }

    /// Waits until the copy shows everything up to a revision of the cluster. False when it took too long.
    package func waitForRevision(_ revision: Int64, milliseconds: Int64) async -> Bool {
        await applied.wait(for: revision, until: clock.monotonicMilliseconds() + milliseconds)
    }
}

extension EtcdStore: RegistryWriter {
    @discardableResult
    package func apply(_ intents: [Intent]) async throws(RegistryError) -> Receipt { try await writer.apply(intents) }

    package func renew(namespace: Namespace, id: String) async throws(RegistryError) {
        try await writer.renew(namespace: namespace, id: id)
    }

    package func grantLease(id: LeaseID?, milliseconds: Int64) async throws(RegistryError) -> LeaseInfo {
        try await writer.grantLease(id: id, milliseconds: milliseconds)
    }

    @discardableResult
    package func revokeLease(_ id: LeaseID) async throws(RegistryError) -> Receipt {
        try await writer.revokeLease(id)
    }

    package func keepAlive(_ id: LeaseID) async throws(RegistryError) -> LeaseInfo {
        try await writer.keepAlive(id)
    }
}
