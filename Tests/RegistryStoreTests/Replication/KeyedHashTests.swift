import Testing

@testable import RegistryStore

/// SipHash-2-4 with its authors' key and input (00…0f; 00, 01, 02 and so on), whole words of it. The values are
/// OpenSSL's.
struct KeyedHashTests {
    static let key = KeyedHash.Key(low: 0x0706_0504_0302_0100, high: 0x0f0e_0d0c_0b0a_0908)

    @Test(
        "equal those of the reference",
        arguments: [
            (0, 0x726f_db47_dd0e_0e31), (8, 0x93f5_f579_9a93_2462), (16, 0x3f2a_cc7f_57c2_9bdb),
            (24, 0xb8ad_50c6_f649_af94), (56, 0xb78d_bfaf_3a8d_83bd),
        ] as [(Int, UInt64)])
    func vectors(count: Int, expected: UInt64) {
        var hash = KeyedHash(Self.key)
        for word in stride(from: 0, to: count, by: 8) {
            hash.append((0..<8).reduce(UInt64(0)) { $0 | UInt64(word + $1) << UInt64(8 * $1) })
        }
        #expect(hash.value() == expected)
    }

    @Test("texts are told apart wherever one ends and the next begins")
    func boundaries() {
        var hashes: Set<UInt64> = []
        let pairs = [
            ("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", ""), ("abcdefgh", ""), ("abcdefgh\0", ""), ("", ""),
        ]
        for (a, b) in pairs {
            var hash = KeyedHash(Self.key)
            hash.append(a)
            hash.append(b)
            hashes.insert(hash.value())
        }
        #expect(hashes.count == pairs.count)
    }
}
