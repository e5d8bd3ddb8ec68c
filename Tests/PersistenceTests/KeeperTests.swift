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
        // What was given up waits all the same.
        #expect(!kept.keeper.hasRoom)
        try await kept.keeper.settle()
        #expect(try Kept(try directory.copy()).content == kept.content)
    }

    @Test("Removals that others tell of take no more room than entries while nothing can be written")
    func removals() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory) {
            $0.waitingMax = 10
            $0.notedMax = 50
        }
        func removals(_ numbers: Range<Int>) -> [RemoteOperation] {
            numbers.map { number in
                RemoteOperation(
                    namespace: .default, key: key("r\(number)"),
                    version: Version(hlc: 9 << 16, kind: .delete, origin: 5, sequence: UInt64(number + 1)), value: nil)
            }
        }
        for number in 0..<40 { kept.registry.merge(removals(number..<number + 1)) }
        #expect(!kept.keeper.hasRoom && kept.registry.journalCount == 40)
        for number in 40..<500 {
            kept.registry.merge(removals(number..<number + 1))
            #expect(kept.registry.journalCount <= 50)
            #expect(kept.registry.state.withLock { $0.core.tombstones.news?.count ?? 0 } <= 50)
        }
        #expect(!kept.keeper.hasRoom)
        try await kept.keeper.settle()
        #expect(kept.keeper.hasRoom)
        #expect(try Kept(try directory.copy()).content == kept.content)
        #expect(kept.content.tombstones.count == 500)
    }

    @Test("A sync that fails: everything is written anew, whatever the system holds for written")
    func failedSync() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        for name in ["a", "b", "c"] { try await kept.writer.apply([put(name)]) }
        let lease = try await kept.writer.grantLease(id: nil, milliseconds: 5000)
        try kept.keeper.disk.withLock { disk in
            // What the disk did not take.
            try disk.file?.database.execute("DELETE FROM entries; DELETE FROM leases")
            // No disk is behind it: each sync fails.
            disk.log = OpenFile("/dev/null", creating: false)
        }
        kept.keeper.syncLog()
        #expect(kept.keeper.failure?.contains("synced") == true)
        #expect(throws: RegistryError.self) { try kept.registry.apply([put("d")]) }
        try await kept.keeper.settle()
        #expect(kept.keeper.failure == nil)
        #expect(kept.keeper.disk.withLock { !$0.isDoubtful })
        let again = try Kept(try directory.copy())
        #expect(again.content == kept.content)
        #expect(again.content.entries.count == 3 && again.registry.lease(lease.id) != nil)
    }

    @Test("A log that cannot be synced because it is not there is a failure")
    func logGone() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        try await kept.writer.apply([put("a")])
        try FileManager.default.removeItem(atPath: directory.file + "-wal")
        kept.keeper.disk.withLock { $0.log = nil }
        await #expect(throws: RegistryError.self) { try await kept.writer.apply([put("b")]) }
        #expect(kept.keeper.failure?.contains("log") == true)
        try await kept.keeper.settle()
        try await kept.writer.apply([put("c")])
        #expect(try Kept(try directory.copy()).content == kept.content)
    }

    @Test("Equal puts take no number that is not reserved while the disk fails")
    func numbers() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory) {
            $0.reservedAhead = 200
            $0.reservedLeft = 100
            $0.reservedForOthers = 20
        }
        let leased = Intent.put(
            namespace: .default, key: key("web/1"), value: .registration(registration("web", "1")),
            lease: .own(milliseconds: 10_000))
        try await kept.writer.apply([leased])
        try kept.keeper.disk.withLock { disk in
            try disk.file?.database.execute("PRAGMA max_page_count = 1")
        }
        await #expect(throws: RegistryError.self) {
            try await kept.writer.apply([put("big", [UInt8](repeating: 1, count: 50_000))])
        }
        var taken = 0
        while taken < 1000, (try? kept.registry.apply([leased])) != nil { taken += 1 }
        #expect(taken > 100 && kept.registry.revision == 180)
        // Heartbeats take none, and expiry has those that are left.
        try await kept.writer.renew(namespace: .default, id: "1")
        kept.clock.advance(milliseconds: 10_000)
        #expect(kept.registry.expireDue() != nil)
        try kept.keeper.disk.withLock { disk in
            try disk.file?.database.execute("PRAGMA max_page_count = 1000000")
        }
        try await kept.keeper.settle()
        try await kept.writer.apply([leased])
        #expect(try Kept(try directory.copy()).start.facts.reserved >= 1_000 + kept.registry.revision)
    }

    @Test("A program that reads the file lets the log grow: it is told of, and ends with it")
    func longLog() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory) { $0.logBytesMax = 50_000 }
        try await kept.writer.apply([put("a")])
        let reader = try SQLiteDatabase(path: directory.file, creating: false)
        try reader.execute("BEGIN")
        #expect(try reader.integer("SELECT count(*) FROM entries") == 1)
        func write(_ byte: UInt8) async throws {
            for count in 0..<80 {
                try await kept.writer.apply([put("k\(count)", [UInt8](repeating: byte, count: 6000))])
            }
            // The log is copied after a group, before the next one begins.
            try await kept.keeper.settle()
        }
        try await write(1)
        #expect(kept.keeper.counts.logBytes > 200_000)
        #expect(kept.keeper.disk.withLock { $0.hasWarnedOfLog })
        try reader.execute("COMMIT")
        try await write(2)
        #expect(kept.keeper.counts.logBytes < 200_000)
        #expect(kept.keeper.disk.withLock { !$0.hasWarnedOfLog })
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
