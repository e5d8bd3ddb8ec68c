import Foundation
import RegdnsTestKit
import Synchronization
import Testing

@testable import Persistence
@testable import RegistryStore

@Suite("A registry comes back after a restart")
struct RestartTests {
    @Test("Everything that was written is there again, in every namespace and form")
    func everything() async throws {
        let directory = try TemporaryDirectory()
        let before: KeptContent
        do {
            let kept = try Kept(directory)
            let writer = kept.writer
            let other = Namespace("tenant/é")
            try await writer.apply([
                .put(
                    namespace: other, key: key("web/1"), value: .registration(registration("web", "1")),
                    lease: .own(milliseconds: 30_000)),
                .put(
                    namespace: .default, key: key("web/2"), value: .registration(registration("web", "2")),
                    lease: .suspended(milliseconds: 5_000)),
                .put(namespace: .default, key: [0, 255, 0], value: .bytes([0, 1, 0]), lease: .permanent),
                .put(
                    namespace: .default, key: key("x"), value: .bytes(Array("{\"host\":\"a.b\"}".utf8)),
                    lease: .permanent),
                .put(namespace: .default, key: key("empty"), value: .bytes([]), lease: .permanent),
            ])
            let lease = try await writer.grantLease(id: LeaseID(77), milliseconds: 60_000)
            _ = try await writer.grantLease(id: LeaseID(78), milliseconds: 60_000)
            _ = try await writer.grantLease(id: LeaseID(79), milliseconds: 60_000)
            try await writer.revokeLease(LeaseID(79))
            for name in ["l1", "l2"] {
                try await writer.apply([
                    .put(namespace: .default, key: key(name), value: .bytes([1]), lease: .shared(lease.id))
                ])
            }
            try await writer.apply([.delete(namespace: .default, key: key("x"))])
            before = kept.content
        }
        #expect(before.entries.count == 6 && before.tombstones.count == 1 && before.leases.count == 2)
        let again = try Kept(try directory.copy())
        #expect(again.content == before)
        #expect(again.registry.inconsistency == nil)
        #expect(again.start.entries == 6 && again.start.tombstones == 1 && again.start.damage == nil)
        #expect(again.registry.keys(of: LeaseID(77)).map(\.key) == [key("l1"), key("l2")])
    }

    @Test("What comes later wins over what was kept, whatever the clocks say")
    func clockGoesBack() async throws {
        let directory = try TemporaryDirectory()
        let clock = VirtualClock()
        do {
            let kept = try Kept(directory, origin: 5, clock: clock)
            try await kept.writer.apply([
                .put(namespace: .default, key: key("a"), value: .bytes([1]), lease: .permanent)
            ])
        }
        clock.shiftWallClock(milliseconds: -3_600_000)
        let again = try Kept(try directory.copy(), origin: 6, clock: clock)
        let old = try #require(again.registry.entry(namespace: .default, key: key("a"))).version
        try await again.writer.apply([
            // The new key first: a write over the old one would move the clock on.
            .put(namespace: .default, key: key("b"), value: .bytes([2]), lease: .permanent),
            .put(namespace: .default, key: key("a"), value: .bytes([2]), lease: .permanent),
        ])
        for name in ["a", "b"] {
            #expect(try #require(again.registry.entry(namespace: .default, key: key(name))).version > old)
        }
        #expect(again.registry.context().contains(origin: 5, sequence: 1))
        #expect(!again.registry.context().contains(origin: 5, sequence: 2))
    }

    @Test("A lease has its whole length again, and ends when nobody renews it")
    func leases() async throws {
        let directory = try TemporaryDirectory()
        let clock = VirtualClock()
        do {
            let kept = try Kept(directory, clock: clock)
            try await kept.writer.apply([
                .put(
                    namespace: .default, key: key("web/1"), value: .registration(registration("web", "1")),
                    lease: .own(milliseconds: 30_000))
            ])
            clock.advance(milliseconds: 29_000)
        }
        clock.advance(milliseconds: 86_400_000)
        let second = try directory.copy()
        let again = try Kept(second, clock: clock)
        let entry = try #require(again.registry.entry(namespace: .default, key: key("web/1")))
        #expect(again.registry.leaseInfo(of: entry)?.remainingMilliseconds == 30_000)
        clock.advance(milliseconds: 29_900)
        #expect(again.registry.expireDue() == nil)
        clock.advance(milliseconds: 200)
        #expect(again.registry.expireDue() != nil)
        try await again.keeper.settle()
        let last = try Kept(try second.copy(), clock: clock)
        #expect(last.content.entries.isEmpty && last.content.tombstones.count == 1)
    }

