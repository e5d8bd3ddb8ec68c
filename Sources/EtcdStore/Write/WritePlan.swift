import EtcdMessages
import FoundationEssentials
import RegistryStore

/// What a batch of wishes means for the cluster: one transaction, with the leases that it needs. Pure.
struct WritePlan {
    /// How a key's life is to be limited.
    enum Life: Hashable {
        case permanent
        /// As the key has it.
        case keep
        /// The client named it.
        case shared(LeaseID)
        /// A lease of the registration alone, which is there already.
        case present(LeaseID, of: [UInt8])
        /// A lease of the registration alone, which is to be made; the key tells registrations of a batch apart.
        case own(seconds: Int64, of: [UInt8])
    }

    enum Write {
        /// `value` nil keeps the value there is.
        case put(value: [UInt8]?, Life)
        case delete
    }

    private(set) var writes: [[UInt8]: Write] = [:]
    /// Keys in the order of the wishes.
    private(set) var order: [[UInt8]] = []
    /// The modification revisions that keys must have for the transaction to happen; 0: absent.
    private(set) var guards: [[UInt8]: Int64] = [:]
    /// Ranges that are deleted as such; no key of `writes` lies in one.
    private(set) var ranges: [KeyRange] = []
    private(set) var renewals: [Entry] = []
    /// Leases that nothing needs once the transaction has happened.
    private(set) var endingLeases: Set<LeaseID> = []
    /// What the transaction changes of what the doors know, for the receipt: without alias keys.
    private(set) var changes: [Planned] = []
    private let keys: ClusterKeys

    /// One change for the receipt.
    struct Planned {
        let previous: Entry?
        let current: Entry?
    }

    /// etcd's default bound of operations in a transaction.
    static let operationsMax = 128

    /// - Parameter distrusted: leases that the cluster said are gone although the table still has them.
    init(
        _ plan: [PlannedWrite], in registry: Registry, _ keys: ClusterKeys,
        distrusting distrusted: Set<LeaseID> = []
    ) {
        self.keys = keys
        // etcd refuses a transaction that puts a key within a range that it deletes.
        let puts = plan.compactMap { step -> [UInt8]? in
            guard case .put(let key, _, _, _, let planned, _) = step else { return nil }
            return keys.there(planned.namespace, key)
        }
        for step in plan {
            switch step {
            case .renew(let entry): renewals.append(entry)
            case .delete(let entry, let isGuarded): delete(entry, isGuarded: isGuarded, in: registry)
            case .deleteRange(let namespace, let lower, let upper, let entries):
                let spans = keys.there(namespace, KeyRange(lower: lower, upper: upper))
                if !puts.contains(where: { put in spans.contains { $0.contains(put) } }) {
                    ranges += spans
                    for entry in entries { changes.append(Planned(previous: entry, current: nil)) }
                } else {
                    for entry in entries { delete(entry, isGuarded: false, in: registry) }
                }
            case .put(let key, let value, let lease, let previous, let planned, let isGuarded):
                let key = keys.there(planned.namespace, key) ?? key
                let life = Self.life(lease, of: key, over: previous, in: registry, distrusted)
                write(key, .put(value: value, life), guarded: isGuarded ? previous?.modRevision ?? 0 : nil)
                changes.append(Planned(previous: previous, current: planned))
                writeAliases(of: planned, over: previous, life, in: registry)
            }
        }
        findEndingLeases(in: registry)
    }

    var operationCount: Int { order.count + ranges.count }

    private mutating func write(_ key: [UInt8], _ write: Write, guarded: Int64?) {
        if writes.updateValue(write, forKey: key) == nil {
            order.append(key)
            // What later wishes of the batch see is not in the cluster yet.
            if let guarded { guards[key] = guarded }
        }
    }

    private mutating func delete(_ entry: Entry, isGuarded: Bool, in registry: Registry) {
        let key = keys.there(entry)
        // etcd takes a key once with its range; a condition goes with the key.
        if isGuarded || !ranges.contains(where: { $0.contains(key) }) {
            write(key, .delete, guarded: isGuarded ? entry.modRevision : nil)
        }
        changes.append(Planned(previous: entry, current: nil))
        deleteAliases(of: entry, in: registry)
    }

    // MARK: Leases

    private static func life(
        _ request: LeaseRequest, of key: [UInt8], over previous: Entry?, in registry: Registry,
        _ distrusted: Set<LeaseID>
    ) -> Life {
        switch request {
        // An instance out of service does not run out; the cluster knows no lease that stands still.
        case .permanent, .suspended: return .permanent
        case .keep: return previous == nil ? .permanent : .keep
        case .shared(let lease): return .shared(lease)
        case .own(let milliseconds):
            let seconds = max(1, milliseconds / 1000 + (milliseconds % 1000 > 0 ? 1 : 0))
            if let previous, let lease = previous.lease, !distrusted.contains(lease),
                registry.lease(lease)?.lengthMilliseconds == seconds * 1000,
                registry.keys(of: lease).allSatisfy({ $0.key == key || isAlias($0, of: key, in: registry) })
            {
                return .present(lease, of: key)
            }
            return .own(seconds: seconds, of: key)
        }
    }

