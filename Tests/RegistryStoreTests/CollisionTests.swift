import RegdnsTestKit
import Testing

@testable import RegistryStore

/// One test per row of the collision table of ARCHITECTURE.md ("Identity").
struct CollisionTests {
    @Test("two keys that differ in letter case are two entries")
    func letterCase() throws {
        let fixture = try Fixture()
        try fixture.put(fixture.key("east/Rails"), #"{"host":"10.0.0.1"}"#)
        try fixture.put(fixture.key("east/rails"), #"{"host":"10.0.0.2"}"#)
        #expect(fixture.keys().count == 2)
        let upper = try #require(fixture.entry(fixture.key("east/Rails")))
        let lower = try #require(fixture.entry(fixture.key("east/rails")))
        #expect(upper.registration?.host == .ipv4(0x0a00_0001))
        #expect(lower.registration?.host == .ipv4(0x0a00_0002))
        #expect(upper.identity?.id != lower.identity?.id)
        try fixture.delete(fixture.key("east/Rails"))
        #expect(fixture.entry(fixture.key("east/rails")) === lower)
    }

    @Test("an etcd put over the primary key replaces an HTTP registration and keeps what its JSON keeps")
    func etcdOverPrimaryKey() throws {
        let fixture = try Fixture()
        let key = fixture.layout.primaryKey(service: "web", id: "a1")
        try fixture.register("web", "a1", tags: ["blue"])
        let rendered = fixture.registry.value(of: try #require(fixture.entry(key)))

        let edited = text(rendered).replacing("10.0.0.1", with: "10.0.0.9")
        try fixture.put(key, edited)
        let kept = try #require(fixture.entry(id: "a1"))
        #expect(kept.key == key)
        #expect(kept.registration?.host == .ipv4(0x0a00_0009))
        #expect(kept.instance?.tags == ["blue"])
        #expect(kept.instance?.service == "web")
        #expect(kept.instance?.origin == "amalgam8")
        #expect(text(fixture.registry.value(of: kept)) == edited)

        try fixture.put(key, #"{"host":"10.0.0.7"}"#)
        #expect(fixture.entry(id: "a1") == nil, "without the further fields it is a plain value with a derived id")
        let plain = try #require(fixture.entry(key))
        #expect(plain.instance == nil)
        #expect(plain.identity == InstanceIdentity(service: "web", id: SHA256.hex(key, digits: 16), tags: []))
    }

    @Test("an entry that an etcd door wrote has the start of its key's SHA-256 as its id")
    func derivedID() throws {
        let fixture = try Fixture()
        let key = fixture.key("blue/web/a1")
        try fixture.put(key, #"{"host":"10.0.0.1","port":80}"#)
        // printf %s /skydns/local/skydns/blue/web/a1 | sha256sum
        let id = "a7e6e895e97c8f32"
        let entry = try #require(fixture.entry(id: id))
        #expect(entry.key == key)
        let identity = try #require(fixture.registry.identity(of: entry))
        #expect(identity.service == "web")
        #expect(identity.id == id)
        #expect(identity.tags == ["blue"])
        #expect(fixture.registry.serviceNames(namespace: .default) == ["web"])
        #expect(fixture.registry.instances(namespace: .default, service: "web").map(\.key) == [key])
    }

    @Test("the same id registered for another service replaces the entry in one change")
    func sameIDElsewhere() throws {
        let fixture = try Fixture()
        try fixture.register("web", "a1")
        let receipt = try fixture.register("shop", "a1")
        #expect(receipt.changes.map(\.kind) == [.delete, .write])
        #expect(Set(receipt.changes.map { text($0.key) }).count == 2)
        #expect(fixture.registry.revision == 2)
        #expect(fixture.registry.serviceNames(namespace: .default) == ["shop"])
        #expect(fixture.entry(fixture.layout.primaryKey(service: "web", id: "a1")) == nil)
        #expect(fixture.entry(id: "a1")?.instance?.service == "shop")
    }

    @Test("the same id for another endpoint replaces the endpoint")
    func sameIDOtherEndpoint() throws {
        let fixture = try Fixture()
        try fixture.register("web", "a1", endpoint: "10.0.0.1:80")
        let receipt = try fixture.register("web", "a1", endpoint: "10.0.0.2:81")
        #expect(receipt.changes.count == 1)
        #expect(receipt.changes[0].contentChanged)
        #expect(fixture.entry(id: "a1")?.registration?.host == .ipv4(0x0a00_0002))
        #expect(fixture.registry.counts().instances == 1)
    }

    @Test("one id in two namespaces is two entries")
    func namespaces() throws {
        let fixture = try Fixture()
        let other = Namespace("other")
        try fixture.register("web", "a1")
        try fixture.register("shop", "a1", namespace: other)
        #expect(fixture.entry(id: "a1")?.instance?.service == "web")
        #expect(fixture.entry(id: "a1", namespace: other)?.instance?.service == "shop")
        #expect(fixture.registry.namespaces() == [.default, other])
        try fixture.registry.apply([.deleteRange(namespace: other, lower: [], upper: nil)])
        #expect(fixture.registry.namespaces() == [.default])
    }

    @Test("names that map to one label keep their identities apart")
    func mappedNamesMeet() throws {
        let fixture = try Fixture()
        try fixture.register("a.b", "1")
        try fixture.register("a-b", "2")
        #expect(KeyLayout.dnsLabel("a.b") == KeyLayout.dnsLabel("a-b"))
        #expect(fixture.registry.serviceNames(namespace: .default) == ["a-b", "a.b"])
        #expect(fixture.registry.instances(namespace: .default, service: "a.b").count == 1)
        #expect(fixture.entry(id: "1")?.key != fixture.entry(id: "2")?.key)
    }

    @Test("a service that becomes opaque, and back, is one change each")
    func becomesOpaque() throws {
        let fixture = try Fixture()
        let key = fixture.key("web/a1")
        try fixture.put(key, #"{"host":"10.0.0.1"}"#)
        let away = try fixture.put(key, "no JSON")
        #expect(away.changes.count == 1)
        #expect(away.changes[0].contentChanged)
        #expect(away.changes[0].previous?.registration != nil)
        #expect(away.changes[0].current?.content == .opaque)
        #expect(fixture.registry.instances(namespace: .default).isEmpty)
        #expect(fixture.registry.skippedValues().map(\.key) == [key])
        let back = try fixture.put(key, #"{"host":"10.0.0.2"}"#)
        #expect(back.changes.count == 1)
        #expect(back.changes[0].current?.registration?.host == .ipv4(0x0a00_0002))
        #expect(fixture.registry.skippedValues().isEmpty)
        #expect(fixture.registry.counts().skippedValuesTotal == 1)
    }

    @Test("an etcd value with service and id is that instance, until a later one names the id")
    func etcdClaimsID() throws {
        let fixture = try Fixture()
        let first = fixture.key("web/one")
        let second = fixture.key("web/two")
        try fixture.put(first, #"{"host":"10.0.0.1","service":"web","id":"x"}"#)
        try fixture.put(second, #"{"host":"10.0.0.2","service":"web","id":"x"}"#)
        #expect(fixture.entry(id: "x")?.key == second)
        let loser = try #require(fixture.entry(first))
        #expect(loser.identity?.id == SHA256.hex(first, digits: 16))
        #expect(fixture.entry(id: SHA256.hex(first, digits: 16)) === loser)
        #expect(fixture.registry.instances(namespace: .default, service: "web").count == 2)

        // An HTTP registration of the id replaces whoever holds it.
        let receipt = try fixture.register("shop", "x")
        #expect(receipt.changes.map { text($0.key) }.contains(text(second)))
        #expect(fixture.entry(id: "x")?.instance?.service == "shop")
        // Who is left has it when that goes.
        let gone = try fixture.delete(try #require(fixture.entry(id: "x")).key)
        #expect(gone.changes.count == 1)
        #expect(fixture.entry(id: "x")?.key == first)
        #expect(fixture.entry(id: SHA256.hex(first, digits: 16)) == nil)
        #expect(fixture.registry.inconsistency == nil)
    }

    @Test("no registration can take the id that an etcd key got from its name")
    func derivedIDIsNotGivenUp() throws {
        let fixture = try Fixture()
        let key = fixture.key("web/one")
        try fixture.put(key, #"{"host":"10.0.0.1"}"#)
        let id = SHA256.hex(key, digits: 16)
        let error = refusal { try fixture.register("shop", id) }
        guard case .invalid(field: "id", _, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(fixture.entry(id: id)?.key == key)
    }

    @Test("an id taken on purpose before the key comes leaves the key its long form")
    func squattedDerivedID() throws {
        let fixture = try Fixture()
        let key = fixture.key("web/one")
        try fixture.register("shop", SHA256.hex(key, digits: 16))
        try fixture.put(key, #"{"host":"10.0.0.1"}"#)
        #expect(fixture.entry(key)?.identity?.id == KeyID.long(key))
        #expect(fixture.registry.counts().instances == 2)
        try fixture.put(key, #"{"host":"10.0.0.2"}"#)
        #expect(fixture.entry(key)?.identity?.id == KeyID.long(key))
        // The long form is nobody's to take.
        guard case .invalid(field: "id", _, _) = refusal({ try fixture.register("shop", KeyID.long(key)) }) else {
            Issue.record("an id that a key may have was registered")
            return
        }
        // Free again: the key has it at once, and keeps it.
        let holder = try #require(fixture.entry(id: SHA256.hex(key, digits: 16)))
        try fixture.registry.apply([.delete(namespace: .default, key: holder.key)])
        #expect(fixture.entry(id: SHA256.hex(key, digits: 16))?.key == key)
        for address in ["10.0.0.3", "10.0.0.4"] {
            try fixture.put(key, #"{"host":"\#(address)"}"#)
            #expect(fixture.entry(id: SHA256.hex(key, digits: 16))?.key == key)
        }
        // What the value says goes first, and no longer.
        try fixture.put(key, #"{"host":"10.0.0.5","service":"shop","id":"s1"}"#)
        #expect(fixture.entry(id: "s1")?.key == key && fixture.entry(id: SHA256.hex(key, digits: 16)) == nil)
        try fixture.put(key, #"{"host":"10.0.0.6"}"#)
        #expect(fixture.entry(id: "s1") == nil)
        #expect(fixture.entry(key)?.identity == fixture.entry(id: SHA256.hex(key, digits: 16))?.identity)
    }

    @Test(
        "keys that are no services are entries that the HTTP dialects never show",
        arguments: [
            ("/consul/kv/a", false), ("/skydns/config", false), ("/skydns/arpa/in-addr/10/0/0/1", true),
            ("/skydns/local/skydns/dns/ns/a", true), ("/skydns/local/skydns/dns/stub/x/a", true),
            ("/skydns/com/example/a", true), ("/skydns/local/skydns", true),
        ])
    func hiddenKeys(path: String, isService: Bool) throws {
        let fixture = try Fixture()
        let key = Array(path.utf8)
        try fixture.put(key, #"{"host":"10.0.0.1","service":"web","id":"x"}"#)
        let entry = try #require(fixture.entry(key))
        #expect((entry.registration != nil) == isService)
        #expect(entry.registration?.instance == nil)
        #expect(fixture.registry.identity(of: entry) == nil)
        #expect(fixture.registry.instances(namespace: .default).isEmpty)
        #expect(fixture.entry(id: "x") == nil)
        #expect(fixture.registry.skippedValues().isEmpty)
    }

    @Test("a service called dns stays out of SkyDNS's own subtree")
    func serviceCalledDNS() throws {
        let fixture = try Fixture()
        try fixture.register("dns", "ns")
        let entry = try #require(fixture.entry(id: "ns"))
        #expect(text(entry.key) == "/skydns/local/skydns/%64ns/ns")
        #expect(fixture.layout.isServiceKey(entry.key))
        #expect(fixture.layout.identity(ofKey: entry.key)?.service == "dns")
    }
}
