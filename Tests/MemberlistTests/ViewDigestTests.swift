import Testing

@testable import Memberlist

struct ViewDigestTests {
    /// Nodes compare the digests of their views over versions of this program.
    @Test(
        "A member's part of the digest is this",
        arguments: [
            ("", 0xc381_7c01_6ba4_ff30), ("a", 0x5f29_c2aa_dd9b_8527), ("foobar", 0x5df2_9541_3403_de4f),
        ] as [(String, UInt64)])
    func mixedHash(text: String, hash: UInt64) {
        #expect(Array(text.utf8).mixedHash == hash)
    }
}
