import Logging
import Memberlist
import NIOCore

/// Everything of a node that changes: the core, the sockets, and what they wait for. It lives on one event loop and is
/// never touched elsewhere.
final class GossipLoop {
    let settings: GossipSettings
    let address: GossipAddress
    let eventLoop: any EventLoop
    let application: any GossipApplication
    let clock: @Sendable () -> Milliseconds
    let logger: Logger
    let networks: [AddressBlock]

    private(set) var core: MembershipCore
    private(set) var keys: KeyChain
    private(set) var packetCodec: PacketCodec
    private(set) var streamEncoder: StreamEncoder
    var counters = TransportCounters()
    var events = EventReaders()
    var roundTrips = RoundTrips()
    private var random: any RandomNumberGenerator & Sendable
    /// Nonces are never drawn of a generator that somebody could seed.
    var nonces = SystemRandomNumberGenerator()

    var datagrams: (any Channel)?
    var listener: (any Channel)?
    private(set) var isStopped = false

    /// Streams of others that wait for their end, by number, the oldest first.
    var incoming: [(id: UInt64, stream: MessageStream)] = []
    var lastStream: UInt64 = 0
    /// Streams that this node dialled, until they are closed or the application's.
    var outgoing: [ObjectIdentifier: MessageStream] = [:]
    /// Streams of the application's, both ways.
    var ownStreams: [ObjectIdentifier: any Channel] = [:]
    /// Octets that unfinished incoming streams hold.
    var heldStreamBytes = 0
    /// Octets that unfinished answers to streams of this node's hold: by themselves, so that nobody else's streams can
    /// keep it from hearing them.
    var heldAnswerBytes = 0

    private var waiting: [CoreEvent] = []
    private var isStepping = false
    private var wake: Scheduled<Void>?
    var joins: [JoinWait] = []
    var leaves: [EventLoopPromise<Void>] = []

    init(
        settings: GossipSettings, address: GossipAddress, security: GossipSecurity, environment: GossipEnvironment,
        application: any GossipApplication, eventLoop: any EventLoop
    ) {
        self.settings = settings
        self.address = address
        self.eventLoop = eventLoop
        self.application = application
        clock = environment.clock
        random = environment.random
        logger = environment.logger
        networks = settings.networks
        keys = settings.keys
        var core = settings.core(at: address, overhead: security.packetOverhead)
        core.unixOffset = environment.unixClock() - environment.clock()
        self.core = MembershipCore(settings: core)
        packetCodec = PacketCodec(security: security, compresses: settings.compresses)
        streamEncoder = StreamEncoder(security: security, compresses: settings.compresses)
    }

    var security: GossipSecurity { packetCodec.security }

    func admits(_ address: GossipAddress) -> Bool {
        networks.isEmpty || networks.contains { $0.contains(address) }
    }

    // MARK: Steps

    /// Gives the core an event and does what it wants done. An event that comes of doing so waits for its turn.
    func give(_ event: CoreEvent) {
        guard !isStopped else { return }
        waiting.append(event)
        guard !isStepping else { return }
        isStepping = true
        defer { isStepping = false }
        var place = 0
        while place < waiting.count {
            let effects = core.step(waiting[place], now: clock(), random: &random)
            for effect in effects where !isStopped { perform(effect) }
            place += 1
        }
        waiting.removeAll(keepingCapacity: true)
        datagrams?.flush()
    }

    private func perform(_ effect: CoreEffect) {
        switch effect {
        case .send(let packet): send(packet)
        case .dialPing(let dial, let address, let ping, let deadline):
            exchange(.ping(ping), with: address, until: deadline) { loop, answer in
                var isAcked = false
                if case .ack(let ack) = answer { isAcked = ack.sequence == ping.sequence }
                loop.give(.pingAnswer(dial: dial, isAcked: isAcked))
            }
        case .dialPushPull(let dial, let address, let state, let deadline):
            exchange(.pushPull(state), with: address, until: deadline) { loop, answer in
                if case .error(let reason) = answer {
                    loop.logger.debug(
                        "a peer refused our view",
                        metadata: ["peer": "\(address)", "reason": "\(String(decoding: reason, as: UTF8.self))"])
                }
                guard case .pushPull(let state) = answer else {
                    return loop.give(.pushPullAnswer(dial: dial, state: nil))
                }
                loop.give(.pushPullAnswer(dial: dial, state: state))
            }
        case .answer(let id, let message): incomingStream(id)?.answerAndFinish(message)
        case .close(let id): incomingStream(id)?.close()
        case .wake(let time): wake(at: time)
        case .notify(let notice): tell(notice)
        }
    }

    private func wake(at time: Milliseconds) {
        wake?.cancel()
        wake = eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(max(time - clock(), 0))) { [weak self] in
            self?.give(.timer)
        }
    }

    // MARK: Notices

    private func tell(_ notice: CoreNotice) {
        switch notice {
        case .userMessage(let bytes, let sender):
            if application.receive(bytes, from: sender) { give(.broadcast(bytes)) }
            return
        case .userState(let state, let isJoin): return application.receive(state: state, isJoin: isJoin)
        case .ackPayload: return
        case .joinAnswered(let address, let isMerged): joinAnswered(address, isMerged)
        case .leaveDone: endLeaves()
        case .conflict(let member, let other) where member.name == settings.name:
            application.nameIsClaimed(by: other)
        case .conflict(let member, let other):
            logger.warning(
                "another address claims a member's name",
                metadata: ["name": "\(member.name)", "address": "\(member.address)", "other": "\(other)"])
        case .mergeRefused(let clash):
            logger.warning(
                "a peer's view was refused: a member speaks versions that others do not understand",
                metadata: ["name": "\(clash.name)", "versions": "\(clash.versions.octets)"])
        case .joined, .updated, .left, .failed, .suspected, .refuted, .incarnationRefused, .answersByStreamOnly: break
        }
        counters.eventsDropped += events.tell(notice)
    }

    // MARK: Keys

    /// Changes the keys; when it throws, nothing has changed.
    func change(_ change: KeyChain.Change) throws(KeyRingError) {
        try keys.apply(change)
        let ring = keys.ring
        packetCodec.security.keys = ring
        streamEncoder.security.keys = ring
        give(.setPacketOverhead(security.packetOverhead))
    }

    // MARK: End

    /// Closes all sockets at once. Nobody is told; `leave` does that.
    func stop() {
        guard !isStopped else { return }
        isStopped = true
        wake?.cancel()
        for channel in [datagrams, listener].compactMap({ $0 }) + ownStreams.values { channel.close(promise: nil) }
        for stream in incoming.map(\.stream) + outgoing.values { stream.close() }
        for promise in leaves { promise.fail(GossipNodeError.stopped) }
        leaves = []
        for join in joins { join.end() }
        joins = []
        events.finish()
    }
}

extension GossipLoop {
    /// Takes over the sockets and starts.
    func open(_ sockets: SocketPair) throws {
        datagrams = sockets.datagrams
        listener = sockets.listener
        try sockets.datagrams.pipeline.syncOperations.addHandler(PacketHandler(self))
        try sockets.datagrams.syncOptions?.setOption(.autoRead, value: true)
        try sockets.listener.syncOptions?.setOption(.autoRead, value: true)
        give(.start)
    }

    /// Nobody waits any longer.
    func endLeaves() {
        for promise in leaves { promise.succeed() }
        leaves = []
    }
}
