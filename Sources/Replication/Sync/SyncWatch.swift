import RegistryStore
import Synchronization

/// Ends what a stream does when nothing goes on any more, or when it takes too long.
final class SyncWatch: Sendable {
    private let last: Atomic<Int64>
    private let settings: SyncSettings
    private let environment: SyncEnvironment

    init(_ settings: SyncSettings, _ environment: SyncEnvironment) {
        self.settings = settings
        self.environment = environment
        last = Atomic(environment.clock.monotonicMilliseconds())
    }

    /// Something went on.
    func progress() { last.store(environment.clock.monotonicMilliseconds(), ordering: .relaxed) }

    /// Runs `body` until it ends, or until it is cancelled because there is no progress.
    func run<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await self.guardProgress()
                return nil
            }
            defer { group.cancelAll() }
            guard let value = try await group.next() ?? nil else { throw SyncFailure.cancelled }
            return value
        }
    }

    /// Throws when time is over.
    private func guardProgress() async throws {
        let start = environment.clock.monotonicMilliseconds()
        while true {
            let now = environment.clock.monotonicMilliseconds()
            let untilStall = last.load(ordering: .relaxed) &+ settings.stallMilliseconds &- now
            let untilEnd = start &+ settings.streamMilliseconds &- now
            if untilStall <= 0 { throw SyncFailure.stalled(milliseconds: settings.stallMilliseconds) }
            if untilEnd <= 0 { throw SyncFailure.overTime(milliseconds: settings.streamMilliseconds) }
            // Looks in between too, for clocks that do not run as sleep does.
            let between = max(settings.stallMilliseconds / 10, 1)
            try await environment.sleep(min(untilStall, untilEnd, between))
        }
    }
}
