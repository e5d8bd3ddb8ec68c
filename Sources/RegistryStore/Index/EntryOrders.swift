/// Entries of one namespace by key: the truth's own order.
enum KeyOrder: TreeOrder {
    typealias Element = Entry
    typealias Probe = [UInt8]

    static func compare(_ probe: [UInt8], _ element: Entry) -> Int {
        ByteOrder.compare(probe, element.key)
    }

    static func compare(_ a: Entry, _ b: Entry) -> Int { ByteOrder.compare(a.key, b.key) }
}

/// The shown entries of one namespace by the id of the HTTP dialects.
enum IDOrder: TreeOrder {
    typealias Element = Entry
    typealias Probe = String

    static func compare(_ probe: String, _ element: Entry) -> Int {
        ByteOrder.compare(probe, element.indexedID ?? "")
    }

    static func compare(_ a: Entry, _ b: Entry) -> Int { ByteOrder.compare(a.indexedID ?? "", b.indexedID ?? "") }
}

/// The shown entries of one namespace by service, then by key.
enum ServiceOrder: TreeOrder {
    struct Probe {
        let service: String
        let key: Bound

        enum Bound {
            case key([UInt8])
            /// Before and after every key of the service.
            case start, end
        }
    }

    static func compare(_ probe: Probe, _ element: Entry) -> Int {
        let order = ByteOrder.compare(probe.service, element.indexedService ?? "")
        if order != 0 { return order }
        switch probe.key {
        case .key(let key): return ByteOrder.compare(key, element.key)
        case .start: return -1
        case .end: return 1
        }
    }

    static func compare(_ a: Entry, _ b: Entry) -> Int {
        let order = ByteOrder.compare(a.indexedService ?? "", b.indexedService ?? "")
        return order != 0 ? order : ByteOrder.compare(a.key, b.key)
    }
}

/// The entries of one shared lease, by namespace and key: the order in which they are deleted with it.
enum LeaseKeyOrder: TreeOrder {
    struct Probe {
        let entry: Entry
    }

    static func compare(_ probe: Probe, _ element: Entry) -> Int { compare(probe.entry, element) }

    static func compare(_ a: Entry, _ b: Entry) -> Int {
        let order = ByteOrder.compare(a.namespace.name, b.namespace.name)
        return order != 0 ? order : ByteOrder.compare(a.key, b.key)
    }
}
