import EtcdMessages
import Foundation
import RegistryStore
import Testing

@testable import EtcdStore

/// What a CoreDNS or a SkyDNS beside this node reads from the same cluster: they know keys and values, no status and no
/// tags. Each test asks for the names that they would answer.
@Suite("Beside CoreDNS and SkyDNS", .serialized)
struct BesideTests {
    /// A value as CoreDNS and SkyDNS decode it; one that does not decode fails every name above it there.
    private struct PeerService: Decodable {
        let host: String?
        let port: Int?
        let priority: Int?
        let weight: Int?
        let text: String?
        let mail: Bool?
        let ttl: UInt32?
        let targetstrip: Int?
        let group: String?

        static let fields = ["host", "port", "priority", "weight", "text", "mail", "ttl", "targetstrip", "group"]
    }

    /// The hosts at every name of skydns.local, as paths from the domain down: those of the key and of all below it.
    private func names(_ probe: EtcdProbe) async throws -> [String: Set<String>] {
        var names: [String: Set<String>] = [:]
        for pair in try await probe.range("/skydns/local/skydns/").kvs {
            let service = try JSONDecoder().decode(PeerService.self, from: pair.value)
            let members = try #require(try JSONSerialization.jsonObject(with: pair.value) as? [String: Any])
            // Go finds fields without regard to letter case.
            let strangers = members.keys.filter { !PeerService.fields.contains($0) }
            #expect(strangers.allSatisfy { !PeerService.fields.contains($0.lowercased()) })
            // SkyDNS takes a value without a host for one that points to the root: all there is.
            let host = try #require(service.host)
            let labels = String(decoding: pair.key, as: UTF8.self).split(separator: "/").dropFirst(3)
            for count in 1...labels.count {
                names[labels.prefix(count).joined(separator: "/"), default: []].insert(host)
            }
        }
        return names
    }

    private func withStore(_ body: (StoreFixture, EtcdProbe) async throws -> Void) async throws {
        let cluster = try await EtcdCluster(1)
        let probe = EtcdProbe(cluster.members[0])
        let fixture = try StoreFixture([cluster.members[0].endpoint])
        try await fixture.untilLive()
        try await body(fixture, probe)
        try await fixture.untilEqual(probe)
        await fixture.stop()
    }

    private let lease = LeaseRequest.own(milliseconds: 60_000)

    @Test("names by service, tag and id; none for what the DNS does not answer")
    func sameNames() async throws {
        try await withStore { fixture, probe in
            for intent in [
                fixture.registration("web", "i1", tags: ["east", "v1"], host: "10.0.0.1", lease: lease),
                fixture.registration("web", "i2", tags: ["west", "v1"], host: "2001:db8::2", lease: lease),
                fixture.registration("web", "i3", tags: ["east"], status: "STARTING", host: "10.0.0.3", lease: lease),
                fixture.registration("named", "n", host: "web.skydns.local", lease: lease),
                // Its endpoint means nothing to the DNS.
                fixture.registration("opaque", "o", tags: ["east"], host: "", lease: lease),
                // No DNS labels as they are.
                fixture.registration(
                    "My_App.Name", "Inst.One", tags: ["East", "v1.2"], host: "10.0.0.4", lease: lease),
            ] { try await fixture.store.apply([intent]) }
            var wanted: [String: Set<String>] = [
                "web": ["10.0.0.1", "2001:db8::2"], "web/i1": ["10.0.0.1"], "web/i2": ["2001:db8::2"],
                "east/web": ["10.0.0.1"], "east/web/i1": ["10.0.0.1"], "west": ["2001:db8::2"],
                "west/web": ["2001:db8::2"], "west/web/i2": ["2001:db8::2"], "v1": ["10.0.0.1", "2001:db8::2"],
                "v1/web": ["10.0.0.1", "2001:db8::2"], "v1/web/i1": ["10.0.0.1"], "v1/web/i2": ["2001:db8::2"],
                "named": ["web.skydns.local"], "named/n": ["web.skydns.local"], "east": ["10.0.0.1", "10.0.0.4"],
            ]
            for path in ["my_app-name", "east/my_app-name", "v1-2/my_app-name"] {
                wanted[path] = ["10.0.0.4"]
                wanted[path + "/inst-one"] = ["10.0.0.4"]
            }
            // The primary key, whose name the DNS does not have here.
            for path in ["My_App.Name", "My_App.Name/Inst.One"] { wanted[path] = ["10.0.0.4"] }
            wanted["v1-2"] = ["10.0.0.4"]
            #expect(try await names(probe) == wanted)
            for id in ["i1", "i2", "i3", "n", "o", "Inst.One"] {
                let entry = try #require(fixture.registry.entry(namespace: .default, id: id))
                #expect(entry.storedValue == nil, "\(id) is a dialect's")
                #expect(entry.lease != nil)
                try await fixture.store.renew(namespace: .default, id: id)
            }
            #expect(fixture.registry.instances(namespace: .default, service: "web").count == 3)
        }
    }

