import RegistryStore

/// Which keys of the cluster are followed, and as what they stand in the registry: as the keys they are in the default
/// namespace, but for those that are another namespace's place.
struct ClusterKeys: Sendable {
    let range: KeyRange
    let places: [MirrorPlace]

    init(range: KeyRange, places: [MirrorPlace] = []) {
        self.range = range
        self.places = places
    }

    init(_ configuration: EtcdStoreConfiguration) {
        self.init(range: KeyRange(prefix: configuration.prefix), places: configuration.places)
    }

    /// The namespaces that followed keys may belong to; in the order in which batches tell of them.
    var namespaces: [Namespace] {
        places.reduce(into: [.default]) { all, place in
            if !all.contains(place.namespace) { all.append(place.namespace) }
        }
    }

    /// What a followed key is here.
    func here(_ key: [UInt8]) -> (namespace: Namespace, key: [UInt8]) {
        guard let place = places.first(where: { key.starts(with: $0.storePrefix) }) else { return (.default, key) }
        return (place.namespace, place.prefix + key.dropFirst(place.storePrefix.count))
    }

    /// The cluster's key for one of a namespace here; nil when it has no place in the part that is followed.
    func there(_ namespace: Namespace, _ key: [UInt8]) -> [UInt8]? {
        guard namespace == .default else {
            return places.first { $0.namespace == namespace && key.starts(with: $0.prefix) }
                .map { $0.storePrefix + key.dropFirst($0.prefix.count) }
        }
        return range.contains(key) && here(key).namespace == .default ? key : nil
    }

    /// The cluster's key of an entry of the copy.
    func there(_ entry: Entry) -> [UInt8] { there(entry.namespace, entry.key) ?? entry.key }

    /// The cluster's ranges that hold the keys of a range here and no others of the part that is followed.
    func there(_ namespace: Namespace, _ wanted: KeyRange) -> [KeyRange] {
        guard namespace == .default else {
            return places.filter { $0.namespace == namespace }.compactMap { place in
                guard let part = wanted.common(with: KeyRange(prefix: place.prefix)) else { return nil }
                let whole = KeyRange(prefix: place.storePrefix)
                func moved(_ key: [UInt8]) -> [UInt8] { place.storePrefix + key.dropFirst(place.prefix.count) }
                return KeyRange(
                    lower: moved(part.lower),
                    upper: part.upper.flatMap { $0.starts(with: place.prefix) ? moved($0) : nil } ?? whole.upper)
            }
        }
        guard let followed = wanted.common(with: range) else { return [] }
        return places.reduce([followed]) { spans, place in
            spans.flatMap { $0.without(KeyRange(prefix: place.storePrefix)) }
        }
    }

    /// Whether the copy has a key in one of the cluster's ranges.
    func hasEntries(in span: KeyRange, of registry: Registry) -> Bool {
        func has(_ namespace: Namespace, _ span: KeyRange) -> Bool {
            !registry.range(namespace: namespace, lower: span.lower, upper: span.upper, limit: 1).entries.isEmpty
        }
        return has(.default, span)
            || places.contains { place in
                guard let part = span.common(with: KeyRange(prefix: place.storePrefix)) else { return false }
                func moved(_ key: [UInt8]) -> [UInt8] { place.prefix + key.dropFirst(place.storePrefix.count) }
                return has(
                    place.namespace,
                    KeyRange(
                        lower: moved(part.lower),
                        upper: part.upper.flatMap { $0.starts(with: place.storePrefix) ? moved($0) : nil }
                            ?? KeyRange(prefix: place.prefix).upper))
            }
    }
}
