import Logging
package import Memberlist
import NIOCore

/// A node of the gossip on real sockets: packets and streams on one port, one event loop, one timer for the core.
package final class GossipNode: Sendable {
    /// The first octet of the application's streams.
    package static let streamType: UInt8 = 208

    package let name: NodeName
    /// What others are told.
    package let address: GossipAddress
    /// What is really bound.
    package let bound: GossipAddress
    /// Empty: none.
    package let label: [UInt8]
    /// Whether plain input is refused once there are keys.
    package let verifiesIncoming: Bool
    private let eventLoop: any EventLoop
    private let loop: NIOLoopBound<GossipLoop>
    private let streamTimeout: Milliseconds
    private let leaveTimeout: Milliseconds
    private let clock: @Sendable () -> Milliseconds

    // MARK: Life

    /// Binds the sockets and starts. Nobody is called before `join`.
    package static func start(
        _ settings: GossipSettings, application: any GossipApplication = NoApplication(),
        environment: GossipEnvironment = GossipEnvironment()
    ) async throws(GossipNodeError) -> GossipNode {
        let security = try settings.security()
        guard settings.meta.count <= CoreSettings.maxMetaOctets else { throw .metaTooLong(settings.meta.count) }
        let interfaces = try Exposure.interfaces(if: settings.bind)
        if settings.keys.isEmpty, !settings.isInsecure {
            try Exposure.check(bind: settings.bind, advertise: settings.advertise, among: interfaces)
        }
        let eventLoop = environment.eventLoop
        let box = NIOLoopBoundBox<GossipLoop?>.makeEmptyBox(valueType: GossipLoop.self, eventLoop: eventLoop)
        let sockets = try await SocketPair.bind(
            settings.bind, on: eventLoop, unsentBytes: settings.limits.unsentPacketBytes
        ) { channel in
            guard let loop = box.value else { throw GossipNodeError.stopped }
            try loop.accept(channel)
        }
        var advertised = settings.advertise ?? Exposure.advertised(for: sockets.address, among: interfaces)
        if advertised.port == 0 { advertised = advertised.with(port: sockets.address.port) }
        let address = advertised
        if settings.keys.isEmpty {
            environment.logger.warning(
                "gossip has no key: everybody who reaches it can join and read", metadata: ["address": "\(address)"])
        }
        do {
            let loop = try await eventLoop.submit {
                let loop = GossipLoop(
                    settings: settings, address: address, security: security, environment: environment,
                    application: application, eventLoop: eventLoop)
                box.value = loop
                try loop.open(sockets)
                return NIOLoopBound(loop, eventLoop: eventLoop)
            }.get()
            return GossipNode(settings, address, sockets.address, loop, environment)
        } catch {
            sockets.datagrams.close(promise: nil)
            sockets.listener.close(promise: nil)
            throw .cannotBind(sockets.address, reason: "\(error)")
        }
    }

    private init(
        _ settings: GossipSettings, _ address: GossipAddress, _ bound: GossipAddress, _ loop: NIOLoopBound<GossipLoop>,
        _ environment: GossipEnvironment
    ) {
        name = settings.name
        label = settings.label
        verifiesIncoming = settings.verifiesIncoming
        self.address = address
        self.bound = bound
        self.loop = loop
        eventLoop = environment.eventLoop
        clock = environment.clock
        streamTimeout = settings.timing.streamTimeout
        leaveTimeout = settings.core(at: address, overhead: 0).leaveTimeout
    }

    /// Tells everybody, and returns when that was gossiped, or after some seconds. The sockets stay open until
    /// `shutdown`, so that whoever asks once more is answered.
    package func leave() async {
        let patience = leaveTimeout + 3_000
        let done = try? await on { loop in
            let promise = loop.eventLoop.makePromise(of: Void.self)
            loop.leaves.append(promise)
            let timeout = loop.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(patience)) { [weak loop] in
                loop?.endLeaves()
            }
            promise.futureResult.assumeIsolated().whenComplete { _ in timeout.cancel() }
            loop.give(.leave)
            return promise.futureResult
        }
        try? await done?.get()
    }

    /// Is a member no more, and tells nobody: another node has this one's name.
    package func withdraw() async { try? await on { $0.give(.withdraw) } }

    /// After a `leave` that is done, or a `withdraw`: makes this node a member again, of nobody's cluster before the
    /// next `join`. A node that has not left stays as it is.
    package func comeBack(meta: [UInt8]) async throws(GossipNodeError) {
        guard meta.count <= CoreSettings.maxMetaOctets else { throw .metaTooLong(meta.count) }
        try await on { $0.give(.comeBack(meta: meta)) }
    }

    /// Closes all sockets at once. Nobody is told: without `leave` the others take this node for dead.
    package func shutdown() async {
        try? await on { $0.stop() }
    }

    // MARK: The cluster

    /// All known nodes, this one included, by name.
    package func members() async throws(GossipNodeError) -> [Member] { try await on { $0.core.members } }

    /// From now on. Ends at `shutdown`.
    package func events() async throws(GossipNodeError) -> AsyncStream<GossipEvent> {
        try await on { loop throws(GossipNodeError) in
            guard loop.events.count < loop.settings.limits.readers else {
                loop.counters.readersBeyondLimit += 1
                throw .busy
            }
            let (stream, reader) = AsyncStream<GossipEvent>.makeStream(
                bufferingPolicy: .bufferingOldest(loop.settings.limits.events))
            let number = loop.events.add(reader)
            let bound = NIOLoopBound(loop, eventLoop: loop.eventLoop)
            reader.onTermination = { _ in bound.eventLoop.execute { bound.value.events.remove(number) } }
            return stream
        }
    }

    /// Dials all of them, and returns when each has answered or its time is over. They stay candidates, which are
    /// called again while they are missing.
    ///
    /// - Returns: the addresses whose view was merged.
    @discardableResult
    package func join(_ addresses: [GossipAddress]) async throws(GossipNodeError) -> Set<GossipAddress> {
        try await join(addresses, by: .join(addresses))
    }

    /// As `join`, but these addresses do not become candidates. On return each that answered knows this node as it was
    /// when that was asked for, and this node knows what it knew.
    @discardableResult
    package func exchange(with addresses: [GossipAddress]) async throws(GossipNodeError) -> Set<GossipAddress> {
        try await join(addresses, by: .exchange(addresses))
    }

    private func join(
        _ addresses: [GossipAddress], by event: CoreEvent
    ) async throws(GossipNodeError) -> Set<GossipAddress> {
        let joined = try await on { loop in
            let promise = loop.eventLoop.makePromise(of: Set<GossipAddress>.self)
            loop.join(addresses, by: event, promise)
            return promise.futureResult
        }
        do {
            return try await joined.get()
        } catch {
            throw .stopped
        }
    }

    package func update(meta: [UInt8]) async throws(GossipNodeError) {
        guard meta.count <= CoreSettings.maxMetaOctets else { throw .metaTooLong(meta.count) }
        try await on { $0.give(.updateMeta(meta)) }
    }

    /// Gives up a dead member: it counts as left, and is not called any more. In serf's dialect everybody hears of it,
    /// and again when it is repeated; in the plain one only this node does so.
    package func forceLeave(_ name: NodeName) async throws(GossipNodeError) {
        try await on { loop throws(GossipNodeError) in
            guard loop.core.member(name) != nil else { throw .unknownMember(name) }
            loop.give(.forceLeave(name))
        }
    }

    /// Peers known last, for the next start.
    package func candidates() async throws(GossipNodeError) -> [GossipAddress] {
        try await on { $0.core.candidateAddresses }
    }

    // MARK: Messages

    /// Gossips the application's bytes; they must fit a packet. Everybody gets them if the receivers gossip them on
    /// (`GossipApplication.receive`), and some get them more than once.
    package func broadcast(_ message: [UInt8]) async throws(GossipNodeError) {
        try await on { $0.give(.broadcast(message)) }
    }

    /// Sends the application's bytes to one member, once, without acknowledgement.
    package func send(_ message: [UInt8], to name: NodeName) async throws(GossipNodeError) {
        try await on { loop throws(GossipNodeError) in
            guard loop.core.member(name) != nil else { throw .unknownMember(name) }
            loop.give(.send(message, to: name))
        }
    }

    /// Sends the application's bytes to members, each once, without waiting and without acknowledgement. What nobody of
    /// that name is there for is dropped.
    package func post(_ messages: [(bytes: [UInt8], name: NodeName)]) {
        eventLoop.execute { [loop] in
            for message in messages where !loop.value.isStopped {
                loop.value.give(.send(message.bytes, to: message.name))
            }
        }
    }

    /// What push/pulls carry for the application.
    package func setState(_ state: [UInt8]) async throws(GossipNodeError) {
        try await on { $0.give(.setUserState(state)) }
    }

    // MARK: Streams

    /// Opens a stream of the application's: sends `first`, and runs `body` with the peer's answer to it. The stream is
    /// closed when `body` returns.
    ///
    /// - Throws: `GossipNodeError` before `body` runs, and what `body` throws.
    package func withStream<Value: Sendable>(
        to peer: GossipAddress, first: [UInt8], timeout: Milliseconds? = nil,
        _ body: @Sendable (GossipStream) async throws -> Value
    ) async throws -> Value {
        let deadline = clock() + (timeout ?? streamTimeout)
        let opened = try await on { $0.open(first, to: peer, until: deadline) }
        let stream = try await opened.get()
        let eventLoop = eventLoop
        return try await stream.frames.executeThenClose { inbound, outbound in
            try await body(
                GossipStream(
                    peer: peer, first: stream.answer, frames: inbound, writer: outbound, message: stream.message,
                    eventLoop: eventLoop))
        }
    }

    /// One question, one answer.
    package func request(
        _ question: [UInt8], to peer: GossipAddress, timeout: Milliseconds? = nil
    ) async throws -> [UInt8] {
        try await withStream(to: peer, first: question, timeout: timeout) { $0.first }
    }

    /// Whether somebody answers a ping by this name, over a stream.
    package func answers(to name: NodeName, at address: GossipAddress, timeout: Milliseconds) async -> Bool {
        let deadline = clock() + timeout
        let answer = try? await on { loop in
            let promise = loop.eventLoop.makePromise(of: Bool.self)
            let sequence = UInt32.random(in: .min ... .max)
            loop.exchange(.ping(Ping(sequence: sequence, node: name)), with: address, until: deadline) { _, answer in
                guard case .ack(let ack) = answer else { return promise.succeed(false) }
                promise.succeed(ack.sequence == sequence)
            }
            return promise.futureResult
        }
        return (try? await answer?.get()) ?? false
    }

    // MARK: Keys

    /// Changes the keys. A new one is installed, then used, then the old one removed, each on all nodes before the
    /// next.
    package func change(_ change: KeyChain.Change) async throws(GossipNodeError) {
        try await on { loop throws(GossipNodeError) in
            do throws(KeyRingError) {
                try loop.change(change)
            } catch {
                throw .keys(error)
            }
        }
    }

    package func keys() async throws(GossipNodeError) -> KeyChain { try await on { $0.keys } }

    // MARK: Figures

    package func counters() async throws(GossipNodeError) -> (core: CoreCounters, transport: TransportCounters) {
        try await on { ($0.core.counters, $0.counters) }
    }

    package func view() async throws(GossipNodeError) -> GossipView { try await on { $0.view() } }

    // MARK: The event loop

    private func on<Value: Sendable>(
        _ body: @escaping @Sendable (GossipLoop) throws(GossipNodeError) -> Value
    ) async throws(GossipNodeError) -> Value {
        let loop = loop
        do {
            return try await eventLoop.submit {
                guard !loop.value.isStopped else { throw GossipNodeError.stopped }
                return try body(loop.value)
            }.get()
        } catch let error as GossipNodeError {
            throw error
        } catch {
            throw .stopped
        }
    }
}
