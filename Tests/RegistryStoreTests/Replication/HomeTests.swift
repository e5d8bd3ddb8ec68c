import RegdnsTestKit
import Testing

@testable import RegistryStore

/// Who counts a lease, as far as the store decides it.
struct HomeTests {
    /// A registration at `a` that `b` has heard of; heartbeats at `b` are passed on.
    private static func pair(forwards: Bool = true, heartbeatsMax: Int = 10) throws -> (SyncPair, LeaseID) {
        let pair = try SyncPair()
        if forwards { pair.b.registry.startForwarding(heartbeatsMax: heartbeatsMax) }
        try pair.a.register("s", "i", lease: .own(milliseconds: 10_000))
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        return (pair, try #require(pair.a.entry(id: "i")?.lease))
    }

    @Test("heartbeats of every door wait to be passed on, one for each lease, and publish nothing")
    func forwarding() throws {
        let (pair, lease) = try Self.pair()
        let revision = pair.b.registry.revision
        let key = pair.b.layout.primaryKey(service: "s", id: "i")
        try pair.b.registry.renew(namespace: .default, id: "i")
        pair.clock.advance(milliseconds: 5)
        try pair.b.registry.apply([.renew(namespace: .default, key: key)])
        #expect(try pair.b.registry.keepAlive(lease).home == "a")
        #expect(pair.b.registry.revision == revision)
        #expect(
            pair.b.registry.takeHeartbeats() == [ForwardedHeartbeat(id: lease, home: "a", at: pair.clock.now)])
        #expect(pair.b.registry.takeHeartbeats().isEmpty)
    }

    @Test("a put that repeats what is there is a heartbeat; one that changes anything makes the node the home")
    func repeatedPut() throws {
        let (pair, lease) = try Self.pair()
        let version = try #require(pair.b.entry(id: "i")?.version)
        try pair.b.register("s", "i", lease: .own(milliseconds: 10_000))
        #expect(pair.b.entry(id: "i")?.version == version)
        #expect(pair.b.registry.lease(lease)?.home == "a")
        #expect(pair.b.registry.takeHeartbeats().map(\.id) == [lease])
        try pair.b.register("s", "i", endpoint: "10.0.0.2:80", lease: .own(milliseconds: 10_000))
        #expect(pair.b.registry.lease(lease)?.home == "b")
        #expect(pair.b.registry.takeHeartbeats().isEmpty)
        #expect(pair.b.inconsistency == nil)
    }

    @Test("a granted lease that another node counts is forgotten with its last key", arguments: [true, false])
    func foreignGranted(isExpiry: Bool) throws {
        let pair = try SyncPair()
        pair.b.registry.startForwarding()
        let lease = try pair.a.registry.grantLease(id: nil, milliseconds: 10_000).id
        let keys: [[UInt8]] = [[1], [2]]
        try pair.a.registry.apply(
            keys.map { .put(namespace: .default, key: $0, value: .bytes([1]), lease: .shared(lease)) })
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        #expect(try pair.b.registry.keepAlive(lease).home == "a")
        try pair.a.registry.apply([.delete(namespace: .default, key: [1])])
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        #expect(pair.b.registry.lease(lease) != nil)
        if isExpiry {
            pair.clock.advance(milliseconds: 10_001)
            pair.a.registry.expireDue()
        } else {
            try pair.a.registry.apply([.delete(namespace: .default, key: [2])])
        }
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        #expect(throws: RegistryError.unknownLease(lease)) { try pair.b.registry.keepAlive(lease) }
        #expect(pair.b.registry.counts().leases == 0)
        #expect(pair.b.inconsistency == nil)
    }

    @Test("without room for a heartbeat the node becomes the home")
    func noRoom() throws {
        let (pair, lease) = try Self.pair(heartbeatsMax: 0)
        try pair.b.registry.renew(namespace: .default, id: "i")
        #expect(pair.b.registry.lease(lease)?.home == "b")
    }

