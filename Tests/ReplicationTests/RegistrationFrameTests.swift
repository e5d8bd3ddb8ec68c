import RegdnsTestKit
import RegistryStore
import Testing

@testable import Replication

/// The bytes of registrations within frames.
struct RegistrationFrameTests {
    /// Everything before the registration of an operation: tables, head, version, namespace, key.
    private static let head =
        "d01001 01 0700000000000000 01 07 64656661756c74 01 40 00 05 0100ab0000000000 00 01 61"

    /// Flags, host, port, priority, weight, strip, TTL, text, group; then what an instance has.
    private static let vectors: [(String, Registration)] = [
        ("00 00 00 00 00 00 00 00 00", Registration(host: .none)),
        ("00 01 0a000001 a001 00 00 00 ffffffff0f 00 00", Registration(host: .ipv4(0x0a00_0001), port: 80, ttl: .max)),
        (
            "01 03 0a 612e6578616d706c652e feffffffffffffffff01 00 ffffffffffffffffff01 00 00 00 00",
            Registration(host: .name("a.example."), port: .max, weight: .min, mail: true)
        ),
        (
            "0f 02 00000000b80d0120 0100000000000000 a07e 01 d804 02 3c 03 74c3a9 01 67"
                + " 03 776562 03 692d31 02 01 61 00 08 5354415254494e47 04 68747470 03 683a31"
                + " 02 7b7d 00 06 657572656b61",
            Registration(
                host: .ipv6(0x2001_0db8 << 32, 1), port: 8080, priority: -1, weight: 300, text: "t\u{e9}", mail: true,
                ttl: 60, targetStrip: 1, group: "g",
                instance: InstanceAttributes(
                    service: "web", id: "i-1", tags: ["a", ""], status: "STARTING", endpointType: "http",
                    endpoint: "h:1", metadata: Array("{}".utf8), extra: [], origin: "eureka"))
        ),
        (
            "02 01 00000001 00 00 00 00 00 00 00 01 73 01 69 00 02 5550 00 00 08 616d616c67616d38",
            Registration(
                host: .ipv4(1), instance: InstanceAttributes(service: "s", id: "i", endpointType: "", endpoint: ""))
        ),
    ]

    @Test("registrations have these bytes, and no shorter ones", arguments: vectors.indices)
    func vector(index: Int) throws {
        let (hex, registration) = Self.vectors[index]
        let frame = Frame(
            .delta([
                RemoteOperation(
                    namespace: .default, key: [0x61],
                    version: Version(hlc: 0xab_0001, kind: .write, origin: 7, sequence: 5),
                    value: .registration(registration))
            ]))
        let bytes = try octets(hex: Self.head + hex)
        #expect(frame.encoded() == bytes)
        #expect(try Frame(decoding: bytes) == frame)
        let headCount = try octets(hex: Self.head).count
        for count in headCount..<bytes.count {
            #expect(throws: FrameError.self) { try Frame(decoding: Array(bytes[..<count])) }
        }
    }

    @Test(
        "what is no registration is refused",
        arguments: [
            "10 00 00 00 00 00 00 00 00", "04 00 00 00 00 00 00 00 00", "08 00 00 00 00 00 00 00 00",
            "00 04 00 00 00 00 00 00 00", "00 00 00 00 00 00 8080808010 00 00",
        ])
    func refused(hex: String) throws {
        let bytes = try octets(hex: Self.head + hex)
        let error = #expect(throws: FrameError.self) { try Frame(decoding: bytes) }
        guard case .malformed(.registration, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }
}
