import RegistryStore
import Synchronization

/// The last events of the v2 tree and who waits for the next ones.
///
/// An observer of the store: every batch becomes events in the order of revisions, under the names of v2 where a
/// `WriteNote` tells them; what other doors put is a `set`. As in etcd the last 1,000 events can be waited for in
/// retrospect, and a watch has room for 100 events that its client has not taken. A watch is a place in a table, no
/// task and no thread; an event looks up its own path and those above it.
final class EventHistory: RegistryObserver {
    struct Bounds: Sendable {
        /// Events kept, and bytes kept alive by them; the oldest go first.
        var events = 1000
        var bytes = 64 << 20
        /// Watches at once; one more is refused.
        var watches = 16_384
        /// Events a watch holds for its client; one more and the watch ends.
        var eventsPerWatch = 100
    }

    struct Counts: Sendable {
        var watches = 0
        var refused = 0
        /// Watches that ended because their client was too slow.
        var cut = 0
        var expirations = 0
    }

    /// What an event's nodes need beside the change.
    struct Views: Sendable {
        let namespace: Namespace
        let numbers: RevisionNumbers
        /// Of an entry by the deadline of its lease; must not call the store.
        let life: @Sendable (Entry) -> KeyspaceLife?
        /// What a write gives the entry, where the store does not know it yet.
        let granted: @Sendable (WriteNote) -> KeyspaceLife?
        /// Of a directory that ends at a time in Unix milliseconds.
        let directoryLife: @Sendable (Int64) -> KeyspaceLife
        /// The index of creation of a key, for its state at a modified index; must not call the store.
        let createdIndex: @Sendable ([UInt8], Int64) -> Int64
    }

    private struct State {
        var hasBegun = false
        var revision: Int64 = 0
        /// The first index of which something can be known here.
        var begin: Int64
        /// Notes of v2 writes that are under way to a cluster.
        var expected = ExpectedNotes()
        /// A ring: `start` is the oldest.
        var ring: [HistoryEvent?] = []
        var start = 0
        var count = 0
        var bytes = 0
        var hasDropped = false
        var watches: [[UInt8]: [WatchQueue]] = [:]
        var counts = Counts()
    }

    private let state: Mutex<State>
    private let bounds: Bounds
    private let views: Views

    init(bounds: Bounds, views: Views) {
        self.bounds = bounds
        self.views = views
        state = Mutex(State(begin: views.numbers.boot))
    }

    var counts: Counts { state.withLock { $0.counts } }

    // MARK: Watching

    /// Begins a watch.
    ///
    /// - Parameters:
    ///   - since: the index of the first event wanted; nil for the next one.
    /// - Returns: the queue, and the index of the store at the moment the watch began.
    /// - Throws: `historyCleared` when events since then are not kept, `overloaded` when too many wait.
    func watch(
        _ path: [UInt8], recursive: Bool, stream: Bool, since: UInt64?
    ) throws(V2Error) -> (queue: WatchQueue, index: Int64) {
        try state.withLock { (state) throws(V2Error) in
            let index = views.numbers.number(of: state.revision)
            var past: [HistoryEvent] = []
            var first = index &+ 1
            if let since {
                first = Int64(clamping: since)
                let oldest = oldestIndex(state)
                let meaning = views.numbers.meaning(of: first, current: state.revision)
                guard meaning != .compacted, first >= oldest else {
                    throw V2Error(
                        .historyCleared, cause: "the requested history has been cleared [\(oldest)/\(since)]",
                        index: index)
                }
                past = events(state, since: first, path, recursive: recursive, limit: stream ? .max : 1)
            }
            let queue = WatchQueue(
                path: path, recursive: recursive, stream: stream, first: first, past: past,
                bound: bounds.eventsPerWatch)
            guard stream || past.isEmpty else { return (queue, index) }
            guard state.counts.watches < bounds.watches else {
                state.counts.refused += 1
                throw V2Error(.overloaded, cause: "watchers: at most \(bounds.watches)", index: index)
            }
            state.watches[path, default: []].append(queue)
            state.counts.watches += 1
            return (queue, index)
        }
    }

    /// Ends a watch and frees its place; nothing when it has ended before.
    func remove(_ queue: WatchQueue) {
        state.withLock { state in Self.remove(queue, from: &state) }
        queue.end()
    }

    /// Ends all watches, of a store that is not followed any more.
    func end() {
        let ended = state.withLock { state in
            defer {
                state.watches = [:]
                state.counts.watches = 0
            }
            return state.watches.values.flatMap { $0 }
        }
        for queue in ended { queue.end() }
    }

