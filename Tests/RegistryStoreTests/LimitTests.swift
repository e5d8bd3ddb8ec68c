import RegdnsTestKit
import Synchronization
import Testing

@testable import RegistryStore

/// Every bound refuses with its name, the value and the bound, and leaves the store as it was.
struct LimitTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let limits: @Sendable (inout RegistryLimits) -> Void
        /// Fills the store up to the bound.
        let fill: @Sendable (Fixture) throws -> Void
        /// Goes one beyond.
        let exceed: @Sendable (Fixture) throws -> Void

        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(name: "entries") {
            $0.maxEntries = 3
        } fill: { fixture in
            for index in 0..<3 { try fixture.put(fixture.key("k\(index)"), "v") }
            try fixture.put(fixture.key("k0"), "w")
        } exceed: { fixture in
            try fixture.put(fixture.key("k3"), "v")
        },
        Case(name: "memory_bytes") {
            $0.maxMemoryBytes = 4000
        } fill: { fixture in
            try fixture.put(fixture.key("a"), String(repeating: "x", count: 3000))
        } exceed: { fixture in
            try fixture.put(fixture.key("b"), String(repeating: "x", count: 1000))
        },
        Case(name: "key_bytes") {
            $0.maxKeyBytes = 100
        } fill: { fixture in
            try fixture.put([UInt8](repeating: 65, count: 100), "v")
        } exceed: { fixture in
            try fixture.put([UInt8](repeating: 65, count: 101), "v")
        },
        Case(name: "value_bytes") {
            $0.maxValueBytes = 10
        } fill: { fixture in
            try fixture.put(fixture.key("a"), "0123456789")
        } exceed: { fixture in
            try fixture.put(fixture.key("a"), "0123456789a")
        },
        Case(name: "registration_bytes") {
            $0.maxRegistrationBytes = 200
        } fill: { fixture in
            try fixture.register("web", "a", endpoint: String(repeating: "e", count: 90))
        } exceed: { fixture in
            try fixture.register("web", "a", endpoint: String(repeating: "e", count: 200))
        },
        Case(name: "tags") {
            $0.maxTags = 2
        } fill: { fixture in
            try fixture.register("web", "a", tags: ["x", "y"])
        } exceed: { fixture in
            try fixture.register("web", "a", tags: ["x", "y", "z"])
        },
        Case(name: "namespace_bytes") {
            $0.maxNamespaceBytes = 4
        } fill: { fixture in
            try fixture.register("web", "a", namespace: Namespace("four"))
        } exceed: { fixture in
            try fixture.register("web", "a", namespace: Namespace("fives"))
        },
        Case(name: "leases") {
            $0.maxLeases = 2
        } fill: { fixture in
            try fixture.put(fixture.key("a"), "v", lease: .own(milliseconds: 1000))
            _ = try fixture.registry.grantLease(id: nil, milliseconds: 1000)
            try fixture.put(fixture.key("a"), "w", lease: .own(milliseconds: 1000))
        } exceed: { fixture in
            try fixture.put(fixture.key("b"), "v", lease: .own(milliseconds: 1000))
        },
        Case(name: "lease_milliseconds") {
            $0.maxLeaseMilliseconds = 1000
        } fill: { fixture in
            try fixture.put(fixture.key("a"), "v", lease: .own(milliseconds: 1000))
        } exceed: { fixture in
            try fixture.put(fixture.key("a"), "v", lease: .suspended(milliseconds: 1001))
        },
        Case(name: "intents") {
            $0.maxIntentsPerBatch = 2
        } fill: { fixture in
            try fixture.registry.apply([fixture.registration("s", "a"), fixture.registration("s", "b")])
        } exceed: { fixture in
            try fixture.registry.apply((0..<3).map { fixture.registration("s", "c\($0)") })
        },
        Case(name: "namespace_capacity") {
            $0.namespaceCapacity = 2
        } fill: { fixture in
            try fixture.register("web", "a")
            try fixture.register("web", "b")
            try fixture.register("shop", "a")
            try fixture.register("web", "c", namespace: Namespace("other"))
            try fixture.put(fixture.key("opaque"), "v")
        } exceed: { fixture in
            try fixture.register("web", "c")
        },
    ]

    @Test("a bound refuses", arguments: cases)
    func refuses(case: Case) throws {
        var limits = RegistryLimits()
        `case`.limits(&limits)
        let fixture = try Fixture(limits: limits)
        try `case`.fill(fixture)
        var before = fixture.registry.counts()
        guard case .limitExceeded(`case`.name, let value, let bound) = refusal({ try `case`.exceed(fixture) }) else {
            Issue.record("not refused by \(`case`.name)")
            return
        }
        #expect(value > bound)
        before.refusals += 1
        #expect(fixture.registry.counts() == before)
        #expect(fixture.inconsistency == nil)
    }

    @Test("room comes back when something goes")
    func roomComesBack() throws {
        var limits = RegistryLimits()
        limits.maxEntries = 1
        limits.maxLeases = 1
        limits.maxMemoryBytes = 1000
        limits.namespaceCapacity = 1
        let fixture = try Fixture(limits: limits)
        for index in 0..<100 {
            try fixture.register("s", "i\(index)", lease: .own(milliseconds: 1000))
            if index % 2 == 0 {
                try fixture.delete(fixture.layout.primaryKey(service: "s", id: "i\(index)"))
            } else {
                fixture.clock.advance(milliseconds: 1000)
                #expect(fixture.registry.expireDue() != nil)
            }
        }
        #expect(fixture.registry.counts().entryBytes == 0)
        #expect(fixture.inconsistency == nil)
    }

    @Test(
        "a registration must be one",
        arguments: [
            ("", "id", "service"), ("service", "", "id"), ("a\0b", "id", "service"),
        ])
    func invalid(service: String, id: String, field: String) throws {
        let fixture = try Fixture()
        guard case .invalid(field, _, _) = refusal({ try fixture.register(service, id) }) else {
            Issue.record("not refused")
            return
        }
    }

    @Test("an empty key, a negative lease, the lease id 0 and a namespace with a zero octet are refused")
    func invalidOthers() throws {
        let fixture = try Fixture()
        let errors = [
            refusal { try fixture.put([], "v") },
            refusal { try fixture.put([1], "v", lease: .own(milliseconds: -1)) },
            refusal { _ = try fixture.registry.grantLease(id: LeaseID(0), milliseconds: 1) },
            refusal { try fixture.put([1], "v", namespace: Namespace("a\0")) },
        ]
        for (error, field) in zip(errors, ["key", "lease", "lease", "namespace"]) {
            guard case .invalid(field, _, _) = error else {
                Issue.record("\(field): \(String(describing: error))")
                continue
            }
        }
    }

    @Test("an etcd value with too many tags is a plain SkyDNS value")
    func tooManyTags() throws {
        var limits = RegistryLimits()
        limits.maxTags = 1
        let fixture = try Fixture(limits: limits)
        try fixture.put(fixture.key("web/a"), #"{"host":"10.0.0.1","service":"web","id":"a","tags":["x","y"]}"#)
        #expect(fixture.entry(fixture.key("web/a"))?.registration?.instance == nil)
        #expect(fixture.entry(id: "a") == nil)
    }

    @Test("skipped values are told once, listed up to the bound, and counted beyond it")
    func skippedValues() throws {
        let told = Mutex<[SkippedValue]>([])
        var limits = RegistryLimits()
        limits.skippedValuesKept = 3
        let fixture = try Fixture(limits: limits) { value in told.withLock { $0.append(value) } }
        for index in 0..<5 { try fixture.put(fixture.key("k\(index)"), #"{"host":5}"#) }
        try fixture.put(fixture.key("k0"), #"{"host":5}"#)
        #expect(told.withLock { $0.count } == 5, "an equal put is not told again")
        #expect(fixture.registry.skippedValues().map(\.key) == (0..<3).map { fixture.key("k\($0)") })
        #expect(fixture.registry.skippedValues().first?.reason == "at byte 8: expected a string for host")
        #expect(fixture.registry.counts().skippedValuesTotal == 5)
        try fixture.delete(fixture.key("k0"))
        #expect(fixture.registry.skippedValues().count == 2)
        _ = refusal {
            try fixture.registry.apply([
                .put(namespace: .default, key: fixture.key("x"), value: .bytes([1]), lease: .permanent),
                .delete(namespace: .default, key: fixture.key("x"), preconditions: [.absent]),
            ])
        }
        #expect(told.withLock { $0.count } == 5, "what is taken back is not told")
    }

    @Test(
        "what is skipped and what is only opaque",
        arguments: [
            ("/skydns/local/skydns/a", "{}", true), ("/skydns/local/skydns/a", #"{"text":"x"}"#, false),
            ("/skydns/local/skydns/a", #"{"service":"s"}"#, false), ("/skydns/local/skydns//a", #"{"host":"h"}"#, true),
            ("/skydns/local/skydns//a", #"{"host":"h","service":"s"}"#, false),
            ("/skydns/local/skydns/a", #"{"host":"h","alias_of":"/k"}"#, false), ("/other", "x", false),
            ("/skydns/config", "x", false), ("/skydns/arpa/x", "x", true),
        ])
    func skippedOrOpaque(path: String, value: String, isSkipped: Bool) throws {
        let fixture = try Fixture()
        try fixture.put(Array(path.utf8), value)
        #expect(fixture.registry.skippedValues().isEmpty != isSkipped)
    }
}