    @Test(
        "a granted lease is known elsewhere as long as it has keys there, however they go",
        arguments: ["revoked", "deleted at home", "deleted elsewhere", "run out", "moved to another lease"])
    func grantedElsewhere(how: String) throws {
        let pair = try SyncPair()
        let (a, b) = (pair.a, pair.b)
        let lease = try a.registry.grantLease(id: LeaseID(77), milliseconds: 10_000).id
        let keys = (0..<3).map { a.key("k\($0)") }
        for key in keys { try a.put(key, "1", lease: .shared(lease)) }
        try SyncPair.sync(a.registry, to: b.registry)
        #expect(b.registry.lease(lease)?.home == "a")
        // Some keys left: it is still there.
        try a.delete(keys[0])
        try SyncPair.sync(a.registry, to: b.registry)
        #expect(b.registry.keys(of: lease).count == 2)
        switch how {
        case "revoked": try a.registry.revokeLease(lease)
        case "deleted at home": for key in keys { try a.delete(key) }
        case "deleted elsewhere": for key in keys { try b.delete(key) }
        case "run out":
            pair.clock.advance(milliseconds: 10_000)
            _ = a.registry.expireDue()
        default: for key in keys.dropFirst() { try a.put(key, "1", lease: .permanent) }
        }
        try SyncPair.sync(a.registry, to: b.registry)
        #expect(b.registry.lease(lease) == nil)
        #expect(b.registry.leases(includingOwn: true).isEmpty && b.registry.counts().leases == 0)
        #expect(throws: RegistryError.unknownLease(lease)) { try b.registry.keepAlive(lease) }
        // Its id is free, and its home has it as long as it runs.
        #expect(try b.registry.grantLease(id: lease, milliseconds: 5000).home == "b")
        #expect((a.registry.lease(lease) != nil) == !["revoked", "run out"].contains(how))
        #expect(a.inconsistency == nil && b.inconsistency == nil)
    }

    @Test("a granted lease whose last key goes and comes with one batch stays")
    func goneAndBack() throws {
        let pair = try SyncPair()
        let lease = try pair.a.registry.grantLease(id: LeaseID(77), milliseconds: 10_000).id
        try pair.a.put(pair.a.key("k0"), "1", lease: .shared(lease))
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        try pair.a.delete(pair.a.key("k0"))
        try pair.a.put(pair.a.key("k1"), "1", lease: .shared(lease))
        let operations = ["k0", "k1"].compactMap {
            pair.a.registry.operation(namespace: .default, key: pair.a.key($0))
        }
        pair.b.registry.merge(operations)
        #expect(pair.b.registry.keys(of: lease).map(\.key) == [pair.a.key("k1")])
        #expect(pair.b.inconsistency == nil)
    }

