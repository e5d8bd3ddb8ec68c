import RegdnsTestKit
import Synchronization
import Testing

@testable import RegistryStore

/// What time does to a node of a cluster: origins end, and who was alone for too long begins anew.
struct ClusterLifeTests {
    private static let hour: Int64 = 3_600_000

    /// Lets hours pass as a running node does.
    private static func pass(_ hours: Int, _ pair: SyncPair) {
        for _ in 0..<hours {
            pair.clock.advance(milliseconds: hour)
            for fixture in [pair.a, pair.b] { fixture.registry.expireDue() }
        }
    }

    @Test("an origin without entries and tombstones is forgotten a day after the time of tombstones, everywhere")
    func idleOrigins() throws {
        let pair = try SyncPair()
        let third = try Fixture(node: "c", origin: 0xc3, clock: pair.clock)
        try third.register("s", "i", lease: .own(milliseconds: 1000))
        let key = third.layout.primaryKey(service: "s", id: "i")
        let write = try #require(third.registry.operation(namespace: .default, key: key))
        try third.delete(key)
        let delete = try #require(third.registry.operation(namespace: .default, key: key))
        pair.a.registry.merge([write, delete])
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        #expect(pair.b.registry.context().completeHead(origin: 0xc3) == 2)
        Self.pass(47, pair)
        #expect(pair.a.registry.context().origins[0xc3] != nil)
        Self.pass(3, pair)
        // They were given the origin at different times, and a late session does not bring it back for another 48 h.
        let isKnown = [pair.a, pair.b].map { $0.registry.context().origins[0xc3] != nil }
        if isKnown.contains(true) {
            try SyncPair.sync(pair.a.registry, to: pair.b.registry)
            try SyncPair.sync(pair.b.registry, to: pair.a.registry)
            Self.pass(26, pair)
        }
        for fixture in [pair.a, pair.b] {
            #expect(fixture.registry.context().origins[0xc3] == nil)
            let floors = fixture.registry.state.withLock { $0.core.tombstones.floors }
            #expect(floors[0xc3] == nil)
            #expect(fixture.registry.counts().origins == 0)
        }
    }

    @Test("an origin that is told of again keeps the age that it has elsewhere")
    func idleAge() throws {
        let pair = try SyncPair()
        let row = SyncOrigin(origin: 9, head: 4, gaps: [], floor: 4, idleMilliseconds: 47 * Self.hour)
        var page = SyncPage(number: 0)
        page.opening = .delta
        page.end = .complete([row])
        var session = pair.a.registry.beginSession()
        try pair.a.registry.receive(page, in: &session)
        #expect(pair.a.registry.context().completeHead(origin: 9) == 4)
        Self.pass(2, pair)
        #expect(pair.a.registry.context().origins[9] == nil)
    }

    @Test("an origin with an entry is never forgotten")
    func liveOrigin() throws {
        let pair = try SyncPair()
        try pair.a.put(pair.a.key("k"), "v")
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        Self.pass(24 * 5, pair)
        #expect(pair.b.registry.context().completeHead(origin: 0xa1) == 1)
    }

    @Test("a node that was alone too long drops what may have been removed and keeps what is renewed there")
    func startFresh() throws {
        let pair = try SyncPair()
        try pair.a.register("s", "foreign", lease: .own(milliseconds: 1000))
        try pair.a.put(pair.a.key("permanent"), "v")
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        try pair.b.register("s", "own", lease: .own(milliseconds: 26 * Self.hour))
        #expect(!pair.b.registry.wasAloneTooLong)
        pair.clock.advance(milliseconds: 24 * Self.hour)
        #expect(!pair.b.registry.wasAloneTooLong)
        pair.clock.advance(milliseconds: 1)
        #expect(pair.b.registry.wasAloneTooLong)
        let before = try #require(pair.b.entry(id: "own")?.version)
        pair.b.registry.startFresh(origin: 0xb3)
        #expect(!pair.b.registry.wasAloneTooLong)
        #expect(pair.b.registry.origin == 0xb3)
        #expect(pair.b.entry(id: "foreign") == nil)
        #expect(pair.b.entry(pair.b.key("permanent")) != nil, "its removal would still be remembered by others")
        let after = try #require(pair.b.entry(id: "own")?.version)
        #expect(after > before)
        #expect(after.origin == 0xb3)
        #expect(pair.b.inconsistency == nil)
        // What the others still have comes again.
        try pair.a.registry.renew(namespace: .default, id: "foreign")
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        #expect(pair.b.entry(id: "foreign") != nil)
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        #expect(pair.a.registry.summary() == pair.b.registry.summary())
        pair.clock.advance(milliseconds: 31 * 24 * Self.hour)
        pair.b.registry.startFresh(origin: 0xb4)
        #expect(pair.b.keys().isEmpty)
    }

