/// How long registrations of the HTTP dialects live without a heartbeat: `--lease-default`, `--lease-min`,
/// `--lease-max`.
package struct LeasePolicy: Sendable {
    package let defaultMilliseconds: Int64
    package let minMilliseconds: Int64
    package let maxMilliseconds: Int64

    package init(defaultMilliseconds: Int64 = 30_000, minMilliseconds: Int64 = 10_000, maxMilliseconds: Int64 = 600_000)
    {
        self.defaultMilliseconds = defaultMilliseconds
        self.minMilliseconds = minMilliseconds
        self.maxMilliseconds = maxMilliseconds
    }

    /// The lease of a registration that asked for `seconds`; 0 asks for the default, which is not clamped, as in
    /// Amalgam8.
    package func milliseconds(askedSeconds seconds: UInt32) -> Int64 {
        if seconds == 0 { return defaultMilliseconds }
        return max(minMilliseconds, min(Int64(seconds) * 1000, maxMilliseconds))
    }

    /// A lease in the whole seconds that the dialects show; never 0, which would mean that it has none.
    package static func shownSeconds(_ milliseconds: Int64) -> Int64 { max(1, milliseconds / 1000) }
}
