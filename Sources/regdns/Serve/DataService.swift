import DNSWire
import EtcdAPI
import HTTPAdmin
import Logging
import Persistence
import RegistryStore
import ServiceLifecycle

/// The registry on the disk: read at the start, written as long as the server runs, closed at the end.
struct DataService: Service {
    let keeper: RegistryKeeper
    let start: RegistryKeeper.Start
    let settings: DataSettings
    /// The revisions of this process, above all that earlier ones have shown.
    let numbers: RevisionNumbers

    /// Reads the directory into the registry, which must be new.
    init(_ settings: DataSettings, registry: Registry, clock: RegistryClock, logger: Logger) throws(UserError) {
        do throws(DataDirectoryError) {
            let began = clock.monotonicMilliseconds()
            (keeper, start) = try RegistryKeeper.open(
                try DataDirectory(path: settings.directory), registry: registry, layout: Self.layout(of: registry),
                settings: .init(sync: settings.sync), logger: logger)
            numbers = RevisionNumbers(
                startUnixMilliseconds: clock.unixMilliseconds(), reservedThrough: start.facts.reserved)
            try keeper.reserve(from: numbers.firstCount)
            self.settings = settings
            tell(registry, milliseconds: clock.monotonicMilliseconds() - began, logger)
        } catch {
            throw UserError(error, settings)
        }
    }

    /// Where keys of services lie.
    private static func layout(of registry: Registry) -> String {
        String(decoding: registry.layout.prefixBytes, as: UTF8.self) + " " + registry.layout.domain.textWithoutFinalDot
    }

    private func tell(_ registry: Registry, milliseconds: Int64, _ logger: Logger) {
        logger.info(
            "registrations were read from the data directory",
            metadata: [
                "path": "\(settings.directory)", "registrations": "\(start.entries)",
                "removals": "\(start.tombstones)", "milliseconds": "\(milliseconds)",
            ])
        if let damage = start.damage {
            logger.error("\(damage)", metadata: ["path": "\(settings.directory)"])
        }
        if start.refused > 0 {
            logger.error("kept registrations find no room", metadata: ["registrations": "\(start.refused)"])
        }
        if let node = start.facts.node, node != registry.node {
            logger.warning(
                "the data directory was another node's: its leases are counted by this one",
                metadata: ["was": "\(node)", "is": "\(registry.node)"])
        }
        if let layout = start.facts.layout, layout != Self.layout(of: registry) {
            logger.warning(
                "the data directory was written with another --domain or --path-prefix: old names are not answered",
                metadata: ["was": "\(layout)", "is": "\(Self.layout(of: registry))"])
        }
    }

    func run() async throws {
        await cancelWhenGracefulShutdown { await keeper.run() }
    }

    // MARK: Operation

    /// For `/healthz` and `status`.
    var facts: [(name: String, value: String)] {
        [
            (name: "data_dir", value: settings.directory), (name: "sync", value: settings.sync.rawValue),
            (name: "data", value: keeper.failure.map { "cannot be written: \($0)" } ?? "ok"),
        ]
    }

    var degradations: [OperationsDoor.Degradation] {
        var list: [OperationsDoor.Degradation] = []
        if let failure = keeper.failure {
            list.append(.init(what: "data", why: "registrations cannot be kept, writes are refused: \(failure)"))
        }
        if let damage = start.damage { list.append(.init(what: "data", why: "\(damage)")) }
        return list
    }

    func metrics() -> [MetricFamily] {
        let counts = keeper.counts
        func counter(_ name: String, _ help: String, _ value: Int) -> MetricFamily {
            MetricFamily("regdns_data_\(name)_total", .counter, help: help, value: value)
        }
        func gauge(_ name: String, _ help: String, _ value: Int) -> MetricFamily {
            MetricFamily("regdns_data_\(name)", .gauge, help: help, value: value)
        }
        return [
            counter("groups", "Groups of writes kept, each one transaction.", counts.groups),
            counter("rows", "Rows written.", counts.rows),
            counter("syncs", "Times that the disk was waited for.", counts.syncs),
            counter("checkpoints", "Times that the log was copied into the file.", counts.checkpoints),
            counter("failures", "Groups that the disk did not take.", counts.failures),
            counter("waits_for_room", "Writes that waited since too many others did.", counts.waitsForRoom),
            gauge("waiting", "Entries that wait to be kept.", counts.waiting),
            gauge("log_bytes", "Length of the log when it was copied into the file last.", counts.logBytes),
            gauge("waiters", "Writes whose answer waits.", counts.waiters),
            gauge("failing", "Whether writes are refused since the disk fails.", keeper.failure == nil ? 0 : 1),
        ]
    }
}
