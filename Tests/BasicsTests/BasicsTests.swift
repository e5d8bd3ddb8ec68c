import Basics
import Testing

struct BasicsTests {
    /// The vectors of RFC 9923, appendix C.
    @Test(
        "FNV-1a is what its authors say",
        arguments: [
            ("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8),
        ] as [(String, UInt64)])
    func fnv1a(text: String, hash: UInt64) {
        #expect(FNV1a(text.utf8).value == hash)
        var parts = FNV1a()
        for octet in text.utf8 { parts.add(octet) }
        #expect(parts.value == hash)
    }

    @Test("Numbers are hashed as eight octets, lowest first")
    func number() {
        var hash = FNV1a()
        hash.add(number: 0x8877_6655_4433_2211)
        #expect(hash.value == FNV1a([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]).value)
    }

    /// The first numbers of Vigna's splitmix64.c.
    @Test(
        "SplitMix64 is what its authors say",
        arguments: [
            (0, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]),
            (1_234_567, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]),
        ] as [(UInt64, [UInt64])])
    func splitMix64(seed: UInt64, numbers: [UInt64]) {
        var random = SplitMix64(seed: seed)
        #expect(numbers.indices.map { _ in random.next() } == numbers)
    }
}
