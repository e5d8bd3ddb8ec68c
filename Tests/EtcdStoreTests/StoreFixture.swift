import DNSWire
import EtcdMessages
import Foundation
import GRPC
import Logging
import RegdnsTestKit
import RegistryStore
import Synchronization
import Testing

@testable import EtcdStore

/// A store that follows a cluster, with the registry that is its copy.
final class StoreFixture: Sendable {
    static let prefix = "/skydns/"
    /// Of every wait.
    static let patience: Duration = .seconds(20)

    let registry: Registry
    let store: EtcdStore
    let layout: KeyLayout
    private let task: Task<Void, Never>
    private let keys: ClusterKeys

    init(
        _ endpoints: [EtcdStoreConfiguration.Endpoint], credentials: EtcdStoreConfiguration.Credentials? = nil,
        adjust: (inout EtcdStoreConfiguration) -> Void = { _ in }
    ) throws {
        layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        registry = Registry(layout: layout, node: "n", origin: 1, isMirror: true)
        var configuration = EtcdStoreConfiguration(
            endpoints: endpoints, prefix: Array(Self.prefix.utf8), credentials: credentials)
        configuration.timings.backoffMax = 500
        adjust(&configuration)
        keys = ClusterKeys(configuration)
        var logger = Logger(label: "test")
        logger.logLevel = ProcessInfo.processInfo.environment["REGDNS_TEST_LOG"] == nil ? .critical : .debug
        let store = EtcdStore(configuration, registry: registry, logger: logger)
        self.store = store
        task = Task { await store.run() }
    }

    deinit { task.cancel() }

    /// Ends the store and waits for its end.
    func stop() async {
        task.cancel()
        await task.value
    }

    /// One of the store's counters.
    func count(_ name: String) -> Int { store.counters.values.first { $0.name == name }?.value ?? -1 }

    func key(_ path: String) -> [UInt8] { Array("\(Self.prefix)local/skydns/\(path)".utf8) }
    func entry(_ path: String) -> Entry? { registry.entry(namespace: .default, key: key(path)) }
    func value(_ path: String) -> String? {
        entry(path).map { String(decoding: registry.value(of: $0), as: UTF8.self) }
    }

    /// What an HTTP door wishes when an instance is registered.
    func registration(
        _ service: String, _ id: String, tags: [String] = [], status: String = "UP", host: String = "10.0.0.1",
        lease: LeaseRequest, preconditions: [Precondition] = []
    ) -> Intent {
        let instance = InstanceAttributes(
            service: service, id: id, tags: tags, status: status, endpointType: "tcp", endpoint: "\(host):80")
        let registration = Registration(host: ServiceHost(text: host), port: 80, instance: instance)
        return .put(
            namespace: .default, key: layout.primaryKey(service: service, id: id), value: .registration(registration),
            lease: lease, preconditions: preconditions)
    }

    /// Waits until something holds; fails the test when it does not in time.
    func until(
        _ what: String, within patience: Duration = StoreFixture.patience,
        sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + patience
        while try await !condition() {
            guard ContinuousClock.now < deadline else {
                Issue.record("\(what) did not come: \(store.status)", sourceLocation: sourceLocation)
                throw CancellationError()
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    func untilLive(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await until("a watch", sourceLocation: sourceLocation) { store.status.staleSeconds == nil }
    }

    /// Every scenario ends so: the copy is what a Range of the prefix says.
    func untilEqual(_ probe: EtcdProbe, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await until("the table is the cluster's content", sourceLocation: sourceLocation) {
            let wanted = try await probe.range(Self.prefix).kvs.map { MirroredValue($0) }
            return content == wanted
        }
        #expect(registry.inconsistency == nil, sourceLocation: sourceLocation)
    }

    /// The whole copy as the cluster would say it.
    var content: [MirroredValue] {
        keys.namespaces.flatMap { registry.range(namespace: $0, lower: [], upper: nil).entries }.map { entry in
            MirroredValue(
                key: keys.there(entry), value: registry.value(of: entry), lease: entry.lease,
                createRevision: entry.createRevision, modRevision: entry.modRevision, putCount: entry.putCount)
        }.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }
}

/// Looks a key up without a pause while a cluster is in trouble: it must always be there.
final class Lookups: Sendable {
    private let misses = Atomic<Int>(0)
    private let total = Atomic<Int>(0)
    private let task: Mutex<Task<Void, Never>?>

    init(_ fixture: StoreFixture, _ path: String) {
        task = Mutex(nil)
        let started = Task { [weak self] in
            while !Task.isCancelled {
                guard let self else { return }
                for _ in 0..<100 {
                    if fixture.entry(path) == nil { self.misses.add(1, ordering: .relaxed) }
                    self.total.add(1, ordering: .relaxed)
                }
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
        task.withLock { $0 = started }
    }

    func end(sourceLocation: SourceLocation = #_sourceLocation) async {
        let task = task.withLock { $0.take() }
        task?.cancel()
        await task?.value
        let (misses, total) = (misses.load(ordering: .relaxed), total.load(ordering: .relaxed))
        #expect(misses == 0, "of \(total) lookups", sourceLocation: sourceLocation)
        #expect(total > 0, sourceLocation: sourceLocation)
    }
}
