import Basics
import DNSWire
import Memberlist
import RegdnsTestKit
import RegistryStore
import Replication

/// What is to come in a simulated cluster.
enum ClusterHappening {
    /// The membership core of a process wants to be called.
    case wake(node: Int, boot: Int, at: Milliseconds)
    /// A message that somebody made up.
    case message(node: Int, boot: Int, [UInt8])
    case tick(node: Int, boot: Int)
    case packet(from: Int, to: Int, [UInt8])
    /// A stream of the membership: the question, the answer, its end without one.
    case request(stream: UInt64, [UInt8])
    case reply(stream: UInt64, [UInt8])
    case streamFails(UInt64)
    /// A pull: the question, a page, a word that ends it.
    case want(pull: UInt64, [UInt8])
    case page(pull: UInt64, [UInt8])
    case pullEnds(pull: UInt64, PullOutcome)
    /// Nothing has come for too long.
    case pullStalls(pull: UInt64, since: Int64)
    case fault(Int)
    case faultEnds(Int)
    /// The time of a graceful leave is over.
    case left(node: Int, boot: Int)
    case heartbeat(client: Int)
    case action
    case babble(Int)
    case sample
    case flush
}

/// A simulated cluster: membership cores, replicators and registries on machines with clocks and disks of their own,
/// over a network with faults, and clients who know the truth. Everything follows from the scenario.
package final class ClusterWorld {
    package let scenario: ClusterScenario
    let bug: ClusterBug?
    let hooks: ClusterHooks
    let layout: KeyLayout
    let limits: RegistryLimits
    /// Microseconds from the beginning.
    var now: Int64 = 0
    var heap = EventHeap<ClusterHappening>()
    var nodes: [ClusterNode] = []
    var numbers: [GossipAddress: Int] = [:]
    var network = ClusterNetwork()
    var streams: [UInt64: ClusterStream] = [:]
    var pulls: [UInt64: ClusterPull] = [:]
    var lastStream: UInt64 = 0
    /// Faults at work, by their place in the scenario.
    var active: Set<Int> = []
    var books: ClusterBooks
    var clients: [ClusterClient] = []
    var watch = ClusterWatch()
    package var figures = ClusterFigures()
    /// A digest of everything that was delivered.
    package var trace: UInt64 { delivered.value }
    var delivered = FNV1a()
    var violation: ClusterViolation?

    // One each, so that one more fault does not change what clients do.
    var networkRandom: SeededRandom
    var coreRandom: SeededRandom
    var clientRandom: SeededRandom
    var planted: ClusterPlanted

    package init(_ scenario: ClusterScenario, bug: ClusterBug? = nil, hooks: ClusterHooks = ClusterHooks()) throws {
        self.scenario = scenario
        self.bug = bug
        self.hooks = hooks
        planted = ClusterPlanted(bug)
        var seeds = SeededRandom(seed: scenario.seed ^ 0x5eed_c105_7e12)
        networkRandom = SeededRandom(seed: seeds.next())
        coreRandom = SeededRandom(seed: seeds.next())
        clientRandom = SeededRandom(seed: seeds.next())
        layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        var limits = RegistryLimits()
        limits.maxLeases = 1_000
        limits.feedEvents = 1_000
        limits.tombstoneMilliseconds = scenario.tombstones * 1_000
        limits.permanentTombstoneMilliseconds = scenario.tombstones * 1_000
        self.limits = limits
        books = ClusterBooks(nodes: scenario.nodes, tombstoneMilliseconds: limits.tombstoneMilliseconds)
        for number in 0..<scenario.nodes {
            let node = ClusterNode(number: number)
            numbers[node.address] = number
            nodes.append(node)
        }
        makeClients()
    }

    // MARK: One run

    /// Runs to the end and checks everything on the way.
    ///
    /// - Returns: what is wrong, nil when nothing is.
    package func run() -> ClusterViolation? {
        for (place, fault) in scenario.faults.enumerated() {
            if fault.kind == .offset || fault.kind == .drift {
                set(fault)
            } else {
                heap.insert(.fault(place), at: fault.at * 1_000)
                heap.insert(.faultEnds(place), at: fault.end * 1_000)
            }
        }
        for node in nodes { boot(node, from: nil) }
        for client in clients.indices {
            heap.insert(.heartbeat(client: client), at: 2_000_000 + Int64(clientRandom.below(3_000_000)))
        }
        if scenario.actions > 0 { heap.insert(.action, at: 6_000_000) }
        heap.insert(.sample, at: 500_000)
        if scenario.hasDisk { heap.insert(.flush, at: 100_000) }
        while violation == nil, !watch.isOver, let (time, event) = heap.removeFirst() {
            now = max(now, time)
            figures.events += 1
            happen(event)
        }
        figures.finish(self)
        return violation
    }

    func fail(_ invariant: ClusterViolation.Invariant, _ text: String) {
        if violation == nil { violation = books.violation(invariant, now, text) }
    }

    /// For who looks into a run.
    func tell(_ text: @autoclosure () -> String) { hooks.tell?("\(now / 1_000) \(text())") }

    func check(_ body: () throws(ClusterViolation) -> Void) {
        do throws(ClusterViolation) { try body() } catch { if violation == nil { violation = error } }
    }

    private func happen(_ event: ClusterHappening) {
        switch event {
        case .wake(let number, let boot, let time): wake(nodes[number], boot, time)
        case .message(let number, let boot, let bytes):
            if nodes[number].process?.boot == boot { give(.message(bytes), to: nodes[number]) }
        case .tick(let number, let boot): tick(nodes[number], boot)
        case .packet(let from, let to, let bytes): deliver(from: from, to: to, bytes)
        case .request(let stream, let bytes): deliverRequest(stream, bytes)
        case .reply(let stream, let bytes): deliverReply(stream, bytes)
        case .streamFails(let stream): finish(stream, with: nil)
        case .want(let pull, let bytes): deliverWant(pull, bytes)
        case .page(let pull, let bytes): deliverPage(pull, bytes)
        case .pullEnds(let pull, let outcome): deliverEnd(pull, outcome)
        case .pullStalls(let pull, let since): stall(pull, since)
        case .fault(let place): begin(place)
        case .faultEnds(let place): end(place)
        case .left(let number, let boot):
            if nodes[number].process?.boot == boot { endProcess(nodes[number], gracefully: true) }
        case .heartbeat(let client): heartbeat(client)
        case .action: act()
        case .babble(let place): babble(place)
        case .sample: sample()
        case .flush:
            for node in nodes { flush(node) }
            heap.insert(.flush, at: now + 100_000)
        }
    }

    // MARK: Processes

    /// Starts a process on a machine, with what an earlier one kept.
    func boot(_ node: ClusterNode, from content: KeptContent?) {
        node.boots += 1
        node.isPaused = false
        node.isLeaving = false
        node.inbox = []
        node.setClock(now)
        let origin = planted.origin(for: node, fresh: coreRandom.next())
        let registry = Registry(
            layout: layout, node: node.name, origin: origin, limits: limits, clock: planted.clock(of: node))
        hooks.made(registry, bug)
        let observer = ClusterObserver()
        if let content { planted.restore(content, registry) }
        if scenario.hasDisk { registry.startJournal(countMax: 100_000, isWhole: true) }
        var core = CoreSettings(
            name: NodeName(node.name), address: node.address, dialect: scenario.isSerf ? .serf : .plain,
            timing: scenario.timing.gossip)
        core.leaveTimeout = 2_000
        let member = SimulatedNode(settings: core, security: security)
        var settings = ReplicatorSettings(node: node.name, expectsPeers: true)
        settings.queuedBytesMax = scenario.queue
        settings.announcedBytesPerSecond = scenario.rate
        settings.preservation = planted.rules(scenario.rules)
        let replicator = Replicator(settings, registry: registry, now: node.moment)
        let process = ClusterProcess(
            member: member, replicator: replicator, registry: registry, observer: observer, boot: node.boots,
            startedAt: now)
        node.process = process
        books.begin(node.number, registry, isEmpty: content == nil)
        registry.addObserver(observer)
        _ = observer.take()
        give(.start, to: node)
        give(.join(nodes.filter { $0 !== node }.map(\.address)), to: node)
        heap.insert(
            .tick(node: node.number, boot: node.boots),
            at: now + Int64(coreRandom.below(Int(scenario.tick) * 1_000)))
    }

    private var security: GossipSecurity {
        guard scenario.isSealed, let key = GossipKey(octets: Array(0..<16)) else { return GossipSecurity() }
        return GossipSecurity(keys: KeyRing([key])) ?? GossipSecurity()
    }

    /// Ends the process of a machine. What it had under way ends with it.
    func endProcess(_ node: ClusterNode, gracefully: Bool) {
        if gracefully { flush(node) }
        drain(node)
        if !gracefully { node.crashedBoots.insert(node.boots) }
        node.process = nil
        node.isPaused = false
        node.isLeaving = false
        node.inbox = []
        breakPulls(of: node.number)
    }

    func flush(_ node: ClusterNode) {
        guard scenario.hasDisk, let process = node.running else { return }
        node.setClock(now)
        if let group = process.registry.takeGroup(), group.isWhole || group.changeCount > 0 || now % 1_000_000 == 0 {
            node.disk.write(group, now: now)
        }
    }

    // MARK: Steps of a process

    private func wake(_ node: ClusterNode, _ boot: Int, _ time: Milliseconds) {
        guard let process = node.running, process.boot == boot, process.wake == time else { return }
        give(.timer, to: node)
    }

    private func tick(_ node: ClusterNode, _ boot: Int) {
        guard let process = node.process, process.boot == boot else { return }
        guard !node.isPaused else {
            node.hasMissedTick = true
            return
        }
        let late = node.late > 0 ? Int64(networkRandom.below(Int(node.late) * 1_000)) : 0
        heap.insert(.tick(node: node.number, boot: boot), at: now + scenario.tick * 1_000 + late)
        step(node)
    }

    /// What a tick brings, apart from its time.
    func step(_ node: ClusterNode) {
        guard let process = node.running else { return }
        if let rules = scenario.rules {
            node.setClock(now)
            process.keeping.beforeTick(process.registry)
            give(.tick, to: node)
            checkKeeping(of: node, process, rules)
        } else {
            give(.tick, to: node)
        }
        lookAtPhase(of: node)
    }

    /// Gives the membership an event, and does what it wants.
    func give(_ event: CoreEvent, to node: ClusterNode) {
        guard let process = node.running else { return }
        node.setClock(now)
        let effects = process.member.core.step(planted.heard(event, at: node), now: node.clock.now, random: &coreRandom)
        for effect in effects where node.process === process { perform(effect, of: node, process) }
    }

    private func perform(_ effect: CoreEffect, of node: ClusterNode, _ process: ClusterProcess) {
        switch effect {
        case .send(let packet): send(packet, from: node)
        case .dialPing(let dial, let address, let ping, let deadline):
            open(.ping(ping), ping: ping, dial: dial, from: node, to: address, deadline: deadline)
        case .dialPushPull(let dial, let address, let state, let deadline):
            open(.pushPull(state), ping: nil, dial: dial, from: node, to: address, deadline: deadline)
        case .answer(let stream, let message): answer(stream, message, from: node)
        case .close(let stream): heap.insert(.streamFails(stream), at: now + latency(0, 0))
        case .notify(let notice): take(notice, of: node, process)
        case .wake(let time):
            process.wake = time
            let pause = max(0, time - node.clock.now) * 1_000
            heap.insert(.wake(node: node.number, boot: process.boot, at: time), at: now + pause)
        }
    }

    private func take(_ notice: CoreNotice, of node: ClusterNode, _ process: ClusterProcess) {
        switch notice {
        case .joined, .updated, .left, .failed: lookAtMembers(of: node, process)
        case .userMessage(let bytes, _): receive(bytes, at: node)
        case .leaveDone: heap.insert(.left(node: node.number, boot: process.boot), at: now)
        default: break
        }
    }

    private func lookAtMembers(of node: ClusterNode, _ process: ClusterProcess) {
        var names: [String] = []
        for member in process.member.core.members where !member.state.isGone && member.name != NodeName(node.name) {
            names.append(member.name.description)
        }
        guard names != process.peers else { return }
        planted.left(Set(process.peers).subtracting(names), process)
        process.peers = names
        tell("n\(node.number) sees \(names)")
        let heard = planted.peers(names, of: node, process)
        if let rules = scenario.rules {
            node.setClock(now)
            process.keeping.sawPeers(heard, rules, now: node.moment.monotonic)
        }
        give(.peers(heard), to: node)
    }

    /// Gives the replicator an event, and does what it wants.
    func give(_ event: ReplicatorEvent, to node: ClusterNode) {
        guard let process = node.running else { return }
        node.setClock(now)
        let effects = process.replicator.step(event, now: node.moment, random: &coreRandom)
        drain(node)
        for effect in effects where node.process === process {
            switch effect {
            case .send(let bytes, let name):
                for bytes in planted.outgoing(bytes, from: node, to: name, self) {
                    give(.send(bytes, to: NodeName(name)), to: node)
                }
            case .pull(let id, let peer, let isRepair):
                tell("n\(node.number) pulls from \(peer)")
                beginPull(id, at: node, from: peer, isRepair: isRepair)
            }
        }
    }

    private func receive(_ bytes: [UInt8], at node: ClusterNode) {
        if bug != .oldBatches || Self.isRenew(bytes) { network.record(bytes, to: node.number) }
        for bytes in planted.incoming(bytes, at: node, self) { give(.message(bytes), to: node) }
    }

    /// Whether a frame carries heartbeats.
    private static func isRenew(_ bytes: [UInt8]) -> Bool { bytes.count > 2 && bytes[2] == 4 }

    /// Looks at what a registry did.
    func drain(_ node: ClusterNode) {
        guard let process = node.process else { return }
        let batches = process.observer.take()
        guard !batches.isEmpty else { return }
        let hasBegunAnew = process.registry.origin != process.origin
        if hasBegunAnew {
            process.origin = process.registry.origin
            process.freshAt = now
            figures.freshStarts += 1
            tell("n\(node.number) begins anew as \(process.origin & 0xffff)")
            books.beginFresh(node.number)
        }
        for batch in batches {
            for change in batch.changes where change.contentChanged {
                // What is dropped then has not been removed: it may come again.
                if hasBegunAnew, change.current == nil { continue }
                tell("n\(node.number) \(String(decoding: change.key, as: UTF8.self)) \(change.version.brief)")
                if change.kind == .expiry {
                    if change.version.origin == process.origin {
                        if scenario.preservation > 0, let ended = change.previous {
                            process.keeping.ended.append(ended)
                        }
                        checkExpiry(of: change.key, change.previous?.version, by: node, process)
                    } else {
                        checkGivenUp(change, by: node, process)
                    }
                }
                check { () throws(ClusterViolation) in
                    try books.note(change, at: node.number, boot: process.boot, origin: process.origin, now: now)
                }
            }
        }
    }
}
