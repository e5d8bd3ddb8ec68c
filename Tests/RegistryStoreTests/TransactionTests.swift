import RegdnsTestKit
import Testing

@testable import RegistryStore

@Suite("Transactions and the past")
struct TransactionTests {
    private let fixture: Fixture
    private var registry: Registry { fixture.registry }

    init() throws { fixture = try Fixture() }

    private func put(_ key: String, _ value: String) -> Step {
        .intent(
            .put(namespace: .default, key: Array(key.utf8), value: .bytes(Array(value.utf8)), lease: .permanent))
    }

    private func range(_ lower: String, _ upper: String, limit: Int = .max) -> Step {
        .range(namespace: .default, lower: Array(lower.utf8), upper: Array(upper.utf8), limit: limit)
    }

    private func texts(_ entries: [Entry]) -> [String] {
        entries.map { String(decoding: $0.key + [61] + registry.value(of: $0), as: UTF8.self) }
    }

    private func past(_ revision: Int64, limit: Int = .max) throws -> RangeResult {
        try registry.range(namespace: .default, lower: [97], upper: [122], limit: limit, at: revision)
    }

    @Test("reads inside see the writes before them and not those after, all under one revision")
    func order() throws {
        let (results, receipt) = try registry.transact([
            range("a", "z"), put("a", "1"), range("a", "z"), put("b", "2"),
            .intent(.deleteRange(namespace: .default, lower: [97], upper: [98])), range("a", "z"),
        ])
        let seen = results.compactMap { result -> [String]? in
            if case .range(let range) = result { return texts(range.entries) }
            return nil
        }
        #expect(seen == [[], ["a=1"], ["b=2"]])
        #expect(receipt.revision == 1)
        #expect(registry.revision == 1)
        #expect(try registry.changes(after: 0).count == 1)
    }

    @Test("conditions are looked at before the first step, also those of inner branches")
    func conditions() throws {
        let absent = StepCondition(namespace: .default, lower: [97], upper: [97, 0]) { $0.isEmpty }
        let (results, _) = try registry.transact([
            .branch(
                conditions: [absent],
                then: [
                    put("a", "1"),
                    .branch(conditions: [absent], then: [put("b", "still absent before")], otherwise: [put("b", "no")]),
                ],
                otherwise: [])
        ])
        guard case .branch(true, let inner) = results[0], case .branch(true, _) = inner[1] else {
            Issue.record("\(results)")
            return
        }
        #expect(
            texts(registry.range(namespace: .default, lower: [], upper: nil).entries)
                == ["a=1", "b=still absent before"])
        let (again, receipt) = try registry.transact([
            .branch(conditions: [absent], then: [put("c", "3")], otherwise: [range("a", "z", limit: 1)])
        ])
        guard case .branch(false, let steps) = again[0], case .range(let found) = steps[0] else {
            Issue.record("\(again)")
            return
        }
        #expect(found.totalCount == 2 && found.more)
        #expect(receipt.changes.isEmpty && receipt.revision == 1)
    }

    @Test("a step that fails takes all before it back")
    func rollBack() throws {
        try registry.apply([.put(namespace: .default, key: [97], value: .bytes([49]), lease: .permanent)])
        #expect(throws: RegistryError.unknownLease(LeaseID(7))) {
            try registry.transact([
                put("a", "2"), put("b", "2"),
                .intent(.put(namespace: .default, key: [99], value: .bytes([50]), lease: .shared(LeaseID(7)))),
            ])
        }
        #expect(texts(registry.range(namespace: .default, lower: [], upper: nil).entries) == ["a=1"])
        #expect(registry.revision == 1)
    }

    @Test("a put without a value keeps the value, and the key must exist")
    func keepValue() throws {
        let keep = Intent.put(namespace: .default, key: [97], value: nil, lease: .own(milliseconds: 5_000))
        #expect(throws: RegistryError.notFound(key: [97])) { try registry.apply([keep]) }
        try registry.apply([.put(namespace: .default, key: [97], value: .bytes([49]), lease: .permanent)])
        let entry = try #require(try registry.apply([keep]).changes.first?.current)
        #expect(registry.value(of: entry) == [49])
        #expect(registry.leaseInfo(of: entry)?.lengthMilliseconds == 5_000)
        #expect((entry.createRevision, entry.modRevision, entry.putCount) == (1, 2, 2))
    }

    @Test("What one transaction reads is bounded, and nothing of one that reads more happens")
    func reads() throws {
        var limits = RegistryLimits()
        limits.maxReadsPerTransaction = 10
        let registry = try Fixture(limits: limits).registry
        _ = try registry.transact((0..<4).map { put("a\($0)", "1") })
        let all = StepCondition(namespace: .default, lower: [97], upper: [98]) { !$0.isEmpty }
        func steps(_ ranges: Int) -> [Step] {
            [
                .branch(
                    conditions: [all], then: [put("b", "1")] + Array(repeating: range("a", "b"), count: ranges),
                    otherwise: [])
            ]
        }
        #expect(throws: RegistryError.limitExceeded(limit: "transaction_reads", value: 12, bound: 10)) {
            try registry.transact(steps(2))
        }
        #expect(registry.revision == 1)
        // Two limited ones are as much as they may give.
        _ = try registry.transact([range("a", "b", limit: 5), range("a", "b", limit: 5), range("a", "b", limit: 2)])
        _ = try registry.transact(steps(1))
        #expect(registry.revision == 2)
    }

    /// Against a copy of the content that is made at every revision.
    @Test("the past is what was there", arguments: 0..<10 * SeededRandom.effort)
    func past(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        var copies: [[String]] = [[]]
        for step in 0..<200 {
            let key = [97 + UInt8(random.below(8))]
            if random.below(4) == 0 {
                _ = try registry.apply([
                    .deleteRange(namespace: .default, lower: key, upper: [key[0] + 1 + UInt8(random.below(2))])
                ])
            } else {
                let value = Array("\(step)".utf8)
                try registry.apply([.put(namespace: .default, key: key, value: .bytes(value), lease: .permanent)])
            }
            let now = texts(registry.range(namespace: .default, lower: [97], upper: [122]).entries)
            if registry.revision == copies.count { copies.append(now) } else { #expect(copies.last == now) }
        }
        for (revision, copy) in copies.enumerated() {
            let found = try past(Int64(revision), limit: 3)
            #expect(texts(found.entries) == Array(copy.prefix(3)))
            #expect((found.totalCount, found.more) == (copy.count, copy.count > 3))
        }
        let oldest = Int64(copies.count / 2)
        try registry.compact(through: oldest)
        #expect(texts(try past(oldest).entries) == copies[Int(oldest)])
        #expect(throws: RegistryError.compacted(oldest: oldest)) { try past(oldest - 1) }
        #expect(throws: RegistryError.futureRevision(current: registry.revision)) { try past(registry.revision + 1) }
    }
}
