import RegdnsTestKit
import RegistryStore
import Testing

/// Ranges of keys, against the keys that are in them.
struct KeyRangeTests {
    /// Octets whose order a signed or a text comparison would get wrong, and the least and the greatest.
    private static let alphabet: [UInt8] = [0, 0x61, 0x62, 0xff]
    /// All keys of up to three of them, and the empty one, which no store has.
    private static let keys: [[UInt8]] = {
        var keys: [[UInt8]] = [[]]
        var last = keys
        for _ in 0..<3 {
            last = last.flatMap { key in alphabet.map { key + [$0] } }
            keys += last
        }
        return keys
    }()

    private static func holds(_ key: [UInt8], _ lower: [UInt8], _ upper: [UInt8]?) -> Bool {
        !key.lexicographicallyPrecedes(lower) && upper.map { key.lexicographicallyPrecedes($0) } ?? true
    }

    private static func range(_ random: inout SeededRandom) -> KeyRange {
        KeyRange(
            lower: keys[random.below(keys.count)], upper: random.oneIn(5) ? nil : keys[random.below(keys.count)])
    }

    @Test("what is in two ranges, and in one of them alone", arguments: 0..<100 * SeededRandom.effort)
    func algebra(round: Int) {
        var random = SeededRandom(seed: UInt64(round))
        let (a, b) = (Self.range(&random), Self.range(&random))
        let (common, rest) = (a.common(with: b), a.without(b))
        let joined = a.isEmpty || b.isEmpty ? nil : a.joined(with: b)
        for key in Self.keys {
            #expect(a.contains(key) == Self.holds(key, a.lower, a.upper), "\(a) \(key)")
            #expect((common?.contains(key) ?? false) == (a.contains(key) && b.contains(key)), "\(a) \(b) \(key)")
            #expect(
                rest.count { $0.contains(key) } == (a.contains(key) && !b.contains(key) ? 1 : 0), "\(a) \(b) \(key)")
            if let joined { #expect(joined.contains(key) == (a.contains(key) || b.contains(key)), "\(a) \(b) \(key)") }
        }
        #expect((a.isEmpty || rest.allSatisfy { !$0.isEmpty }) && common?.isEmpty != true)
        if common != nil { #expect(joined != nil, "\(a) \(b)") }
        if a.isEmpty { #expect(Self.keys.allSatisfy { !a.contains($0) }) }
    }

    @Test("ranges are joined where they touch, not across keys")
    func joined() {
        let a = KeyRange(lower: [1], upper: [2])
        #expect(a.joined(with: KeyRange(lower: [2], upper: [3])) == KeyRange(lower: [1], upper: [3]))
        #expect(KeyRange(lower: [2], upper: nil).joined(with: a) == KeyRange(lower: [1], upper: nil))
        #expect(a.joined(with: KeyRange(lower: [2, 0], upper: [3])) == nil)
        #expect(KeyRange(lower: [2, 0], upper: [3]).joined(with: a) == nil)
    }

    @Test("a prefix's range holds what begins so", arguments: keys)
    func prefix(_ prefix: [UInt8]) {
        let range = KeyRange(prefix: prefix)
        for key in Self.keys { #expect(range.contains(key) == key.starts(with: prefix), "\(key)") }
        let endsWithAll = !prefix.isEmpty && prefix.allSatisfy { $0 == 0xff }
        #expect(range.prefix == (endsWithAll ? nil : prefix))
    }

    @Test(
        "the end of a prefix range",
        arguments: [
            ([0x61], [0x62]), ([0x61, 0x7f], [0x61, 0x80]), ([], nil), ([1, 0xff, 0xff], [2]), ([0xff, 0xff], nil),
        ] as [([UInt8], [UInt8]?)])
    func prefixEnd(prefix: [UInt8], end: [UInt8]?) {
        #expect(KeyRange(prefix: prefix).upper == end)
    }

    @Test(
        "which ranges are prefixes, and which are one key",
        arguments: [
            ("a", "b", true, false), ("a/", "a0", true, false), ("a", "\0", false, false), ("\0", "\0", true, false),
            ("a", "c", false, false), ("a/", "a1", false, false), ("a", "", false, true), ("a", "a\0", false, true),
            ("\0", "", false, true), ("b", "a\0", false, false),
        ])
    func requested(key: String, end: String, isPrefix: Bool, isOneKey: Bool) {
        let range = KeyRange(key: Array(key.utf8), end: Array(end.utf8))
        #expect((range.prefix != nil) == isPrefix)
        #expect(range.isOneKey == isOneKey)
        #expect(KeyRange(key: range.requestKey, end: range.requestEnd) == range)
    }

    @Test("everything is asked for with zero bytes")
    func everything() {
        #expect(KeyRange.all == KeyRange(prefix: []))
        #expect((KeyRange.all.requestKey, KeyRange.all.requestEnd) == ([0], [0]))
        #expect(KeyRange(key: [0], end: [0]).prefix == [])
    }
}
