import DNSWire
import Foundation
import Logging
import RegdnsTestKit
import Synchronization

@testable import Persistence
@testable import RegistryStore

/// A directory that is there as long as the object.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("regdns-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var file: String { path + "/registry.db" }

    /// The files as a crash would leave them now.
    func copy() throws -> TemporaryDirectory {
        let other = try TemporaryDirectory()
        for name in try FileManager.default.contentsOfDirectory(atPath: path) where name.hasPrefix("registry.db") {
            // The index of the log is memory that processes share; one that crashed leaves what is of no use.
            if name.hasSuffix("-shm") { continue }
            try FileManager.default.copyItem(atPath: path + "/" + name, toPath: other.path + "/" + name)
        }
        return other
    }

    func names(_ part: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.contains(part) }.sorted()
    }
}

/// A registry that is kept in a directory.
struct Kept {
    let registry: Registry
    let keeper: RegistryKeeper
    let start: RegistryKeeper.Start
    let clock: VirtualClock

    static let layout = "/skydns/local/skydns"

    init(
        _ directory: TemporaryDirectory, node: String = "a", origin: UInt64 = .random(in: 1 ... .max),
        clock: VirtualClock = VirtualClock(), sync: RegistryKeeper.Sync = .interval,
        limits: RegistryLimits = RegistryLimits(), change: (inout RegistryKeeper.Settings) -> Void = { _ in }
    ) throws {
        let layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        let registry = Registry(
            layout: layout, node: node, origin: origin, limits: limits, clock: clock.registryClock)
        var settings = RegistryKeeper.Settings(sync: sync)
        change(&settings)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let (keeper, start) = try RegistryKeeper.open(
            try DataDirectory(path: directory.path), registry: registry, layout: Self.layout, settings: settings,
            logger: logger)
        try keeper.reserve(from: 1_000)
        (self.registry, self.keeper, self.start, self.clock) = (registry, keeper, start, clock)
    }

    var writer: KeptWriter { KeptWriter(registry: registry, durability: keeper) }

    /// What would be kept now.
    var content: KeptContent { registry.keptContent() }
}

extension Registry {
    func keptContent() -> KeptContent {
        state.withLock { state in
            let group = state.core.wholeGroup(now: clock.now)
            var content = KeptContent()
            content.entries = group.notes.compactMap { note in
                guard case .put(let entry, let lease) = note else { return nil }
                return KeptEntry(entry, ownLease: lease)
            }
            content.tombstones = group.tombstones.map {
                KeptTombstone(
                    namespace: $0.namespace, key: $0.key, version: $0.version,
                    removedAt: group.now.unix &- (group.now.monotonic &- $0.removedAt), wasLeased: $0.wasLeased)
            }
            content.leases = group.leases
            return content
        }
    }
}

func key(_ name: String) -> [UInt8] { Array("/skydns/local/skydns/\(name)".utf8) }

func registration(_ service: String, _ id: String, port: Int = 80) -> Registration {
    Registration(
        host: .ipv4(0x0a00_0001), port: port, priority: -1, weight: 7, text: "täxt", mail: true, ttl: 30,
        targetStrip: 2, group: "g",
        instance: InstanceAttributes(
            service: service, id: id, tags: ["x", ""], status: "UP", endpointType: "tcp", endpoint: "10.0.0.1:\(port)",
            metadata: Array("null".utf8), extra: [0, 255]))
}