    @Test("what only got time after a pause is not kept over a fresh start", arguments: [false, true])
    func startFreshAfterPause(isRenewed: Bool) throws {
        let pair = try SyncPair()
        try pair.b.register("s", "own", lease: .own(milliseconds: 26 * Self.hour))
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        let pause = 25 * Self.hour
        pair.clock.advance(milliseconds: pause)
        #expect(pair.b.registry.extendLeases(afterPause: pause))
        pair.clock.advance(milliseconds: 100)
        if isRenewed { try pair.b.registry.renew(namespace: .default, id: "own") }
        pair.b.registry.startFresh(origin: 0xb3)
        #expect((pair.b.entry(id: "own") != nil) == isRenewed)
        #expect(pair.b.inconsistency == nil)
    }

    @Test("others hear what a node wrote and removed alone before it began anew")
    func startFreshTells() throws {
        let pair = try SyncPair()
        try pair.a.put(pair.a.key("gone"), "1")
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        pair.clock.advance(milliseconds: 25 * Self.hour)
        try pair.b.delete(pair.b.key("gone"))
        try pair.b.put(pair.b.key("new"), "1")
        pair.b.registry.startFresh(origin: 0xb3)
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        #expect(pair.b.keys() == [text(pair.b.key("new"))])
        #expect(pair.a.registry.compare(with: pair.b.registry.digest()) == .lacking)
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        #expect(pair.a.keys() == pair.b.keys())
        #expect(pair.a.registry.agrees(with: pair.b.registry.summary()))
    }

    @Test("a node that agrees with a peer is not alone")
    func agreement() throws {
        let pair = try SyncPair()
        try pair.a.put(pair.a.key("permanent"), "v")
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        pair.clock.advance(milliseconds: 25 * Self.hour)
        #expect(pair.b.registry.agrees(with: pair.a.registry.summary()))
        #expect(!pair.b.registry.wasAloneTooLong)
        pair.clock.advance(milliseconds: 25 * Self.hour)
        #expect(pair.b.registry.compare(with: pair.a.registry.digest()) == .covered)
        #expect(!pair.b.registry.wasAloneTooLong)
    }

    @Test("digests say who lacks what, and when two nodes that should agree do not")
    func verdicts() throws {
        let pair = try SyncPair()
        #expect(pair.b.registry.compare(with: pair.a.registry.digest()) == .covered)
        try pair.a.put(pair.a.key("a"), "1")
        #expect(pair.b.registry.compare(with: pair.a.registry.digest()) == .lacking)
        #expect(pair.a.registry.compare(with: pair.b.registry.digest()) == .covered)
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        try pair.b.put(pair.b.key("b"), "1")
        #expect(pair.b.registry.compare(with: pair.a.registry.digest()) == .covered)
        #expect(pair.a.registry.compare(with: pair.b.registry.digest()) == .lacking)
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        // A claim without the operation: a fault that nothing but the hashes shows.
        try pair.a.put(pair.a.key("c"), "1")
        pair.b.registry.state.withLock { $0.core.context.setAll(origin: 0xa1, through: 2) }
        #expect(pair.b.registry.compare(with: pair.a.registry.digest()) == .diverged)
        #expect(pair.a.registry.compare(with: pair.b.registry.digest()) == .diverged)
    }

    @Test("an operation that claims to be this process's own is not believed")
    func forgedOrigin() throws {
        let pair = try SyncPair()
        let forged = RemoteOperation(
            namespace: .default, key: pair.a.key("x"),
            version: Version(hlc: .max, kind: .write, origin: 0xa1, sequence: .max), value: .bytes([1]))
        #expect(pair.a.registry.merge([forged]).changes.isEmpty)
        try pair.a.put(pair.a.key("x"), "1")
        #expect(pair.a.registry.context().completeHead(origin: 0xa1) == 1)
    }
}
