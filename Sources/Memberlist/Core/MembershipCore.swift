import Basics

/// One node's membership: memberlist's rules as a pure state machine. It has no clock, no socket and no randomness of
/// its own; the same events at the same times with the same generator give the same effects.
package struct MembershipCore: Sendable {
    package let settings: CoreSettings
    package internal(set) var counters = CoreCounters()
    /// Lifeguard's score of this node itself: 0 is well, 7 is worst.
    package internal(set) var health = 0
    package internal(set) var incarnation: UInt32

    // One step's time, randomness and effects.
    var now: Milliseconds = 0
    var dice = SplitMix64(seed: 0)
    var effects: [CoreEffect] = []

    var table = MemberTable()
    var phase = Phase.created
    var meta: [UInt8]
    var userState: [UInt8] = []
    var ackPayload: [UInt8]?
    var packetOverhead: Int
    /// Members under suspicion, the first accused first.
    var suspects: [NodeName] = []
    /// Rises with everything that a merge teaches about members.
    var learned: UInt64 = 0

    var broadcasts: BroadcastQueue
    var userBroadcasts: BroadcastQueue

    var sequence: UInt32 = 0
    var probe: Probe?
    var probePlace = 0
    /// The turn of the last probe, where probes are shared out.
    var lastTurn: Milliseconds?
    var relays: [Relay] = []

    var lastDial: UInt64 = 0
    var dials: [Dial] = []
    var candidates: CandidateList
    var peak = PeerPeak()
    var quickPulls = QuickPulls()
    var viewRepair = ViewRepair()
    var serf: SerfState

    var timers = Timers()
    var plannedWake: Milliseconds?

    enum Phase: Hashable {
        case created
        case running
        /// serf's leave intent is under way; the leave itself follows.
        case announcingLeave(until: Milliseconds)
        case leaving(until: Milliseconds)
        case left
    }

    package init(settings: CoreSettings) {
        self.settings = settings
        incarnation = max(settings.incarnation, 1)
        meta = settings.meta
        packetOverhead = settings.packetOverhead
        broadcasts = BroadcastQueue(maxBytes: settings.limits.broadcastBytes)
        userBroadcasts = BroadcastQueue(maxBytes: settings.limits.userBroadcastBytes)
        candidates = CandidateList(limits: settings.limits)
        serf = SerfState(seen: SeenMessages(limit: settings.limits.seenMessages))
    }

    var timing: GossipTiming { settings.timing }
    var name: NodeName { settings.name }

    // MARK: What is known

    /// All known nodes, this one included, by name.
    package var members: [Member] { table.members.sorted { $0.name < $1.name } }

    package func member(_ name: NodeName) -> Member? { table[name] }

    /// Others that are alive or suspect.
    package var peerCount: Int { table.members.count { !$0.state.isGone && $0.name != name } }

    /// Known peers, the one heard of last at the end: what is worth keeping for the next start.
    package var candidateAddresses: [GossipAddress] { candidates.peers.map(\.address) }

    /// The queues' present lengths and what their bounds cost.
    package var queues: (messages: Int, bytes: Int, userMessages: Int, userBytes: Int, dropped: Int) {
        (
            broadcasts.count, broadcasts.bytes, userBroadcasts.count, userBroadcasts.bytes,
            broadcasts.dropped + userBroadcasts.dropped
        )
    }

    // MARK: One step

    /// Takes an event and does what is due.
    ///
    /// - Parameters:
    ///   - now: never goes back; a lesser one counts as the last.
    ///   - random: one number is drawn of it.
    package mutating func step(
        _ event: CoreEvent, now: Milliseconds, random: inout some RandomNumberGenerator
    ) -> [CoreEffect] {
        self.now = max(now, self.now)
        dice = SplitMix64(seed: random.next())
        if phase == .created {
            guard event == .start else { return [] }
            start()
        } else {
            forgivePause()
            handle(event)
        }
        runTimers()
        announceWake()
        defer { effects = [] }
        return effects
    }

    private mutating func handle(_ event: CoreEvent) {
        switch event {
        case .start, .timer: break
        case .packet(let messages, let sender): for message in messages { receive(message, from: sender) }
        case .streamRequest(let message, let stream, let sender): receive(message, stream: stream, from: sender)
        case .pingAnswer(let dial, let isAcked): pingAnswered(dial, isAcked)
        case .pushPullAnswer(let dial, let state): pushPullAnswered(dial, state)
        case .join(let addresses): join(addresses)
        case .exchange(let addresses): exchange(with: addresses)
        case .leave: leave()
        case .withdraw: withdraw()
        case .comeBack(let meta): comeBack(meta: meta)
        case .forceLeave(let name): forceLeave(name)
        case .updateMeta(let meta): update(meta: meta)
        case .broadcast(let bytes): broadcast(user: bytes)
        case .send(let bytes, let name): send(user: bytes, to: name)
        case .setUserState(let state): userState = state
        case .setAckPayload(let payload): ackPayload = payload
        case .setPacketOverhead(let octets): packetOverhead = max(octets, 0)
        }
    }

    private mutating func receive(_ message: Message, from sender: GossipAddress) {
        switch message {
        case .ping(let ping): answer(ping, from: sender)
        case .indirectPing(let ping): relay(ping, from: sender)
        case .ack(let ack): take(ack)
        case .nack(let nack): take(nack)
        case .suspect(let accusation): suspect(accusation)
        case .alive(let alive): take(alive)
        case .dead(let accusation): bury(accusation)
        case .user(let bytes): receive(user: bytes, from: sender)
        }
    }

    private mutating func start() {
        phase = .running
        let own = Member(
            name: name, address: settings.address, meta: meta, versions: settings.dialect.versions,
            incarnation: incarnation, state: .alive, since: now)
        table.insert(own, &dice)
        broadcastOwnAlive()
        startTimers()
        notify(.joined(own))
    }

    func isOwn(_ name: NodeName) -> Bool { name == settings.name }

    mutating func notify(_ notice: CoreNotice) { effects.append(.notify(notice)) }
}