    @Test("out of service and back")
    func outOfService() async throws {
        try await withStore { fixture, probe in
            let up: Set<String> = ["web", "web/i1", "east", "east/web", "east/web/i1"]
            var previous: Entry?
            for (status, lease) in [
                ("UP", lease), ("OUT_OF_SERVICE", .suspended(milliseconds: 60_000)), ("UP", lease), ("STARTING", lease),
                ("OUT_OF_SERVICE", .suspended(milliseconds: 60_000)), ("STARTING", lease), ("UP", lease), ("UP", lease),
            ] {
                // As the HTTP door updates.
                var intents: [Intent] = []
                let key = fixture.layout.primaryKey(service: "web", id: "i1")
                if let previous, previous.key != key {
                    intents.append(.delete(namespace: .default, key: previous.key, preconditions: [.exists]))
                }
                intents.append(
                    fixture.registration(
                        "web", "i1", tags: ["east"], status: status, lease: lease,
                        preconditions: previous?.key == key ? [.exists] : []))
                try await fixture.store.apply(intents)
                let entry = try #require(fixture.registry.entry(namespace: .default, id: "i1"))
                #expect(entry.instance?.status == status)
                #expect(entry.storedValue == nil)
                #expect((entry.lease == nil) == (status == "OUT_OF_SERVICE"))
                try await fixture.store.renew(namespace: .default, id: "i1")
                #expect(try await Set(names(probe).keys) == (status == "UP" ? up : []), "\(status)")
                let keys = try await probe.range("/skydns/").kvs.count
                #expect(keys == (status == "UP" ? 2 : 1), "nothing is left of what it was before")
                #expect(fixture.registry.instances(namespace: .default, service: "web").count == 1)
                previous = entry
            }
            // Registered again without regard to what is there, and deleted where it is.
            try await fixture.store.apply([
                fixture.registration("web", "i1", status: "OUT_OF_SERVICE", lease: .suspended(milliseconds: 60_000))
            ])
            let hidden = try #require(fixture.registry.entry(namespace: .default, id: "i1"))
            #expect(try await names(probe).isEmpty)
            try await fixture.store.apply([.delete(namespace: .default, key: hidden.key, preconditions: [.exists])])
            #expect(try await probe.range("/skydns/").kvs.isEmpty)
        }
    }

    @Test("two that would have one alias: the first has it, and the other does not take it away")
    func sharedAlias() async throws {
        try await withStore { fixture, probe in
            try await fixture.store.apply([fixture.registration("a.b", "i", host: "10.0.0.1", lease: lease)])
            try await fixture.store.apply([fixture.registration("a:b", "i:", host: "10.0.0.2", lease: lease)])
            try await fixture.store.apply([fixture.registration("A.b", "I", host: "10.0.0.3", lease: lease)])
            #expect(try await names(probe)["a-b/i"] == ["10.0.0.1"])
            #expect(try await names(probe)["a-b"] == ["10.0.0.1", "10.0.0.2"])
            #expect(fixture.registry.entry(namespace: .default, id: "I") != nil)
            try await fixture.store.apply([
                .delete(namespace: .default, key: fixture.layout.primaryKey(service: "A.b", id: "I"))
            ])
            #expect(try await names(probe)["a-b/i"] == ["10.0.0.1"])
            // A key that somebody put himself is not replaced either, whatever it is.
            try await probe.put("/skydns/local/skydns/east/web/i1", #"{"host":"10.9.9.9"}"#)
            try await fixture.untilEqual(probe)
            try await fixture.store.apply([fixture.registration("web", "i1", tags: ["east"], lease: lease)])
            #expect(try await names(probe)["east/web"] == ["10.9.9.9"])
        }
    }
}
