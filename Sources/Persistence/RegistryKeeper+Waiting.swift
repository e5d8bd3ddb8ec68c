import Dispatch
package import RegistryStore
import Synchronization

/// What a keeper has done.
package struct KeeperCounts: Hashable, Sendable {
    /// Groups written.
    package var groups = 0
    package var rows = 0
    /// Times that the disk was waited for.
    package var syncs = 0
    /// Times that the log was copied into the file.
    package var checkpoints = 0
    /// Groups that could not be written.
    package var failures = 0
    /// Writes that waited for room.
    package var waitsForRoom = 0
    /// Length of the log when it was copied into the file last.
    package var logBytes = 0
    // Now:
    /// Entries that wait to be written.
    package var waiting = 0
    /// Those who wait for a group.
    package var waiters = 0

    package init() {}
}

extension RegistryKeeper: RegistryDurability {
    package var position: Int { registry.journalPosition }

    package var hasRoom: Bool { registry.journalCount < settings.waitingMax }

    package func waitForRoom() async throws(RegistryError) {
        guard !hasRoom else { return }
        state.withLock { $0.counts.waitsForRoom += 1 }
        while !hasRoom { try await settle() }
    }

    /// Returns when everything that was applied before the call is kept. Throws `unavailable` when the disk does not
    /// take it: the writes are in effect, and may be lost when the process ends.
    package func settle() async throws(RegistryError) {
        let error = await withCheckedContinuation { (continuation: CheckedContinuation<RegistryError?, Never>) in
            let isClosed = state.withLock { state in
                // The group under way may have been taken before the write, the next one has it for sure.
                if !state.isClosed {
                    state.waiters.append(Waiter(group: state.begun + 1, continuation: continuation))
                }
                return state.isClosed
            }
            if isClosed {
                continuation.resume(returning: Self.stopping)
            } else {
                schedule()
            }
        }
        if let error { throw error }
    }
}

extension RegistryKeeper {
    /// What the keeper has done so far.
    package var counts: KeeperCounts {
        var counts = state.withLock { state in
            var counts = state.counts
            counts.waiters = state.waiters.count
            return counts
        }
        counts.waiting = registry.journalCount
        return counts
    }

    /// Why nothing can be kept now; nil when all is well.
    package var failure: String? { state.withLock { $0.failure } }

    /// Writes now and then what nobody waits for, and syncs the log, until the task is cancelled; then writes what is
    /// left and closes the file.
    package func run() async {
        var written = -1
        var lastSync = ContinuousClock.now
        while (try? await Task.sleep(for: settings.groupPause)) != nil {
            let isSecond = ContinuousClock.now - lastSync >= settings.syncPause
            if isSecond {
                lastSync = .now
                checkFile()
            }
            let position = registry.journalPosition
            // Equal puts take numbers too, and a disk that failed is tried again.
            if position != written || isSecond {
                written = position
                if isSecond || failure == nil { schedule() }
            }
            if isSecond, settings.sync == .interval { await onSyncQueue { self.syncLog() } }
        }
        close()
    }

    private func onSyncQueue(_ work: @escaping @Sendable () -> Void) async {
        await withCheckedContinuation { done in
            syncing.async {
                work()
                done.resume()
            }
        }
    }
}
