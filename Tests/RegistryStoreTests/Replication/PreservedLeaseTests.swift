import RegdnsTestKit
import Testing

@testable import RegistryStore

/// Leases that are over and that somebody decided to keep.
struct PreservedLeaseTests {
    private static func preserved(_ fixture: Fixture, _ id: String) -> Bool {
        fixture.entry(id: id).map { fixture.registry.deadlines.isPreserved($0.deadlineSlot) } ?? false
    }

    /// Some instances whose leases are over; the second is not preserved.
    private static func fixture() throws -> (Fixture, [LeaseID]) {
        let fixture = try Fixture()
        for index in 0..<3 { try fixture.register("s", "i\(index)", lease: .own(milliseconds: 1000)) }
        fixture.clock.advance(milliseconds: 1100)
        let due = fixture.registry.dueLeases(limit: 10).map(\.id)
        fixture.registry.preserve([due[0], due[2], LeaseID(9)], countedBy: fixture.registry.node)
        return (fixture, due)
    }

    @Test("what is preserved is known by its slot, has nothing left, and comes up each second as such")
    func marks() throws {
        let (fixture, due) = try Self.fixture()
        let registry = fixture.registry
        #expect(registry.deadlines.preservedCount == 2)
        #expect(registry.ownLeases().counted == 3)
        #expect(registry.ownLeases().preserved == 2)
        #expect((0..<3).map { Self.preserved(fixture, "i\($0)") } == [true, false, true])
        let slot = try #require(fixture.entry(id: "i0")).deadlineSlot
        #expect(registry.deadlines.answerMilliseconds(slot, now: fixture.clock.now) == 5000)
        #expect(registry.lease(due[0])?.remainingMilliseconds == 0)
        for _ in 0..<3 {
            fixture.clock.advance(milliseconds: 1100)
            let again = registry.dueLeases(limit: 10)
            #expect(again.filter(\.isPreserved).map(\.id).sorted() == [due[0], due[2]].sorted())
            #expect(again.count == 3)
        }
        #expect(fixture.inconsistency == nil)
    }

    @Test("a lease that runs is not preserved, nor one that another node counts")
    func running() throws {
        let fixture = try Fixture()
        try fixture.register("s", "i", lease: .own(milliseconds: 1000))
        let lease = try #require(fixture.entry(id: "i")?.lease)
        fixture.registry.preserve([lease], countedBy: fixture.registry.node)
        #expect(fixture.registry.deadlines.preservedCount == 0)
        fixture.clock.advance(milliseconds: 2000)
        fixture.registry.preserve([lease], countedBy: "another")
        #expect(fixture.registry.deadlines.preservedCount == 0)
    }

    enum Way: CaseIterable {
        case heartbeat, equalPut, otherPut, permanentPut, forwarded, pause, expiry, delete
    }

    @Test("every way to renew or end a lease takes the mark off it", arguments: Way.allCases)
    func ends(way: Way) throws {
        let (fixture, due) = try Self.fixture()
        let registry = fixture.registry
        let unix = fixture.clock.registryClock.now.unix
        switch way {
        case .heartbeat: try registry.renew(namespace: .default, id: "i0")
        case .equalPut: try fixture.register("s", "i0", lease: .own(milliseconds: 1000))
        case .otherPut: try fixture.register("s", "i0", lease: .own(milliseconds: 7000))
        case .permanentPut: try fixture.register("s", "i0", lease: .permanent)
        case .forwarded: #expect(registry.renewForwarded([(id: due[0], age: 10)], sentUnix: unix).isEmpty)
        case .pause: #expect(registry.extendLeases(afterPause: 600))
        case .expiry: #expect(registry.expire([due[0]], countedBy: registry.node).changes.count == 1)
        case .delete: try registry.apply([.delete(namespace: .default, key: fixture.registryKey("i0"))])
        }
        #expect(!Self.preserved(fixture, "i0"))
        #expect(registry.deadlines.preservedCount == (way == .pause ? 0 : 1))
        #expect(registry.ownLeases().preserved == (way == .pause ? 0 : 1))
        #expect(registry.ownLeases().counted == ([.expiry, .delete, .permanentPut].contains(way) ? 2 : 3))
        // A slot that is used again begins without.
        try fixture.register("s", "new", lease: .own(milliseconds: 1000))
        #expect(!Self.preserved(fixture, "new"))
        #expect(fixture.inconsistency == nil)
    }

    @Test("a batch that is taken back leaves the mark, and the lease comes up again")
    func rollBack() throws {
        let (fixture, due) = try Self.fixture()
        #expect(throws: RegistryError.self) {
            try fixture.registry.apply([
                .renew(namespace: .default, key: fixture.registryKey("i0")),
                .put(namespace: .default, key: [], value: .bytes([]), lease: .permanent),
            ])
        }
        #expect(Self.preserved(fixture, "i0"))
        #expect(fixture.registry.ownLeases().preserved == 2)
        fixture.clock.advance(milliseconds: 1100)
        #expect(fixture.registry.dueLeases(limit: 10).contains { $0.id == due[0] && $0.isPreserved })
        #expect(fixture.inconsistency == nil)
    }

    @Test("a steward's mark goes when the home counts again, writes, or another node becomes the home")
    func steward() throws {
        let pair = try SyncPair()
        for id in ["x", "y", "z"] { try pair.a.register("s", id, lease: .own(milliseconds: 10_001)) }
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        let registry = pair.b.registry
        let leases = ["x", "y", "z"].compactMap { pair.b.entry(id: $0)?.lease }
        func answered(_ id: String) -> Int64? {
            pair.b.entry(id: id).map { registry.deadlines.answerMilliseconds($0.deadlineSlot, now: pair.clock.now) }
        }
        // A length that is odd must not look like a mark.
        #expect(registry.deadlines.preservedCount == 0 && !Self.preserved(pair.b, "x"))
        registry.preserve(leases, countedBy: "a")
        #expect(registry.deadlines.preservedCount == 3)
        #expect(registry.ownLeases().counted == 0)
        #expect(answered("x") == 5000)
        #expect(registry.describe(leases, countedBy: "a").map(\.isPreserved) == [true, true, true])
        try registry.adopt(leases[0])
        try pair.a.register("s", "y", lease: .own(milliseconds: 60_000))
        try SyncPair.sync(pair.a.registry, to: registry)
        #expect(["x", "y", "z"].map { Self.preserved(pair.b, $0) } == [false, false, true])
        registry.endPreserving(countedBy: "c")
        #expect(registry.deadlines.preservedCount == 1)
        registry.endPreserving(countedBy: "a")
        #expect(registry.deadlines.preservedCount == 0)
        #expect(answered("z") == 5000, "half of its length, as of any that another node counts")
        #expect(answered("y") == 30_000)
        #expect(pair.b.inconsistency == nil)
    }
}

extension Fixture {
    fileprivate func registryKey(_ id: String) -> [UInt8] { layout.primaryKey(service: "s", id: id) }
}
