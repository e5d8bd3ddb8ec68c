import EtcdMessages
import FoundationEssentials
import RegistryStore

/// A range of keys as etcd's requests name it.
struct KeyRange: Hashable, Sendable {
    let lower: [UInt8]
    /// Nil: to the end.
    let upper: [UInt8]?

    /// An empty `end` means the one key, one zero byte everything from it on.
    init(key: Data, end: Data) {
        lower = Array(key)
        if end.isEmpty {
            upper = lower + [0]
        } else if end.count == 1, end.first == 0 {
            upper = nil
        } else {
            upper = Array(end)
        }
    }

    /// Whether it is the range of one key.
    var isOneKey: Bool { upper.map { $0.count == lower.count + 1 && $0.last == 0 && $0.starts(with: lower) } ?? false }
    var isEmpty: Bool { upper.map { !KeyOrder.precedes(lower, $0) } ?? false }

    func contains(_ key: [UInt8]) -> Bool {
        !KeyOrder.precedes(key, lower) && upper.map { KeyOrder.precedes(key, $0) } ?? true
    }
}

/// The order of keys: by unsigned bytes.
enum KeyOrder {
    static func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.lexicographicallyPrecedes(b) }
}

extension V3Context {
    /// An entry as etcd shows it; a registration of another door with the value rendered for it.
    func keyValue(_ entry: Entry, withValue: Bool = true) -> EtcdKeyValue {
        var keyValue = EtcdKeyValue()
        keyValue.key = Data(entry.key)
        keyValue.createRevision = keyspace.index(of: entry.createRevision)
        keyValue.modRevision = keyspace.index(of: entry.modRevision)
        keyValue.version = entry.putCount
        if withValue { keyValue.value = Data(registry.value(of: entry)) }
        keyValue.lease = entry.lease?.rawValue ?? 0
        return keyValue
    }
}
