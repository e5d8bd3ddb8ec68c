package import Logging
import Synchronization

/// Lets each kind of warning through once per interval and says how many it held back, so that a flood of bad requests
/// is not a flood of log lines.
package final class WarningLimiter: Sendable {
    private struct Window {
        var start: Int64
        var held: Int
    }

    private let intervalMilliseconds: Int64
    private let now: @Sendable () -> Int64
    private let windows = Mutex<[String: Window]>([:])

    /// - Parameter now: monotonic milliseconds.
    package init(intervalMilliseconds: Int64 = 10_000, now: @escaping @Sendable () -> Int64) {
        self.intervalMilliseconds = intervalMilliseconds
        self.now = now
    }

    /// Logs at warning level unless the same kind was logged within the interval. `kind` must be one of a fixed few.
    package func warn(_ logger: Logger, _ kind: StaticString, _ message: @autoclosure () -> String) {
        guard let held = admit("\(kind)") else { return }
        let more = held > 0 ? " (\(held) more since the last line)" : ""
        logger.warning("\(message())\(more)")
    }

    /// How many were held back since the last line; nil when this one is held back too.
    func admit(_ kind: String) -> Int? {
        let time = now()
        return windows.withLock { windows in
            if var window = windows[kind], time - window.start < intervalMilliseconds {
                window.held += 1
                windows[kind] = window
                return nil
            }
            let held = windows[kind]?.held ?? 0
            windows[kind] = Window(start: time, held: 0)
            return held
        }
    }
}
