import RegdnsTestKit
import Testing

@testable import RegistryStore

/// Hosts as text, by Go's rules for addresses.
struct ServiceHostTests {
    @Test(
        "addresses, names and nothing",
        arguments: [
            ("", .none), ("0.0.0.0", .ipv4(0)), ("255.255.255.255", .ipv4(.max)), ("1.2.3.4", .ipv4(0x0102_0304)),
            ("::ffff:1.2.3.4", .ipv4(0x0102_0304)), ("::FFFF:102:304", .ipv4(0x0102_0304)),
            ("::", .ipv6(0, 0)), ("::1", .ipv6(0, 1)), ("1::", .ipv6(1 << 48, 0)),
            ("2001:DB8:0:0:1:0:0:1", .ipv6(0x2001_0db8_0000_0000, 0x0001_0000_0000_0001)),
            ("1:2:3:4:5:6:7:8", .ipv6(0x0001_0002_0003_0004, 0x0005_0006_0007_0008)),
            ("1:2:3:4:5:6:1.2.3.4", .ipv6(0x0001_0002_0003_0004, 0x0005_0006_0102_0304)),
            ("::1.2.3.4", .ipv6(0, 0x0102_0304)), ("64:ff9b::1.2.3.4", .ipv6(0x0064_ff9b_0000_0000, 0x0102_0304)),
            ("1:2:3:4:5:6:7::", .ipv6(0x0001_0002_0003_0004, 0x0005_0006_0007_0000)),
            ("::2:3:4:5:6:7:8", .ipv6(0x0000_0002_0003_0004, 0x0005_0006_0007_0008)),
        ] as [(String, ServiceHost)])
    func addresses(text: String, host: ServiceHost) {
        #expect(ServiceHost(text: text) == host)
        #expect(ServiceHost(text: host.text) == host)
    }

    @Test(
        "what looks like an address but is none is a name",
        arguments: [
            "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.4.", "1..2.3", "1.2.3.-4", "127.0.0.257", ":", ":::",
            "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::1%eth0", "12345::", "g::", "1:2:3:4:5:6:7:1.2.3.4",
            "::1.2.3", "::1.2.3.4:5", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "[::1]", "localhost", "1:", ":1",
        ])
    func names(text: String) {
        #expect(ServiceHost(text: text) == .name(text))
    }

    @Test(
        "addresses are written by RFC 5952",
        arguments: [
            (0, 0, "::"), (0, 1, "::1"), (1 << 48, 0, "1::"),
            (0x2001_0db8_0000_0000, 0x0001_0000_0000_0001, "2001:db8::1:0:0:1"),
            (0x2001_0db8_0000_0001, 0x0001_0001_0001_0001, "2001:db8:0:1:1:1:1:1"),
            (0x2001_0000_0000_0001, 0x0000_0000_0000_0001, "2001:0:0:1::1"),
        ] as [(UInt64, UInt64, String)])
    func formatting(high: UInt64, low: UInt64, text: String) {
        #expect(ServiceHost.ipv6(high, low).text == text)
    }

    @Test("any address survives its text")
    func roundTrip() {
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<2000 {
            // Masks make runs of zero groups likely.
            let high = random.next() & random.next() & random.next()
            let low = (random.next() & random.next()) | 1 << 63
            for host in [ServiceHost.ipv6(high, low), .ipv6(high, 0).canonical, .ipv4(UInt32(low & 0xffff_ffff))] {
                #expect(ServiceHost(text: host.text) == host, "seed \(random.seed)")
            }
        }
    }

    @Test(
        "SHA-256 has the digests of FIPS 180-4's examples",
        arguments: [
            ("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (
                "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrs"
                    + "mnopqrstnopqrstu", 1, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
            ), ("a", 100_000, "6d1cf22d7cc09b085dfc25ee1a1f3ae0265804c607bc2074ad253bcc82fd81ee"),
        ])
    func sha256(text: String, times: Int, digest: String) {
        let message = Array(String(repeating: text, count: times).utf8)
        #expect(SHA256.hex(message, digits: 64) == digest)
        #expect(SHA256.hex(message, digits: 16) == String(digest.prefix(16)))
        #expect(SHA256.digest(message).count == 32)
    }

    @Test("SHA-256 pads every length right")
    func sha256Lengths() {
        // The digest over the digests of "a" * n for n in 0 ..< 130, as Python's hashlib gives it.
        let all = (0..<130).flatMap { SHA256.digest([UInt8](repeating: UInt8(ascii: "a"), count: $0)) }
        #expect(SHA256.hex(all, digits: 64) == "39a48225ae6069c68f7c9f867bf47f4a2e188c3903dd919926b8259a73ecada5")
    }
}
