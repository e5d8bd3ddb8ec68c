/// An AES key of the cluster.
package struct GossipKey: Hashable, Sendable {
    package let octets: [UInt8]

    /// - Returns: nil unless there are 16, 24 or 32 octets.
    package init?(octets: [UInt8]) {
        guard [16, 24, 32].contains(octets.count) else { return nil }
        self.octets = octets
    }
}

/// Why a key ring stays as it is.
package enum KeyRingError: Error, Hashable, Sendable {
    /// The key is not in the ring.
    case unknownKey
    /// The primary key cannot be removed; another must take its place first.
    case isPrimary
    /// The ring holds `limit` keys.
    case full(limit: Int)
}

/// The keys of a node: the first one seals, all of them open. There is no key identifier on the wire, so that opening
/// tries them in order.
package struct KeyRing: Hashable, Sendable {
    /// The most keys, since each costs a try per packet that cannot be opened.
    package static let maxKeys = 16

    package private(set) var keys: [GossipKey]

    /// Keys beyond `maxKeys` and doubled ones are left out.
    package init(_ keys: [GossipKey] = []) {
        self.keys = []
        for key in keys where !self.keys.contains(key) && self.keys.count < Self.maxKeys { self.keys.append(key) }
    }

    package var isEmpty: Bool { keys.isEmpty }
    package var primary: GossipKey? { keys.first }

    /// Adds a key that opens. The first key of an empty ring is the primary.
    package mutating func install(_ key: GossipKey) throws(KeyRingError) {
        guard !keys.contains(key) else { return }
        guard keys.count < Self.maxKeys else { throw .full(limit: Self.maxKeys) }
        keys.append(key)
    }

    /// Makes an installed key the one that seals.
    package mutating func use(_ key: GossipKey) throws(KeyRingError) {
        guard let place = keys.firstIndex(of: key) else { throw .unknownKey }
        keys.insert(keys.remove(at: place), at: 0)
    }

    package mutating func remove(_ key: GossipKey) throws(KeyRingError) {
        guard let place = keys.firstIndex(of: key) else { throw .unknownKey }
        guard place > 0 else { throw .isPrimary }
        keys.remove(at: place)
    }
}
