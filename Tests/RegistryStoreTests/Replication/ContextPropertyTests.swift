import RegdnsTestKit
import Testing

@testable import RegistryStore

/// Contexts against plain sets of dots, and the hashes of stores against the sets of operations they took over.
struct ContextPropertyTests {
    @Test("joining two contexts is the union of their dots")
    func union() {
        var random = SeededRandom(test: "context union")
        for _ in 0..<200 * SeededRandom.effort {
            var contexts = [CausalContext(limits: RegistryLimits()), CausalContext(limits: RegistryLimits())]
            var oracle: [Set<Dot>] = [[], []]
            for _ in 0..<random.below(60) {
                let side = random.below(2)
                let dot = Dot(origin: UInt64(random.below(3)), sequence: UInt64(1 + random.below(40)))
                contexts[side].insert(origin: dot.origin, sequence: dot.sequence)
                oracle[side].insert(dot)
            }
            var joined = contexts[0]
            joined.join(contexts[1])
            let all = oracle[0].union(oracle[1])
            var other = contexts[1]
            other.join(contexts[0])
            #expect(joined == other, "seed \(random.seed)")
            for origin in 0..<UInt64(3) {
                for sequence in 1...UInt64(42) {
                    let dot = Dot(origin: origin, sequence: sequence)
                    #expect(
                        joined.contains(origin: origin, sequence: sequence) == all.contains(dot), "seed \(random.seed)")
                }
                var complete: UInt64 = 0
                while all.contains(Dot(origin: origin, sequence: complete + 1)) { complete += 1 }
                #expect(joined.completeHead(origin: origin) == complete, "seed \(random.seed)")
                var from: UInt64 = 1
                while all.contains(Dot(origin: origin, sequence: from)) { from += 1 }
                #expect(joined.firstMissing(origin: origin, from: 0) == from, "seed \(random.seed)")
            }
            for (origin, known) in joined.sorted {
                #expect(CausalContext.Origin(head: known.head, checking: known.gaps) == known, "origin \(origin)")
            }
        }
    }

    @Test("a join beyond the bounds keeps the lowest gaps and claims nothing that is not known")
    func bounded() throws {
        var limits = RegistryLimits()
        limits.maxOrigins = 2
        limits.maxGapsPerOrigin = 3
        var context = CausalContext(limits: limits)
        let gaps: [ClosedRange<UInt64>] = [5...6, 15...16, 25...26, 35...36, 45...46]
        context.join(1, try #require(CausalContext.Origin(head: 100, checking: gaps)))
        #expect(context.origins[1]?.gaps.count == 3)
        #expect(context.origins[1]?.head == 34)
        context.join(2, try #require(CausalContext.Origin(head: .max, checking: [])))
        context.join(3, try #require(CausalContext.Origin(head: 1, checking: [])))
        #expect(context.origins.count == 2)
        #expect(context.firstMissing(origin: 2, from: 5) == nil)
        context.join(2, try #require(CausalContext.Origin(head: .max, checking: [5...9])))
        #expect(context.origins[2]?.gaps.isEmpty == true)
        let end: [ClosedRange<UInt64>] = [(.max - 1)...(.max - 1)]
        #expect(CausalContext.Origin(head: .max, checking: end)?.completeHead == UInt64.max - 2)
        #expect(CausalContext.Origin(head: .max, checking: end + end) == nil)
        #expect(CausalContext.Origin(head: .max, checking: [5...6, 7...8]) == nil)
        #expect(CausalContext.Origin(head: .max, checking: [0...6]) == nil)
        #expect(CausalContext.Origin(head: 0, checking: []) == nil)
        context.forget(origin: 2)
        #expect(!context.contains(origin: 2, sequence: 1))
    }

    /// A store with the index of replication.
    private static func store(_ batches: [[RemoteOperation]]) throws -> (summary: ReplicaSummary, digest: ReplicaDigest)
    {
        var core = try MergeTests.store()
        core.startReplicating(hashKey: .shared)
        for batch in batches { _ = core.merge(batch, now: MergeTests.now) }
        let problem = core.checkInvariants()
        #expect(problem == nil)
        return (core.summary(), core.digest())
    }

    @Test("any three of the small universe: every order, repetition and batching gives one digest (I2)")
    func smallUniverse() throws {
        let operations = Array(MergeTests.operations.prefix(9)) + MergeTests.operations[9..<12]
        for (i, a) in operations.enumerated() {
            for (j, b) in operations.enumerated().dropFirst(i + 1) {
                for c in operations.dropFirst(j + 1) {
                    let expected = try Self.store([[a, b, c]])
                    for order in [[a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
                        let digest = try Self.store(order.map { [$0] }).digest
                        #expect(digest == expected.digest)
                    }
                    let repeated = try Self.store([[a, b], [b, c], [a, b, c], [a]])
                    #expect(repeated.digest == expected.digest)
                    #expect(repeated.summary == expected.summary)
                }
            }
        }
    }

    @Test("random operations in random batches: one digest, made anew or kept up to date (I1)")
    func shuffled() throws {
        var random = SeededRandom(test: "digests of shuffled operations")
        for _ in 0..<20 * SeededRandom.effort {
            var operations: [RemoteOperation] = []
            for sequence in 1...60 {
                let version = Version(
                    hlc: UInt64(random.below(5)) << 16, kind: MergeTests.kinds[random.below(3)],
                    origin: random.next() % 4, sequence: UInt64(sequence))
                operations.append(MergeTests.operation("k\(random.below(9))", version))
            }
            let expected = try Self.store([operations])
            for _ in 0..<4 {
                var rest = (operations + operations.prefix(random.below(60))).shuffled(using: &random)[...]
                var batches: [[RemoteOperation]] = []
                while !rest.isEmpty {
                    batches.append(Array(rest.prefix(1 + random.below(9))))
                    rest = rest.dropFirst(batches[batches.count - 1].count)
                }
                #expect(try Self.store(batches).digest == expected.digest, "seed \(random.seed)")
            }
        }
    }

    @Test("the digest of a write taken back, or made with the index there already, is that of an index made anew")
    func rollBack() throws {
        let fixture = try Fixture()
        fixture.registry.startReplicating()
        try fixture.put(fixture.key("a"), "1", lease: .own(milliseconds: 1000))
        let before = fixture.registry.digest()
        let intents: [Intent] = [
            .delete(namespace: .default, key: fixture.key("a")),
            .put(namespace: .default, key: fixture.key("b"), value: .bytes([1]), lease: .permanent),
            .put(
                namespace: .default, key: fixture.key("c"), value: .bytes([1]), lease: .permanent,
                preconditions: [.exists]),
        ]
        #expect(throws: RegistryError.self) { try fixture.registry.apply(intents) }
        #expect(fixture.registry.digest() == before)
        // An equal put moves nothing that others see.
        try fixture.put(fixture.key("a"), "1", lease: .own(milliseconds: 1000))
        #expect(fixture.registry.digest() == before)
        #expect(fixture.inconsistency == nil)
    }
}
