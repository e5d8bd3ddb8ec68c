import EtcdMessages
import GRPC
import RegistryStore

/// A range request taken apart: what to ask the store for, and what to do with the entries it gives.
struct RangeQuery {
    let keys: KeyRange
    /// The revision of the store to read at; nil for the present.
    let past: Int64?
    /// How many entries to ask the store for.
    let storeLimit: Int
    private let request: EtcdRangeRequest

    init(_ request: EtcdRangeRequest, _ context: V3Context) throws(GRPCStatus) {
        guard !request.key.isEmpty else { throw .emptyKey }
        self.request = request
        keys = KeyRange(key: request.key, end: request.rangeEnd)
        past = request.revision > 0 ? try context.past(request.revision) : nil
        let selects =
            request.sortOrder != .none || request.minModRevision != 0 || request.maxModRevision != 0
            || request.minCreateRevision != 0 || request.maxCreateRevision != 0
        if request.countOnly {
            storeLimit = 0
        } else if selects || request.limit <= 0 || request.limit >= Int64(Int.max) {
            storeLimit = .max
        } else {
            // etcd takes one more than asked for, to know of `more`, and sorts by another field than the key only then.
            storeLimit = Int(request.limit) + 1
        }
    }

    /// What a client gets.
    struct Answer {
        var entries: [Entry]
        var more = false
        let count: Int
        let withValues: Bool
    }

    func answer(_ found: RangeResult, _ context: V3Context) -> Answer {
        var entries = found.entries
        if request.countOnly { return Answer(entries: [], count: found.totalCount, withValues: false) }
        select(&entries, context.keyspace)
        sort(&entries, context.registry)
        var more = false
        if request.limit > 0, entries.count > request.limit {
            entries.removeLast(entries.count - Int(request.limit))
            more = true
        }
        return Answer(entries: entries, more: more, count: found.totalCount, withValues: !request.keysOnly)
    }

    private func select(_ entries: inout [Entry], _ keyspace: Keyspace) {
        func keep(_ bound: Int64, _ holds: (Entry) -> Bool) {
            if bound != 0 { entries.removeAll { !holds($0) } }
        }
        keep(request.maxModRevision) { keyspace.index(of: $0.modRevision) <= request.maxModRevision }
        keep(request.minModRevision) { keyspace.index(of: $0.modRevision) >= request.minModRevision }
        keep(request.maxCreateRevision) { keyspace.index(of: $0.createRevision) <= request.maxCreateRevision }
        keep(request.minCreateRevision) { keyspace.index(of: $0.createRevision) >= request.minCreateRevision }
    }

    /// Equal ones keep the order of their keys, descending too: Swift's sort is stable.
    private func sort(_ entries: inout [Entry], _ registry: Registry) {
        let descends = request.sortOrder == .descend
        func order<Value>(_ value: (Entry) -> Value, _ precedes: (Value, Value) -> Bool) {
            entries.sort { a, b in descends ? precedes(value(b), value(a)) : precedes(value(a), value(b)) }
        }
        switch request.sortTarget {
        case .key where request.sortOrder == .none: break
        case .key: if descends { entries.reverse() }
        case .version: order(\.putCount, <)
        case .create: order(\.createRevision, <)
        case .mod: order(\.modRevision, <)
        case .value:
            var rendered = entries.map { (entry: $0, value: registry.value(of: $0)) }
            rendered.sort { a, b in
                descends ? b.value.lexicographicallyPrecedes(a.value) : a.value.lexicographicallyPrecedes(b.value)
            }
            entries = rendered.map(\.entry)
        case .UNRECOGNIZED: break
        }
    }
}
