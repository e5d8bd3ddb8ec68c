import Synchronization

/// How the v2 API's operations ended since the start, for `/v2/stats/store` and the metrics.
final class OperationCounts: Sendable {
    struct Outcomes: Sendable {
        var succeeded = 0
        var failed = 0
    }

    private let counts = Mutex<[KeyspaceEvent.Action: Outcomes]>([:])

    func count(_ action: KeyspaceEvent.Action, succeeded: Bool) {
        counts.withLock { counts in
            if succeeded {
                counts[action, default: Outcomes()].succeeded += 1
            } else {
                counts[action, default: Outcomes()].failed += 1
            }
        }
    }

    subscript(action: KeyspaceEvent.Action) -> Outcomes { counts.withLock { $0[action] ?? Outcomes() } }
}
