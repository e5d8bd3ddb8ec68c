import Foundation
import RegdnsTestKit
import Synchronization
import Testing

@testable import Persistence
@testable import RegistryStore

@Suite("What is acknowledged is kept, and a disk that fails is told of")
struct KeeperTests {
    private func put(_ name: String, _ value: [UInt8] = [1]) -> Intent {
        .put(namespace: .default, key: key(name), value: .bytes(value), lease: .permanent)
    }

    @Test("Many writers at once share groups")
    func groups() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory, sync: .always)
        let (writer, before) = (kept.writer, kept.keeper.counts)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<16 {
                group.addTask {
                    for count in 0..<20 { try await writer.apply([put("w\(task)-\(count)")]) }
                }
            }
            try await group.waitForAll()
        }
        let counts = kept.keeper.counts
        #expect(counts.rows - before.rows >= 320)
        #expect(counts.groups - before.groups < 320 && counts.syncs >= counts.groups - before.groups)
        #expect(try Kept(try directory.copy()).content == kept.content)
    }

    @Test(
        "A full disk: writes are refused, heartbeats go on, what is in effect is not taken for kept, and room ends it")
    func full() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        let writer = kept.writer
        let leased = Intent.put(
            namespace: .default, key: key("web/1"), value: .registration(registration("web", "1")),
            lease: .own(milliseconds: 10_000))
        try await writer.apply([leased])
        func limit(_ pages: Int64) throws {
            try kept.keeper.disk.withLock { disk in
                try disk.file?.database.execute("PRAGMA max_page_count = \(pages)")
            }
        }
        try limit(1)
        await #expect(throws: RegistryError.self) {
            try await writer.apply([put("big", [UInt8](repeating: 1, count: 50_000))])
        }
        #expect(kept.keeper.failure?.contains("full") == true)
        // It is in effect, and will be kept. Who says it again is told the same as before.
        #expect(!kept.keeper.isSettled)
        await #expect(throws: RegistryError.self) {
            try await writer.apply([put("big", [UInt8](repeating: 1, count: 50_000))])
        }
        // Others are refused before they are in effect.
        let revision = kept.registry.revision
        await #expect(throws: RegistryError.self) { try await writer.apply([put("other")]) }
        await #expect(throws: RegistryError.self) { try await writer.grantLease(id: nil, milliseconds: 5_000) }
        #expect(throws: RegistryError.self) { try kept.registry.transact([.intent(put("other"))]) }
        #expect(kept.registry.revision == revision)
        #expect(kept.registry.entry(namespace: .default, key: key("other")) == nil)
        kept.clock.advance(milliseconds: 9_000)
        try await writer.renew(namespace: .default, id: "1")
        kept.clock.advance(milliseconds: 9_000)
        // An equal put renews, whatever its answer.
        await #expect(throws: RegistryError.self) { try await writer.apply([leased]) }
        kept.clock.advance(milliseconds: 9_000)
        #expect(kept.registry.expireDue() == nil)
        // Expiry goes on, too.
        kept.clock.advance(milliseconds: 9_000)
        #expect(kept.registry.expireDue() != nil)

        try limit(1_000_000)
        try await kept.keeper.settle()
        #expect(kept.keeper.failure == nil && kept.keeper.isSettled)
        try await writer.apply([put("other")])
        let again = try Kept(try directory.copy(), clock: kept.clock)
        #expect(again.content == kept.content)
    }

    @Test("A file that is gone, or another, is made anew of what the registry has", arguments: [false, true])
    func gone(isReplaced: Bool) async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        try await kept.writer.apply([put("a")])
        for name in try directory.names("registry.db") {
            try FileManager.default.removeItem(atPath: directory.path + "/" + name)
        }
        if isReplaced { try Data("other".utf8).write(to: URL(fileURLWithPath: directory.file)) }
        kept.keeper.checkFile()
        #expect(kept.keeper.failure != nil)
        #expect(throws: RegistryError.self) { try kept.registry.apply([put("b")]) }
        try await kept.keeper.settle()
        #expect(kept.keeper.failure == nil)
        try await kept.writer.apply([put("c")])
        #expect(try Kept(try directory.copy()).content == kept.content)
        #expect(try directory.names("damaged").isEmpty != isReplaced)
    }

    @Test("A directory that is gone: refused until it is back")
    func directoryGone() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        try await kept.writer.apply([put("a")])
        try FileManager.default.moveItem(atPath: directory.path, toPath: directory.path + "-moved")
        defer { try? FileManager.default.removeItem(atPath: directory.path + "-moved") }
        kept.keeper.checkFile()
        await #expect(throws: RegistryError.self) { try await kept.keeper.settle() }
        #expect(kept.keeper.failure != nil)
        try FileManager.default.moveItem(atPath: directory.path + "-moved", toPath: directory.path)
        try await kept.keeper.settle()
        try await kept.writer.apply([put("b")])
        #expect(try Kept(try directory.copy()).content == kept.content)
    }

    @Test("Who writes too fast waits for room; who cannot wait makes the next group a whole one")
    func room() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory) {
            $0.waitingMax = 10
            $0.notedMax = 50
        }
        for count in 0..<10 { _ = try kept.registry.apply([put("n\(count)")]) }
        #expect(!kept.keeper.hasRoom)
        try await kept.writer.apply([put("waits")])
        #expect(kept.keeper.counts.waitsForRoom == 1 && kept.keeper.counts.waiting == 0)
        for count in 0..<200 { _ = try kept.registry.apply([put("m\(count)")]) }
        #expect(kept.keeper.counts.waiting <= 50)
        try await kept.keeper.settle()
        #expect(try Kept(try directory.copy()).content == kept.content)
    }

    @Test("The end: what is left is written, the log is gone, and later writes are refused", .timeLimit(.minutes(1)))
    func end() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        let task = Task { await kept.keeper.run() }
        _ = try kept.registry.apply([put("a")])
        task.cancel()
        await task.value
        #expect(try directory.names("-wal").isEmpty)
        await #expect(throws: RegistryError.self) { try await kept.keeper.settle() }
        #expect(try Kept(try directory.copy()).content == kept.content)
    }

    @Test("What nobody waits for is written all the same", .timeLimit(.minutes(1)))
    func background() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory) { $0.syncPause = .milliseconds(200) }
        let task = Task { await kept.keeper.run() }
        let before = kept.keeper.counts
        _ = try kept.registry.apply([put("a")])
        while kept.keeper.counts.rows == before.rows || kept.keeper.counts.syncs == before.syncs {
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(try Kept(try directory.copy()).content == kept.content)
        task.cancel()
        await task.value
    }
}
