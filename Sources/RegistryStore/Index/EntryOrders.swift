/// Entries of one namespace by key: the truth's own order.
enum KeyOrder: TreeOrder {
    static func sortBytes(of element: Entry) -> SortBytes { SortBytes(element.key) }
}

/// The shown entries of one namespace by the id of the HTTP dialects.
enum IDOrder: TreeOrder {
    static func sortBytes(of element: Entry) -> SortBytes { SortBytes(element.indexedID ?? "") }

    static func probe(_ id: String) -> [UInt8] { Array(id.utf8) }
}

/// The shown entries of one namespace by service, then by key.
enum ServiceOrder: TreeOrder {
    static func sortBytes(of element: Entry) -> SortBytes {
        SortBytes(element.indexedService ?? "", then: element.key)
    }

    /// Before all keys of the service.
    static func start(_ service: String) -> [UInt8] { Array(service.utf8) + [0] }
    /// After all keys of the service.
    static func end(_ service: String) -> [UInt8] { Array(service.utf8) + [1] }
}

/// The entries of one granted lease, by namespace and key: the order in which they are deleted with it.
enum LeaseKeyOrder: TreeOrder {
    static func sortBytes(of element: Entry) -> SortBytes { SortBytes(element.namespace.name, then: element.key) }
}
