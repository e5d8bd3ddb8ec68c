import DNSWire
import RegdnsTestKit
import Testing

@testable import RegistryStore

/// The registry as the copy of an external store.
struct MirrorTests {
    private let clock = VirtualClock()
    private let layout: KeyLayout

    init() throws { layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local")) }

    private func make(_ limits: RegistryLimits = .init()) -> Registry {
        Registry(
            layout: layout, node: "n", origin: 1, limits: limits, clock: clock.registryClock, isMirror: true)
    }

    private func key(_ path: String) -> [UInt8] { Array("/skydns/local/skydns/\(path)".utf8) }

    private func put(_ path: String, _ value: String, at revision: Int64, lease: Int64 = 0, version: Int64 = 1)
        -> MirrorChange
    {
        .put(
            MirroredValue(
                key: key(path), value: Array(value.utf8), lease: lease == 0 ? nil : LeaseID(lease),
                createRevision: revision &- version &+ 1, modRevision: revision, putCount: version))
    }

    private func bound(_ registry: Registry, _ path: String) -> Int64? {
        registry.entry(namespace: .default, key: key(path)).map {
            registry.deadlines.answerMilliseconds($0.deadlineSlot, now: clock.now)
        }
    }

    @Test("entries carry the other store's numbers, and batches its revisions")
    func numbers() throws {
        let registry = make()
        registry.mirror([put("a", #"{"host":"10.0.0.1"}"#, at: 40, version: 3)], revision: 41, restarts: true)
        let entry = try #require(registry.entry(namespace: .default, key: key("a")))
        #expect((entry.createRevision, entry.modRevision, entry.putCount) == (38, 40, 3))
        #expect(registry.revision == 41)
        registry.mirror([.delete(key: key("a")), .delete(key: key("none"))], revision: 50)
        #expect(registry.revision == 50)
        #expect(try registry.changes(after: 41).map(\.revision) == [50])
        #expect(throws: RegistryError.compacted(oldest: 42)) { _ = try registry.changes(after: 40) }
        // A repair of the same revision is a batch of its own.
        let repair = registry.mirror([put("b", "x", at: 45)], revision: 50)
        #expect(repair.receipt.revision == 51)
        #expect(registry.inconsistency == nil)
    }

    @Test("a cluster that gives absurd revisions stops nothing", arguments: [Int64.max, .max - 1, .min, -1])
    func absurdRevisions(revision: Int64) throws {
        let registry = make()
        registry.mirror([put("a", "1", at: 1)], revision: 1, restarts: true)
        registry.mirror([put("b", "1", at: revision)], revision: revision)
        registry.mirror([put("b", "2", at: revision)], revision: revision)
        registry.mirror([put("c", "1", at: 5)], revision: 5)
        let plan = try registry.plan([
            .put(namespace: .default, key: key("d"), value: .bytes([1]), lease: .permanent)
        ])
        #expect(plan.count == 1)
        registry.mirror([put("a", "1", at: revision)], revision: revision, restarts: true)
        registry.mirror([.delete(key: key("a"))], revision: revision)
        #expect(throws: RegistryError.self) { _ = try registry.changes(after: .min) }
        _ = try? registry.changes(after: registry.revision)
        try? registry.compact(through: registry.revision)
        #expect(registry.entry(namespace: .default, key: key("a")) == nil)
        #expect(registry.inconsistency == nil)
        // The next list of a cluster that is one brings its numbers.
        registry.mirror([put("a", "1", at: 7)], revision: 7, restarts: true)
        #expect(registry.revision == 7)
    }

    @Test("another history: the revision goes back and those who wait are woken")
    func restart() async throws {
        let registry = make()
        registry.mirror([put("a", "1", at: 90)], revision: 100, restarts: true)
        let waiter = Task { try await registry.waitForChange(after: 200) }
        while registry.counts().waiters == 0 { await Task.yield() }
        let observer = RecordingObserver()
        registry.addObserver(observer)
        registry.mirror([.delete(key: key("a")), put("b", "2", at: 4)], revision: 5, restarts: true)
        #expect(try await waiter.value == 5)
        #expect(registry.revision == 5)
        #expect(observer.batches.last?.revision == 5)
        #expect(throws: RegistryError.futureRevision(current: 5)) { _ = try registry.changes(after: 100) }
        #expect(throws: RegistryError.compacted(oldest: 6)) { _ = try registry.changes(after: 4) }
        #expect(try registry.changes(after: 5).isEmpty)
        registry.mirror([], revision: 7)
        #expect(registry.revision == 7)
        #expect(registry.inconsistency == nil)
    }

    @Test("leases bound answers as far as they are known, never end here, and go with their last key")
    func leases() throws {
        let registry = make()
        let first = registry.mirror(
            [put("a", "x", at: 2, lease: 9), put("b", "x", at: 3, lease: 9)], revision: 3, restarts: true)
        #expect(first.newLeases == [LeaseID(9)])
        #expect(bound(registry, "a") == 3_600_000, "nothing is known of it")
        #expect(registry.lease(LeaseID(9)) == nil)
        #expect(registry.setMirroredLease(LeaseID(9), lengthMilliseconds: 20_000, remainingMilliseconds: 8_000))
        #expect(bound(registry, "a") == 8_000)
        #expect(registry.lease(LeaseID(9))?.remainingMilliseconds == 8_000)
        clock.advance(milliseconds: 9_000)
        #expect(registry.expireDue() == nil)
        #expect(registry.counts().entries == 2)
        #expect(bound(registry, "a") == 10_000, "somebody renewed it: half of its length")
        #expect(registry.setMirroredLease(LeaseID(9), lengthMilliseconds: 20_000, remainingMilliseconds: 20_000))
        #expect(bound(registry, "b") == 20_000)
        registry.mirror([.delete(key: key("a"))], revision: 4)
        #expect(registry.hasLease(LeaseID(9)))
        let moved = registry.mirror([put("b", "x", at: 5, lease: 10, version: 2)], revision: 5)
        #expect(moved.newLeases == [LeaseID(10)])
        #expect(!registry.hasLease(LeaseID(9)))
        #expect(!registry.setMirroredLease(LeaseID(9), lengthMilliseconds: 1, remainingMilliseconds: 1))
        #expect(bound(registry, "b") == 3_600_000, "nothing is known of the new one")
        registry.mirror([put("b", "x", at: 6, version: 3)], revision: 6)
        #expect(registry.counts().leases == 0)
        #expect(registry.inconsistency == nil)
    }

    @Test(
        "keys that go together when their lease was to end have expired",
        arguments: [
            (at: Int64(9_000), keys: ["a", "b"], isExpiry: false), (10_000, ["a", "b"], true),
            (10_900, ["a", "b"], true), (10_000, ["a"], false), (14_000, ["a", "b"], false),
        ])
    func expiries(at time: Int64, keys: [String], isExpiry: Bool) throws {
        let registry = make()
        registry.mirror(
            [put("a", "x", at: 2, lease: 9), put("b", "y", at: 3, lease: 9), put("c", "z", at: 4, lease: 8)],
            revision: 4, restarts: true)
        registry.setMirroredLease(LeaseID(9), lengthMilliseconds: 20_000, remainingMilliseconds: 10_000)
        clock.advance(milliseconds: time)
        _ = registry.expireDue()
        let taken = registry.mirror((keys + ["c"]).map { .delete(key: key($0)) }, revision: 5).receipt.changes
        #expect(taken.map(\.kind) == keys.map { _ in isExpiry ? .expiry : .delete } + [.delete])
        if isExpiry {
            let slot = try #require(taken.first?.previous?.deadlineSlot)
            #expect(registry.deadlines.deadline(slot) == clock.now - (time - 10_000))
        }
        #expect(registry.inconsistency == nil)
    }

    @Test("two namespaces change in one batch, in the order that is told")
    func namespaces() throws {
        let registry = make()
        let observer = RecordingObserver()
        registry.addObserver(observer)
        let other = Namespace("other")
        registry.mirror(
            spaces: [.init(.default, [put("a", "1", at: 3)]), .init(other, [put("a", "2", at: 3)])], revision: 3)
        #expect(registry.counts().entries == 2)
        registry.mirror(
            spaces: [.init(other, [.delete(key: key("a"))]), .init(.default, [put("a", "3", at: 4)])], revision: 4)
        let last = try #require(observer.batches.last)
        #expect(last.revision == 4 && last.changes.map(\.namespace) == [other, .default])
        #expect(registry.entry(namespace: other, key: key("a")) == nil)
        #expect(registry.inconsistency == nil)
    }

    @Test("what a dialect registered is in the copy what it is in a store of our own")
    func registrations() throws {
        let registration = Registration(
            host: ServiceHost(text: "10.0.0.1"), port: 80,
            instance: InstanceAttributes(
                service: "web", id: "i-1", tags: ["t"], endpointType: "tcp", endpoint: "10.0.0.1:80"))
        let value = String(decoding: SkyDNSMessage.encode(registration), as: UTF8.self)
        let registry = make()
        registry.mirror(
            [put("web/i-1", value, at: 2), put("else/i-2", value, at: 3), put("plain/x", #"{"host":"a.b"}"#, at: 4)],
            revision: 5, restarts: true)
        let own = try #require(registry.entry(namespace: .default, key: key("web/i-1")))
        #expect(own.storedValue == nil)
        #expect(registry.value(of: own) == Array(value.utf8))
        // The id belongs to the key that was put last, in whatever order they come.
        #expect(registry.entry(namespace: .default, id: "i-1")?.key == key("else/i-2"))
        let other = make()
        other.mirror(
            [put("else/i-2", value, at: 3), put("web/i-1", value, at: 2)], revision: 5, restarts: true)
        #expect(other.entry(namespace: .default, id: "i-1")?.key == key("else/i-2"))
        #expect(registry.inconsistency == nil)
        #expect(other.inconsistency == nil)
    }

    @Test("no room: the key is counted and not served, neither new nor old")
    func noRoom() throws {
        var limits = RegistryLimits()
        limits.maxEntries = 2
        limits.maxValueBytes = 4
        let registry = make(limits)
        let many = registry.mirror(
            [put("a", "x", at: 2, lease: 1), put("b", "x", at: 3, lease: 2), put("c", "x", at: 4, lease: 3)],
            revision: 4, restarts: true)
        #expect(many.refused == 1)
        #expect(many.newLeases == [LeaseID(1), LeaseID(2)])
        let long = registry.mirror([put("a", "too long", at: 5, version: 2)], revision: 5)
        #expect(long.refused == 1)
        #expect(registry.entry(namespace: .default, key: key("a")) == nil)
        #expect(registry.counts().leases == 1)
        #expect(registry.inconsistency == nil)
    }

    @Test("every other write is refused, and plans change nothing")
    func plans() throws {
        let registry = make()
        registry.mirror(
            [put("a", "x", at: 2, lease: 9), put("b", #"{"host":"10.0.0.1"}"#, at: 3)], revision: 3, restarts: true)
        registry.setMirroredLease(LeaseID(9), lengthMilliseconds: 5000, remainingMilliseconds: 5000)
        let intents: [Intent] = [
            .put(namespace: .default, key: key("a"), value: .bytes([1]), lease: .own(milliseconds: 1000)),
            .put(namespace: .default, key: key("new"), value: .bytes([2]), lease: .shared(LeaseID(77))),
            .put(namespace: .default, key: key("a"), value: nil, lease: .keep),
            .renew(namespace: .default, key: key("a")),
            .delete(namespace: .default, key: key("b"), preconditions: [.exists]),
            .deleteRange(namespace: .default, lower: [], upper: nil),
        ]
        let before = registry.counts()
        let plan = try registry.plan(intents)
        #expect(plan.count == 6)
        #expect(registry.counts() == before)
        #expect(bound(registry, "a") == 5000)
        #expect(registry.inconsistency == nil)
        #expect(throws: RegistryError.self) { try registry.apply(intents) }
        #expect(throws: RegistryError.self) { _ = try registry.grantLease(id: nil, milliseconds: 1000) }
        #expect(throws: RegistryError.self) {
            _ = try registry.plan([.delete(namespace: .default, key: key("a"), preconditions: [.absent])])
        }
        #expect(registry.inconsistency == nil)
    }

    @Test("random batches, plans and time leave the copy consistent", arguments: 0..<10 * SeededRandom.effort)
    func soak(round: Int) {
        var random = SeededRandom(seed: UInt64(round))
        var limits = RegistryLimits()
        limits.maxEntries = 30
        limits.maxLeases = 12
        limits.feedEvents = 20
        let registry = make(limits)
        var revision: Int64 = 1
        for step in 0..<400 {
            revision += Int64(1 + random.below(3))
            let changes = (0..<random.below(5)).map { _ -> MirrorChange in
                let path = "s\(random.below(4))/\(random.below(12))"
                if random.oneIn(3) { return .delete(key: key(path)) }
                let value = [#"{"host":"10.0.0.1"}"#, #"{"host":"h","service":"s","id":"i"}"#, "opaque"][
                    random.below(3)]
                return put(path, value, at: revision, lease: Int64(random.below(14)))
            }
            let isRestart = random.oneIn(20)
            if isRestart { revision = Int64(1 + random.below(50)) }
            registry.mirror(changes, revision: revision, restarts: isRestart)
            if random.oneIn(2) {
                registry.setMirroredLease(
                    LeaseID(Int64(1 + random.below(14))), lengthMilliseconds: Int64(random.below(5000)),
                    remainingMilliseconds: Int64(random.below(6000)) - 500)
            }
            if random.oneIn(3) {
                let path = "s\(random.below(4))/\(random.below(12))"
                _ = try? registry.plan([
                    .put(namespace: .default, key: key(path), value: .bytes([1]), lease: .own(milliseconds: 10)),
                    .renew(namespace: .default, key: key(path)),
                    .deleteRange(namespace: .default, lower: key("s1"), upper: key("s3")),
                ])
            }
            clock.advance(milliseconds: Int64(random.below(900)))
            #expect(registry.expireDue() == nil)
            if let problem = registry.inconsistency {
                Issue.record("seed \(round), step \(step): \(problem)")
                return
            }
        }
    }
}
