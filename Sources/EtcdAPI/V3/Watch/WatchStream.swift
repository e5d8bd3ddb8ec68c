import EtcdMessages
import FoundationEssentials
import GRPC
import NIOCore
import RegistryStore

/// One call of `Watch/Watch`: the client makes and ends watches in it; lives on its event loop.
final class WatchStream: GRPCStreamHandler {
    private let stream: any GRPCServerStream
    private let hub: WatchHub
    private let context: V3Context
    private var watchers: [Int64: Watcher] = [:]
    private var nextID: Int64 = 0
    /// Watches that have not joined the hub's groups.
    private var apart: [Watcher] = []
    /// Requests for progress that wait for watches that are behind.
    private var progressRequests = 0
    private var progressTicker: RepeatedTask?
    private var unread = UnreadAnswers()
    /// Messages that go out together at `flush`.
    private var outbox: [ByteBuffer] = []
    private var outboxBytes = 0
    private var hasUnflushed = false
    private var willAdvance = false
    private var isClosed = false

    /// Bytes of the outbox above which it goes to the stream, so that `isWritable` knows of them.
    private static let outboxBytesMax = 65_536
    /// Parts of the feed that are read for this stream before others have their turn.
    private static let chunksPerTurn = 16

    init(stream: any GRPCServerStream, hub: WatchHub, context: V3Context) {
        self.stream = stream
        self.hub = hub
        self.context = context
        context.metrics.count { $0.watchStreams += 1 }
    }

    // MARK: The client

    func received(_ message: ByteBuffer) {
        let request: EtcdWatchRequest
        do throws(GRPCStatus) {
            request = try Messages.read(message)
        } catch {
            return stream.finish(error)
        }
        switch request.requestUnion {
        case .createRequest(let create): self.create(create)
        case .cancelRequest(let cancel): self.cancel(cancel.watchID)
        case .progressRequest:
            hub.catchUp()
            progressRequests = min(progressRequests + 1, context.configuration.unreadAnswersMax)
            answerProgress()
        case nil: break
        }
        flush()
    }

    /// The client has nothing more to ask; its watches go on.
    func endOfRequests() {}

    func becameWritable() {
        unread.reset()
        advance()
    }

    func closed() {
        guard !isClosed else { return }
        isClosed = true
        progressTicker?.cancel()
        hub.forget(self)
        for watcher in watchers.values { hub.leave(watcher) }
        hub.release(watchers.count)
        watchers = [:]
        apart = []
        outbox = []
        context.metrics.count { $0.watchStreams -= 1 }
    }

    // MARK: Watches

    private func create(_ request: EtcdWatchCreateRequest) {
        // Whoever watches from now on must not be told what was before.
        hub.catchUp()
        let keys = KeyRange(key: request.key.isEmpty ? Data([0]) : request.key, end: request.rangeEnd)
        guard !keys.isEmpty else { return refuse("mvcc: watcher range is empty") }
        guard request.watchID == 0 || watchers[request.watchID] == nil else {
            return refuse("mvcc: duplicate watch ID provided on the WatchStream")
        }
        guard watchers.count < context.configuration.watchersPerStreamMax, hub.admit() else {
            context.metrics.count { $0.watchersOverLimit += 1 }
            return refuse("regdns: too many watches")
        }
        let id = request.watchID == 0 ? freshID() : request.watchID
        let interest = WatchInterest(
            keys: keys, skipsPuts: request.filters.contains(.noput), skipsDeletes: request.filters.contains(.nodelete),
            withPrevious: request.prevKv, fragments: request.fragment)
        let start = startRevision(request.startRevision)
        let watcher = Watcher(
            id: id, interest: interest, wantsProgress: request.progressNotify, stream: self,
            position: start.map { max($0 - 1, 0) } ?? hub.position)
        watchers[id] = watcher
        answer(hub.responses.notice(id: id, revision: hub.position, created: true))
        if request.progressNotify { startTicker() }
        if let start, start < hub.firstWatchable { return endCompacted(watcher) }
        if watcher.position == hub.position { return hub.join(watcher) }
        context.metrics.count { $0.watchersBehind += 1 }
        keepApart(watcher)
        advance()
    }

    /// The revision of the store to watch from; nil for what comes next, -1 for what is long gone.
    private func startRevision(_ number: Int64) -> Int64? {
        guard number != 0 else { return nil }
        switch context.keyspace.numbers.meaning(of: number, current: hub.position) {
        case .compacted: return -1
        case .known(let revision), .future(let revision): return revision
        }
    }

    private func freshID() -> Int64 {
        while watchers[nextID] != nil { nextID &+= 1 }
        defer { nextID &+= 1 }
        return nextID
    }

    private func refuse(_ reason: String) {
        answer(hub.responses.notice(id: -1, revision: hub.position, created: true, canceled: true, reason: reason))
    }

