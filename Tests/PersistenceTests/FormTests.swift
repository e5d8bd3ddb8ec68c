import RegdnsTestKit
import RegistryStore
import Testing

@testable import Persistence

/// The bytes of rows: what files of other versions of this program hold.
struct FormTests {
    private static let full = Registration(
        host: .ipv6(0x2001_0db8 << 32, 1), port: 8080, priority: -1, weight: 300, text: "t\u{e9}", mail: true, ttl: 60,
        targetStrip: 1, group: "g",
        instance: InstanceAttributes(
            service: "web", id: "i-1", tags: ["a", ""], status: "STARTING", endpointType: "http", endpoint: "h:1",
            metadata: Array("{}".utf8), extra: [], origin: "eureka"))

    /// Form, host, port, priority, weight, strip, TTL, flags, text, group; then what an instance has.
    private static let registrations: [(String, Registration)] = [
        ("01 00 00 00 00 00 00 00 00 00", Registration(host: .none)),
        (
            "01 01 8180 8050 a001 00 00 00 ffffffff0f 00 00 00",
            Registration(host: .ipv4(0x0a00_0001), port: 80, ttl: .max)
        ),
        (
            "01 03 0a 612e6578616d706c652e feffffffffffffffff01 00 ffffffffffffffffff01 00 00 01 00 00",
            Registration(host: .name("a.example."), port: .max, weight: .min, mail: true)
        ),
        (
            "01 02 8080 8080 80b7 c380 2001 a07e 01 d804 02 3c 03 03 74c3a9 01 67"
                + " 03 776562 03 692d31 08 5354415254494e47 04 68747470 03 683a31 06 657572656b61"
                + " 02 01 61 00 01 02 7b7d 01 00",
            full
        ),
        (
            "01 01 01 00 00 00 00 00 02 00 00 01 73 01 69 02 5550 00 00 08 616d616c67616d38 00 00 00",
            Registration(
                host: .ipv4(1), instance: InstanceAttributes(service: "s", id: "i", endpointType: "", endpoint: ""))
        ),
    ]

    @Test("Registrations have these bytes, and no shorter ones", arguments: registrations.indices)
    func registration(index: Int) throws {
        let (hex, registration) = Self.registrations[index]
        let bytes = try octets(hex: hex)
        #expect(RegistrationBytes.encode(registration) == bytes)
        #expect(RegistrationBytes.decode(bytes) == registration)
        for count in bytes.indices { #expect(RegistrationBytes.decode(Array(bytes[..<count])) == nil, "\(count)") }
        #expect(RegistrationBytes.decode(bytes + [0]) == nil)
    }

    @Test(
        "What is no registration is none",
        arguments: [
            ("another form", "02 00 00 00 00 00 00 00 00 00"), ("a host of kind 4", "01 04 00 00 00 00 00 00 00 00"),
            ("an address of 33 bits", "01 01 8080 8080 10 00 00 00 00 00 00 00 00"),
            ("a TTL of 33 bits", "01 00 00 00 00 00 8080 8080 10 00 00 00"),
            ("a number of 65 bits", "01 00 ffffffffffffffffff02 00 00 00 00 00 00 00"),
            ("unknown flags", "01 00 00 00 00 00 00 04 00 00"), ("no UTF-8", "01 00 00 00 00 00 00 00 01 ff 00"),
            ("more tags than bytes", "01 00 00 00 00 00 00 02 00 00 00 00 00 00 00 00 7f 00 00"),
            ("neither with nor without metadata", "01 00 00 00 00 00 00 02 00 00 00 00 00 00 00 00 00 02 00"),
        ])
    func refused(what: String, hex: String) throws {
        let bytes = try octets(hex: hex)
        #expect(RegistrationBytes.decode(bytes) == nil, "\(what)")
    }

    private static let version = Version(hlc: 0xab_0001, kind: .write, origin: 7, sequence: 5)
    private static let rows: [(Int64, Row)] = [
        (
            714_123_952_667_997_215,
            Row(
                KeptEntry(
                    namespace: .default, key: [0x61], value: .bytes([0, 0xff]), version: version, registeredAt: 9,
                    lease: nil, ownLease: nil))
        ),
        (
            -8_214_764_827_375_181_924,
            Row(
                KeptEntry(
                    namespace: Namespace("tenant"), key: [0x62], value: .registration(full), version: version,
                    registeredAt: -1, lease: LeaseID(5),
                    ownLease: KeptLease(
                        id: LeaseID(5), milliseconds: 30_000, isShared: false, isSuspended: true, home: "n")))
        ),
        (
            -6_296_783_354_228_386_194,
            Row(
                KeptTombstone(
                    namespace: .default, key: [0x63],
                    version: Version(hlc: .max, kind: .delete, origin: 7, sequence: 6), removedAt: 10, wasLeased: true))
        ),
    ]

    @Test("Rows have these checksums", arguments: rows.indices)
    func checksum(index: Int) {
        #expect(Self.rows[index].1.checksum == Self.rows[index].0)
    }
}
