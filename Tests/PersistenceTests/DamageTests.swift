import Foundation
import RegdnsTestKit
import Testing

@testable import Persistence
@testable import RegistryStore

@Suite("A damaged file is told of, moved aside, and what can be read of it kept")
struct DamageTests {
    private static let count = 500

    /// A directory whose file holds `count` registrations, closed and without a log.
    private func filled() async throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        for number in 0..<Self.count {
            _ = try kept.registry.apply([
                .put(
                    namespace: .default, key: key("web/\(1000 + number)"),
                    value: .registration(registration("web", "\(number)")), lease: .permanent)
            ])
        }
        kept.keeper.close()
        #expect(try directory.names("-wal").isEmpty)
        return directory
    }

    @Test("What is told of a damaged file is never nothing")
    func told() {
        #expect(DataDirectory.told(["page 7"], first: "malformed") == ["page 7"])
        #expect(DataDirectory.told([], first: "malformed") == ["malformed"])
        #expect(DataDirectory.told([], first: nil).allSatisfy { !$0.isEmpty })
    }

    private func change(_ directory: TemporaryDirectory, _ body: (inout Data) throws -> Void) throws {
        let url = URL(fileURLWithPath: directory.file)
        var data = try Data(contentsOf: url)
        try body(&data)
        try data.write(to: url)
    }

    /// What is kept of a damaged file.
    private func salvaged(_ directory: TemporaryDirectory) throws -> RegistryKeeper.Start {
        let kept = try Kept(directory)
        let damage = try #require(kept.start.damage)
        #expect(FileManager.default.fileExists(atPath: damage.movedTo))
        #expect(!damage.problems.isEmpty && damage.entriesKept == kept.start.entries)
        #expect("\(damage)".contains(damage.movedTo))
        #expect(kept.registry.counts().entries == kept.start.entries)
        #expect(kept.registry.inconsistency == nil)
        // The next start finds a sound file with the same content.
        let again = try Kept(try directory.copy())
        #expect(again.start.damage == nil && again.start.entries == kept.start.entries)
        return kept.start
    }

    @Test("A page of registrations is overwritten: all but those on it stay", arguments: [0, 0xff, 0x5a] as [UInt8])
    func page(filler: UInt8) async throws {
        let directory = try await filled()
        try change(directory) { data in
            let pages = data.count / 4096
            let page = pages / 2
            data.replaceSubrange(page * 4096..<(page + 1) * 4096, with: [UInt8](repeating: filler, count: 4096))
        }
        let start = try salvaged(directory)
        #expect(start.entries >= Self.count * 8 / 10 && start.entries < Self.count)
    }

    @Test("One bit of a value is turned: that registration is left out", arguments: [0, 3, 7])
    func bit(bit: Int) async throws {
        let directory = try await filled()
        try change(directory) { data in
            let place = try #require(data.firstRange(of: Data("10.0.0.1:80".utf8))).lowerBound
            data[place + 1] ^= UInt8(1 << bit)
        }
        let start = try salvaged(directory)
        #expect(start.entries == Self.count - 1)
        #expect(start.damage?.problems == ["1 registrations or removals are not what was written"])
    }

    @Test("Any one byte is turned: nothing is taken for what it is not", arguments: 0..<(20 * SeededRandom.effort))
    func bytes(round: Int) async throws {
        var random = SeededRandom(test: "turned byte round \(round)")
        let directory = try await filled()
        let before = try Kept(try directory.copy()).content.entries
        let place = Int.random(
            in: 100..<(try Data(contentsOf: URL(fileURLWithPath: directory.file)).count), using: &random)
        try change(directory) { $0[place] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
        let kept = try Kept(directory)
        let found = kept.content.entries
        #expect(Set(found).isSubset(of: before), "seed \(random.seed), byte \(place)")
        if found.count < before.count { #expect(kept.start.damage != nil, "seed \(random.seed), byte \(place)") }
    }

    @Test("The file is cut: its beginning stays", arguments: [2, 3, 10])
    func cut(part: Int) async throws {
        let directory = try await filled()
        try change(directory) { $0 = $0.prefix($0.count * (part - 1) / part) }
        let start = try salvaged(directory)
        #expect(start.entries < Self.count)
    }

    @Test("No database at all: nothing is kept, and it is said", arguments: ["", "text", "SQLite format 3\0"])
    func noDatabase(text: String) async throws {
        let directory = try await filled()
        try change(directory) { $0 = Data(text.utf8) }
        #expect(try salvaged(directory).entries == 0)
    }

    @Test("The file is gone and its log is there")
    func missing() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        try await kept.writer.apply([
            .put(namespace: .default, key: key("a"), value: .bytes([1]), lease: .permanent)
        ])
        let crashed = try directory.copy()
        try FileManager.default.removeItem(atPath: crashed.file)
        #expect(try salvaged(crashed).damage?.problems == ["registry.db is missing beside its log"])
    }

    @Test("A crash while the sound part is put in the place of the damaged file")
    func interrupted() async throws {
        let directory = try await filled()
        try FileManager.default.moveItem(atPath: directory.file, toPath: directory.file + ".salvaged")
        try Data("half".utf8).write(to: URL(fileURLWithPath: directory.file + ".new"))
        let kept = try Kept(directory)
        #expect(kept.start.entries == Self.count && kept.start.damage == nil)
        #expect(try directory.names(".new").isEmpty && directory.names(".salvaged").isEmpty)
    }

    @Test("A crash before the damaged file's log is moved as well: the log is not taken for the new file's")
    func interruptedBeforeLog() async throws {
        let directory = try await filled()
        let other = try TemporaryDirectory()
        let kept = try Kept(other)
        try await kept.writer.apply([
            .put(namespace: .default, key: key("a"), value: .bytes([1]), lease: .permanent)
        ])
        try FileManager.default.moveItem(atPath: directory.file, toPath: directory.file + ".salvaged")
        try FileManager.default.copyItem(atPath: other.file + "-wal", toPath: directory.file + "-wal")
        let again = try Kept(directory)
        #expect(again.start.entries == Self.count && again.start.damage == nil)
        #expect(try directory.names("damaged").count == 1)
        withExtendedLifetime(kept) {}
    }

    // MARK: What is refused

    private func refusal(_ directory: TemporaryDirectory) -> DataDirectoryError? {
        do {
            _ = try Kept(directory)
            return nil
        } catch {
            return error as? DataDirectoryError
        }
    }

    @Test(
        "Files that are nobody's to repair stay as they are",
        arguments: [("application_id = 1", "another program"), ("user_version = 2", "newer version")])
    func refused(pragma: String, reason: String) async throws {
        let directory = try await filled()
        try SQLiteDatabase(path: directory.file, creating: false).execute("PRAGMA \(pragma)")
        let before = try Data(contentsOf: URL(fileURLWithPath: directory.file))
        let error = try #require(refusal(directory))
        #expect(error.path == directory.file && error.reason.contains(reason))
        #expect(try Data(contentsOf: URL(fileURLWithPath: directory.file)) == before)
        #expect(try directory.names("damaged").isEmpty)
    }

    @Test("A second process is refused")
    func second() throws {
        let directory = try TemporaryDirectory()
        let first = try DataDirectory(path: directory.path)
        #expect(refusal(directory)?.reason == "another process uses it")
        withExtendedLifetime(first) {}
    }

    @Test("A directory is made with all above it, for this user alone; what is none is refused")
    func directories() throws {
        let directory = try TemporaryDirectory()
        let deep = directory.path + "/a/b"
        _ = try DataDirectory(path: deep)
        let mode = try FileManager.default.attributesOfItem(atPath: deep)[.posixPermissions] as? Int
        #expect(mode == 0o700)
        try Data().write(to: URL(fileURLWithPath: directory.path + "/file"))
        #expect(throws: DataDirectoryError.self) { try DataDirectory(path: directory.path + "/file/c") }
        #expect(throws: DataDirectoryError.self) { try DataDirectory(path: directory.path + "/file") }
    }
}