    private static func remove(_ queue: WatchQueue, from state: inout State) {
        guard let place = state.watches[queue.path]?.firstIndex(where: { $0 === queue }) else { return }
        state.watches[queue.path]?.remove(at: place)
        if state.watches[queue.path]?.isEmpty == true { state.watches[queue.path] = nil }
        state.counts.watches -= 1
    }

    private func oldestIndex(_ state: State) -> Int64 {
        guard state.hasDropped else { return state.begin }
        return state.ring.isEmpty ? .max : state.ring[state.start]?.index ?? views.numbers.number(of: state.revision)
    }

    /// Kept events as etcd finds them: hidden ones too, and a directory's end for every path below it.
    private func events(
        _ state: State, since first: Int64, _ path: [UInt8], recursive: Bool, limit: Int
    ) -> [HistoryEvent] {
        var found: [HistoryEvent] = []
        for offset in 0..<state.count where found.count < limit {
            guard let event = state.ring[(state.start + offset) % bounds.events], event.index >= first,
                !event.isRefresh
            else { continue }
            if event.key == path || recursive && Self.isBelow(event.key, path)
                || event.tookDirectory && Self.isBelow(path, event.key)
            {
                found.append(event)
            }
        }
        return found
    }

    static func isBelow(_ key: [UInt8], _ path: [UInt8]) -> Bool {
        key.count > path.count && key[path.count] == UInt8(ascii: "/") && key.starts(with: path)
    }

    // MARK: Following the store

    /// Tells what a v2 write is, before it goes to a cluster: its events come back by another way than the writer's
    /// call. To be taken back with `forget`. A foreign write of the same key in between may be told in its name.
    func expect(_ note: WriteNote) -> UInt64 { state.withLock { $0.expected.add(note) } }

    func forget(_ token: UInt64) { state.withLock { $0.expected.remove(token) } }

    func registryDidChange(_ batch: ChangeBatch) {
        let own = WriteNote.current
        let ended = state.withLock { state -> [WatchQueue] in
            state.revision = batch.revision
            if batch.restarts { return restart(at: batch.revision, &state) }
            // The first batch is what the store holds already: no events.
            guard state.hasBegun else {
                state.hasBegun = true
                return []
            }
            take(batch, own, &state)
            return []
        }
        for queue in ended { queue.end() }
    }

    /// What came before is not known, nor what happened in between: who waits must look again.
    private func restart(at revision: Int64, _ state: inout State) -> [WatchQueue] {
        let ended = state.watches.values.flatMap { $0 }
        state = State(
            hasBegun: true, revision: revision, begin: views.numbers.number(of: revision) &+ 1,
            expected: state.expected, counts: state.counts)
        state.counts.watches = 0
        return ended
    }

    private func take(_ batch: ChangeBatch, _ own: WriteNote?, _ state: inout State) {
        let index = views.numbers.number(of: batch.revision)
        let operation = own == nil ? DirectoryOperation(in: batch, of: views.namespace) : nil
        let told = operation.map { state.expected.note(of: $0) ?? $0.note(life: views.directoryLife) }
        if let note = own ?? told, let directory = note.directory {
            let event = event(of: directory, note, index, in: batch)
            append(event, to: &state)
            if !event.isRefresh { notify(event, &state) }
            if event.tookDirectory { notifyBelow(event, batch, note.remembered, &state) }
            return
        }
        for change in batch.changes
        where change.namespace == views.namespace && !change.isReshown && Self.isPath(change.key) {
            let note = own ?? state.expected.note(of: change)
            let event = event(of: change, note?.key == change.key ? note : nil, index)
            append(event, to: &state)
            if !event.isRefresh { notify(event, &state) }
        }
    }

    private func event(
        of directory: KeyspaceNode, _ note: WriteNote, _ index: Int64, in batch: ChangeBatch
    ) -> HistoryEvent {
        var node = directory
        node.modifiedIndex = index
        if node.createdIndex == 0 { node.createdIndex = index }
        return HistoryEvent(
            action: note.action, key: note.key, index: index, node: .node(node),
            previous: note.previous.map { .node($0) }
                ?? batch.changes.first { $0.namespace == views.namespace && $0.key == note.key }?.previous.map(side),
            isRefresh: note.isRefresh)
    }

    private func event(of change: Change, _ note: WriteNote?, _ index: Int64) -> HistoryEvent {
        let previous = change.previous.map { entry -> HistoryEvent.Side in
            if let node = note?.previous, note?.existing === entry { return .node(node) }
            // A lease that was set anew over the entry shows its new end.
            return side(of: entry)
        }
        let action = note?.action ?? Self.action(of: change)
        guard let current = change.current else {
            let created: Int64 =
                switch previous {
                case .node(let node): node.createdIndex
                case .entry(_, _, let createdIndex): createdIndex
                case nil: index
                }
            let node = KeyspaceNode(
                key: change.key, kind: .removed(wasDirectory: false), modifiedIndex: index, createdIndex: created)
            return HistoryEvent(action: action, key: change.key, index: index, node: .node(node), previous: previous)
        }
        return HistoryEvent(
            action: action, key: change.key, index: index,
            node: .entry(
                current, views.life(current) ?? note.flatMap(views.granted), createdIndex: note?.keptCreation ?? index),
            previous: action == .create ? nil : previous, isRefresh: note?.isRefresh ?? false)
    }

