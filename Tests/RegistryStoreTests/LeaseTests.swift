import RegdnsTestKit
import Testing

@testable import RegistryStore

/// Leases on the virtual clock.
struct LeaseTests {
    @Test("a lease ends its entry exactly when it runs out, and not before")
    func expiry() throws {
        let fixture = try Fixture()
        try fixture.register("web", "a", lease: .own(milliseconds: 30_000))
        let entry = try #require(fixture.entry(id: "a"))
        fixture.clock.advance(milliseconds: 29_999)
        #expect(fixture.registry.expireDue() == nil)
        #expect(fixture.registry.leaseInfo(of: entry)?.remainingMilliseconds == 1)
        fixture.clock.advance(milliseconds: 1)
        let receipt = try #require(fixture.registry.expireDue())
        #expect(receipt.changes.map(\.kind) == [.expiry])
        #expect(fixture.entry(id: "a") == nil)
        #expect(fixture.registry.leaseInfo(of: entry) == nil)
        #expect(fixture.registry.counts().leases == 0)
        #expect(fixture.registry.counts().expirations == 1)
        #expect(refusal { try fixture.registry.renew(namespace: .default, id: "a") } == .notFound(key: Array("a".utf8)))
    }

    @Test("a renewal restarts the lease, keeps the entry object and publishes nothing")
    func renewal() throws {
        let fixture = try Fixture()
        let observer = RecordingObserver()
        fixture.registry.addObserver(observer)
        try fixture.register("web", "a", lease: .own(milliseconds: 1000))
        let entry = try #require(fixture.entry(id: "a"))
        let start = try #require(fixture.registry.leaseInfo(of: entry)).renewedAt
        for _ in 0..<50 {
            fixture.clock.advance(milliseconds: 900)
            try fixture.registry.renew(namespace: .default, id: "a")
            #expect(fixture.registry.expireDue() == nil)
        }
        #expect(fixture.entry(id: "a") === entry)
        #expect(fixture.registry.revision == 1)
        #expect(observer.batches.count == 2)
        #expect(fixture.registry.leaseInfo(of: entry)?.renewedAt == start + 45_000)
        #expect(fixture.registry.deadlines.deadline(entry.deadlineSlot) == fixture.clock.now + 1000)
        fixture.clock.advance(milliseconds: 1000)
        #expect(fixture.registry.expireDue()?.changes.count == 1)
    }