    private func cancel(_ id: Int64) {
        guard let watcher = watchers[id] else { return }
        remove(watcher)
        answer(hub.responses.notice(id: id, revision: hub.position, canceled: true))
    }

    /// Ends a watch whose place in the history is gone; the client has to list again.
    private func endCompacted(_ watcher: Watcher) {
        remove(watcher)
        context.metrics.count { $0.watchersCompacted += 1 }
        answer(
            hub.responses.notice(
                id: watcher.id, revision: hub.position, canceled: true,
                compactRevision: context.keyspace.index(of: hub.firstWatchable)))
    }

    private func remove(_ watcher: Watcher) {
        watchers[watcher.id] = nil
        apart.removeAll { $0 === watcher }
        hub.leave(watcher)
        hub.release(1)
    }

    // MARK: Events

    var isWritable: Bool { stream.isWritable }

    /// Sends responses to a joined watch; gives true when they are the first since `flush`.
    func send(_ responses: [ByteBuffer], of watcher: Watcher) -> Bool {
        watcher.isQuiet = false
        defer { hasUnflushed = true }
        for response in responses { put(response) }
        return !hasUnflushed
    }

    private func put(_ message: ByteBuffer) {
        outbox.append(message)
        outboxBytes += message.readableBytes
        if outboxBytes > Self.outboxBytesMax { handOver() }
    }

    private func handOver() {
        guard !outbox.isEmpty else { return }
        stream.send(outbox)
        outbox.removeAll(keepingCapacity: true)
        outboxBytes = 0
    }

    func flush() {
        guard hasUnflushed, !isClosed else { return }
        hasUnflushed = false
        handOver()
        stream.flush()
    }

    private func answer(_ response: ByteBuffer) {
        guard !isClosed, unread.admit(stream, context) else { return }
        put(response)
        hasUnflushed = true
    }

    /// Takes charge of a watch that is not, or no longer, in step with the hub.
    func keepApart(_ watcher: Watcher) { apart.append(watcher) }

    /// Brings watches that are apart forward, as far as the client takes it.
    func advance() {
        guard !isClosed else { return }
        var chunks = 0
        var waiting: [Watcher] = []
        let candidates = apart
        apart = []
        for watcher in candidates where watchers[watcher.id] === watcher {
            if !bringForward(watcher, &chunks) { waiting.append(watcher) }
            if isClosed { return }
        }
        apart = waiting + apart
        let expects = apart.contains { $0.position > hub.position }
        if expects { hub.expect(self) } else { hub.forget(self) }
        answerProgress()
        flush()
        if stream.isWritable, apart.contains(where: { $0.position < hub.position }) { advanceLater() }
    }

    /// Whether the watch is done with being apart: joined, or ended.
    private func bringForward(_ watcher: Watcher, _ chunks: inout Int) -> Bool {
        while watcher.position < hub.position {
            guard stream.isWritable, chunks < Self.chunksPerTurn else { return false }
            chunks += 1
            guard let chunk = hub.chunk(for: watcher) else {
                endCompacted(watcher)
                return true
            }
            watcher.position = chunk.through
            if !chunk.responses.isEmpty {
                _ = send(chunk.responses, of: watcher)
                handOver()
                context.metrics.count { counters in
                    counters.watchEvents += chunk.events
                    counters.watchResponses += chunk.responses.count
                }
            }
            if isClosed { return true }
        }
        guard watcher.position == hub.position else { return false }
        hub.join(watcher)
        return true
    }

    private func advanceLater() {
        guard !willAdvance else { return }
        willAdvance = true
        hub.execute(self) { stream in
            stream.willAdvance = false
            stream.advance()
        }
    }

    // MARK: Progress

    /// Answers requests for progress once all watches have been told what happened before.
    private func answerProgress() {
        guard progressRequests > 0, !apart.contains(where: { $0.position < hub.position }) else { return }
        for _ in 0..<progressRequests { answer(hub.responses.notice(id: -1, revision: hub.position)) }
        progressRequests = 0
    }

    private func startTicker() {
        guard progressTicker == nil else { return }
        let interval = TimeAmount(context.configuration.progressInterval)
        let bound = NIOLoopBound(self, eventLoop: stream.eventLoop)
        progressTicker = stream.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            bound.value.tellProgress()
        }
    }

    /// Tells watches that asked for it how far they are, if they have not heard anything for the interval.
    private func tellProgress() {
        hub.catchUp()
        for watcher in watchers.values where watcher.wantsProgress {
            if watcher.isQuiet, watcher.group != nil, stream.isWritable {
                answer(hub.responses.notice(id: watcher.id, revision: hub.position))
            }
            watcher.isQuiet = true
        }
        flush()
    }
}
