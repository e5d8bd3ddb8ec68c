package import RegistryStore
import Synchronization

/// A clock that stands still until a test moves it.
package final class VirtualClock: Sendable {
    private let milliseconds = Atomic<Int64>(1_000_000)
    /// Wall clock minus monotonic clock.
    private let offset = Atomic<Int64>(1_700_000_000_000)

    package init() {}

    /// Milliseconds on the monotonic clock.
    package var now: Int64 { milliseconds.load(ordering: .relaxed) }

    /// Lets time pass on both clocks.
    package func advance(milliseconds count: Int64) { milliseconds.add(count, ordering: .relaxed) }

    /// Sets the wall clock off, as an operator or NTP would; the monotonic clock goes on.
    package func shiftWallClock(milliseconds count: Int64) { offset.add(count, ordering: .relaxed) }

    /// The clock in the shape the store takes.
    package var registryClock: RegistryClock {
        RegistryClock(
            monotonicMilliseconds: { self.now },
            unixMilliseconds: { self.now &+ self.offset.load(ordering: .relaxed) })
    }
}
