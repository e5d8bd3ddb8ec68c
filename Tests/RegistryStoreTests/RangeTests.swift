import RegdnsTestKit
import Testing

@testable import RegistryStore

/// Ordered ranges and the indexes against a naive store.
struct RangeTests {
    @Test("ranges, listings and sums agree with a naive store after any writes")
    func againstNaiveStore() throws {
        var random = SeededRandom.fromEnvironment()
        let seed = random.seed
        let fixture = try Fixture()
        let registry = fixture.registry
        var oracle: [[UInt8]: [UInt8]] = [:]
        for step in 0..<3000 {
            let key = randomKey(&random)
            switch random.below(10) {
            case 0..<6:
                let value =
                    random.below(3) == 0 ? random.bytes(3) : Array(#"{"host":"10.0.0.\#(random.below(9))"}"#.utf8)
                try registry.apply([
                    .put(namespace: .default, key: key, value: .bytes(value), lease: .own(milliseconds: 100_000))
                ])
                oracle[key] = value
            case 6, 7:
                try fixture.delete(key)
                oracle[key] = nil
            default:
                let upper = randomKey(&random)
                if random.below(8) == 0 {
                    try registry.apply([.deleteRange(namespace: .default, lower: key, upper: upper)])
                    oracle = oracle.filter { precedes($0.key, key) || !precedes($0.key, upper) }
                } else {
                    try compare(registry, oracle, lower: key, upper: upper, limit: random.below(40), seed)
                }
            }
            if step % 250 == 0 {
                #expect(fixture.inconsistency == nil, "seed \(seed), step \(step)")
            }
        }
        try compare(registry, oracle, lower: [], upper: nil, limit: .max, seed)
    }

    private func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.lexicographicallyPrecedes(b) }

    private func randomKey(_ random: inout SeededRandom) -> [UInt8] {
        let parts = ["a", "b", "ab", "Z", "\u{7f}"]
        let path = (0..<(1 + random.below(3))).map { _ in parts[random.below(parts.count)] + "\(random.below(12))" }
        let prefix = random.below(5) == 0 ? "/other/" : "/skydns/local/skydns/"
        return Array((prefix + path.joined(separator: "/")).utf8) + (random.below(9) == 0 ? [0xff] : [])
    }

    private func compare(
        _ registry: Registry, _ oracle: [[UInt8]: [UInt8]], lower: [UInt8], upper: [UInt8]?, limit: Int, _ seed: UInt64
    ) throws {
        let result = registry.range(namespace: .default, lower: lower, upper: upper, limit: limit)
        let expected = oracle.keys.sorted(by: precedes).filter { key in
            !precedes(key, lower) && upper.map { precedes(key, $0) } ?? true
        }
        #expect(result.entries.map(\.key) == Array(expected.prefix(limit)), "seed \(seed)")
        #expect(
            result.entries.map { registry.value(of: $0) } == expected.prefix(limit).map { oracle[$0] }, "seed \(seed)")
        #expect(result.totalCount == expected.count, "seed \(seed)")
        #expect(result.more == (expected.count > limit), "seed \(seed)")
        #expect(result.revision == registry.revision)
    }

    @Test("services are listed once, in byte order, by namespace, while they have an instance")
    func services() throws {
        let fixture = try Fixture()
        let other = Namespace("other")
        for index in 0..<300 { try fixture.register("s\(index % 7)", "i\(index)") }
        try fixture.register("S", "x")
        try fixture.register("s1\u{e9}", "composed")
        try fixture.register("s1e\u{301}", "decomposed")
        try fixture.register("elsewhere", "i", namespace: other)
        let names = fixture.registry.serviceNames(namespace: .default)
        #expect(
            names.map { Array($0.utf8) } == names.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) })
        #expect(names.count == 10, "canonically equivalent names are two names")
        #expect(fixture.registry.counts().services == 11)
        #expect(fixture.registry.instances(namespace: .default, service: "s3").count == 43)
        #expect(fixture.registry.instances(namespace: .default).count == 303)
        #expect(fixture.registry.instances(namespace: Namespace("nobody")).isEmpty)
        for index in stride(from: 3, to: 300, by: 7) {
            try fixture.delete(fixture.layout.primaryKey(service: "s3", id: "i\(index)"))
        }
        #expect(!fixture.registry.serviceNames(namespace: .default).contains("s3"))
        #expect(fixture.registry.counts().services == 10)
    }
}
