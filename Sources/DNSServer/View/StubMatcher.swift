package import DNSWire
import NIOCore
package import RegistryStore
import Synchronization

/// The stub zones of the registry: the keys below `stub.dns.<domain>`, followed as they change.
///
/// `<any>.<zone>.stub.dns.<domain>` holds an address and a port (53 when 0); values with a name as host are ignored.
package final class StubMatcher: RegistryObserver, Sendable {
    private struct State {
        /// Zone name to its servers by key.
        var servers: [OwnerName: [[UInt8]: SocketAddress]] = [:]
        var table = StubZones.none
    }

    private let layout: KeyLayout
    private let base: [UInt8]
    private let state = Mutex(State())
    private let active = Atomic<Bool>(false)

    /// nil when the domain is too long for names below `stub.dns`.
    package init?(domain: OwnerName, layout: KeyLayout) {
        guard let base = TreeName.make(labels: [Array("stub".utf8), Array("dns".utf8)], under: domain.wire) else {
            return nil
        }
        self.base = base
        self.layout = layout
    }

    /// Whether there is any stub zone.
    @inline(__always)
    var isActive: Bool { active.load(ordering: .acquiring) }

    /// The longest stub zone that holds a folded name in wire form.
    func zone(for name: [UInt8]) -> StubZone? {
        guard let name = try? OwnerName(wire: name) else { return nil }
        return state.withLock { $0.table.match(name) }
    }

    package func registryDidChange(_ batch: ChangeBatch) {
        for change in batch.changes where change.namespace == .default {
            guard let zone = zone(ofKey: change.key) else { continue }
            state.withLock { state in
                state.servers[zone, default: [:]][change.key] = change.current?.registration.flatMap(Self.address)
                if state.servers[zone]?.isEmpty == true { state.servers[zone] = nil }
                state.table = StubZones(
                    state.servers.mapValues { servers in
                        servers.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
                    })
                active.store(!state.table.isEmpty, ordering: .releasing)
            }
        }
    }

    /// The zone a key serves: its name without the first label and without `stub.dns.<domain>`.
    private func zone(ofKey key: [UInt8]) -> OwnerName? {
        guard let name = layout.ownerName(ofKey: key), TreeName.isSubdomain(name, of: base) else { return nil }
        let count = TreeName.labelCount(name) - TreeName.labelCount(base)
        guard count >= 2 else { return nil }
        let labels = TreeName.labels(of: name)[1..<count].map(Array.init)
        guard let zone = TreeName.make(labels: labels) else { return nil }
        return try? OwnerName(wire: zone)
    }

    private static func address(_ registration: Registration) -> SocketAddress? {
        let port = registration.port == 0 ? 53 : registration.port
        guard (1...65_535).contains(port) else { return nil }
        switch registration.host {
        case .ipv4(let address):
            let octets = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: address >> $0) }
            return try? SocketAddress(packedIPAddress: ByteBuffer(bytes: octets), port: port)
        case .ipv6(let high, let low):
            let octets = [high, low].flatMap { half in
                stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: half >> UInt64($0)) }
            }
            return try? SocketAddress(packedIPAddress: ByteBuffer(bytes: octets), port: port)
        case .name, .none: return nil
        }
    }
}
