import Logging
package import Memberlist
import NIOCore
package import RegistryStore
import Synchronization

/// Whole syncs between two nodes, over streams of the gossip's own type: asked of others (`pull`), and given to others
/// (`serve`).
///
/// The registry's work (making pages, merging them) is done in the task that calls, never on the gossip's event loop.
package final class SyncStreams: Sendable {
    let registry: Registry
    let settings: SyncSettings
    let environment: SyncEnvironment
    private let nodeName: String
    private let state = Mutex(State())

    private struct State {
        weak var node: GossipNode?
        var isStopped = false
        var pulled = 0
        var streams = 0
        var served = 0
        var counters = SyncCounters()
    }

    /// - Parameter node: the name in its hellos.
    package init(
        registry: Registry, node: String, settings: SyncSettings = SyncSettings(),
        environment: SyncEnvironment = SyncEnvironment()
    ) {
        self.registry = registry
        nodeName = node
        self.settings = settings
        self.environment = environment
    }

    /// The node whose streams these are. It is not kept alive. Until then all syncs fail with `stopped`.
    package func attach(_ node: GossipNode) { state.withLock { $0.node = node } }

    /// From now on nothing is asked for, and who asks is told good bye. Sessions under way go on to their end.
    package func stop() { state.withLock { $0.isStopped = true } }

    package var counters: SyncCounters { state.withLock { $0.counters } }

    // MARK: Asking

    /// Asks a peer for all that this node lacks, and takes it over.
    ///
    /// - Parameter isRepair: for entries that differ though both know of the same (`DigestVerdict.diverged`): asks for
    ///   everything, and takes it over whatever this node's context says. Let one of the two do so at a time.
    /// - Returns: what came; look at its `state`, for a session may be void, and is then asked for again.
    /// - Throws: why the session did not come to its end. What came before stays.
    package func pull(from peer: GossipAddress, isRepair: Bool = false) async throws(SyncFailure) -> SyncReport {
        let node = try beginPull()
        let start = environment.clock.monotonicMilliseconds()
        do throws(SyncFailure) {
            var report = try await exchange(with: peer, over: node, isRepair: isRepair)
            report.milliseconds = environment.clock.monotonicMilliseconds() &- start
            endPull(after: report.milliseconds) { side in
                side.add(report.state)
                side.resets += report.wasReset ? 1 : 0
                side.repairs += report.wasRepair ? 1 : 0
            }
            return report
        } catch {
            endPull(after: environment.clock.monotonicMilliseconds() &- start) { side in
                if case .busy = error { side.busy += 1 } else { side.aborted += 1 }
            }
            note(error, peer: peer)
            throw error
        }
    }

    /// Asks a peer for its hello alone: who it is, and what it has.
    ///
    /// - Parameter timeout: milliseconds; nil: those without progress after which any stream is given up.
    package func greet(_ peer: GossipAddress, timeout: Milliseconds? = nil) async throws(SyncFailure) -> HelloFrame {
        guard let node = state.withLock({ $0.isStopped ? nil : $0.node }) else { throw .stopped }
        do {
            let isSealed = try await !node.keys().isEmpty
            return try await node.withStream(
                to: peer, first: greeting(isSealed: isSealed).bytes, timeout: timeout ?? settings.stallMilliseconds
            ) { stream in try SyncGreeting.read(stream.first) }
        } catch {
            throw SyncFailure(error)
        }
    }

    private func beginPull() throws(SyncFailure) -> GossipNode {
        try state.withLock { state throws(SyncFailure) in
            guard let node = state.node, !state.isStopped else { throw .stopped }
            guard state.pulled < settings.pulledMax else {
                state.counters.busyHere += 1
                state.counters.pulled.busy += 1
                throw .busyHere
            }
            state.pulled += 1
            state.counters.pulled.started += 1
            return node
        }
    }

    private func endPull(after milliseconds: Int64, _ count: (inout SyncCounters.Side) -> Void) {
        state.withLock { state in
            state.pulled -= 1
            state.counters.pulled.milliseconds += milliseconds
            count(&state.counters.pulled)
        }
    }

    private func exchange(
        with peer: GossipAddress, over node: GossipNode, isRepair: Bool
    ) async throws(SyncFailure) -> SyncReport {
        do {
            let isSealed = try await !node.keys().isEmpty
            let greeting = greeting(isSealed: isSealed)
            return try await node.withStream(
                to: peer, first: greeting.bytes, timeout: settings.stallMilliseconds
            ) { [self] stream in
                let hello = try SyncGreeting.read(stream.first)
                let ciphers = try greeting.agree(with: stream.first, isDialler: true, label: node.label)
                let watch = SyncWatch(settings, environment)
                return try await watch.run { [self] in
                    let link = link(stream, ciphers, messageMax: settings.answerBytes, watch)
                    return try await take(over: link, from: hello, isRepair: isRepair)
                }
            }
        } catch {
            throw Task.isCancelled ? .cancelled : SyncFailure(error)
        }
    }

    /// Sends the want, and takes over the pages.
    private func take(over link: SyncLink, from hello: HelloFrame, isRepair: Bool) async throws -> SyncReport {
        var report = SyncReport(peer: hello)
        var session = registry.beginSession(isRepair: isRepair)
        let number = UInt64.random(in: .min ... .max)
        let want = WantFrame(session: number, context: session.rows)
        try await link.send(Frame(.want(want), extensions: isRepair ? [.repair] : []))
        while let frame = try await link.receive() {
            switch frame.body {
            case .page(number, let page):
                let progress: SyncProgress
                do throws(SyncError) {
                    progress = try registry.receive(page, in: &session)
                } catch {
                    throw SyncFailure.page(error)
                }
                report.add(page, progress)
                count { counters in
                    counters.pulled.pages += 1
                    counters.pulled.operations += page.operations.count
                }
                guard progress.state == .open else {
                    (report.bytesIn, report.bytesOut) = (link.bytesIn, link.bytesOut)
                    return report
                }
            case .page: throw SyncFailure.otherSession
            case .bye(let bye) where bye.reason == .busy:
                throw SyncFailure.busy(retryMilliseconds: min(bye.retryMilliseconds, settings.retryMax))
            case .bye(let bye): throw SyncFailure.bye(bye.reason)
            default: throw SyncFailure.unexpected(frame.name)
            }
        }
        throw SyncFailure.closed
    }

    // MARK: For both sides

    func count(_ body: (inout SyncCounters) -> Void) { state.withLock { body(&$0.counters) } }

    func note(_ failure: SyncFailure, peer: GossipAddress) {
        count { $0.count(failure) }
        environment.logger.debug("a sync stream failed", metadata: ["peer": "\(peer)", "reason": "\(failure)"])
    }

    func greeting(isSealed: Bool) -> SyncGreeting {
        let digest = registry.digest()
        let frame = DigestFrame(
            clock: environment.clock.unixMilliseconds(), summary: digest.summary, origins: digest.origins)
        return SyncGreeting.fresh(node: nodeName, origin: registry.origin, digest: frame, isSealed: isSealed)
    }

    func link(
        _ stream: GossipStream, _ ciphers: (sends: SyncCipher, receives: SyncCipher), messageMax: Int,
        _ watch: SyncWatch
    ) -> SyncLink {
        SyncLink(stream, ciphers, messageMax: messageMax, watch: watch) { event in
            self.count { counters in
                switch event {
                case .bytesIn(let octets): counters.bytesIn += octets
                case .bytesOut(let octets): counters.bytesOut += octets
                case .unknownFrame: counters.unknownFrames += 1
                }
            }
        }
    }

    // MARK: Places of the serving side

    /// A place for a stream of a peer; nil when there is none. `endStream` gives it back.
    func beginStream() throws(SyncFailure) -> GossipNode? {
        try state.withLock { state throws(SyncFailure) in
            guard let node = state.node else { throw .stopped }
            guard state.streams < settings.streamsMax else {
                state.counters.streamsBeyondLimit += 1
                return nil
            }
            state.streams += 1
            return node
        }
    }

    func endStream() { state.withLock { $0.streams -= 1 } }

    /// A place for a session, which `endSession` gives back; or why there is none.
    func beginSession() -> ByeFrame? {
        state.withLock { state in
            guard !state.isStopped else { return ByeFrame(reason: .stopping) }
            guard state.served < settings.servedMax else {
                state.counters.served.busy += 1
                return ByeFrame(reason: .busy, retryMilliseconds: settings.retryMilliseconds)
            }
            state.served += 1
            state.counters.served.started += 1
            return nil
        }
    }

    func endSession(after milliseconds: Int64, _ count: (inout SyncCounters.Side) -> Void) {
        state.withLock { state in
            state.served -= 1
            state.counters.served.milliseconds += milliseconds
            count(&state.counters.served)
        }
    }
}

extension SyncCounters.Side {
    fileprivate mutating func add(_ state: SyncProgress.State) {
        switch state {
        case .complete: completed += 1
        case .void: void += 1
        case .refused: refused += 1
        case .open: aborted += 1
        }
    }
}

extension SyncFailure {
    /// What the gossip's node and its channels throw.
    init(_ error: any Error) {
        switch error {
        case let failure as SyncFailure: self = failure
        case GossipNodeError.stopped: self = .stopped
        case GossipNodeError.busy: self = .busyHere
        case let error as GossipNodeError: self = .unreachable("\(error)")
        case is CancellationError: self = .cancelled
        case let error as StreamFrameDecoder.TooLong: self = .messageTooLong(limit: error.limit)
        case is ChannelError, is IOError: self = .closed
        default: self = .unreachable("\(error)")
        }
    }
}
