import EtcdMessages
import GRPC
import RegistryStore

/// Writes to the cluster what the doors wish.
///
/// A wish is planned against this node's copy, sent as one transaction, and done when the copy shows it, so that who
/// wrote reads what he wrote. Wishes with conditions hold only while the keys are as they were planned with; when they
/// are not, the wish is planned again. What failed with an unknown outcome is not sent again.
final class ClusterWriter: Sendable {
    private let registry: Registry
    private let keys: ClusterKeys
    private let connection: ClusterConnection
    private let applied: AppliedRevision
    private let keepAlives: KeepAliveLanes
    private let counters: StoreCounters
    private let clock: RegistryClock
    private let deadline: Duration
    private let hasContent: @Sendable () -> Bool
    /// Leases that nothing needs any more, to be revoked by `run`; beyond the bound they run out by themselves.
    private let leftovers: AsyncStream<LeaseID>
    private let newLeftovers: AsyncStream<LeaseID>.Continuation

    private static let attemptsMax = 8
    private static let grantAttemptsMax = 4
    private static let leftoversMax = 10_000
    /// How long a write that happened waits for this node's copy.
    private static let catchUpMilliseconds: Int64 = 1_000
    /// How long to wait for a deletion whose revision is not known.
    private static let unknownMilliseconds: Int64 = 100

