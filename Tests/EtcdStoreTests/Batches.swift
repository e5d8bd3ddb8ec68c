import RegistryStore
import Synchronization

/// Notes how large the changes were that readers saw.
final class Batches: RegistryObserver {
    private let state = Mutex<[Int]>([])

    var sizes: [Int] { state.withLock { $0 } }

    func registryDidChange(_ batch: ChangeBatch) { state.withLock { $0.append(batch.changes.count) } }
}