    /// A lease ends with the last of its keys; one that was granted for a registration is not left to run out.
    private mutating func findEndingLeases(in registry: Registry) {
        var kept: Set<LeaseID> = []
        for write in writes.values {
            if case .put(_, let life) = write {
                switch life {
                case .shared(let lease), .present(let lease, _): kept.insert(lease)
                case .permanent, .keep, .own: break
                }
            }
        }
        for change in changes {
            guard let lease = change.previous?.lease, !kept.contains(lease) else { continue }
            let isLeft = registry.keys(of: lease).allSatisfy { entry in
                switch writes[keys.there(entry)] {
                case .delete: true
                case .put(_, let life): life != .keep
                case nil: false
                }
            }
            if isLeft { endingLeases.insert(lease) }
        }
    }

    // MARK: Aliases

    /// The keys by which CoreDNS and SkyDNS find a registration of a dialect at names that its own key does not have.
    private static func aliasKeys(of entry: Entry, in registry: Registry) -> [[UInt8]] {
        guard entry.storedValue == nil, let instance = entry.instance else { return [] }
        return registry.layout.aliasKeys(service: instance.service, id: instance.id, tags: instance.tags)
            .filter { $0.count <= registry.limits.maxKeyBytes }
    }

    /// Whether an entry is an alias of that key: others are not ours to replace or delete.
    private static func isAlias(_ entry: Entry, of key: [UInt8], in registry: Registry) -> Bool {
        entry.content == .opaque && SkyDNSMessage.aliasedKey(registry.value(of: entry)) == key
    }

    private mutating func writeAliases(of planned: Entry, over previous: Entry?, _ life: Life, in registry: Registry) {
        // They know no status: what is not answered has no alias.
        let wanted = planned.registration?.isAnswered == true ? Self.aliasKeys(of: planned, in: registry) : []
        if let registration = planned.registration, !wanted.isEmpty {
            let value = SkyDNSMessage.encodeAlias(of: planned.key, registration)
            for key in wanted {
                let there = registry.entry(namespace: .default, key: key)
                if there.map({ Self.isAlias($0, of: planned.key, in: registry) }) ?? true {
                    write(key, .put(value: value, life), guarded: nil)
                }
            }
        }
        if let previous { deleteAliases(of: previous, besides: wanted, in: registry) }
    }

    private mutating func deleteAliases(of entry: Entry, besides kept: [[UInt8]] = [], in registry: Registry) {
        for key in Self.aliasKeys(of: entry, in: registry) where !kept.contains(key) {
            guard let there = registry.entry(namespace: .default, key: key),
                Self.isAlias(there, of: entry.key, in: registry)
            else { continue }
            write(key, .delete, guarded: nil)
        }
    }

    // MARK: The transaction

    /// The leases that must be granted before: by the key of their registration, in seconds.
    var grants: [[UInt8]: Int64] {
        writes.values.reduce(into: [:]) { grants, write in
            if case .put(_, .own(let seconds, let key)) = write { grants[key] = seconds }
        }
    }

    /// - Parameter leases: those that were granted.
    func request(leases: [[UInt8]: LeaseID]) -> EtcdTxnRequest {
        var request = EtcdTxnRequest()
        // First: the events of what they took come in key order.
        request.success = ranges.map(Self.deletion)
        for key in order {
            if let revision = guards[key] {
                request.compare.append(Self.compare(key, revision))
                request.failure.append(Self.question(key))
            }
            guard let write = writes[key] else { continue }
            var operation = EtcdRequestOp()
            switch write {
            case .put(let value, let life): operation.requestPut = Self.put(key, value, life, leases)
            case .delete:
                var delete = EtcdDeleteRangeRequest()
                delete.key = Data(key)
                operation.requestDeleteRange = delete
            }
            request.success.append(operation)
        }
        return request
    }

    private static func deletion(_ range: KeyRange) -> EtcdRequestOp {
        var delete = EtcdDeleteRangeRequest()
        delete.key = Data(range.requestKey)
        delete.rangeEnd = Data(range.requestEnd)
        var operation = EtcdRequestOp()
        operation.requestDeleteRange = delete
        return operation
    }

    private static func compare(_ key: [UInt8], _ revision: Int64) -> EtcdCompare {
        var compare = EtcdCompare()
        compare.key = Data(key)
        compare.target = .mod
        compare.result = .equal
        compare.modRevision = revision
        return compare
    }

    private static func question(_ key: [UInt8]) -> EtcdRequestOp {
        var range = EtcdRangeRequest()
        range.key = Data(key)
        range.keysOnly = true
        var operation = EtcdRequestOp()
        operation.requestRange = range
        return operation
    }

    private static func put(
        _ key: [UInt8], _ value: [UInt8]?, _ life: Life, _ leases: [[UInt8]: LeaseID]
    ) -> EtcdPutRequest {
        var put = EtcdPutRequest()
        put.key = Data(key)
        if let value { put.value = Data(value) } else { put.ignoreValue = true }
        switch life {
        case .permanent: break
        case .keep: put.ignoreLease = true
        case .shared(let lease), .present(let lease, _): put.lease = lease.rawValue
        case .own(_, let owner): put.lease = leases[owner]?.rawValue ?? 0
        }
        return put
    }
}
