import RegistryStore
import Testing

@testable import EtcdStore

/// Which keys of the cluster are which in the copy.
struct ClusterKeysTests {
    private static let other = Namespace("other")
    private let keys = ClusterKeys(
        range: KeyRange(prefix: Array("/p/".utf8)),
        places: [
            MirrorPlace(namespace: other, prefix: Array("dir/p/".utf8), storePrefix: Array("/p/_x/d/".utf8)),
            MirrorPlace(namespace: other, prefix: Array("last".utf8), storePrefix: Array("/p/_x/last".utf8)),
        ])

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
    private func text(_ span: KeyRange) -> String {
        String(decoding: span.lower, as: UTF8.self) + " "
            + (span.upper.map { String(decoding: $0, as: UTF8.self) } ?? "end")
    }

    @Test(
        "keys go over into each other",
        arguments: [
            ("/p/a", false, "/p/a"), ("/p/_x/d/a/b", true, "dir/p/a/b"), ("/p/_x/last", true, "last"),
            ("/p/_x/d/", true, "dir/p/"), ("/p/_x/e", false, "/p/_x/e"),
        ])
    func keys(there: String, isOther: Bool, here: String) {
        let found = keys.here(bytes(there))
        #expect(found.namespace == (isOther ? Self.other : .default))
        #expect(found.key == bytes(here))
        #expect(keys.there(found.namespace, found.key) == bytes(there))
    }

    @Test(
        "keys without a place",
        arguments: [
            (false, "/q/a"), (false, "/p/_x/d/a"), (false, "/p/_x/last"), (true, "dir/q/a"), (true, "dir/p"),
            (true, "other"),
        ])
    func noPlace(isOther: Bool, key: String) {
        #expect(keys.there(isOther ? Self.other : .default, bytes(key)) == nil)
    }

    @Test(
        "ranges leave the places of others out, and keep to their own",
        arguments: [
            (false, "/p/a/", "/p/a0", ["/p/a/ /p/a0"]),
            (false, "/p/", "/p0", ["/p/ /p/_x/d/", "/p/_x/d0 /p/_x/last", "/p/_x/lasu /p0"]),
            (false, "", nil, ["/p/ /p/_x/d/", "/p/_x/d0 /p/_x/last", "/p/_x/lasu /p0"]),
            (false, "/p/_x/d/a", "/p/_x/d/b", []), (false, "/q", "/r", []),
            (true, "dir/p/a/", "dir/p/a0", ["/p/_x/d/a/ /p/_x/d/a0"]),
            (true, "dir/p/", "dir/p0", ["/p/_x/d/ /p/_x/d0"]), (true, "dir/q/", "dir/q0", []),
            (true, "dir/p/a", nil, ["/p/_x/d/a /p/_x/d0", "/p/_x/last /p/_x/lasu"]),
        ] as [(Bool, String, String?, [String])])
    func ranges(isOther: Bool, lower: String, upper: String?, there: [String]) {
        let spans = keys.there(
            isOther ? Self.other : .default, KeyRange(lower: bytes(lower), upper: upper.map(bytes)))
        #expect(spans.map(text) == there)
    }
}