    @Test("an intent renews by key; without a lease that is no error, without an entry it is")
    func renewIntent() throws {
        let fixture = try Fixture()
        try fixture.put(fixture.key("a"), #"{"host":"10.0.0.1"}"#, lease: .own(milliseconds: 1000))
        try fixture.put(fixture.key("b"), #"{"host":"10.0.0.1"}"#)
        fixture.clock.advance(milliseconds: 600)
        let receipt = try fixture.registry.apply([
            .renew(namespace: .default, key: fixture.key("a")), .renew(namespace: .default, key: fixture.key("b")),
        ])
        #expect(receipt.changes.isEmpty)
        #expect(receipt.revision == 2)
        fixture.clock.advance(milliseconds: 600)
        #expect(fixture.registry.expireDue() == nil)
        let gone = fixture.key("c")
        let error = refusal { try fixture.registry.apply([.renew(namespace: .default, key: gone)]) }
        #expect(error == .notFound(key: gone))
    }

    @Test(
        "an equal put is a heartbeat: same version, new local numbers, lease restarted",
        arguments: [true, false])
    func equalPut(isHTTP: Bool) throws {
        let fixture = try Fixture()
        let key = isHTTP ? fixture.layout.primaryKey(service: "web", id: "a") : fixture.key("x")
        let write = {
            if isHTTP {
                return try fixture.register("web", "a", tags: ["t"], lease: .own(milliseconds: 1000))
            }
            return try fixture.put(key, #"{"host":"10.0.0.1"}"#, lease: .own(milliseconds: 1000))
        }
        _ = try write()
        let first = try #require(fixture.entry(key))
        fixture.clock.advance(milliseconds: 900)
        let change = try #require(try write().changes.first)
        let second = try #require(fixture.entry(key))
        #expect(!change.contentChanged)
        #expect(change.previous === first)
        #expect(change.current === second)
        #expect(first !== second)
        #expect(second.version == first.version)
        #expect(second.modRevision == first.modRevision + 1)
        #expect(second.createRevision == first.createRevision)
        #expect(second.putCount == 2)
        #expect(second.registeredAt == first.registeredAt)
        #expect(second.lease == first.lease)
        #expect(second.deadlineSlot == first.deadlineSlot)
        #expect(second.instance === first.instance)
        fixture.clock.advance(milliseconds: 900)
        #expect(fixture.registry.expireDue() == nil)
    }

    @Test("another length or kind of lease is a change of content")
    func leaseKinds() throws {
        let fixture = try Fixture()
        let key = fixture.key("x")
        let value = #"{"host":"10.0.0.1"}"#
        let steps: [(LeaseRequest, Bool)] = [
            (.permanent, true), (.permanent, false), (.own(milliseconds: 1000), true), (.keep, false),
            (.own(milliseconds: 2000), true), (.suspended(milliseconds: 2000), true),
            (.suspended(milliseconds: 2000), false), (.keep, false), (.own(milliseconds: 2000), true),
            (.permanent, true),
        ]
        for (index, step) in steps.enumerated() {
            let change = try #require(try fixture.put(key, value, lease: step.0).changes.first)
            #expect(change.contentChanged == step.1, "step \(index)")
            #expect((change.current?.lease == nil) == (step.0 == .permanent), "step \(index)")
            #expect(fixture.registry.counts().leases == (step.0 == .permanent ? 0 : 1), "step \(index)")
        }
        let entry = try #require(fixture.entry(key))
        #expect(entry.deadlineSlot == LeaseDeadlines.none)
        #expect(fixture.registry.deadlines.deadline(entry.deadlineSlot) == .max)
    }

    @Test("keep does not restart the lease")
    func keepDoesNotRenew() throws {
        let fixture = try Fixture()
        let key = fixture.key("x")
        try fixture.put(key, #"{"host":"10.0.0.1"}"#, lease: .own(milliseconds: 1000))
        fixture.clock.advance(milliseconds: 700)
        try fixture.put(key, #"{"host":"10.0.0.2"}"#, lease: .keep)
        fixture.clock.advance(milliseconds: 300)
        #expect(fixture.registry.expireDue()?.changes.count == 1)
    }

    @Test("a shortened lease ends at its new time")
    func shortened() throws {
        let fixture = try Fixture()
        try fixture.register("web", "a", lease: .own(milliseconds: 600_000))
        try fixture.register("web", "a", lease: .own(milliseconds: 2000))
        fixture.clock.advance(milliseconds: 1999)
        #expect(fixture.registry.expireDue() == nil)
        fixture.clock.advance(milliseconds: 1)
        #expect(fixture.registry.expireDue() != nil)
    }

    @Test("a suspended lease does not run, and starts over when it is resumed")
    func suspended() throws {
        let fixture = try Fixture()
        try fixture.register("web", "a", status: "OUT_OF_SERVICE", lease: .suspended(milliseconds: 1000))
        let entry = try #require(fixture.entry(id: "a"))
        fixture.clock.advance(milliseconds: 1_000_000)
        #expect(fixture.registry.expireDue() == nil)
        let info = try #require(fixture.registry.leaseInfo(of: entry))
        #expect(info.isSuspended)
        #expect(info.remainingMilliseconds == nil)
        #expect(info.lengthMilliseconds == 1000)
        #expect(fixture.registry.deadlines.answerMilliseconds(entry.deadlineSlot, now: fixture.clock.now) == .max)
        try fixture.registry.renew(namespace: .default, id: "a")
        #expect(fixture.registry.leaseInfo(of: entry)?.renewedAt == info.renewedAt + 1_000_000)
        #expect(fixture.registry.leaseInfo(of: entry)?.isSuspended == true)

        try fixture.register("web", "a", lease: .own(milliseconds: 1000))
        fixture.clock.advance(milliseconds: 999)
        #expect(fixture.registry.expireDue() == nil)
        fixture.clock.advance(milliseconds: 1)
        #expect(fixture.registry.expireDue()?.changes.count == 1)
    }

    @Test("a granted lease ends all its keys in key order under one revision")
    func sharedExpiry() throws {
        let fixture = try Fixture()
        let lease = try fixture.registry.grantLease(id: LeaseID(42), milliseconds: 5000)
        for name in ["c", "a", "b"] {
            try fixture.put(fixture.key(name), #"{"host":"10.0.0.1"}"#, lease: .shared(lease.id))
        }
        let versions = fixture.registry.keys(of: lease.id).map(\.version.hlc)
        fixture.clock.advance(milliseconds: 4000)
        #expect(try fixture.registry.keepAlive(lease.id).remainingMilliseconds == 5000)
        fixture.clock.advance(milliseconds: 5000)
        let receipt = try #require(fixture.registry.expireDue())
        #expect(receipt.revision == 4)
        #expect(receipt.changes.map { text($0.key) } == ["a", "b", "c"].map { text(fixture.key($0)) })
        #expect(receipt.changes.allSatisfy { $0.kind == .expiry })
        #expect(receipt.changes.map(\.version.hlc) == versions, "an expiry is bound to the version it expires")
        #expect(fixture.registry.lease(lease.id) == nil)
    }

    @Test("revoke deletes in key order under one revision")
    func revoke() throws {
        let fixture = try Fixture()
        let lease = try fixture.registry.grantLease(id: nil, milliseconds: 5000)
        for index in (0..<200).reversed() {
            try fixture.put(fixture.key("k\(1000 + index)"), "v", lease: .shared(lease.id))
        }
        #expect(fixture.registry.keys(of: lease.id).count == 200)
        let receipt = try fixture.registry.revokeLease(lease.id)
        #expect(receipt.revision == 201)
        #expect(receipt.changes.map { text($0.key) } == (0..<200).map { text(fixture.key("k\(1000 + $0)")) })
        #expect(receipt.changes.allSatisfy { $0.kind == .delete && $0.current == nil })
        #expect(refusal { try fixture.registry.revokeLease(lease.id) } == .unknownLease(lease.id))
        #expect(refusal { _ = try fixture.registry.keepAlive(lease.id) } == .unknownLease(lease.id))
        #expect(fixture.registry.counts().entries == 0)
    }

    @Test("a lease without keys ends silently; its id can be granted again")
    func regrant() throws {
        let fixture = try Fixture()
        let id = LeaseID(7)
        _ = try fixture.registry.grantLease(id: id, milliseconds: 1000)
        #expect(refusal { _ = try fixture.registry.grantLease(id: id, milliseconds: 1000) } == .leaseExists(id))
        #expect(fixture.registry.leases() == [id])
        fixture.clock.advance(milliseconds: 1000)
        #expect(fixture.registry.expireDue() == nil)
        #expect(fixture.registry.leases().isEmpty)
        #expect(fixture.registry.revision == 0)
        #expect(try fixture.registry.grantLease(id: id, milliseconds: 2000).lengthMilliseconds == 2000)
        try fixture.put(fixture.key("a"), "v", lease: .shared(id))
        #expect(fixture.registry.keys(of: id).count == 1)
        #expect(fixture.registry.leaseInfo(of: try #require(fixture.entry(fixture.key("a"))))?.home == "node-1")
    }

    @Test("a put moves a key from lease to lease and off it")
    func moves() throws {
        let fixture = try Fixture()
        let first = try fixture.registry.grantLease(id: LeaseID(1), milliseconds: 1000).id
        let second = try fixture.registry.grantLease(id: LeaseID(2), milliseconds: 2000).id
        let key = fixture.key("a")
        try fixture.put(key, "v", lease: .shared(first))
        try fixture.put(key, "v", lease: .shared(second))
        #expect(fixture.registry.keys(of: first).isEmpty)
        #expect(fixture.registry.keys(of: second).map(\.key) == [key])
        try fixture.put(key, "v", lease: .permanent)
        #expect(fixture.registry.keys(of: second).isEmpty)
        fixture.clock.advance(milliseconds: 5000)
        #expect(fixture.registry.expireDue() == nil)
        #expect(fixture.entry(key) != nil)
        #expect(refusal { try fixture.put(key, "v", lease: .shared(second)) } == .unknownLease(second))
    }

    @Test("the lease of one entry can be looked up, kept alive and revoked, but not shared")
    func ownLeaseByID() throws {
        let fixture = try Fixture()
        let key = fixture.key("a")
        try fixture.put(key, "v", lease: .own(milliseconds: 1000))
        let lease = try #require(fixture.entry(key)?.lease)
        #expect(lease.rawValue > 0)
        #expect(fixture.registry.leases().isEmpty)
        #expect(fixture.registry.leases(includingOwn: true) == [lease])
        fixture.clock.advance(milliseconds: 900)
        #expect(try fixture.registry.keepAlive(lease).remainingMilliseconds == 1000)
        #expect(refusal { try fixture.put(fixture.key("b"), "v", lease: .shared(lease)) } == .unknownLease(lease))
        #expect(try fixture.put(key, "v", lease: .shared(lease)).changes.first?.contentChanged == false)
        #expect(try fixture.registry.revokeLease(lease).changes.count == 1)
        #expect(fixture.registry.lease(lease) == nil)
    }

    @Test("an id of a lease that is gone never means another one")
    func noIDReuse() throws {
        let fixture = try Fixture()
        var seen: Set<LeaseID> = []
        for index in 0..<1000 {
            let key = fixture.key("k\(index)")
            try fixture.put(key, "v", lease: .own(milliseconds: 1000))
            let lease = try #require(fixture.entry(key)?.lease)
            #expect(seen.insert(lease).inserted)
            try fixture.delete(key)
            #expect(fixture.registry.lease(lease) == nil)
        }
    }

    @Test("any renewal before the sweep keeps an entry whose time was over")
    func lateRenewal() throws {
        let fixture = try Fixture()
        try fixture.register("web", "a", lease: .own(milliseconds: 1000))
        fixture.clock.advance(milliseconds: 1050)
        try fixture.registry.renew(namespace: .default, id: "a")
        #expect(fixture.registry.expireDue() == nil)
    }

    @Test("many leases at once: each ends in its order, none early, none late")
    func massExpiry() throws {
        let fixture = try Fixture()
        var random = SeededRandom.fromEnvironment()
        var deadlines: [String: Int64] = [:]
        for index in 0..<500 {
            let length = Int64(random.below(700_000)) + 1
            try fixture.register("s", "i\(index)", lease: .own(milliseconds: length))
            deadlines["i\(index)"] = fixture.clock.now + length
            if index % 10 == 0 { fixture.clock.advance(milliseconds: 1) }
        }
        var last = Int64.min
        while !deadlines.isEmpty {
            // Small steps, steps over a bucket, and now and then one over the whole wheel.
            fixture.clock.advance(milliseconds: Int64([1, 63, 64, 5000, 300_000][random.below(5)]))
            for change in fixture.registry.expireDue()?.changes ?? [] {
                let id = try #require(change.previous?.instance?.id)
                let deadline = deadlines.removeValue(forKey: id) ?? .max
                #expect(deadline <= fixture.clock.now, "seed \(random.seed)")
                #expect(deadline >= last, "seed \(random.seed)")
                last = deadline
            }
            let earliest = deadlines.values.min()
            #expect(earliest ?? .max > fixture.clock.now, "seed \(random.seed)")
            #expect(fixture.registry.nextDeadline() == earliest, "seed \(random.seed)")
        }
    }

    @Test("one call ends a bounded number of leases; the next goes on")
    func boundedSweep() throws {
        var limits = RegistryLimits()
        limits.expiriesPerCall = 10
        let fixture = try Fixture(limits: limits)
        for index in 0..<25 { try fixture.register("s", "i\(index)", lease: .own(milliseconds: 1000)) }
        fixture.clock.advance(milliseconds: 5000)
        #expect((0..<4).map { _ in fixture.registry.expireDue()?.changes.count } == [10, 10, 5, nil])
    }
}
