/// Times and durations as programs written in Go print them.
package enum GoText {
    /// The time Go prints for a zero `time.Time`; what static entries show as their last heartbeat.
    package static let zeroTime = "0001-01-01T00:00:00Z"

    /// A duration as Go prints it: `1h2m3.5s`, `250ms`, `0s`.
    package static func duration(milliseconds: Int64) -> String {
        let value = max(0, milliseconds)
        if value == 0 { return "0s" }
        if value < 1000 { return "\(value)ms" }
        let (hours, minutes, rest) = (value / 3_600_000, value / 60_000 % 60, value % 60_000)
        var seconds = "\(rest / 1000)"
        if rest % 1000 > 0 {
            seconds += "." + "\(1000 + rest % 1000)".dropFirst()
            while seconds.hasSuffix("0") { seconds.removeLast() }
        }
        if hours > 0 { return "\(hours)h\(minutes)m\(seconds)s" }
        return minutes > 0 ? "\(minutes)m\(seconds)s" : "\(seconds)s"
    }
}
