import Foundation
import RegdnsTestKit
import Synchronization
import Testing

@testable import Persistence
@testable import RegistryStore

@Suite("What a crash leaves is a state that was, with all that was acknowledged")
struct CrashTests {
    /// Random writes of all kinds; what the registry held after each.
    private struct History {
        var random: SeededRandom
        var states: [KeptContent] = [KeptContent()]
        /// The last state that a client was told of.
        var acknowledged = 0

        mutating func step(_ kept: Kept) async throws {
            let name = "k\(Int.random(in: 0..<12, using: &random))"
            let namespace = Bool.random(using: &random) ? Namespace.default : Namespace("t")
            switch Int.random(in: 0..<14, using: &random) {
            case 0..<4:
                let id = "i\(Int.random(in: 0..<6, using: &random))"
                _ = try kept.registry.apply([
                    .put(
                        namespace: namespace, key: key("web/\(id)"),
                        value: .registration(registration("web", id, port: .random(in: 1..<9, using: &random))),
                        lease: Bool.random(using: &random)
                            ? .own(milliseconds: .random(in: 50..<500, using: &random)) : .permanent)
                ])
            case 4..<6:
                let size = Int.random(in: 0..<9_000, using: &random)
                _ = try kept.registry.apply([
                    .put(
                        namespace: namespace, key: key(name), value: .bytes([UInt8](repeating: 7, count: size)),
                        lease: .keep),
                    .put(namespace: .default, key: key(name + "x"), value: .bytes([1]), lease: .permanent),
                ])
            case 6: _ = try kept.registry.apply([.delete(namespace: namespace, key: key(name))])
            case 7:
                // Put and deleted, and deleted and put, under one revision.
                _ = try kept.registry.apply([
                    .put(namespace: namespace, key: key(name), value: .bytes([2]), lease: .permanent),
                    .delete(namespace: namespace, key: key(name)),
                    .delete(namespace: namespace, key: key("y")),
                    .put(namespace: namespace, key: key("y"), value: .bytes([3]), lease: .permanent),
                ])
            case 8:
                let id = LeaseID(Int64.random(in: 1..<5, using: &random))
                if kept.registry.lease(id) == nil {
                    _ = try kept.registry.grantLease(id: id, milliseconds: .random(in: 50..<500, using: &random))
                } else {
                    _ = try kept.registry.revokeLease(id)
                }
            case 9:
                if let id = kept.registry.leases().first {
                    _ = try kept.registry.apply([
                        .put(namespace: namespace, key: key(name), value: .bytes([4]), lease: .shared(id))
                    ])
                }
            case 10:
                kept.clock.advance(milliseconds: .random(in: 0..<100, using: &random))
                _ = kept.registry.expireDue()
            case 11, 12:
                // One id under several keys, of which the HTTP dialects show one by it.
                let id = "i\(Int.random(in: 0..<6, using: &random))"
                let value = Array(#"{"host":"10.0.0.1","service":"web","id":"\#(id)"}"#.utf8)
                _ = try kept.registry.apply([
                    .put(namespace: namespace, key: key("etcd/\(name)"), value: .bytes(value), lease: .permanent)
                ])
            default: _ = try kept.registry.apply([.renew(namespace: namespace, key: key("nothing"))])
            }
        }

        mutating func run(_ kept: Kept) async throws {
            do {
                try await step(kept)
            } catch let error as RegistryError {
                guard case .notFound = error else { throw error }
            }
            states.append(kept.content)
            if Int.random(in: 0..<3, using: &random) == 0 {
                try await kept.keeper.settle()
                acknowledged = states.count - 1
            }
        }
    }