    @Test("a refused batch passes no heartbeat on")
    func rolledBack() throws {
        let (pair, _) = try Self.pair()
        let key = pair.b.layout.primaryKey(service: "s", id: "i")
        #expect(throws: RegistryError.self) {
            try pair.b.registry.apply([
                .renew(namespace: .default, key: key), .renew(namespace: .default, key: [1]),
            ])
        }
        #expect(pair.b.registry.takeHeartbeats().isEmpty)
    }

    @Test("a heartbeat from elsewhere counts from when it came there, never shortens, and not when it is too old")
    func forwarded() throws {
        let (pair, lease) = try Self.pair()
        let registry = pair.a.registry
        let unix = { pair.clock.registryClock.now.unix }
        pair.clock.advance(milliseconds: 6000)
        #expect(registry.renewForwarded([(id: lease, age: 1000)], sentUnix: unix()).isEmpty)
        #expect(registry.lease(lease)?.remainingMilliseconds == 9000)
        #expect(registry.renewForwarded([(id: lease, age: 5000)], sentUnix: unix()).isEmpty)
        #expect(registry.lease(lease)?.remainingMilliseconds == 9000)
        #expect(registry.renewForwarded([(id: lease, age: .min)], sentUnix: unix() - 20_000).isEmpty)
        #expect(registry.lease(lease)?.remainingMilliseconds == 10_000)
        pair.clock.advance(milliseconds: 1)
        #expect(registry.renewForwarded([(id: lease, age: 0)], sentUnix: unix() - 20_001) == [lease])
        #expect(registry.renewForwarded([(id: LeaseID(3), age: 0)], sentUnix: unix()) == [LeaseID(3)])
        #expect(pair.b.registry.renewForwarded([(id: lease, age: 0)], sentUnix: unix()) == [lease])
    }

    @Test("a steward ends what its home still counts, bound to the version; not what was taken over meanwhile")
    func steward() throws {
        let (pair, lease) = try Self.pair()
        #expect(pair.b.registry.homes() == ["a"])
        #expect(pair.b.registry.leases(countedBy: "a").map(\.id) == [lease])
        let due = pair.b.registry.describe([lease, LeaseID(9)], countedBy: "a")
        #expect(due == [DueLease(id: lease, namespace: .default, service: "s", serviceCount: 1)])
        #expect(pair.b.registry.expire([lease], countedBy: "c").changes.isEmpty)
        let version = try #require(pair.b.entry(id: "i")?.version)
        let change = try #require(pair.b.registry.expire([lease], countedBy: "a").changes.first)
        #expect(change.kind == .expiry)
        #expect(change.version.hlc == version.hlc)
        // The home counts it and it runs there: the expiry is answered by a write.
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        #expect(pair.a.entry(id: "i") != nil)
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        try pair.b.registry.adopt(lease)
        #expect(pair.b.registry.homes() == ["b"])
        #expect(pair.b.registry.expire([lease], countedBy: "a").changes.isEmpty)
        #expect(pair.b.registry.expire([lease], countedBy: "b").changes.isEmpty, "it runs")
        #expect(throws: RegistryError.unknownLease(LeaseID(9))) { try pair.b.registry.adopt(LeaseID(9)) }
    }

    @Test("leases that have run out are given again each second until somebody ends or renews them")
    func due() throws {
        let fixture = try Fixture()
        for index in 0..<3 { try fixture.register("s", "i\(index)", lease: .own(milliseconds: 1000)) }
        #expect(fixture.registry.dueLeases(limit: 10).isEmpty)
        fixture.clock.advance(milliseconds: 1100)
        let due = fixture.registry.dueLeases(limit: 10)
        #expect(due.map(\.serviceCount) == [3, 3, 3])
        #expect(fixture.registry.dueLeases(limit: 10).isEmpty)
        #expect(fixture.keys().count == 3)
        try fixture.registry.renew(namespace: .default, id: "i1")
        fixture.registry.expire([due[0].id], countedBy: fixture.registry.node)
        fixture.clock.advance(milliseconds: 1100)
        #expect(Set(fixture.registry.dueLeases(limit: 10).map(\.id)) == Set([due[1].id, due[2].id]))
        #expect(fixture.inconsistency == nil)
    }

    @Test("after a pause longer than half the shortest lease every lease runs its whole length again")
    func pause() throws {
        let fixture = try Fixture()
        try fixture.register("s", "short", lease: .own(milliseconds: 4000))
        try fixture.register("s", "long", lease: .own(milliseconds: 60_000))
        try fixture.register("s", "suspended", lease: .suspended(milliseconds: 10))
        fixture.clock.advance(milliseconds: 50_000)
        #expect(!fixture.registry.extendLeases(afterPause: 2000))
        #expect(fixture.registry.extendLeases(afterPause: 2001))
        #expect(fixture.registry.expireDue() == nil)
        fixture.clock.advance(milliseconds: 4100)
        #expect(fixture.registry.expireDue()?.changes.count == 1)
        fixture.clock.advance(milliseconds: 60_000)
        #expect(fixture.registry.expireDue()?.changes.count == 1)
        #expect(fixture.entry(id: "suspended") != nil)
    }

    @Test("a granted lease has the home that the greatest of its writes names, whatever the order")
    func sharedHome() throws {
        let operations = [("k1", 5, "n1"), ("k2", 9, "n2"), ("k3", 7, "n3")].map { name, hlc, home in
            var operation = MergeTests.operation(
                name, Version(hlc: UInt64(hlc) << 16, kind: .write, origin: 1, sequence: UInt64(hlc)))
            operation.lease = RemoteOperation.RemoteLease(
                id: LeaseID(5), milliseconds: 1000, isShared: true, isSuspended: false, home: home)
            return operation
        }
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let fixture = try Fixture()
            for index in order { fixture.registry.merge([operations[index]]) }
            #expect(fixture.registry.lease(LeaseID(5))?.home == "n2")
            #expect(fixture.registry.keys(of: LeaseID(5)).count == 3)
        }
    }

    @Test("numbers of homes are given again when no lease has them any more, and names are told apart by bytes")
    func homeNumbers() {
        var names = HomeNames(node: "here", capacity: 4)
        #expect(names.number(of: "here") == 0)
        #expect(["é", "e\u{301}", "c"].map { names.add($0, inUse: []) } == [1, 2, 3])
        #expect(names.isFull)
        #expect(names.number(of: "e\u{301}") == 2)
        #expect(names.add("d", inUse: [true, true, false, true]) == 2)
        #expect(names.number(of: "e\u{301}") == nil)
        #expect(names.number(of: "d") == 2)
        // No number is free: the last is shared, and nobody loses his.
        #expect(names.add("f", inUse: [false, true, true, true]) == 3)
        #expect(names.number(of: "f") == nil)
        #expect(names.number(of: "c") == 3)
    }
}
