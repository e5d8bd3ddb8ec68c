/// A key whose value the DNS and the HTTP dialects cannot use although it lies where they look.
package struct SkippedValue: Hashable, Sendable {
    package let namespace: Namespace
    package let key: [UInt8]
    /// What is wrong with the value, for people.
    package let reason: String

    package init(namespace: Namespace, key: [UInt8], reason: String) {
        self.namespace = namespace
        self.key = key
        self.reason = reason
    }
}

/// The values that are skipped at present, up to a bound, and how many there have been.
struct SkippedValues {
    private struct Place: Hashable {
        let namespace: Namespace
        let key: [UInt8]
    }

    private var reasons: [Place: String] = [:]
    /// Values skipped since the start.
    private(set) var total = 0
    private let countMax: Int

    init(limits: RegistryLimits) { countMax = limits.skippedValuesKept }

    var isEmpty: Bool { reasons.isEmpty }
    var count: Int { reasons.count }

    /// Kept ones in the order of namespace and key.
    func all() -> [SkippedValue] {
        reasons.map { SkippedValue(namespace: $0.key.namespace, key: $0.key.key, reason: $0.value) }.sorted {
            $0.namespace != $1.namespace
                ? $0.namespace < $1.namespace : ByteOrder.compare($0.key, $1.key) < 0
        }
    }

    mutating func add(_ value: SkippedValue) {
        total += 1
        let place = Place(namespace: value.namespace, key: value.key)
        guard reasons.count < countMax || reasons[place] != nil else { return }
        reasons[place] = value.reason
    }

    mutating func remove(_ namespace: Namespace, _ key: [UInt8]) {
        guard !reasons.isEmpty else { return }
        reasons[Place(namespace: namespace, key: key)] = nil
    }
}
