import RegdnsTestKit
import Synchronization
import Testing

@testable import RegistryStore

/// The change feed, the observers and those who wait.
struct FeedTests {
    @Test("a watch resumes after any revision that is kept and gets whole batches in order")
    func resume() throws {
        let fixture = try Fixture()
        for index in 0..<20 {
            try fixture.registry.apply(
                (0..<(1 + index % 3)).map { number in
                    .put(
                        namespace: .default, key: fixture.key("k\(index)/\(number)"), value: .bytes([UInt8(index)]),
                        lease: .permanent)
                })
        }
        for after in 0...20 {
            let batches = try fixture.registry.changes(after: Int64(after))
            #expect(batches.map(\.revision) == Array(Int64(after) + 1..<21))
            #expect(batches.allSatisfy { $0.changes.count == 1 + Int($0.revision - 1) % 3 })
        }
        #expect(try fixture.registry.changes(after: 0, limit: 2).map(\.revision) == [1, 2])
        #expect(try fixture.registry.changes(after: 2, limit: 1).map(\.changes.count) == [3])
        #expect(refusal { _ = try fixture.registry.changes(after: 21) } == .futureRevision(current: 20))
    }

    @Test("what the feed gives is what the writes gave")
    func sameChanges() throws {
        let fixture = try Fixture()
        let lease = try fixture.registry.grantLease(id: nil, milliseconds: 1000).id
        var receipts = [try fixture.put(fixture.key("a"), "1")]
        receipts.append(try fixture.put(fixture.key("a"), "1"))
        receipts.append(try fixture.put(fixture.key("a"), "2", lease: .shared(lease)))
        receipts.append(try fixture.delete(fixture.key("a")))
        receipts.append(try fixture.put(fixture.key("a"), "3", lease: .shared(lease)))
        fixture.clock.advance(milliseconds: 1000)
        receipts.append(try #require(fixture.registry.expireDue()))
        let batches = try fixture.registry.changes(after: 0)
        #expect(batches.map(\.revision) == receipts.map(\.revision))
        for (change, other) in zip(batches.flatMap(\.changes), receipts.flatMap(\.changes)) {
            #expect(change.kind == other.kind)
            #expect(change.previous === other.previous)
            #expect(change.current === other.current)
            #expect(change.contentChanged == other.contentChanged)
            #expect(change.version == other.version)
        }
    }

    @Test("beyond its bounds the feed forgets whole batches, oldest first")
    func bounds() throws {
        var limits = RegistryLimits()
        limits.feedEvents = 10
        let fixture = try Fixture(limits: limits)
        for index in 0..<12 {
            try fixture.registry.apply([
                .put(namespace: .default, key: fixture.key("a"), value: .bytes([UInt8(index)]), lease: .permanent),
                .put(namespace: .default, key: fixture.key("b"), value: .bytes([UInt8(index)]), lease: .permanent),
            ])
        }
        #expect(fixture.registry.counts().feedEvents == 10)
        #expect(fixture.registry.counts().feedEventsDropped == 14)
        #expect(fixture.registry.counts().compactedRevision == 7)
        #expect(try fixture.registry.changes(after: 7).count == 5)
        #expect(refusal { _ = try fixture.registry.changes(after: 6) } == .compacted(oldest: 8))
    }

    @Test("the feed is bounded by bytes too, and a batch longer than it leaves nothing half")
    func bytes() throws {
        var limits = RegistryLimits()
        limits.feedBytes = 50_000
        limits.feedEvents = 100
        let fixture = try Fixture(limits: limits)
        for index in 0..<40 {
            try fixture.put(fixture.key("a"), String(repeating: "x\(index)", count: 2000))
        }
        let counts = fixture.registry.counts()
        #expect(counts.feedBytes <= 50_000)
        #expect(counts.feedEvents > 3 && counts.feedEvents < 40)
        try fixture.registry.apply(
            (0..<101).map { index in
                .put(namespace: .default, key: fixture.key("k\(index)"), value: .bytes([1]), lease: .permanent)
            })
        #expect(fixture.registry.counts().feedEvents == 0)
        #expect(fixture.registry.counts().feedBytes == 0)
        #expect(try fixture.registry.changes(after: 41).isEmpty)
        #expect(refusal { _ = try fixture.registry.changes(after: 40) } == .compacted(oldest: 42))
    }

    @Test("a feed of no events still counts revisions")
    func noFeed() throws {
        var limits = RegistryLimits()
        limits.feedEvents = 0
        let fixture = try Fixture(limits: limits)
        try fixture.put(fixture.key("a"), "1")
        #expect(fixture.registry.revision == 1)
        #expect(try fixture.registry.changes(after: 1).isEmpty)
        #expect(refusal { _ = try fixture.registry.changes(after: 0) } == .compacted(oldest: 2))
    }

    @Test("compaction on request moves the tail, as etcd's does")
    func compact() throws {
        let fixture = try Fixture()
        for index in 0..<5 { try fixture.put(fixture.key("a"), "\(index)") }
        try fixture.registry.compact(through: 3)
        #expect(try fixture.registry.changes(after: 3).map(\.revision) == [4, 5])
        #expect(refusal { _ = try fixture.registry.changes(after: 2) } == .compacted(oldest: 4))
        #expect(refusal { try fixture.registry.compact(through: 3) } == .compacted(oldest: 4))
        #expect(refusal { try fixture.registry.compact(through: 6) } == .futureRevision(current: 5))
    }

    // MARK: Observers

    @Test("an observer gets the content first, then every batch once, in order, from many writers")
    func observers() async throws {
        let fixture = try Fixture()
        for index in 0..<50 { try fixture.register("s", "before\(index)") }
        let early = RecordingObserver()
        fixture.registry.addObserver(early)
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    for index in 0..<100 { _ = try? fixture.register("s\(writer)", "w\(writer)-\(index)") }
                }
            }
        }
        let late = RecordingObserver()
        fixture.registry.addObserver(late)
        let batches = early.batches
        #expect(batches[0].revision == 50)
        #expect(batches[0].changes.count == 50)
        #expect(batches[0].changes.allSatisfy { $0.previous == nil && $0.contentChanged })
        #expect(batches.dropFirst().map(\.revision) == Array(51...450))
        #expect(late.batches.count == 1)
        #expect(late.batches[0].changes.map { text($0.key) } == fixture.keys())
        #expect(fixture.registry.counts().observers == 2)
    }

    @Test("a write returns after its observers have seen it, a refused one shows nothing")
    func synchronous() throws {
        let fixture = try Fixture()
        let observer = RecordingObserver()
        fixture.registry.addObserver(observer)
        for index in 1...10 {
            try fixture.put(fixture.key("a"), "\(index)")
            #expect(observer.batches.last?.revision == Int64(index))
        }
        _ = refusal { try fixture.put(fixture.key("a"), "x", [.absent]) }
        #expect(observer.batches.count == 11)
    }

    // MARK: Waiting

    @Test("who waits is woken by the next change, or at once when it has happened")
    func waiting() async throws {
        let fixture = try Fixture()
        try fixture.put(fixture.key("a"), "1")
        #expect(try await fixture.registry.waitForChange(after: 0) == 1)
        async let woken = fixture.registry.waitForChange(after: 1)
        while fixture.registry.counts().waiters == 0 { await Task.yield() }
        try fixture.put(fixture.key("a"), "2")
        #expect(try await woken == 2)
        #expect(fixture.registry.counts().waiters == 0)
    }

    @Test("no change is missed between looking and waiting")
    func noLostWakeUp() async throws {
        let fixture = try Fixture()
        let follower = Task {
            var seen: Int64 = 0
            while seen < 500 {
                let now = try await fixture.registry.waitForChange(after: seen)
                let batches = try fixture.registry.changes(after: seen)
                #expect(batches.first?.revision == seen + 1)
                #expect(now > seen)
                seen = batches.last?.revision ?? seen
            }
            return seen
        }
        for index in 0..<500 {
            try fixture.put(fixture.key("a"), "\(index)")
            if index % 7 == 0 { await Task.yield() }
        }
        #expect(try await follower.value == 500)
    }

    @Test("a cancelled task stops waiting, whenever the cancellation comes", arguments: [true, false])
    func cancellation(isEarly: Bool) async throws {
        let fixture = try Fixture()
        let waiter = Task { try await fixture.registry.waitForChange(after: 0) }
        if !isEarly { while fixture.registry.counts().waiters == 0 { await Task.yield() } }
        waiter.cancel()
        #expect(try await waiter.value == 0)
        #expect(fixture.registry.counts().waiters == 0)
    }

    @Test("too many waiters are refused")
    func waiterBound() async throws {
        var limits = RegistryLimits()
        limits.maxWaiters = 2
        let fixture = try Fixture(limits: limits)
        let waiters = (0..<2).map { _ in Task { try await fixture.registry.waitForChange(after: 0) } }
        while fixture.registry.counts().waiters < 2 { await Task.yield() }
        await #expect(throws: RegistryError.limitExceeded(limit: "waiters", value: 3, bound: 2)) {
            try await fixture.registry.waitForChange(after: 0)
        }
        try fixture.put(fixture.key("a"), "1")
        for waiter in waiters { #expect(try await waiter.value == 1) }
    }
}
