import EtcdMessages
import FoundationEssentials
import RegistryStore

extension KeyRange {
    /// A range of keys as etcd's requests name it.
    init(key: Data, end: Data) { self.init(key: Array(key), end: Array(end)) }
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
