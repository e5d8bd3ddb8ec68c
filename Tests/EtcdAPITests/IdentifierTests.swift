import Testing

@testable import EtcdAPI

struct IdentifierTests {
    /// Clients remember the ids of a cluster and its members over versions of this program.
    @Test(
        "Ids of clusters and members are these",
        arguments: [
            ("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8),
            ("node-1", 0xe696_ecc2_2078_79c3),
        ] as [(String, UInt64)])
    func identifier(text: String, id: UInt64) {
        #expect(Keyspace.identifier(of: text) == id)
    }
}