    init(
        _ configuration: EtcdStoreConfiguration, registry: Registry, connection: ClusterConnection,
        applied: AppliedRevision, keepAlives: KeepAliveLanes, counters: StoreCounters, clock: RegistryClock,
        hasContent: @escaping @Sendable () -> Bool
    ) {
        self.registry = registry
        keys = ClusterKeys(configuration)
        deadline = configuration.writeDeadline
        self.connection = connection
        self.applied = applied
        self.keepAlives = keepAlives
        self.counters = counters
        self.clock = clock
        self.hasContent = hasContent
        (leftovers, newLeftovers) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.leftoversMax))
    }

    /// Revokes what is left over until the task is cancelled.
    func run() async {
        for await lease in leftovers {
            // A lease that cannot be revoked now runs out by itself.
            _ = try? await revoke(lease)
        }
    }

    // MARK: Batches

    func apply(_ intents: [Intent]) async throws(RegistryError) -> Receipt {
        counters.writes.count()
        do throws(RegistryError) {
            return try await tryApply(intents)
        } catch {
            counters.failedWrites.count()
            throw error
        }
    }

    private func tryApply(_ wishes: [Intent]) async throws(RegistryError) -> Receipt {
        let intents = wishes.flatMap { $0.placed(by: registry.layout) }
        guard hasContent() else {
            throw .unavailable(reason: "the etcd cluster has not been read yet", retryAfterSeconds: 1)
        }
        for intent in intents { try check(intent) }
        var distrusted: Set<LeaseID> = []
        for _ in 0..<Self.attemptsMax {
            let plan = WritePlan(try registry.plan(intents), in: registry, keys, distrusting: distrusted)
            guard plan.operationCount <= WritePlan.operationsMax else {
                throw .limitExceeded(limit: "intents", value: plan.operationCount, bound: WritePlan.operationsMax)
            }
            for entry in plan.renewals { try await renew(entry) }
            if plan.operationCount == 0 { return Receipt(revision: applied.revision, changes: []) }
            switch try await run(plan) {
            case .done(let receipt): return receipt
            case .changedMeanwhile(let revision):
                // What the table has not seen yet is planned with after it has.
                let patience = revision == .max ? Self.unknownMilliseconds : Self.catchUpMilliseconds
                _ = await applied.wait(for: revision, until: clock.monotonicMilliseconds() + patience)
            case .leaseGone(let lease): distrusted.insert(lease)
            }
        }
        throw .unavailable(reason: "the keys keep changing under the write", retryAfterSeconds: 1)
    }

    private func check(_ intent: Intent) throws(RegistryError) {
        let (namespace, key) = intent.place
        guard keys.namespaces.contains(namespace) else {
            throw .invalid(
                field: "namespace", value: String(namespace.name.prefix(64)),
                expected: "the default one: an etcd cluster as the store has no other")
        }
        switch intent {
        case .put, .renew: if keys.there(namespace, key) != nil { return }
        // Of another namespace, what has no place in the cluster is not here either.
        case .delete, .deleteRange: if namespace != .default || keys.range.contains(key) { return }
        }
        let isReserved = namespace == .default && keys.range.contains(key)
        throw .invalid(
            field: "key", value: String(decoding: key.prefix(64), as: UTF8.self),
            expected: isReserved
                ? "a key that this node does not need for itself"
                : "a key below \(String(decoding: keys.range.lower, as: UTF8.self)), which this node follows")
    }

    private enum Attempt {
        case done(Receipt)
        /// A condition did not hold; the copy should come to this revision before the next plan.
        case changedMeanwhile(Int64)
        /// A lease that was to be used again is gone.
        case leaseGone(LeaseID)
    }

    private func run(_ plan: WritePlan) async throws(RegistryError) -> Attempt {
        for write in plan.writes.values {
            // A registration again, with the lease that it has: that restarts it.
            guard case .put(_, .present(let lease, let key)) = write,
                plan.changes.contains(where: { $0.current.map(keys.there) == key })
            else { continue }
            guard try await restart(lease) != nil else { return .leaseGone(lease) }
        }
        let leases = try await grant(plan.grants)
        let answer: EtcdTxnResponse
        do throws(GRPCStatus) {
            answer = try await connection.call(
                "/etcdserverpb.KV/Txn", plan.request(leases: leases.mapValues(\.id)), timeout: deadline)
        } catch {
            if error.code == .invalidArgument || error.code == .notFound { leave(leases.values.map(\.id)) }
            return try outcome(of: error, plan)
        }
        guard answer.succeeded else {
            leave(leases.values.map(\.id))
            return .changedMeanwhile(Self.greatestRevision(in: answer))
        }
        await show(answer, leases)
        leave(Array(plan.endingLeases))
        return .done(receipt(of: plan, leases.mapValues(\.id), at: answer.header.revision))
    }

    /// What a refused transaction means.
    private func outcome(of status: GRPCStatus, _ plan: WritePlan) throws(RegistryError) -> Attempt {
        if status.code == .notFound {
            for write in plan.writes.values {
                guard case .put(_, let life) = write else { continue }
                switch life {
                case .shared(let lease): throw .unknownLease(lease)
                case .present(let lease, _): return .leaseGone(lease)
                case .permanent, .keep, .own: continue
                }
            }
        }
        // The key whose value or lease was to stay went away.
        if status.code == .invalidArgument, status.message.contains("key not found") { return .changedMeanwhile(.max) }
        throw RegistryError(status)
    }

    /// The last change of the keys that conditions were about, which the copy may have to wait for; a key that is gone
    /// says nothing, and then time has to do.
    private static func greatestRevision(in answer: EtcdTxnResponse) -> Int64 {
        let kvs = answer.responses.map { $0.responseRange.kvs.first }
        return kvs.contains { $0 == nil } ? .max : kvs.compactMap { $0?.modRevision }.max() ?? .max
    }

    /// Waits until the copy shows a transaction.
    private func show(_ answer: EtcdTxnResponse, _ leases: [[UInt8]: Granted]) async {
        let hasEffect = answer.responses.contains { response in
            if case .responseDeleteRange(let deletion) = response.response { deletion.deleted > 0 } else { true }
        }
        guard hasEffect else { return }
        let until = clock.monotonicMilliseconds() + Self.catchUpMilliseconds
        if await !applied.wait(for: answer.header.revision, until: until) { counters.lateWrites.count() }
        for granted in leases.values {
            registry.setMirroredLease(granted.id, seconds: granted.seconds, of: granted.seconds)
        }
    }

    private func receipt(of plan: WritePlan, _ leases: [[UInt8]: LeaseID], at revision: Int64) -> Receipt {
        let changes = plan.changes.map { change in
            let lease: LeaseID? =
                switch change.current.flatMap({ plan.writes[keys.there($0)] }) {
                case .put(_, .keep): change.previous?.lease
                case .put(_, .shared(let lease)), .put(_, .present(let lease, _)): lease
                case .put(_, .own(_, let owner)): leases[owner]
                case .put(_, .permanent), .delete, nil: nil
                }
            let current = change.current?.written(over: change.previous, at: revision, lease: lease)
            return Change(
                kind: current == nil ? .delete : .write, previous: change.previous, current: current,
                contentChanged: true, version: (current ?? change.previous)?.version ?? .unknown)
        }
        return Receipt(revision: revision, changes: changes)
    }

    // MARK: Leases

    private struct Granted {
        let id: LeaseID
        let seconds: Int64
    }

    private func grant(_ wanted: [[UInt8]: Int64]) async throws(RegistryError) -> [[UInt8]: Granted] {
        var granted: [[UInt8]: Granted] = [:]
        for (key, seconds) in wanted {
            do throws(RegistryError) {
                granted[key] = try await grant(seconds: seconds)
            } catch {
                leave(granted.values.map(\.id))
                throw error
            }
        }
        return granted
    }

    /// Grants a lease for a registration. The lower half of its number is its length: CoreDNS before 1.12.4 and SkyDNS
    /// take those bits for the TTL of their answers, which by etcd's own numbers would be years.
    private func grant(seconds: Int64) async throws(RegistryError) -> Granted {
        for _ in 0..<Self.grantAttemptsMax {
            let id = Int64.random(in: 1...Int64(Int32.max)) << 32 | min(seconds, Int64(Int32.max))
            do throws(RegistryError) {
                return try await grant(id: LeaseID(id), seconds: seconds)
            } catch {
                guard case .leaseExists = error else { throw error }
            }
        }
        return try await grant(id: nil, seconds: seconds)
    }

    private func grant(id: LeaseID?, seconds: Int64) async throws(RegistryError) -> Granted {
        var request = EtcdLeaseGrantRequest()
        request.id = id?.rawValue ?? 0
        request.ttl = seconds
        let answer: EtcdLeaseGrantResponse
        do throws(GRPCStatus) {
            answer = try await connection.call("/etcdserverpb.Lease/LeaseGrant", request, timeout: deadline)
        } catch {
            if let id, error.code == .failedPrecondition || error.code == .alreadyExists { throw .leaseExists(id) }
            throw RegistryError(error)
        }
        return Granted(id: LeaseID(answer.id), seconds: answer.ttl)
    }

    func grantLease(id: LeaseID?, milliseconds: Int64) async throws(RegistryError) -> LeaseInfo {
        let seconds = max(1, milliseconds / 1000 + (milliseconds % 1000 > 0 ? 1 : 0))
        let granted = try await grant(id: id, seconds: seconds)
        return info(granted.id, seconds: granted.seconds)
    }

    private func info(_ lease: LeaseID, seconds: Int64) -> LeaseInfo {
        let (length, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        return LeaseInfo(
            id: lease, lengthMilliseconds: overflow ? .max : length, remainingMilliseconds: overflow ? .max : length,
            renewedAt: clock.unixMilliseconds(), home: "", isSuspended: false)
    }

    func revokeLease(_ lease: LeaseID) async throws(RegistryError) -> Receipt {
        let entries = registry.keys(of: lease)
        do throws(GRPCStatus) {
            let revision = try await revoke(lease)
            if !entries.isEmpty {
                _ = await applied.wait(for: revision, until: clock.monotonicMilliseconds() + Self.catchUpMilliseconds)
            }
            let changes = entries.map {
                Change(kind: .delete, previous: $0, current: nil, contentChanged: true, version: $0.version)
            }
            return Receipt(revision: revision, changes: changes)
        } catch {
            if error.code == .notFound { throw .unknownLease(lease) }
            throw RegistryError(error)
        }
    }

    @discardableResult
    private func revoke(_ lease: LeaseID) async throws(GRPCStatus) -> Int64 {
        var request = EtcdLeaseRevokeRequest()
        request.id = lease.rawValue
        let answer: EtcdLeaseRevokeResponse = try await connection.call(
            "/etcdserverpb.Lease/LeaseRevoke", request, timeout: deadline)
        return answer.header.revision
    }

    private func leave(_ leases: [LeaseID]) {
        for lease in leases {
            if case .dropped = newLeftovers.yield(lease) { counters.droppedRevocations.count() }
        }
    }

    // MARK: Renewals

    /// Heartbeat: who is not in the table any more is gone, also when the cluster still renews his lease for a moment
    /// after it was revoked, as versions before 3.4.38 and 3.5.23 do.
    func renew(namespace: Namespace, id: String) async throws(RegistryError) {
        guard let entry = registry.entry(namespace: namespace, id: id) else {
            throw .notFound(key: Array(id.utf8.prefix(registry.limits.maxKeyBytes)))
        }
        try await renew(entry)
    }

    private func renew(_ entry: Entry) async throws(RegistryError) {
        guard let lease = entry.lease else { return }
        guard try await restart(lease) != nil else { throw .notFound(key: entry.key) }
    }

    func keepAlive(_ lease: LeaseID) async throws(RegistryError) -> LeaseInfo {
        guard let seconds = try await restart(lease) else { throw .unknownLease(lease) }
        return info(lease, seconds: seconds)
    }

    /// The seconds that a lease has again; nil when it is gone.
    private func restart(_ lease: LeaseID) async throws(RegistryError) -> Int64? {
        counters.renewals.count()
        let seconds: Int64
        do throws(GRPCStatus) {
            seconds = try await keepAlives.renew(
                lease, until: clock.monotonicMilliseconds() + deadline.milliseconds)
        } catch {
            throw RegistryError(error)
        }
        guard seconds > 0 else { return nil }
        registry.setMirroredLease(lease, seconds: seconds, of: seconds)
        return seconds
    }
}

