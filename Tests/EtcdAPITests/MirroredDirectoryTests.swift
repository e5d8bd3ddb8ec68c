import DNSWire
import RegdnsTestKit
import RegistryStore
import Testing

@testable import EtcdAPI

/// What a copy of a cluster's keys tells the tree of directories, without a cluster.
struct MirroredDirectoryTests {
    private let clock = VirtualClock()
    private let registry: Registry
    private let keyspace: Keyspace

    init() throws {
        registry = Registry(
            layout: KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local")), node: "n", origin: 1,
            clock: clock.registryClock, isMirror: true)
        keyspace = Keyspace(
            registry: registry, numbers: .clusters, rememberedDirectories: 10_000, clock: clock.registryClock)
        registry.mirror([MirrorChange](), revision: 1, restarts: true)
    }

    private func put(_ key: String, _ value: [UInt8], at revision: Int64) -> MirrorChange {
        .put(
            MirroredValue(
                key: Array(key.utf8), value: value, lease: nil, createRevision: revision, modRevision: revision,
                putCount: 1))
    }

    private func mirror(_ keys: [MirrorChange] = [], _ markers: [MirrorChange], at revision: Int64) {
        registry.mirror(
            spaces: [MirroredSpace(.default, keys), MirroredSpace(DirectoryMarker.namespace, markers)],
            revision: revision)
    }

    private func names(_ path: String = "") -> [String] {
        keyspace.list(Array(path.utf8), recursive: false).map { String(decoding: $0.key, as: UTF8.self) }
    }

    @Test func markersComeAndGo() {
        mirror([], [put("dir/a/b", Array("{}".utf8), at: 5)], at: 5)
        #expect(names("/a") == ["/a/b"])
        #expect(keyspace.directoryNode(Array("/a/b".utf8)).createdIndex == 5)
        mirror([put("/a/b/k", [], at: 6)], [.delete(key: Array("dir/a/b".utf8))], at: 6)
        #expect(names("/a") == ["/a/b"], "it lives with its key")
        registry.mirror([.delete(key: Array("/a/b/k".utf8))], revision: 7)
        #expect(names("/a").isEmpty)
    }

    @Test(arguments: ["", "x", "[]", #"{"ends":"soon"}"#, #"{"ends":1e400}"#, #"{"ends":99999999999999999999}"#])
    func aMarkerThatCannotBeReadIsADirectoryThatStays(value: String) {
        mirror([], [put("dir/a", Array(value.utf8), at: 5)], at: 5)
        clock.advance(milliseconds: 1_000_000)
        keyspace.expireDirectories()
        #expect(names() == ["/a"])
        #expect(keyspace.directoryNode(Array("/a".utf8)).life == nil)
    }

    @Test(arguments: [Int64.min, -1, 0, .max])
    func endsThatAreAbsurd(end: Int64) {
        mirror([], [put("dir/a", DirectoryMarker(end: end).value, at: 5)], at: 5)
        #expect(names() == ["/a"])
        #expect(keyspace.directoryNode(Array("/a".utf8)).life?.expiration == end)
    }

    @Test(arguments: [
        "", "{}", #"{"action":"nothing","directory":"/a","now":{}}"#, #"{"action":"delete","directory":"a","now":{}}"#,
        #"{"action":"delete","directory":"/%z","now":{}}"#, #"{"action":"delete","directory":"/other","now":{}}"#,
    ])
    func whatIsNoOperationIsToldKeyByKey(value: String) async throws {
        registry.mirror([put("/a/b", [], at: 4), put("/a/c", [], at: 4)], revision: 4)
        let (events, _) = try keyspace.watch(Array("/a".utf8), recursive: true, stream: true, since: 5)
        mirror(
            [.delete(key: Array("/a/b".utf8)), .delete(key: Array("/a/c".utf8))],
            [put("last", Array(value.utf8), at: 5)], at: 5)
        for name in ["/a/b", "/a/c"] { #expect(try WatchTests.summary(await events.next()) == "delete \(name)") }
        #expect(names("/a").isEmpty)
        events.cancel()
    }

    @Test(arguments: ["/a", "/a/b", "/", "/a/", "/a//b", "/b/../a"])
    func aLieAboutADirectoryThatIsThereChangesNothing(path: String) {
        mirror([], ["dir/a", "dir/a/b", "dir/a/b/c", "dir/ab"].map { put($0, Array("{}".utf8), at: 5) }, at: 5)
        let lie = #"{"action":"delete","directory":"\#(path)","now":{}}"#
        mirror([], [put("last", Array(lie.utf8), at: 6)], at: 6)
        #expect(names() == ["/a", "/ab"] && names("/a") == ["/a/b"] && names("/a/b") == ["/a/b/c"])
        #expect(keyspace.directoryNode(Array("/a/b".utf8)).createdIndex == 5)
        // What went with its operation is gone.
        mirror(
            [],
            ["dir/a/b", "dir/a/b/c"].map { .delete(key: Array($0.utf8)) }
                + [put("last", Array(#"{"action":"delete","directory":"/a/b","now":{}}"#.utf8), at: 7)], at: 7)
        #expect(names() == ["/a", "/ab"] && names("/a").isEmpty)
    }

    @Test func anOperationSurvivesItsWriting() throws {
        var note = WriteNote(action: .update, key: Array("/a b/\u{e9}".utf8) + [0xff], isRefresh: true)
        note.directory = KeyspaceNode(
            key: note.key, kind: .directory(nodes: nil), life: KeyspaceLife(endsAt: 77, millisecondsLeft: 5),
            modifiedIndex: 0, createdIndex: 3)
        note.previous = KeyspaceNode(
            key: note.key, kind: .directory(nodes: nil), modifiedIndex: 3, createdIndex: 3)
        let operation = try required(DirectoryOperation(note))
        #expect(DirectoryOperation(operation.value) == operation)
    }

    @Test func moreNewsThanAreKeptAreReadAgain() {
        for revision in Int64(2)..<6_000 {
            mirror([], [put("dir/d\(revision)", Array("{}".utf8), at: revision)], at: revision)
        }
        mirror([], [.delete(key: Array("dir/d2".utf8))], at: 6_000)
        #expect(keyspace.remembering { $0.counts.directories } == 5_997)
    }

    @Test func aNewHistoryForgetsWhatIsNotThere() {
        mirror([], [put("dir/a", Array("{}".utf8), at: 5)], at: 5)
        #expect(names() == ["/a"])
        registry.mirror(
            spaces: [
                MirroredSpace(DirectoryMarker.namespace, [.delete(key: Array("dir/a".utf8)), put("dir/b", [], at: 3)])
            ], revision: 3, restarts: true)
        #expect(names() == ["/b"])
    }
}
