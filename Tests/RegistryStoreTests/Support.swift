import DNSWire
import RegdnsTestKit
import Synchronization
import Testing

@testable import RegistryStore

/// A registry on a virtual clock, with the shorthands that the tests of this target share.
struct Fixture {
    let clock: VirtualClock
    let registry: Registry
    let layout: KeyLayout

    init(
        limits: RegistryLimits = .init(), node: String = "node-1", origin: UInt64 = 7,
        clock: VirtualClock = VirtualClock(),
        onSkippedValue: (@Sendable (SkippedValue) -> Void)? = nil
    ) throws {
        self.clock = clock
        layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        registry = Registry(
            layout: layout, node: node, origin: origin, limits: limits, clock: clock.registryClock,
            onSkippedValue: onSkippedValue)
    }

    /// A key below the domain.
    func key(_ path: String) -> [UInt8] { Array("/skydns/local/skydns/\(path)".utf8) }

    /// Puts bytes as an etcd door does.
    @discardableResult
    func put(
        _ key: [UInt8], _ value: String, lease: LeaseRequest = .permanent, _ preconditions: [Precondition] = [],
        namespace: Namespace = .default
    ) throws -> Receipt {
        try registry.apply([
            .put(
                namespace: namespace, key: key, value: .bytes(Array(value.utf8)), lease: lease,
                preconditions: preconditions)
        ])
    }

    /// Registers an instance as an HTTP door does.
    @discardableResult
    func register(
        _ service: String, _ id: String, endpoint: String = "10.0.0.1:80", tags: [String] = [], status: String = "UP",
        lease: LeaseRequest = .permanent, namespace: Namespace = .default
    ) throws -> Receipt {
        try registry.apply([
            registration(
                service, id, endpoint: endpoint, tags: tags, status: status, lease: lease, namespace: namespace)
        ])
    }

    func registration(
        _ service: String, _ id: String, endpoint: String = "10.0.0.1:80", tags: [String] = [], status: String = "UP",
        lease: LeaseRequest = .permanent, namespace: Namespace = .default
    ) -> Intent {
        let parts = endpoint.split(separator: ":")
        let instance = InstanceAttributes(
            service: service, id: id, tags: tags, status: status, endpointType: "tcp", endpoint: endpoint)
        let registration = Registration(
            host: ServiceHost(text: String(parts[0])), port: parts.count > 1 ? Int(parts[1]) ?? 0 : 0,
            instance: instance)
        return .put(
            namespace: namespace, key: layout.primaryKey(service: service, id: id), value: .registration(registration),
            lease: lease)
    }

    @discardableResult
    func delete(_ key: [UInt8], namespace: Namespace = .default) throws -> Receipt {
        try registry.apply([.delete(namespace: namespace, key: key)])
    }

    func entry(_ key: [UInt8], namespace: Namespace = .default) -> Entry? {
        registry.entry(namespace: namespace, key: key)
    }

    func entry(id: String, namespace: Namespace = .default) -> Entry? {
        registry.entry(namespace: namespace, id: id)
    }

    /// What is wrong inside the store; nil when nothing is.
    var inconsistency: String? { registry.inconsistency }

    /// All keys of a namespace as text, in order.
    func keys(namespace: Namespace = .default) -> [String] {
        registry.range(namespace: namespace, lower: [], upper: nil).entries.map { text($0.key) }
    }
}

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// The error that a call must throw; fails the test when it throws none.
func refusal(_ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) -> RegistryError? {
    do {
        try body()
        Issue.record("nothing was refused", sourceLocation: sourceLocation)
        return nil
    } catch {
        return error as? RegistryError
    }
}
