package import DNSWire
package import RegistryStore
import Synchronization

/// Which names belong to stub zones: the keys below `stub.dns.<domain>`, followed as the registry changes.
///
/// `<any>.<zone>.stub.dns.<domain>` holds an address and a port (53 when 0); values with a name as host are ignored.
/// With overlapping zones the longest wins.
package final class StubMatcher: RegistryObserver, Sendable {
    /// One server of a stub zone.
    package struct Server: Hashable, Sendable {
        package let host: ServiceHost
        package let port: Int
    }

    private let names: EntryNames
    private let base: [UInt8]
    /// Zone name (wire form) to its servers by key.
    private let zones: Mutex<[[UInt8]: [[UInt8]: Server]]> = Mutex([:])
    private let active = Atomic<Bool>(false)

    package init?(domain: OwnerName, layout: KeyLayout) {
        guard let base = WireName.make(labels: [Array("stub".utf8), Array("dns".utf8)], under: domain.wire) else {
            return nil
        }
        self.base = base
        names = EntryNames(layout: layout, domain: domain.wire)
    }

    /// Whether there is any stub zone.
    @inline(__always)
    var isActive: Bool { active.load(ordering: .acquiring) }

    package func registryDidChange(_ batch: ChangeBatch) {
        for change in batch.changes where change.namespace == .default {
            guard let zone = zone(ofKey: change.key) else { continue }
            zones.withLock { zones in
                zones[zone]?[change.key] = nil
                if zones[zone]?.isEmpty == true { zones[zone] = nil }
                if let registration = change.current?.registration {
                    switch registration.host {
                    case .ipv4, .ipv6:
                        let port = registration.port == 0 ? 53 : registration.port
                        zones[zone, default: [:]][change.key] = Server(host: registration.host, port: port)
                    case .name, .none: break
                    }
                }
                active.store(!zones.isEmpty, ordering: .releasing)
            }
        }
    }

    /// The zone a key serves: its name without the first label and without `stub.dns.<domain>`.
    private func zone(ofKey key: [UInt8]) -> [UInt8]? {
        guard let labels = names.layout.ownerLabels(ofKey: key), let name = WireName.make(labels: labels),
            WireName.isSubdomain(name, of: base)
        else { return nil }
        let count = WireName.labelCount(name) - WireName.labelCount(base)
        guard count >= 2 else { return nil }
        return WireName.make(labels: labels[1..<count].map { $0 }).map(WireName.folded)
    }

    /// Whether a folded name is in a stub zone.
    func covers(_ name: [UInt8]) -> Bool { servers(for: name) != nil }

    /// The servers of the longest zone that holds a folded name, in the order of their keys.
    package func servers(for name: [UInt8]) -> [Server]? {
        zones.withLock { zones in
            var rest: [UInt8]? = name
            while let at = rest {
                if let servers = zones[at] {
                    return servers.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
                }
                rest = WireName.parent(of: at)
            }
            return nil
        }
    }
}
