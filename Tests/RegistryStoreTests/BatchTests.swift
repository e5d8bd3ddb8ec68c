import RegdnsTestKit
import Synchronization
import Testing

@testable import RegistryStore

/// Batches: all or nothing, one revision, previous values.
struct BatchTests {
    @Test("a batch has one revision and tells what was before")
    func oneRevision() throws {
        let fixture = try Fixture()
        try fixture.put(fixture.key("a"), "1")
        try fixture.put(fixture.key("b"), "2")
        let before = try #require(fixture.entry(fixture.key("a")))
        let receipt = try fixture.registry.apply([
            .put(namespace: .default, key: fixture.key("a"), value: .bytes([51]), lease: .permanent),
            .put(namespace: .default, key: fixture.key("c"), value: .bytes([52]), lease: .permanent),
            .delete(namespace: .default, key: fixture.key("b")),
            .delete(namespace: .default, key: fixture.key("missing")),
        ])
        #expect(receipt.revision == 3)
        #expect(fixture.registry.revision == 3)
        #expect(receipt.changes.map(\.kind) == [.write, .write, .delete])
        #expect(receipt.changes[0].previous === before)
        #expect(receipt.changes[0].current?.modRevision == 3)
        #expect(receipt.changes[0].current?.createRevision == 1)
        #expect(receipt.changes[0].current?.putCount == 2)
        #expect(receipt.changes[1].current?.createRevision == 3)
        #expect(receipt.changes[2].current == nil)
        #expect(receipt.changes[2].version.kind == .delete)
        #expect(fixture.keys() == ["a", "c"].map { text(fixture.key($0)) })
    }

    @Test("a batch that writes nothing spends no revision")
    func nothingWritten() throws {
        let fixture = try Fixture()
        try fixture.put(fixture.key("a"), "1")
        let receipt = try fixture.registry.apply([
            .delete(namespace: .default, key: fixture.key("missing")),
            .deleteRange(namespace: .default, lower: fixture.key("x"), upper: nil),
            .deleteRange(namespace: Namespace("nobody"), lower: [], upper: nil),
        ])
        #expect(receipt.revision == 1)
        #expect(receipt.changes.isEmpty)
        #expect(fixture.registry.namespaces() == [.default])
    }

    @Test("one failing intent takes the whole batch back", arguments: 0..<200 * SeededRandom.effort)
    func allOrNothing(round: Int) throws {
        var random = SeededRandom(seed: UInt64(round))
        let fixture = try Fixture()
        let lease = try fixture.registry.grantLease(id: LeaseID(9), milliseconds: 50_000).id
        for _ in 0..<20 { _ = try? fixture.registry.apply([intent(fixture, lease, &random)]) }
        fixture.clock.advance(milliseconds: 500)
        let before = state(of: fixture)
        let observer = RecordingObserver()
        fixture.registry.addObserver(observer)

        var intents = (0..<(1 + random.below(6))).map { _ in intent(fixture, lease, &random) }
        intents.insert(.renew(namespace: .default, key: fixture.key("k\(random.below(6))")), at: 0)
        intents.append(.put(namespace: .default, key: [], value: .bytes([]), lease: .permanent))
        _ = refusal { try fixture.registry.apply(intents) }
        #expect(state(of: fixture) == before)
        #expect(observer.batches.count == 1)
        #expect(fixture.registry.counts().refusals >= 1)
        #expect(fixture.inconsistency == nil)
    }