extension RegistryError {
    /// The one place where the cluster's refusals become ours.
    init(_ status: GRPCStatus) {
        switch status.code {
        case .invalidArgument where status.message.contains("too large"):
            self = .limitExceeded(limit: "value_bytes", value: 1_572_865, bound: 1_572_864)
        case .permissionDenied:
            self = .unavailable(reason: "the etcd cluster forbids it: \(status.message)", retryAfterSeconds: 30)
        case .resourceExhausted:
            self = .unavailable(reason: "the etcd cluster has no room: \(status.message)", retryAfterSeconds: 30)
        case .deadlineExceeded, .unknown:
            self = .unavailable(
                reason: "the etcd cluster did not answer in time, whether it wrote is not known: \(status.message)",
                retryAfterSeconds: 2)
        default:
            self = .unavailable(reason: "the etcd cluster cannot be written: \(status)", retryAfterSeconds: 2)
        }
    }
}

extension Version {
    /// Of what has none in an external store.
    fileprivate static let unknown = Version(hlc: 0, kind: .write, origin: 0, sequence: 0)
}

extension Intent {
    /// What it is about: the namespace, and its key or the start of its range.
    fileprivate var place: (Namespace, [UInt8]) {
        switch self {
        case .put(let namespace, let key, _, _, _), .renew(let namespace, let key), .delete(let namespace, let key, _):
            return (namespace, key)
        case .deleteRange(let namespace, let lower, _): return (namespace, lower)
        }
    }
}

extension Intent {
    /// The same wish for a cluster that SkyDNS and CoreDNS read as well: they know no status, so that what the DNS does
    /// not answer must not lie where they look. The store takes the key that the id had before away.
    fileprivate func placed(by layout: KeyLayout) -> [Intent] {
        guard case .put(let namespace, let key, .registration(let registration), let lease, let preconditions) = self,
            let instance = registration.instance,
            key == layout.primaryKey(service: instance.service, id: instance.id),
            !registration.isAnswered
        else { return [self] }
        let put = Intent.put(
            namespace: namespace, key: layout.hiddenKey(service: instance.service, id: instance.id),
            value: .registration(registration), lease: lease)
        return preconditions.isEmpty
            ? [put] : [.delete(namespace: namespace, key: key, preconditions: preconditions), put]
    }
}

extension Duration {
    /// Whole milliseconds, cut.
    var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}
