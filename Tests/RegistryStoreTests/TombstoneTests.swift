import RegdnsTestKit
import Synchronization
import Testing

@testable import RegistryStore

/// Removed entries stay removed.
struct TombstoneTests {
    private func write(_ fixture: Fixture, _ name: String, hlc: UInt64, sequence: UInt64 = 1) -> RemoteOperation {
        RemoteOperation(
            namespace: .default, key: fixture.key(name),
            version: Version(hlc: hlc, kind: .write, origin: 1, sequence: sequence), value: .bytes([1]))
    }

    @Test("an older write does not bring a deleted entry back, a newer one does")
    func noResurrection() throws {
        let fixture = try Fixture()
        try fixture.put(fixture.key("a"), "v")
        let deletion = try fixture.delete(fixture.key("a")).changes[0].version
        #expect(fixture.registry.counts().tombstones == 1)
        #expect(fixture.registry.merge([write(fixture, "a", hlc: deletion.hlc)]).changes.isEmpty)
        #expect(fixture.entry(fixture.key("a")) == nil)
        #expect(fixture.registry.merge([write(fixture, "a", hlc: deletion.hlc + 1, sequence: 2)]).changes.count == 1)
        #expect(fixture.entry(fixture.key("a")) != nil)
        #expect(fixture.registry.counts().tombstones == 0)
    }

    @Test("a removal that comes before its write is remembered")
    func removalFirst() throws {
        let fixture = try Fixture()
        var removal = write(fixture, "a", hlc: 9 << 16, sequence: 2)
        removal.version.kind = .delete
        removal.value = nil
        #expect(fixture.registry.merge([removal]).changes.isEmpty)
        #expect(fixture.registry.counts().tombstones == 1)
        #expect(fixture.registry.merge([write(fixture, "a", hlc: 9 << 16)]).changes.isEmpty)
    }

    @Test("a put over a tombstone is newer than the removal even when the wall clock went back")
    func wallClockGoesBack() throws {
        let fixture = try Fixture()
        try fixture.put(fixture.key("a"), "v")
        let removal = try fixture.delete(fixture.key("a")).changes[0].version
        fixture.clock.shiftWallClock(milliseconds: -3_600_000)
        let version = try fixture.put(fixture.key("a"), "v").changes[0].version
        #expect(version > removal)
    }

    @Test("tombstones are kept for a day, those of entries without lease for a month")
    func retention() throws {
        let fixture = try Fixture()
        try fixture.put(fixture.key("leased"), "v", lease: .own(milliseconds: 1000))
        try fixture.put(fixture.key("permanent"), "v")
        try fixture.delete(fixture.key("leased"))
        try fixture.delete(fixture.key("permanent"))
        let day = Int64(24 * 3_600_000)
        fixture.clock.advance(milliseconds: day - 1)
        fixture.registry.expireDue()
        #expect(fixture.registry.counts().tombstones == 2)
        fixture.clock.advance(milliseconds: 1)
        fixture.registry.expireDue()
        #expect(fixture.registry.counts().tombstones == 1)
        #expect(fixture.registry.state.withLock { $0.core.tombstones.floors } == [7: 3])
        fixture.clock.advance(milliseconds: 29 * day)
        fixture.registry.expireDue()
        #expect(fixture.registry.counts().tombstones == 0)
        #expect(fixture.registry.counts().tombstoneBytes == 0)
    }

    @Test("an operation taken over before is ignored even without its tombstone")
    func knownOperation() throws {
        let fixture = try Fixture()
        let old = write(fixture, "a", hlc: 9 << 16)
        #expect(fixture.registry.merge([old]).changes.count == 1)
        try fixture.delete(fixture.key("a"))
        fixture.clock.advance(milliseconds: 40 * 24 * 3_600_000)
        fixture.registry.expireDue()
        #expect(fixture.registry.counts().tombstones == 0)
        #expect(fixture.registry.merge([old]).changes.isEmpty)
        #expect(fixture.entry(fixture.key("a")) == nil)
    }

    @Test("under the memory bound the oldest are given up and counted")
    func memoryBound() throws {
        var limits = RegistryLimits()
        limits.tombstoneBytes = 20_000
        let fixture = try Fixture(limits: limits)
        for index in 0..<500 {
            try fixture.put(
                fixture.key("k\(index)"), "v", lease: index % 2 == 0 ? .permanent : .own(milliseconds: 9000))
            try fixture.delete(fixture.key("k\(index)"))
            fixture.clock.advance(milliseconds: 1)
        }
        let counts = fixture.registry.counts()
        #expect(counts.tombstoneBytes <= 20_000)
        #expect(counts.tombstones + counts.tombstonesEvicted == 500)
        #expect(counts.tombstones > 50)
        let kept = fixture.registry.state.withLock { $0.core.tombstones.all().map { text($0.key) } }
        #expect(kept.contains(text(fixture.key("k499"))))
        #expect(!kept.contains(text(fixture.key("k0"))))
        #expect(fixture.registry.state.withLock { $0.core.tombstones.floors[7] } ?? 0 > 100)
    }

    @Test("a key that comes and goes for ever leaves one tombstone")
    func flapping() throws {
        let fixture = try Fixture()
        for index in 0..<3000 {
            try fixture.put(fixture.key("a"), "v", lease: index % 2 == 0 ? .permanent : .own(milliseconds: 9000))
            try fixture.delete(fixture.key("a"))
        }
        let counts = fixture.registry.counts()
        #expect(counts.tombstones == 1)
        #expect(counts.tombstoneBytes == fixture.registry.state.withLock { $0.core.tombstones.all()[0].cost })
    }

    @Test(
        "tombstones go in the order in which they came, whatever was written again meanwhile",
        arguments: 0..<20 * SeededRandom.effort)
    func order(round: Int) throws {
        var random = SeededRandom(seed: UInt64(round))
        let fixture = try Fixture()
        var removedAt: [String: Int64] = [:]
        for _ in 0..<300 {
            let key = fixture.key("k\(random.below(60))")
            fixture.clock.advance(milliseconds: Int64(random.below(500)))
            try fixture.put(key, "v", lease: .own(milliseconds: 1_000_000))
            removedAt[text(key)] = nil
            if random.below(3) > 0 {
                try fixture.delete(key)
                removedAt[text(key)] = fixture.clock.now
            }
        }
        let day = Int64(24 * 3_600_000)
        fixture.clock.advance(milliseconds: day - 40_000)
        for _ in 0..<80 {
            fixture.clock.advance(milliseconds: 1000)
            fixture.registry.expireDue()
            let kept = fixture.registry.state.withLock { $0.core.tombstones.all() }
            let expected = removedAt.filter { $0.value + day > fixture.clock.now }
            // Entries that ran out on the way have tombstones of their own.
            let old = kept.filter { expected[text($0.key)] == $0.removedAt }
            #expect(old.count == expected.count, "seed \(random.seed)")
        }
    }
}