    @Test("Reserved numbers are above everything that was shown")
    func numbers() async throws {
        let directory = try TemporaryDirectory()
        do {
            let kept = try Kept(directory)
            for count in 0..<20 {
                try await kept.writer.apply([
                    .put(namespace: .default, key: key("a"), value: .bytes([UInt8(count)]), lease: .permanent)
                ])
            }
            #expect(kept.registry.revision == 20)
        }
        let again = try Kept(try directory.copy())
        #expect(again.start.facts.reserved >= 1_020)
        #expect(again.start.facts.node == "a" && again.start.facts.layout == Kept.layout)
        // What was loaded is the first revision, and how it came to be is not known.
        #expect(again.registry.revision == 1)
        #expect(throws: RegistryError.compacted(oldest: 2)) { try again.registry.changes(after: 0) }
    }

    @Test("Equal puts use numbers up, and more are reserved")
    func equalPuts() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory) {
            $0.reservedAhead = 10
            $0.reservedLeft = 5
        }
        for _ in 0..<100 {
            _ = try kept.registry.apply([
                .put(namespace: .default, key: key("a"), value: .bytes([1]), lease: .permanent)
            ])
        }
        try await kept.keeper.settle()
        let again = try Kept(try directory.copy())
        #expect(again.start.facts.reserved >= 1_100)
    }

    @Test("A node with another name counts its old leases, under new versions")
    func renamed() async throws {
        let directory = try TemporaryDirectory()
        let old: Version
        do {
            let kept = try Kept(directory, node: "a")
            try await kept.writer.apply([
                .put(namespace: .default, key: key("l"), value: .bytes([1]), lease: .own(milliseconds: 10_000)),
                .put(namespace: .default, key: key("p"), value: .bytes([1]), lease: .permanent),
            ])
            old = try #require(kept.registry.entry(namespace: .default, key: key("l"))).version
        }
        let second = try directory.copy()
        let again = try Kept(second, node: "b")
        let entry = try #require(again.registry.entry(namespace: .default, key: key("l")))
        #expect(entry.version > old)
        #expect(again.registry.leaseInfo(of: entry)?.home == "b")
        try await again.keeper.settle()
        #expect(try Kept(try second.copy(), node: "b").content == again.content)
    }

    @Test("Other nodes' operations, their leases and what is known of them come back")
    func merged() async throws {
        let directory = try TemporaryDirectory()
        let clock = VirtualClock()
        let kept = try Kept(directory, clock: clock)
        let hlc = UInt64(clock.registryClock.now.unix) << 16
        func version(_ sequence: UInt64, _ kind: OperationKind = .write) -> Version {
            Version(hlc: hlc + sequence, kind: kind, origin: 9, sequence: sequence)
        }
        kept.registry.merge([
            RemoteOperation(
                namespace: .default, key: key("r1"), version: version(1), value: .bytes([1]),
                lease: .init(id: LeaseID(500), milliseconds: 9_000, isShared: false, isSuspended: false, home: "z")),
            RemoteOperation(
                namespace: .default, key: key("r2"), version: version(4), value: .bytes([1]),
                lease: .init(id: LeaseID(501), milliseconds: 8_000, isShared: true, isSuspended: false, home: "z")),
            RemoteOperation(namespace: .default, key: key("gone"), version: version(6, .delete), value: nil),
        ])
        try await kept.keeper.settle()
        let again = try Kept(try directory.copy(), clock: clock)
        #expect(again.content == kept.content)
        #expect(again.registry.context().origins[9] == kept.registry.context().origins[9])
        #expect(again.registry.lease(LeaseID(500))?.home == "z")
        #expect(again.registry.lease(LeaseID(501))?.home == "z")
        #expect(again.content.tombstones.map(\.key) == [key("gone")])
    }

    @Test("Tombstones go when their time is over, and the floor stays")
    func tombstones() async throws {
        let directory = try TemporaryDirectory()
        let clock = VirtualClock()
        var limits = RegistryLimits()
        limits.permanentTombstoneMilliseconds = 10_000
        let kept = try Kept(directory, origin: 3, clock: clock, limits: limits)
        try await kept.writer.apply([
            .put(namespace: .default, key: key("a"), value: .bytes([1]), lease: .permanent)
        ])
        try await kept.writer.apply([.delete(namespace: .default, key: key("a"))])
        clock.advance(milliseconds: 6_000)
        let middle = try Kept(try directory.copy(), clock: clock, limits: limits)
        #expect(middle.content.tombstones.count == 1)
        // The age counts on from before the restart.
        clock.advance(milliseconds: 5_000)
        _ = middle.registry.expireDue()
        #expect(middle.content.tombstones.isEmpty)
        _ = kept.registry.expireDue()
        try await kept.keeper.settle()
        let last = try Kept(try directory.copy(), clock: clock, limits: limits)
        #expect(last.content.tombstones.isEmpty)
        #expect(last.registry.state.withLock { $0.core.tombstones.floors } == [3: 2])
    }

    @Test("Entries that go without a trace are gone after a restart, and those that come again are there")
    func withoutTrace() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        let version = Version(hlc: 1 << 40, kind: .write, origin: 9, sequence: 1)
        func operation(_ name: String, _ sequence: UInt64) -> RemoteOperation {
            var version = version
            version.sequence = sequence
            return RemoteOperation(
                namespace: .default, key: key(name), version: version, value: .bytes([1]),
                lease: .init(
                    id: LeaseID(500 + Int64(sequence)), milliseconds: 9_000, isShared: false, isSuspended: false,
                    home: "z"))
        }
        kept.registry.merge([operation("a", 1), operation("b", 2)])
        try await kept.keeper.settle()
        // Drops both, for another node counts them, and forgets who made them: the second comes again as it was.
        kept.registry.startFresh(origin: 77)
        kept.registry.merge([operation("b", 2)])
        try await kept.keeper.settle()
        let again = try Kept(try directory.copy(), clock: kept.clock)
        #expect(again.content == kept.content)
        #expect(again.content.entries.map(\.key) == [key("b")] && again.content.tombstones.isEmpty)
    }

    @Test("A node that was away for longer than tombstones are kept knows it after a restart")
    func aloneTooLong() async throws {
        let directory = try TemporaryDirectory()
        let clock = VirtualClock()
        let kept = try Kept(directory, clock: clock)
        _ = kept.registry.agrees(with: kept.registry.summary())
        try await kept.keeper.settle()
        #expect(!kept.registry.wasAloneTooLong)
        let soon = try Kept(try directory.copy(), clock: clock)
        #expect(!soon.registry.wasAloneTooLong)
        clock.advance(milliseconds: RegistryLimits().tombstoneMilliseconds + 1)
        #expect(try Kept(try directory.copy(), clock: clock).registry.wasAloneTooLong)
    }

    @Test("Ids that two keys claim belong to who had them")
    func claimedIDs() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        let value = Array(#"{"host":"10.0.0.1","port":1,"service":"web","id":"same"}"#.utf8)
        try await kept.writer.apply([
            .put(namespace: .default, key: key("web/one"), value: .bytes(value), lease: .permanent)
        ])
        try await kept.writer.apply([
            .put(namespace: .default, key: key("web/two"), value: .bytes(value), lease: .permanent)
        ])
        let again = try Kept(try directory.copy())
        #expect(again.content == kept.content)
        #expect(again.registry.entry(namespace: .default, id: "same")?.key == key("web/two"))
        #expect(again.registry.inconsistency == nil)
    }

    @Test("Who gets an id after its holder went is the same after a restart")
    func idGoesOn() async throws {
        let directory = try TemporaryDirectory()
        let kept = try Kept(directory)
        let value = Array(#"{"host":"10.0.0.1","port":1,"service":"web","id":"same"}"#.utf8)
        for name in ["web/two", "web/one"] {
            try await kept.writer.apply([
                .put(namespace: .default, key: key(name), value: .bytes(value), lease: .permanent)
            ])
        }
        try await kept.writer.apply([.delete(namespace: .default, key: key("web/one"))])
        let before = try #require(kept.registry.entry(namespace: .default, key: key("web/two")))
        let again = try Kept(try directory.copy())
        #expect(again.content == kept.content)
        let after = try #require(again.registry.entry(namespace: .default, key: key("web/two")))
        #expect(again.registry.identity(of: after)?.id == "same")
        #expect(kept.registry.identity(of: before)?.id == "same")
        #expect(again.registry.inconsistency == nil)
    }
}
