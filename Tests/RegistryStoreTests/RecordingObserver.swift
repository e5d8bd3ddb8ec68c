import RegistryStore
import Synchronization

/// Keeps every batch it is told of.
final class RecordingObserver: RegistryObserver {
    private let seen = Mutex<[ChangeBatch]>([])

    var batches: [ChangeBatch] { seen.withLock { $0 } }

    func registryDidChange(_ batch: ChangeBatch) { seen.withLock { $0.append(batch) } }
}
