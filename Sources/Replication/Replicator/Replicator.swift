import Basics
package import RegistryStore

/// One node's part in the replication of the registry: what it announces, asks for, takes over, and which leases it
/// counts.
///
/// A pure state machine around a registry: it has no socket, clock, task or randomness of its own. The same events at
/// the same times with the same generator and registry give the same effects. Not to be used by two tasks at a time.
package struct Replicator: Sendable {
    let settings: ReplicatorSettings
    let registry: Registry
    package internal(set) var counters = ReplicatorCounters()
    package internal(set) var phase: ReplicatorPhase
    /// The other members that speak this protocol, in byte order.
    package internal(set) var peers: [String] = []
    package internal(set) var keeper: LeaseKeeper
    /// What the clocks of the others say of this node's.
    package internal(set) var clockVerdict = ClockWatch.Verdict.fine

    // One step's time, randomness and effects.
    var now = Moment(monotonic: 0, unix: 0)
    var dice = SplitMix64(seed: 0)
    var effects: [ReplicatorEffect] = []

    var queue: AnnouncementQueue
    /// Octets that may be announced at once.
    var allowance: Int
    var allowanceAt: Int64
    /// Revision of the registry up to which own changes are queued.
    var seenRevision: Int64
    /// Something cannot be announced by a packet: a digest is due to more than one peer.
    var needsDigests = false

    var repair = RepairState()
    var pulls = PullState()
    var clocks: ClockWatch
    /// When the first tick came: keys and sockets may take a while before.
    private var startedAt: Int64?
    /// Of a cluster; until somebody is there again.
    private var hasLeft = false
    var bootstrap = BootstrapState()
    var standstill = StandstillState()
    private var nextSecond: Int64

    /// Begins to replicate a registry, which must have been restored before and have no observers that would take
    /// leases' ends elsewhere: from now on `tick` ends its leases.
    ///
    /// - Parameter now: of the registry's clock.
    package init(_ settings: ReplicatorSettings, registry: Registry, now: Moment) {
        self.settings = settings
        self.registry = registry
        registry.startReplicating()
        registry.startForwarding()
        phase = settings.expectsPeers || settings.minPeers > 0 ? .joining : .ready
        keeper = LeaseKeeper(LeaseKeeperSettings(node: settings.node, preservation: settings.preservation))
        clocks = ClockWatch(allowsSkew: settings.allowsSkew)
        queue = AnnouncementQueue(bytesMax: settings.queuedBytesMax)
        allowance = settings.announcedBytesPerSecond
        allowanceAt = now.monotonic
        seenRevision = registry.revision
        nextSecond = now.monotonic
        self.now = now
    }

    package var queued: (count: Int, bytes: Int) { (queue.count, queue.bytes) }

    /// When this node last had the same as each peer, in monotonic milliseconds.
    package var agreements: [String: Int64] { repair.agreedAt }

    // MARK: One step

    /// Takes an event and does what is due.
    ///
    /// - Parameters:
    ///   - now: of the registry's clock; never goes back.
    ///   - random: one number is drawn of it.
    package mutating func step(
        _ event: ReplicatorEvent, now: Moment, random: inout some RandomNumberGenerator
    ) -> [ReplicatorEffect] {
        self.now = now
        dice = SplitMix64(seed: random.next())
        switch event {
        case .peers(let names, let ready): setPeers(names, ready: ready)
        case .tick: tick()
        case .message(let bytes): receive(bytes)
        case .pulled(let id, let outcome): pulled(id, outcome)
        case .leaving:
            hasLeft = true
            feed(.leaving(registry.leases(countedBy: settings.node)))
        case .preserve(let rules): keeper.setPreservation(rules)
        }
        defer { effects = [] }
        return effects
    }

    private mutating func tick() {
        noteStandstill()
        tickLeases()
        collectOwn()
        announce()
        tickRepair()
        tickPulls()
        endDoubt()
        let began = startedAt ?? now.monotonic
        startedAt = began
        tickPhase(aliveFor: now.monotonic &- began)
        guard now.monotonic >= nextSecond else { return }
        nextSecond = now.monotonic &+ 1_000
        watchClock()
        registry.forgetOld()
    }

    private mutating func setPeers(_ names: [String], ready: [String]) {
        let wasAlone = peers.isEmpty
        bootstrap.readyPeers = ready
        let others = names.filter { !sameName($0, settings.node) }
        peers = others.sorted(by: precedes)
        repair.forget(but: peers)
        if wasAlone, !peers.isEmpty { beginFreshIfAloneTooLong() }
        if hasLeft, wasAlone, !peers.isEmpty { returnToOthers() }
        if peers.isEmpty { queue.removeAll() }
        feed(.members(peers + [settings.node]))
    }

    /// Like a new node, but with what it has: it went on alone, and does not know what they removed meanwhile.
    private mutating func returnToOthers() {
        hasLeft = false
        startedAt = now.monotonic
        phase = .syncing
        bootstrap = BootstrapState(readyPeers: bootstrap.readyPeers)
        noteChange()
        needsDigests = true
    }

    func isPeer(_ name: String) -> Bool { peers.contains { sameName($0, name) } }

    private mutating func watchClock() {
        clockVerdict = clocks.verdict(now: now)
        if case .fence(let fence) = clockVerdict { registry.setFence(fence) } else { registry.setFence(nil) }
    }

    // MARK: Messages

    /// The type of the extension that names the sender: packets come from addresses, which need not be the ones that
    /// members are known by.
    static let senderExtension: UInt64 = 1

    mutating func send(_ body: Frame.Body, to name: String) {
        let sender = FrameExtension(type: Self.senderExtension, bytes: Array(settings.node.utf8))
        effects.append(.send(Frame(body, extensions: [sender]).encoded(), to: name))
    }

    private mutating func receive(_ bytes: [UInt8]) {
        let frame: Frame
        do {
            frame = try Frame(decoding: bytes)
        } catch {
            if case .unknownVersion = error { counters.unknownVersions += 1 } else { counters.badFrames += 1 }
            return
        }
        if !peers.isEmpty { beginFreshIfAloneTooLong() }
        switch frame.body {
        case .delta(let operations): return take(announced: operations)
        case .page(let session, let page): return take(page, of: session)
        case .unknown:
            counters.unknownKinds += 1
            return
        case .hello, .bye:
            counters.badFrames += 1
            return
        case .digest, .want, .renew, .renewAnswer, .handover: break
        }
        guard let name = frame.extensions.first(where: { $0.type == Self.senderExtension }),
            let sender = String(validating: name.bytes, as: UTF8.self), isPeer(sender)
        else {
            counters.strangers += 1
            return
        }
        switch frame.body {
        case .digest(let digest): take(digest, from: sender)
        case .want(let want): answer(want, to: sender)
        case .renew(let renew): feed(.received(renew, from: sender))
        case .renewAnswer(let answer): feed(.answered(answer, from: sender))
        case .handover(let leases): feed(.handover(leases, from: sender))
        default: break
        }
    }
}