    @Test("Random writes, and a crash between any two groups", arguments: 0..<(4 * SeededRandom.effort))
    func crashes(round: Int) async throws {
        var history = History(random: SeededRandom(test: "crash round \(round)"))
        let seed = history.random.seed
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory, sync: round % 2 == 0 ? .interval : .always) { $0.logBytesMax = 100_000 }
        for _ in 0..<60 {
            for _ in 0..<Int.random(in: 1..<6, using: &history.random) { try await history.run(kept) }
            let acknowledged = history.acknowledged
            let crashed = try kept.keeper.disk.withLock { _ in try directory.copy() }
            let found = try read(crashed)
            let place = history.states.lastIndex(of: found)
            #expect(place != nil, "seed \(seed): a state that never was")
            // States may repeat: the last place counts.
            #expect((place ?? 0) >= acknowledged, "seed \(seed): acknowledged writes are lost")
        }
        try await kept.keeper.settle()
        let again = try Kept(try directory.copy(), clock: kept.clock)
        #expect(again.content == kept.content, "seed \(seed)")
        #expect(again.registry.inconsistency == nil, "seed \(seed)")
        #expect(shownIDs(again.registry) == shownIDs(kept.registry), "seed \(seed)")
    }

    private func shownIDs(_ registry: Registry) -> [String] {
        [Namespace.default, Namespace("t")].flatMap { namespace in
            registry.range(namespace: namespace, lower: [], upper: nil).entries.map { entry in
                "\(namespace.name) \(entry.key) \(registry.identity(of: entry)?.id ?? "-")"
            }
        }
    }

    @Test("A log that ends anywhere is a state that was", arguments: 0..<(2 * SeededRandom.effort))
    func cutLogs(round: Int) async throws {
        var history = History(random: SeededRandom(test: "cut log round \(round)"))
        let seed = history.random.seed
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        for _ in 0..<80 { try await history.run(kept) }
        try await kept.keeper.settle()
        let crashed = try kept.keeper.disk.withLock { _ in try directory.copy() }
        let log = try Data(contentsOf: URL(fileURLWithPath: crashed.file + "-wal"))
        for _ in 0..<60 {
            let cut = try crashed.copy()
            let count = Int.random(in: 0...log.count, using: &history.random)
            try log.prefix(count).write(to: URL(fileURLWithPath: cut.file + "-wal"))
            #expect(history.states.contains(try read(cut)), "seed \(seed): cut at \(count) of \(log.count)")
        }
    }

    @Test("Writers at once: whoever was answered finds the write in the file", .timeLimit(.minutes(1)))
    func concurrentWriters() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        let writer = kept.writer
        let answered = Answered()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for count in 0..<150 {
                        let name = key("w\(task)-\(count)")
                        try await writer.apply([
                            .put(namespace: .default, key: name, value: .bytes([1]), lease: .permanent)
                        ])
                        // Between two groups the file has what was answered before.
                        if count % 5 == 0 {
                            let (crashed, known) = try kept.keeper.disk.withLock { _ in
                                (try directory.copy(), answered.keys.withLock { $0 }.union([name]))
                            }
                            let found = try DataDirectory(path: crashed.path).open().reading.content
                            #expect(known.subtracting(found.entries.map(\.key)).isEmpty)
                        }
                        _ = answered.keys.withLock { $0.insert(name) }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// What a file holds, as the registry would compare it.
    private func read(_ directory: TemporaryDirectory) throws -> KeptContent {
        let opened = try DataDirectory(path: directory.path).open()
        #expect(opened.damage == nil)
        var content = opened.reading.content
        (content.clock, content.origins) = (nil, [:])
        content.tombstones.sort {
            ($0.namespace.name, $0.key.map { Int($0) }) < ($1.namespace.name, $1.key.map { Int($0) })
        }
        return content
    }
}

/// The keys whose writers were answered.
private final class Answered: Sendable {
    let keys = Mutex<Set<[UInt8]>>([])
}

private func < (a: (String, [Int]), b: (String, [Int])) -> Bool {
    a.0 != b.0 ? a.0 < b.0 : a.1.lexicographicallyPrecedes(b.1)
}
