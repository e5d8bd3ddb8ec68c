/// Keys from `lower` to before `upper`, in the order of their unsigned bytes.
package struct KeyRange: Hashable, Sendable {
    package let lower: [UInt8]
    /// Nil: to the end.
    package let upper: [UInt8]?

    package init(lower: [UInt8], upper: [UInt8]?) {
        self.lower = lower
        self.upper = upper
    }

    /// All keys that begin so.
    package init(prefix: [UInt8]) {
        self.init(lower: prefix, upper: Self.end(ofPrefix: prefix))
    }

    /// All keys.
    package static let all = KeyRange(lower: [], upper: nil)

    /// Whether no key is in it.
    package var isEmpty: Bool { upper.map { !Self.precedes(lower, $0) } ?? false }

    /// Whether it is the range of one key.
    package var isOneKey: Bool {
        upper.map { $0.count == lower.count + 1 && $0.last == 0 && $0.starts(with: lower) } ?? false
    }

    /// The prefix whose keys are exactly this range; nil for other ranges.
    package var prefix: [UInt8]? {
        // There is no empty key, so that everything also begins with the least one there is.
        guard upper != nil else { return lower.isEmpty || lower == [0] ? [] : nil }
        return upper == Self.end(ofPrefix: lower) ? lower : nil
    }

    package func contains(_ key: [UInt8]) -> Bool {
        !Self.precedes(key, lower) && upper.map { Self.precedes(key, $0) } ?? true
    }

    /// What both have; nil when that is nothing.
    package func common(with other: KeyRange) -> KeyRange? {
        let common = KeyRange(lower: Self.later(lower, other.lower), upper: Self.earlierEnd(upper, other.upper))
        return common.isEmpty ? nil : common
    }

    /// What is left without another range: none, one or two.
    package func without(_ other: KeyRange) -> [KeyRange] {
        guard common(with: other) != nil else { return [self] }
        let before = KeyRange(lower: lower, upper: Self.earlierEnd(upper, other.lower))
        let after = other.upper.map { KeyRange(lower: Self.later(lower, $0), upper: upper) }
        return ([before] + (after.map { [$0] } ?? [])).filter { !$0.isEmpty }
    }

    /// Both as one range; nil when keys lie between them. Neither is empty.
    package func joined(with other: KeyRange) -> KeyRange? {
        if let upper, Self.precedes(upper, other.lower) { return nil }
        if let end = other.upper, Self.precedes(end, lower) { return nil }
        let isWithin = Self.earlierEnd(upper, other.upper) == other.upper
        return KeyRange(
            lower: Self.precedes(other.lower, lower) ? other.lower : lower, upper: isWithin ? upper : other.upper)
    }

    /// The end of the range of all keys that start with `prefix`; nil when it is the end of all keys.
    private static func end(ofPrefix prefix: [UInt8]) -> [UInt8]? {
        guard let last = prefix.lastIndex(where: { $0 != 0xff }) else { return nil }
        var end = Array(prefix[...last])
        end[last] += 1
        return end
    }

    private static func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool { ByteOrder.compare(a, b) < 0 }

    private static func later(_ a: [UInt8], _ b: [UInt8]) -> [UInt8] { precedes(a, b) ? b : a }

    private static func earlierEnd(_ a: [UInt8]?, _ b: [UInt8]?) -> [UInt8]? {
        guard let a else { return b }
        guard let b else { return a }
        return precedes(a, b) ? a : b
    }
}

/// As etcd's requests name a range: a key, and the end as `range_end` (rpc.proto).
extension KeyRange {
    /// An empty `end` means the one key, one zero byte everything from it on.
    package init(key: [UInt8], end: [UInt8]) {
        self.init(lower: key, upper: end.isEmpty ? key + [0] : end == [0] ? nil : end)
    }

    /// One zero byte for the start of everything.
    package var requestKey: [UInt8] { lower.isEmpty ? [0] : lower }
    package var requestEnd: [UInt8] { upper ?? [0] }
}
