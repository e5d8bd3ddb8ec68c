import DNSWire
import RegdnsTestKit
import RegistryStore
import Testing

@Test func smoke() throws {
    let layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
    let clock = VirtualClock()
    let registry = Registry(layout: layout, node: "n", origin: 1, clock: clock.registryClock)
    let key = layout.primaryKey(service: "a", id: "1")
    let r = try registry.apply([
        .put(
            namespace: .default, key: key, value: .bytes(Array(#"{"host":"10.0.0.1"}"#.utf8)),
            lease: .own(milliseconds: 1000))
    ])
    #expect(r.revision == 1)
    clock.advance(milliseconds: 1000)
    #expect(registry.expireDue()?.changes.count == 1)
}
