package import Foundation
import Synchronization

/// A text that grows while it is read: everything a program has printed so far.
package final class GrowingText: Sendable {
    /// What was waited for did not come: the text ended, or time did.
    package struct Missing: Error, CustomStringConvertible {
        package let description: String
    }

    private struct State {
        var bytes = Data()
        var isEnded = false
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var lastWaiter = 0

        mutating func takeWaiters() -> [CheckedContinuation<Void, Never>] {
            defer { waiters = [:] }
            return Array(waiters.values)
        }
    }

    private let state = Mutex(State())

    /// An empty one.
    package init() {}

    /// Whether nothing more will come.
    package var hasEnded: Bool { state.withLock { $0.isEnded } }

    /// Everything so far.
    package var text: String { String(decoding: state.withLock { $0.bytes }, as: UTF8.self) }

    package func add(_ bytes: Data) {
        let waiters = state.withLock { state in
            state.bytes += bytes
            return state.takeWaiters()
        }
        for waiter in waiters { waiter.resume() }
    }

    package func end() {
        let waiters = state.withLock { state in
            state.isEnded = true
            return state.takeWaiters()
        }
        for waiter in waiters { waiter.resume() }
    }

    /// The first whole line that begins with `start`.
    package func line(beginning start: String, within patience: Duration) async throws -> String {
        try await line(within: patience, "a line beginning '\(start)'") { $0.hasPrefix(start) }
    }

    /// The first whole line that contains `part`.
    package func line(containing part: String, within patience: Duration) async throws -> String {
        try await line(within: patience, "a line containing '\(part)'") { $0.contains(part) }
    }

    private func line(
        within patience: Duration, _ what: String, where matches: @escaping @Sendable (Substring) -> Bool
    ) async throws -> String {
        try await first(within: patience, what) { text, _ in
            text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().first(where: matches).map(
                String.init)
        }
    }

    /// Everything, once the other end is closed.
    package func whole(within patience: Duration) async throws -> String {
        try await first(within: patience, "its end") { text, isEnded in isEnded ? text : nil }
    }

    /// What `find` finds as the text grows.
    private func first(
        within patience: Duration, _ what: String, _ find: @escaping @Sendable (String, Bool) -> String?
    ) async throws -> String {
        let found = await withTaskGroup(of: String?.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    let (bytes, isEnded) = self.state.withLock { ($0.bytes, $0.isEnded) }
                    if let found = find(String(decoding: bytes, as: UTF8.self), isEnded) { return found }
                    if isEnded { return nil }
                    await self.waitForMore(than: bytes.count)
                }
                return nil
            }
            group.addTask {
                try? await Task.sleep(for: patience)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        guard let found else {
            let why = hasEnded ? "did not come before the end" : "did not come within \(patience)"
            throw Missing(description: "\(what) \(why); there is: \(text)")
        }
        return found
    }

    /// Returns when there are more bytes, at the end, and when the task is cancelled.
    private func waitForMore(than count: Int) async {
        let number = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isThere = state.withLock { state in
                    if state.bytes.count > count || state.isEnded || Task.isCancelled { return true }
                    state.waiters[number] = continuation
                    return false
                }
                if isThere { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: number) }?.resume()
        }
    }
}
