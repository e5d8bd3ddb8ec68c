import RegistryStore
import Synchronization

/// What the store says of directories, until the tree's memory takes it: an observer runs below the store's lock, where
/// that memory must not be touched.
///
/// Own writes come by this way as well as those of other nodes, and what was there before the start.
final class DirectoryNews: RegistryObserver {
    enum Item: Sendable {
        /// A directory was put, at the earliest at `index`.
        case put([UInt8], index: Int64, end: DirectoryEnd?)
        /// Its marker went.
        case released([UInt8])
        /// It went with all below it.
        case taken([UInt8])
    }

    struct Waiting: Sendable {
        /// What was known does not hold any more: the markers are to be read from the store first.
        var mustReload = true
        var items: [Item] = []
    }

    private struct State {
        var hasBegun = false
        var waiting: Waiting? = Waiting()
    }

    /// News that wait; when more come, all is read again.
    private static let itemsMax = 4096

    private let state = Mutex(State())
    private let namespace: Namespace
    private let index: @Sendable (Int64) -> Int64
    private let clock: RegistryClock

    init(namespace: Namespace, clock: RegistryClock, index: @escaping @Sendable (Int64) -> Int64) {
        self.namespace = namespace
        self.clock = clock
        self.index = index
    }

    /// What has come since the last call; nil for nothing.
    func take() -> Waiting? {
        state.withLock { $0.waiting.take() }
    }

    func registryDidChange(_ batch: ChangeBatch) {
        if batch.restarts { return reload() }
        // What is there already is read with the first look.
        guard state.withLock({ $0.hasBegun }) else { return state.withLock { $0.hasBegun = true } }
        let items = items(of: batch)
        guard !items.isEmpty else { return }
        state.withLock { state in
            var waiting = state.waiting ?? Waiting(mustReload: false)
            waiting.items += items
            state.waiting = waiting.items.count > Self.itemsMax ? Waiting() : waiting
        }
    }

    private func reload() {
        state.withLock { state in
            state.hasBegun = true
            state.waiting = Waiting()
        }
    }

    private func items(of batch: ChangeBatch) -> [Item] {
        guard batch.changes.contains(where: { $0.namespace == DirectoryMarker.namespace }) else { return [] }
        var items: [Item] = []
        if let operation = DirectoryOperation(in: batch, of: namespace), operation.removes {
            items.append(.taken(operation.path))
        }
        // A marker that comes and goes in one batch only moves the revision.
        var wasThere: [[UInt8]: Bool] = [:]
        var last: [[UInt8]: Entry?] = [:]
        for change in batch.changes where change.namespace == DirectoryMarker.namespace {
            guard let path = DirectoryMarker.path(of: change.key) else { continue }
            if wasThere[path] == nil { wasThere[path] = change.previous != nil }
            last[path] = .some(change.current)
        }
        for (path, entry) in last {
            if let entry {
                items.append(put(path, entry))
            } else if wasThere[path] == true {
                items.append(.released(path))
            }
        }
        return items
    }

    /// What a marker says.
    func put(_ path: [UInt8], _ marker: Entry) -> Item {
        let now = clock.now
        let end = DirectoryMarker(marker).end.map { unix in
            DirectoryEnd(monotonic: now.monotonic &+ (unix &- now.unix), unix: unix)
        }
        return .put(path, index: index(marker.createRevision), end: end)
    }
}
