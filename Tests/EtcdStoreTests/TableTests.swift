import DNSWire
import RegdnsTestKit
import RegistryStore
import Testing

@testable import EtcdStore

/// How lists and events become the copy, without a cluster.
struct TableTests {
    private let table: ClusterTable

    init() throws {
        let layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        table = ClusterTable(
            registry: Registry(layout: layout, node: "n", origin: 1, isMirror: true),
            keys: ClusterKeys(range: KeyRange(prefix: Array("/p/".utf8))))
    }

    private func value(_ key: String, _ revision: Int64, _ text: String = "v", lease: Int64 = 0) -> MirroredValue {
        MirroredValue(
            key: Array("/p/\(key)".utf8), value: Array(text.utf8), lease: lease == 0 ? nil : LeaseID(lease),
            createRevision: 1, modRevision: revision, putCount: 1)
    }

    private func delete(_ key: String) -> MirrorChange { .delete(key: Array("/p/\(key)".utf8)) }

    private var content: [String] {
        table.registry.range(namespace: .default, lower: [], upper: nil).entries.map {
            "\(String(decoding: $0.key.dropFirst(3), as: UTF8.self))@\($0.modRevision)"
        }
    }

    @Test("a list becomes the content by its differences alone, in one change")
    func replace() {
        _ = table.replace([value("a", 1), value("b", 2), value("c", 3)], revision: 3, restarts: true)
        let observer = Batches()
        table.registry.addObserver(observer)
        let outcome = table.replace(
            [value("a", 1), value("b", 5), value("b2", 4), value("d", 6)], revision: 6, restarts: false)
        #expect(outcome.changed == 4)
        #expect(observer.sizes == [3, 4])
        #expect(content == ["a@1", "b@5", "b2@4", "d@6"])
        #expect(table.replace([], revision: 7, restarts: false).changed == 4)
        #expect(content.isEmpty)
    }

    @Test("events that the table has already are dropped")
    func repetitions() {
        _ = table.replace([value("a", 5)], revision: 5, restarts: true)
        #expect(table.apply(.init(revision: 4, changes: [delete("a")])).changed == 0)
        #expect(table.apply(.init(revision: 5, changes: [.put(value("a", 5))])).changed == 0)
        #expect(table.apply(.init(revision: 6, changes: [delete("x"), .put(value("b", 6))])).changed == 1)
        #expect(content == ["a@5", "b@6"])
        #expect(table.apply(.init(revision: 7, changes: [delete("a")])).changed == 1)
    }

    @Test("a repair brings what was missed, and takes nothing back that came after the list")
    func repair() {
        _ = table.replace(
            [value("gone", 2), value("same", 3), value("old", 4), value("deleted", 5)], revision: 10, restarts: true)
        // After the list of revision 12: `new` was put, `newer` changed, `deleted` went.
        _ = table.apply(.init(revision: 13, changes: [.put(value("new", 13))]))
        _ = table.apply(.init(revision: 14, changes: [.put(value("newer", 14))]))
        _ = table.apply(.init(revision: 15, changes: [delete("deleted")]))
        let list = [
            value("deleted", 5), value("missed", 11), value("newer", 9), value("old", 12), value("same", 3),
        ]
        let outcome = table.repair(list, revision: 12, deletedSince: [Array("/p/deleted".utf8): 15])
        #expect(content == ["missed@11", "new@13", "newer@14", "old@12", "same@3"])
        #expect(outcome.changed == 3)
        #expect(table.repair(list, revision: 12, deletedSince: [Array("/p/deleted".utf8): 15]).changed == 0)
    }

    @Test("a list of anything over anything", arguments: 0..<20)
    func random(round: Int) {
        var random = SeededRandom(seed: UInt64(round))
        var revision: Int64 = 1
        for step in 0..<40 {
            revision += 10
            let keys = Set((0..<random.below(20)).map { _ in "k\(random.below(25))" }).sorted()
            let values = keys.map {
                value($0, revision - Int64(random.below(10)), "v\(random.below(2))", lease: Int64(random.below(4)))
            }
            _ = table.replace(values, revision: revision, restarts: random.oneIn(5))
            let found = table.registry.range(namespace: .default, lower: [], upper: nil).entries
            #expect(found.map(\.key) == values.map(\.key), "seed \(round), step \(step)")
            #expect(found.map(\.modRevision) == values.map(\.modRevision))
            #expect(found.map(\.lease) == values.map(\.lease))
            #expect(found.map { table.registry.value(of: $0) } == values.map(\.value))
            #expect(table.registry.inconsistency == nil)
        }
    }
}
