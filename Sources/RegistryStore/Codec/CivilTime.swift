import DNSWire

/// A point of time split into the parts of a UTC date, for the texts that the doors show.
package struct CivilTime: Equatable, Sendable {
    package let year: Int
    /// 1 to 12.
    package let month: Int
    /// 1 to 31.
    package let day: Int
    package let hour: Int
    package let minute: Int
    package let second: Int
    package let millisecond: Int
    /// 0 is Sunday.
    package let weekday: Int

    /// - Parameter unixMilliseconds: since 1970; before that is shown as 1970, past the year 9999 as its end.
    package init(unixMilliseconds: Int64) {
        let bounded = min(max(unixMilliseconds, 0), 253_402_300_799_999)
        let days = Int(bounded / 86_400_000)
        let rest = Int(bounded % 86_400_000)
        let date = CivilDate(daysSince1970: days)
        (year, month, day) = (date.year, date.month, date.day)
        hour = rest / 3_600_000
        minute = rest / 60_000 % 60
        second = rest / 1000 % 60
        millisecond = rest % 1000
        weekday = (days + 4) % 7
    }

    /// RFC 3339 with as many digits of the fraction as it needs, as Go writes times: `2026-01-02T03:04:05.06Z`.
    package var rfc3339: String {
        var text = "\(year)-\(two(month))-\(two(day))T\(two(hour)):\(two(minute)):\(two(second))"
        if millisecond > 0 {
            var digits = "\(1000 + millisecond)".dropFirst()
            while digits.last == "0" { digits.removeLast() }
            text += ".\(digits)"
        }
        return text + "Z"
    }

    /// The date of an HTTP `Date` field (RFC 9110 §5.6.7, IMF-fixdate).
    package var httpDate: String {
        let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return "\(weekdays[weekday]), \(two(day)) \(months[month - 1]) \(year) "
            + "\(two(hour)):\(two(minute)):\(two(second)) GMT"
    }

    private func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
