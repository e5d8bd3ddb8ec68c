import NIOCore
import RegistryStore
import Synchronization

/// etcd's service `Watch`: one hub for each event loop that has watches, woken by the store.
///
/// A hub reads each change once and hands it to all watches of its loop; the store only rings its bell, since what an
/// observer does delays all writers.
final class WatchService: RegistryObserver {
    private let context: V3Context
    private let doorbells = Mutex<[ObjectIdentifier: HubDoorbell]>([:])
    private let watchers = WatcherCount()

    init(context: V3Context) {
        self.context = context
        context.registry.addObserver(self)
    }

    /// The hub of an event loop; to be called on it.
    func hub(on loop: any EventLoop) -> WatchHub {
        loop.preconditionInEventLoop()
        let known = doorbells.withLock { $0[ObjectIdentifier(loop)] }
        if let known { return known.hub.value }
        let hub = WatchHub(loop: loop, context: context, count: watchers)
        let doorbell = HubDoorbell(hub: hub, loop: loop)
        doorbells.withLock { $0[ObjectIdentifier(loop)] = doorbell }
        return hub
    }

    func registryDidChange(_ batch: ChangeBatch) {
        doorbells.withLock { doorbells in for doorbell in doorbells.values { doorbell.ring() } }
    }
}

/// What wakes a hub: from any thread, at most one task of its loop under way.
final class HubDoorbell: Sendable {
    let hub: NIOLoopBound<WatchHub>
    private let loop: any EventLoop
    private let isRung = Atomic(false)
    private let need: HubNeed

    init(hub: WatchHub, loop: any EventLoop) {
        self.hub = NIOLoopBound(hub, eventLoop: loop)
        self.loop = loop
        need = hub.need
    }

    func ring() {
        guard need.exists, !isRung.exchange(true, ordering: .acquiringAndReleasing) else { return }
        loop.execute {
            // Before the hub reads: a change that comes after this rings again.
            self.isRung.store(false, ordering: .releasing)
            self.hub.value.wake()
        }
    }
}

/// Whether a hub has watches at all; written on its loop, read by writers of the store.
final class HubNeed: Sendable {
    private let needed = Atomic(false)

    var exists: Bool { needed.load(ordering: .acquiring) }
    func set(_ value: Bool) { needed.store(value, ordering: .releasing) }
}

/// Watches of all streams together.
final class WatcherCount: Sendable {
    private let count = Atomic(0)

    /// Counts one more unless that would pass the bound.
    func add(bound: Int) -> Bool {
        if count.add(1, ordering: .relaxed).newValue <= bound { return true }
        remove(1)
        return false
    }

    func remove(_ number: Int) { count.subtract(number, ordering: .relaxed) }
}
