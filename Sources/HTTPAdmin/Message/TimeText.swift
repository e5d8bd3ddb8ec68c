/// Times and durations in the spellings of the peers. Pure; all times are UTC.
package enum TimeText {
    /// The time Go prints for a zero `time.Time`; what static entries show as their last heartbeat.
    package static let zero = "0001-01-01T00:00:00Z"

    /// RFC 3339 with as many digits of the second as the time has (Go's RFC3339Nano).
    package static func rfc3339(unixMilliseconds: Int64) -> String {
        let (days, ofDay) = unixMilliseconds.flooredDivision(by: 86_400_000)
        let date = CivilDate(daysSince1970: days)
        let (seconds, milliseconds) = (ofDay / 1000, ofDay % 1000)
        var text = "\(padded(date.year, 4))-\(padded(date.month, 2))-\(padded(date.day, 2))T\(clock(seconds))"
        if milliseconds > 0 {
            var fraction = padded(milliseconds, 3)
            while fraction.hasSuffix("0") { fraction.removeLast() }
            text += "." + fraction
        }
        return text + "Z"
    }

    /// The preferred form of HTTP dates (RFC 9110 section 5.6.7).
    package static func httpDate(unixMilliseconds: Int64) -> String {
        let (days, ofDay) = unixMilliseconds.flooredDivision(by: 86_400_000)
        let date = CivilDate(daysSince1970: days)
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let weekday = weekdays[Int(days.flooredDivision(by: 7).remainder)]
        let month = months[Int(date.month - 1)]
        return "\(weekday), \(padded(date.day, 2)) \(month) \(padded(date.year, 4)) \(clock(ofDay / 1000)) GMT"
    }

    /// A duration as Go prints it: `1h2m3.5s`, `250ms`, `0s`.
    package static func goDuration(milliseconds: Int64) -> String {
        let value = max(0, milliseconds)
        if value == 0 { return "0s" }
        if value < 1000 { return "\(value)ms" }
        let (hours, minutes, rest) = (value / 3_600_000, value / 60_000 % 60, value % 60_000)
        var seconds = "\(rest / 1000)"
        if rest % 1000 > 0 {
            seconds += "." + padded(rest % 1000, 3)
            while seconds.hasSuffix("0") { seconds.removeLast() }
        }
        if hours > 0 { return "\(hours)h\(minutes)m\(seconds)s" }
        return minutes > 0 ? "\(minutes)m\(seconds)s" : "\(seconds)s"
    }

    private static func clock(_ secondsOfDay: Int64) -> String {
        "\(padded(secondsOfDay / 3600, 2)):\(padded(secondsOfDay / 60 % 60, 2)):\(padded(secondsOfDay % 60, 2))"
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

/// A day of the proleptic Gregorian calendar.
private struct CivilDate {
    let year: Int64
    let month: Int64
    let day: Int64

    /// Counts in eras of 400 years that begin on 1 March, so that the leap day comes last.
    init(daysSince1970: Int64) {
        let (era, dayOfEra) = (daysSince1970 + 719_468).flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shifted + 2) / 5 + 1
        month = shifted < 10 ? shifted + 3 : shifted - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }
}

extension Int64 {
    fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
