package import DNSWire
package import NIOCore

/// A part of the name space that servers of its own answer for.
package struct StubZone: Hashable, Sendable {
    /// The zone's name; it and everything below are asked at `servers`.
    package let name: OwnerName
    /// At least one address.
    package let servers: [SocketAddress]
}

/// Which names go to which stub servers. Immutable: who owns the table publishes a new one on every change.
package struct StubZones: Sendable {
    private let zones: [OwnerName: StubZone]
    /// The label counts that occur, longest first: a match tries these only.
    private let depths: [Int]

    /// No stub zones.
    package static let none = StubZones([:])

    /// Zones without servers are left out.
    package init(_ servers: [OwnerName: [SocketAddress]]) {
        var zones: [OwnerName: StubZone] = [:]
        for (name, addresses) in servers where !addresses.isEmpty {
            zones[name] = StubZone(name: name, servers: addresses)
        }
        self.zones = zones
        self.depths = Set(zones.keys.map(\.labelCount)).sorted(by: >)
    }

    /// True when no name matches.
    package var isEmpty: Bool { zones.isEmpty }
    /// All zones, ordered by name.
    package var all: [StubZone] { zones.values.sorted { $0.name < $1.name } }

    /// The zone with the longest name that `name` equals or lies below. O(different label counts); nothing is
    /// allocated when the table is empty.
    package func match(_ name: OwnerName) -> StubZone? {
        guard !zones.isEmpty else { return nil }
        let labels = name.labelCount
        for depth in depths where depth <= labels {
            let candidate = depth == labels ? name : name.droppingFirst(labels - depth)
            if let zone = zones[candidate] { return zone }
        }
        return nil
    }
}