    private func side(of entry: Entry) -> HistoryEvent.Side {
        let modified = views.numbers.number(of: entry.modRevision)
        return .entry(entry, views.life(entry), createdIndex: views.createdIndex(entry.key, modified))
    }

    private static func action(of change: Change) -> KeyspaceEvent.Action {
        switch change.kind {
        case .write: .set
        case .delete: .delete
        case .expiry: .expire
        }
    }

    /// Whether a key is a clean path, which alone has a node in the tree.
    static func isPath(_ key: [UInt8]) -> Bool {
        guard key.first == UInt8(ascii: "/"), key.count > 1 else { return false }
        let names = key.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return names.allSatisfy { !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8) }
    }

    private func append(_ event: HistoryEvent, to state: inout State) {
        if event.action == .expire { state.counts.expirations += 1 }
        if state.ring.isEmpty { state.ring = Array(repeating: nil, count: bounds.events) }
        if state.count == bounds.events { dropOldest(&state) }
        state.ring[(state.start + state.count) % bounds.events] = event
        state.count += 1
        state.bytes += event.bytes
        while state.bytes > bounds.bytes, state.count > 1 { dropOldest(&state) }
    }

    private func dropOldest(_ state: inout State) {
        state.bytes -= state.ring[state.start]?.bytes ?? 0
        state.ring[state.start] = nil
        state.start = (state.start + 1) % bounds.events
        state.count -= 1
        state.hasDropped = true
    }

    // MARK: Waking

    /// Wakes who waits at the event's path, or above it for all below.
    private func notify(_ event: HistoryEvent, _ state: inout State) {
        guard !state.watches.isEmpty else { return }
        for end in event.key.indices where event.key[end] == UInt8(ascii: "/") {
            let rest = event.key[end...]
            if !Self.isHidden(rest) { wake(Array(event.key[..<end]), for: event, &state) { $0.recursive } }
        }
        wake(event.key, for: event, &state) { _ in true }
    }

    /// Whether what lies between a watch's path and the key has a name that starts with `_`.
    private static func isHidden(_ rest: ArraySlice<UInt8>) -> Bool {
        zip(rest, rest.dropFirst()).contains { $0 == (UInt8(ascii: "/"), UInt8(ascii: "_")) }
    }

    /// Wakes who waits at a path that ended with its directory.
    private func notifyBelow(
        _ event: HistoryEvent, _ batch: ChangeBatch, _ remembered: RememberedDirectory?, _ state: inout State
    ) {
        let paths = state.watches.keys.filter { Self.isBelow($0, event.key) }
        guard !paths.isEmpty else { return }
        // What the recursive delete took comes first in the batch, in key order.
        func firstTaken(from lower: [UInt8]) -> Change? {
            var (low, high) = (0, batch.changes.count)
            while low < high {
                let middle = (low + high) / 2
                let change = batch.changes[middle]
                let isBefore =
                    change.namespace == views.namespace && Self.isBelow(change.key, event.key)
                    && change.key.lexicographicallyPrecedes(lower)
                if isBefore { low = middle + 1 } else { high = middle }
            }
            return low < batch.changes.count && batch.changes[low].namespace == views.namespace
                ? batch.changes[low] : nil
        }
        let markers = Set(
            batch.changes.compactMap { change -> [UInt8]? in
                guard change.namespace == DirectoryMarker.namespace, change.current == nil else { return nil }
                return DirectoryMarker.path(of: change.key)
            })
        for path in paths
        where markers.contains(path) || firstTaken(from: path)?.key == path
            || firstTaken(from: path + [UInt8(ascii: "/")]).map({ Self.isBelow($0.key, path) }) == true
            || remembered?.directory(at: path[(event.key.count + 1)...]) != nil
        {
            wake(path, for: event, &state) { _ in true }
        }
    }

    private func wake(
        _ path: [UInt8], for event: HistoryEvent, _ state: inout State, if isMeant: (WatchQueue) -> Bool
    ) {
        guard let queues = state.watches[path] else { return }
        for queue in queues where event.index >= queue.first && isMeant(queue) {
            let isTaken = queue.offer(event)
            if !isTaken { state.counts.cut += 1 }
            if !isTaken || !queue.stream { Self.remove(queue, from: &state) }
        }
    }
}
