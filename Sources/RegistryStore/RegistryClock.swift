/// A point in time as the store needs it: leases count on the monotonic clock, versions on the wall clock.
package struct Moment: Hashable, Sendable {
    /// Milliseconds of a clock that never goes back; its zero has no meaning.
    package var monotonic: Int64
    /// Milliseconds since 1970-01-01 UTC.
    package var unix: Int64

    package init(monotonic: Int64, unix: Int64) {
        self.monotonic = monotonic
        self.unix = unix
    }
}

/// Where the store's time comes from. Tests and the simulator pass a virtual one.
package struct RegistryClock: Sendable {
    /// Milliseconds of a clock that never goes back.
    package let monotonicMilliseconds: @Sendable () -> Int64
    /// Milliseconds since 1970-01-01 UTC.
    package let unixMilliseconds: @Sendable () -> Int64

    package init(
        monotonicMilliseconds: @escaping @Sendable () -> Int64, unixMilliseconds: @escaping @Sendable () -> Int64
    ) {
        self.monotonicMilliseconds = monotonicMilliseconds
        self.unixMilliseconds = unixMilliseconds
    }

    /// Both clocks at once.
    package var now: Moment { Moment(monotonic: monotonicMilliseconds(), unix: unixMilliseconds()) }
}
