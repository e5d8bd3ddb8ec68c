import Synchronization

extension Registry {
    /// The entry of an exact key.
    package func entry(namespace: Namespace, key: [UInt8]) -> Entry? {
        state.withLock { $0.core.entry(namespace, key: key) }
    }

    /// The entry that the HTTP dialects show under this id.
    package func entry(namespace: Namespace, id: String) -> Entry? {
        state.withLock { $0.core.entry(namespace, id: id) }
    }

    /// How the HTTP dialects name an entry, also one that an etcd door wrote; nil when they do not show it.
    package func identity(of entry: Entry) -> InstanceIdentity? { entry.identity }

    /// The entries that the HTTP dialects show: of one service in key order, or all by service. O(log n + result).
    package func instances(namespace: Namespace, service: String? = nil) -> [Entry] {
        state.withLock { $0.core.namespaces[namespace]?.instances(of: service) ?? [] }
    }

    /// The names of the services that have an instance, in byte order.
    package func serviceNames(namespace: Namespace) -> [String] {
        state.withLock { $0.core.namespaces[namespace]?.serviceNames() ?? [] }
    }

    /// All namespaces that have entries, in byte order.
    package func namespaces() -> [Namespace] { state.withLock { $0.core.namespaces.keys.sorted() } }

    /// The value bytes of an entry: as put, or SkyDNS JSON rendered now.
    package func value(of entry: Entry) -> [UInt8] { StoreCore.value(of: entry) }

    /// Entries with keys in `lower ..< upper` (nil: to the end), in key order. The count of all is exact and cheap
    /// whatever the limit.
    package func range(
        namespace: Namespace, lower: [UInt8], upper: [UInt8]?, limit: Int = .max
    ) -> RangeResult {
        state.withLock { $0.core.range(namespace, lower: lower, upper: upper, limit: limit) }
    }

    /// Values under the domain, or where SkyDNS looks for services, that the DNS cannot use: up to
    /// `limits.skippedValuesKept` of them, in key order.
    package func skippedValues() -> [SkippedValue] { state.withLock { $0.core.skipped.all() } }
}