    /// A wish at one of a few keys, so that wishes of one batch meet.
    private func intent(_ fixture: Fixture, _ lease: LeaseID, _ random: inout SeededRandom) -> Intent {
        let key = fixture.key("k\(random.below(6))")
        let requests: [LeaseRequest] = [
            .permanent, .own(milliseconds: 1000), .own(milliseconds: 2000), .suspended(milliseconds: 1000),
            .shared(lease), .keep,
        ]
        let request = requests[random.below(requests.count)]
        switch random.below(8) {
        case 0: return .delete(namespace: .default, key: key)
        case 1: return .deleteRange(namespace: .default, lower: fixture.key("k2"), upper: fixture.key("k5"))
        case 2...4:
            return fixture.registration(
                "s\(random.below(2))", "i\(random.below(3))", tags: ["t\(random.below(2))"], lease: request)
        default:
            let values = ["x", #"{"host":"10.0.0.1"}"#, #"{"host":"10.0.0.2","service":"s1","id":"i1"}"#]
            return .put(
                namespace: .default, key: key, value: .bytes(Array(values[random.below(3)].utf8)), lease: request)
        }
    }

    /// Everything that a reader can see, as text.
    private func state(of fixture: Fixture) -> [String] {
        let registry = fixture.registry
        var lines = registry.range(namespace: .default, lower: [], upper: nil).entries.map { entry in
            let lease = registry.leaseInfo(of: entry).map { "\($0)" } ?? "-"
            let deadline = registry.deadlines.deadline(entry.deadlineSlot)
            return "\(text(entry.key)) \(ObjectIdentifier(entry)) \(lease) \(deadline)"
        }
        lines += registry.instances(namespace: .default).map { "\($0.indexedService ?? "") \($0.indexedID ?? "")" }
        lines += registry.leases(includingOwn: true).map { id in
            "\(id) \(registry.keys(of: id).map { text($0.key) })"
        }
        var counts = registry.counts()
        counts.refusals = 0
        counts.observers = 0
        counts.renewals = 0
        lines.append("\(counts) \(registry.skippedValues())")
        lines.append(registry.state.withLock { "\($0.core.clock)" })
        return lines
    }

    @Test(
        "preconditions refuse the batch and name the intent and the entry",
        arguments: [
            (Precondition.absent, true), (.exists, false), (.value(Array("1".utf8)), false),
            (.value(Array("2".utf8)), true), (.modRevision(1), false), (.modRevision(2), true),
        ])
    func preconditions(precondition: Precondition, isRefused: Bool) throws {
        let fixture = try Fixture()
        let key = fixture.key("a")
        try fixture.put(key, "1")
        let current = try #require(fixture.entry(key))
        let intents: [Intent] = [
            .put(namespace: .default, key: fixture.key("b"), value: .bytes([1]), lease: .permanent),
            .delete(namespace: .default, key: key, preconditions: [precondition]),
        ]
        guard isRefused else {
            #expect(try fixture.registry.apply(intents).changes.count == 2)
            return
        }
        guard case .preconditionFailed(1, precondition, let entry) = refusal({ try fixture.registry.apply(intents) })
        else {
            Issue.record("not refused by the precondition")
            return
        }
        #expect(entry === current)
        #expect(fixture.keys() == [text(key)])
    }

    @Test("a precondition on the value of a registration compares what an etcd client reads")
    func renderedPrecondition() throws {
        let fixture = try Fixture()
        try fixture.register("web", "a")
        let entry = try #require(fixture.entry(id: "a"))
        let rendered = fixture.registry.value(of: entry)
        try fixture.put(entry.key, #"{"host":"10.0.0.9"}"#, [.value(rendered)])
        #expect(fixture.entry(entry.key)?.registration?.host == .ipv4(0x0a00_0009))
        #expect(refusal { try fixture.put(fixture.key("missing"), "x", [.exists]) } != nil)
    }

    @Test("an etcd client that puts back what it read changes nothing")
    func putBack() throws {
        let fixture = try Fixture()
        try fixture.register("web", "a", tags: ["x"])
        let entry = try #require(fixture.entry(id: "a"))
        let receipt = try fixture.put(entry.key, text(fixture.registry.value(of: entry)))
        #expect(receipt.changes.first?.contentChanged == false)
        #expect(fixture.entry(id: "a")?.storedValue == nil)
    }

    @Test("a key written after its removal in one batch is newer than the removal")
    func rewrittenInBatch() throws {
        let fixture = try Fixture()
        let key = fixture.key("a")
        try fixture.put(key, "1")
        let receipt = try fixture.registry.apply([
            .delete(namespace: .default, key: key),
            .put(namespace: .default, key: key, value: .bytes([50]), lease: .permanent),
        ])
        #expect(receipt.changes.count == 2)
        #expect(receipt.changes[0].version < receipt.changes[1].version)
        #expect(fixture.entry(key)?.createRevision == 2)
        #expect(fixture.registry.counts().tombstones == 0)
    }

    @Test("two puts of a key in one batch are two changes of one revision")
    func samKeyTwice() throws {
        let fixture = try Fixture()
        let key = fixture.key("a")
        let puts = ["1", "2"].map { value in
            Intent.put(namespace: .default, key: key, value: .bytes(Array(value.utf8)), lease: .own(milliseconds: 9))
        }
        let receipt = try fixture.registry.apply(puts)
        #expect(receipt.changes.map { $0.current?.modRevision } == [1, 1])
        #expect(receipt.changes[1].previous === receipt.changes[0].current)
        #expect(fixture.registry.counts().leases == 1)
    }
}
