/// Durations as Go writes them: `30s`, `1m30s`, `500ms`, `2h`, `1.5h`.
enum DurationText {
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("ns", 1), ("us", 1_000), ("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000),
        ("m", 60_000_000_000), ("h", 3_600_000_000_000),
    ]

    /// The duration, or nil when the text is none, is negative, or passes 292 years.
    static func parse(_ text: String) -> Duration? {
        if text == "0" { return .zero }
        var rest = Substring(text)
        var total: Int64 = 0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
            rest = rest.dropFirst(number.count)
            let name = rest.prefix { !($0.isASCII && $0.isNumber) && $0 != "." }
            rest = rest.dropFirst(name.count)
            guard let unit = units.first(where: { $0.name == name }),
                let part = nanoseconds(number, unit: unit.nanoseconds)
            else { return nil }
            let (sum, overflow) = total.addingReportingOverflow(part)
            guard !overflow else { return nil }
            total = sum
        }
        return .nanoseconds(total)
    }

    /// The shortest Go text of a duration.
    static func format(_ duration: Duration) -> String {
        var left = nanoseconds(of: duration)
        if left == 0 { return "0s" }
        var text = ""
        for (name, size) in units.reversed() where name != "µs" && left >= size {
            text += "\(left / size)\(name)"
            left %= size
        }
        return text
    }

    /// Whole nanoseconds of a duration, at most `Int64.max`.
    private static func nanoseconds(of duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return .max }
        let (sum, tooLarge) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return tooLarge ? .max : sum
    }

    private static func nanoseconds(_ number: Substring, unit: Int64) -> Int64? {
        let parts = number.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first, parts.count == 1 || !(whole.isEmpty && parts[1].isEmpty) else { return nil }
        guard parts.count == 2 || !whole.isEmpty, let units = whole.isEmpty ? 0 : Int64(whole) else { return nil }
        let (product, overflow) = units.multipliedReportingOverflow(by: unit)
        guard !overflow else { return nil }
        guard parts.count == 2, !parts[1].isEmpty else { return product }
        // Digits below a nanosecond count for nothing; nine are enough for the largest unit with room to spare.
        let digits = parts[1].prefix(9)
        guard parts[1].allSatisfy({ $0.isASCII && $0.isNumber }), let fraction = Int64(digits) else { return nil }
        var scale: Int64 = 1
        for _ in digits { scale *= 10 }
        // `fraction` < 10^9 and `unit` < 4 * 10^12: the product needs 128 bits.
        let (high, low) = fraction.multipliedFullWidth(by: unit)
        let part = scale.dividingFullWidth((high, low)).quotient
        let (sum, tooLarge) = product.addingReportingOverflow(part)
        return tooLarge ? nil : sum
    }
}
