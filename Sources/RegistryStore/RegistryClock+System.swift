import Glibc

extension RegistryClock {
    /// The clocks of the operating system. The monotonic one is the one `SystemTime.monotonicMilliseconds` reads, so
    /// that readers of `LeaseDeadlines` compare like with like.
    package static let system = RegistryClock(
        monotonicMilliseconds: { SystemTime.monotonicMilliseconds() },
        unixMilliseconds: { SystemTime.unixMilliseconds() })
}

/// The system's clocks in milliseconds.
package enum SystemTime {
    /// `CLOCK_MONOTONIC`.
    package static func monotonicMilliseconds() -> Int64 { milliseconds(CLOCK_MONOTONIC) }

    /// `CLOCK_REALTIME`, milliseconds since 1970-01-01 UTC.
    package static func unixMilliseconds() -> Int64 { milliseconds(CLOCK_REALTIME) }

    private static func milliseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        // SAFETY: `time` is a live local that the call fills; it fails only for clocks that do not exist.
        unsafe clock_gettime(clock, &time)
        return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
    }
}
