import NIOCore
import RegistryStore

/// The watches of one event loop: reads the store's feed once for all of them.
///
/// A watch is either *joined*, in the group of its interest, and has been told everything up to the hub's position; or
/// it is *on its own*, kept by its stream, since it began in the past or the future or its stream took no more, and
/// reads the feed from its own position until it can join. All of it happens on the event loop.
final class WatchHub {
    let context: V3Context
    let responses: WatchResponses
    /// Whether the store has to ring.
    let need = HubNeed()
    /// The revision of the store through which joined watches have been told.
    private(set) var position: Int64
    private let loop: any EventLoop
    private let count: WatcherCount
    private var index = WatchIndex()
    private var watchers = 0
    /// Streams with watches that begin in the future.
    private var expecting: [ObjectIdentifier: WatchStream] = [:]
    /// The last responses made for a watch on its own: many fall behind and come back together.
    private var lastChunk: Chunk?

    /// Changes read from the feed at once.
    static let changesPerRead = 256

    init(loop: any EventLoop, context: V3Context, count: WatcherCount) {
        self.loop = loop
        self.context = context
        self.count = count
        responses = WatchResponses(context: context)
        position = context.registry.revision
    }

    // MARK: Watches come and go

    /// Counts a watch in; false when there are too many.
    func admit() -> Bool {
        guard count.add(bound: context.configuration.watchersMax) else { return false }
        watchers += 1
        need.set(true)
        context.metrics.count { $0.watchers += 1 }
        return true
    }

    /// Counts watches out that have left.
    func release(_ number: Int) {
        count.remove(number)
        watchers -= number
        if watchers == 0 { need.set(false) }
        context.metrics.count { $0.watchers -= number }
    }

    /// Takes a watch in that has been told all up to the hub's position.
    func join(_ watcher: Watcher) { index.group(watcher.interest).insert(watcher) }

    /// Takes a watch out of its group, if it is in one.
    func leave(_ watcher: Watcher) {
        guard let group = watcher.group else { return }
        group.remove(watcher)
        if group.members.isEmpty { index.remove(group) }
    }

    func expect(_ stream: WatchStream) { expecting[ObjectIdentifier(stream)] = stream }
    func forget(_ stream: WatchStream) { expecting[ObjectIdentifier(stream)] = nil }

    // MARK: Joined watches

    /// The store has changed.
    func wake() {
        catchUp()
        for stream in Array(expecting.values) { stream.advance() }
    }

    /// Tells joined watches everything that has happened until now.
    func catchUp() {
        lastChunk = nil
        guard !index.isEmpty else {
            position = context.registry.revision
            return
        }
        while true {
            let batches: [ChangeBatch]
            do throws(RegistryError) {
                batches = try context.registry.changes(after: position, limit: Self.changesPerRead)
            } catch {
                return loseHistory()
            }
            guard let last = batches.last else { return }
            distribute(batches, through: last.revision)
        }
    }

    /// More has happened than the feed keeps: every joined watch has missed some of it.
    private func loseHistory() {
        var streams: [ObjectIdentifier: WatchStream] = [:]
        for watcher in index.all.flatMap(\.members) {
            setApart(watcher, at: position)
            streams[ObjectIdentifier(watcher.stream)] = watcher.stream
        }
        position = context.registry.revision
        for stream in streams.values { stream.advance() }
    }

    private func setApart(_ watcher: Watcher, at position: Int64) {
        leave(watcher)
        watcher.position = position
        watcher.stream.keepApart(watcher)
    }

    private func distribute(_ batches: [ChangeBatch], through revision: Int64) {
        var touched: [WatchGroup] = []
        for batch in batches {
            for change in batch.changes where concerns(change) {
                var event: WatchEvent?
                index.forEach(concernedBy: change.key) { group in
                    guard group.interest.wants(change) else { return }
                    let shared = event ?? WatchEvent(change, revision: batch.revision)
                    event = shared
                    if group.events.isEmpty { touched.append(group) }
                    group.events.append(shared)
                }
            }
        }
        let before = position
        position = revision
        var pass = Pass()
        for group in touched { send(group, before: before, &pass) }
        for stream in pass.streams { stream.flush() }
        context.metrics.count { counters in
            counters.watchEvents += pass.events
            counters.watchResponses += pass.responses
            counters.watchersBehind += pass.behind
        }
    }

    private func concerns(_ change: Change) -> Bool {
        !change.isRenewal && change.namespace == context.namespace
    }

    /// What one distribution does.
    private struct Pass {
        var streams: [WatchStream] = []
        var events = 0
        var responses = 0
        var behind = 0
    }

    private func send(_ group: WatchGroup, before: Int64, _ pass: inout Pass) {
        let events = group.events
        group.events = []
        // Streams number their watches alike, so that few ids occur.
        var made: [Int64: [ByteBuffer]] = [:]
        for watcher in group.members where watcher.group === group {
            guard watcher.stream.isWritable else {
                setApart(watcher, at: before)
                pass.behind += 1
                continue
            }
            let responses =
                made[watcher.id]
                ?? self.responses.events(events, id: watcher.id, interest: group.interest, revision: position)
            made[watcher.id] = responses
            if watcher.stream.send(responses, of: watcher) { pass.streams.append(watcher.stream) }
            pass.events += events.count
            pass.responses += responses.count
        }
    }

    // MARK: Watches on their own

    /// Responses that bring a watch forward.
    struct Chunk {
        let interest: WatchInterest
        let id: Int64
        /// The part of the feed that they tell.
        let after: Int64
        let through: Int64
        let responses: [ByteBuffer]
        let events: Int
    }

    /// The next part of the feed for a watch on its own whose position is before the hub's, not beyond the hub's; nil
    /// when the feed does not go back so far.
    func chunk(for watcher: Watcher) -> Chunk? {
        if let last = lastChunk, last.after == watcher.position, last.id == watcher.id,
            last.interest == watcher.interest
        {
            return last
        }
        let batches: [ChangeBatch]
        do throws(RegistryError) {
            batches = try context.registry.changes(after: watcher.position, limit: Self.changesPerRead)
        } catch {
            return nil
        }
        var events: [WatchEvent] = []
        var through = watcher.position
        for batch in batches where batch.revision <= position {
            for change in batch.changes where concerns(change) && watcher.interest.keys.contains(change.key) {
                if watcher.interest.wants(change) { events.append(WatchEvent(change, revision: batch.revision)) }
            }
            through = batch.revision
        }
        let chunk = Chunk(
            interest: watcher.interest, id: watcher.id, after: watcher.position, through: through,
            responses: events.isEmpty
                ? []
                : responses.events(events, id: watcher.id, interest: watcher.interest, revision: position),
            events: events.count)
        lastChunk = chunk
        return chunk
    }

    /// The first revision of the store that can be watched from.
    var firstWatchable: Int64 {
        context.firstWatchable(feedCompacted: context.registry.counts().compactedRevision)
    }

    func execute(_ stream: WatchStream, _ body: @escaping (WatchStream) -> Void) {
        loop.assumeIsolated().execute { body(stream) }
    }
}
