package import RegistryStore
import Synchronization

/// Request ids as Amalgam8 writes them: ten letters fixed per process, nanoseconds since 1970, a counter.
package final class RequestIDs: Sendable {
    private let prefix: String
    private let clock: RegistryClock
    private let counter = Atomic<UInt64>(0)

    package init(clock: RegistryClock) {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
        prefix = String((0..<10).map { _ in letters.randomElement() ?? "x" })
        self.clock = clock
    }

    package func next() -> String {
        let number = counter.wrappingAdd(1, ordering: .relaxed).newValue
        return "\(prefix)_\(clock.unixMilliseconds() &* 1_000_000)_\(number)"
    }
}
