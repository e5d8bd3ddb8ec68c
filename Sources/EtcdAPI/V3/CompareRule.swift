import EtcdMessages
import RegistryStore

/// One comparison of a transaction. Revisions of other nodes are simply other numbers: never equal to ours.
struct CompareRule: Sendable {
    private let compare: EtcdCompare

    init(_ compare: EtcdCompare) { self.compare = compare }

    func condition(_ context: V3Context) -> StepCondition {
        let keys = KeyRange(key: compare.key, end: compare.rangeEnd)
        let (keyspace, registry) = (context.keyspace, context.registry)
        return StepCondition(namespace: context.namespace, lower: keys.lower, upper: keys.upper) { entries in
            if entries.isEmpty { return holdsForAbsent }
            return entries.allSatisfy { holds($0, keyspace, registry) }
        }
    }

    /// An absent key has version, revisions and lease 0, and no value: no comparison of it holds.
    private var holdsForAbsent: Bool { compare.target != .value && holds(0, number) }

    private func holds(_ entry: Entry, _ keyspace: Keyspace, _ registry: Registry) -> Bool {
        switch compare.target {
        case .version: return holds(entry.putCount, number)
        case .create: return holds(keyspace.index(of: entry.createRevision), number)
        case .mod: return holds(keyspace.index(of: entry.modRevision), number)
        case .lease: return holds(entry.lease?.rawValue ?? 0, number)
        case .value:
            let value = registry.value(of: entry)
            guard case .value(let asked)? = compare.targetUnion else { return holds(value.count, 0) }
            if value.elementsEqual(asked) { return holds(0, 0) }
            return value.lexicographicallyPrecedes(asked) ? holds(0, 1) : holds(1, 0)
        case .UNRECOGNIZED: return holds(0, 0)
        }
    }

    /// The number compared with: that of the target, 0 when another or none is given.
    private var number: Int64 {
        switch (compare.target, compare.targetUnion) {
        case (.version, .version(let number)?), (.create, .createRevision(let number)?),
            (.mod, .modRevision(let number)?), (.lease, .lease(let number)?):
            return number
        default: return 0
        }
    }

    private func holds<Number: Comparable>(_ actual: Number, _ asked: Number) -> Bool {
        switch compare.result {
        case .equal: actual == asked
        case .notEqual: actual != asked
        case .greater: actual > asked
        case .less: actual < asked
        case .UNRECOGNIZED: true
        }
    }
}
