import DNSServer
import HTTPAdmin
import Logging
import Memberlist
import RegistryStore
import Replication
import ServiceLifecycle
import Synchronization

/// This node in its cluster: the gossip, and what finds the others.
final class GossipService: Service {
    /// What it is made of.
    struct Parts: Sendable {
        let choice: GossipChoice
        let registry: Registry
        /// Of that registry.
        let replication: ReplicationService
        /// Answers for the registry once the node has what the others have.
        let view: DNSView
        /// Nil: nothing is kept over restarts.
        let data: DataSettings?
        let lookup: NameLookup
        let readiness: Readiness
        let clock: RegistryClock
        let logger: Logger
    }

    /// How often the view is taken for metrics, and metadata are brought up to date.
    static let pause: Duration = .seconds(1)
    /// How long a leave may take.
    static let leaveTime: Duration = .seconds(8)

    fileprivate struct State {
        var view: GossipView?
        var tags: GossipTags
        var toldTags: GossipTags
        /// Of `counters.transport.undecryptable`, a minute ago and earlier views.
        var undecryptable: [Int] = []
    }

    let node: GossipNode
    let choice: GossipChoice
    let logger: Logger
    let lookup: NameLookup
    let clock: RegistryClock
    let replication: ReplicationService
    let names = NameWatch()
    let keyKeeper: GossipKeyKeeper
    private let readiness: Readiness
    private let dns: DNSView
    private let files: GossipFiles?
    let joiner: GossipJoiner
    private let state: Mutex<State>
    private let presence = GossipPresence()
    /// One for each time that the node has to become ready.
    private let (arrivals, arriving) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))

    // MARK: Start

    /// Reads the keys and binds the sockets. Nobody is called before `run`.
    static func start(_ parts: Parts) async throws(UserError) -> GossipService {
        let files = GossipFiles(parts.data)
        var chain = try await parts.choice.keys.chain(unixMilliseconds: parts.clock.unixMilliseconds())
        if chain.hasPassphrase, let epoch = try files?.epoch() { chain.advance(to: epoch) }
        var tags = GossipTags(origin: parts.registry.origin, version: Version.number)
        tags.take(chain)
        var environment = GossipEnvironment()
        environment.clock = parts.clock.monotonicMilliseconds
        environment.logger = parts.logger
        let settings = parts.choice.settings(node: parts.registry.node, meta: tags.meta, chain: chain)
        do throws(GossipNodeError) {
            let node = try await GossipNode.start(
                settings, application: parts.replication, environment: environment)
            parts.replication.attach(node)
            return GossipService(parts, node, tags, files)
        } catch {
            throw UserError(gossip: error, at: "\(parts.choice.bind)")
        }
    }

    private init(_ parts: Parts, _ node: GossipNode, _ tags: GossipTags, _ files: GossipFiles?) {
        self.node = node
        self.files = files
        choice = parts.choice
        keyKeeper = GossipKeyKeeper(parts.choice.keys)
        replication = parts.replication
        dns = parts.view
        readiness = parts.readiness
        logger = parts.logger
        lookup = parts.lookup
        clock = parts.clock
        state = Mutex(State(tags: tags, toldTags: tags))
        joiner = GossipJoiner(
            node, parts.choice.joinSettings(own: node.address, candidates: files?.candidates), lookup: parts.lookup,
            clock: parts.clock.monotonicMilliseconds, wallClock: parts.clock.unixMilliseconds, logger: parts.logger)
    }

    /// Where it listens, for the start line.
    var boundAddress: String { "\(node.bound)" }

    /// HTTP listens; others are told the port.
    func listening(_ http: [String]) {
        let port = http.first?.split(separator: ":").last.flatMap { Int($0) }
        state.withLock { $0.tags.adminPort = port }
    }

    // MARK: Run

    func run() async throws {
        arriving.yield()
        do {
            try await serve()
        } catch {
            // A leave would be taken for that of the other node.
            await node.shutdown()
            throw error
        }
        do throws(ClusterError) {
            try await leave()
        } catch {
            logger.debug("not in the cluster at the end", metadata: ["reason": "\(error)"])
        }
        await node.shutdown()
    }

    private func serve() async throws {
        try await cancelWhenGracefulShutdown {
            try await withThrowingDiscardingTaskGroup { group in
                group.addTask { await self.join() }
                group.addTask { try await self.watchName() }
                group.addTask { await self.followEvents() }
                group.addTask { await self.observe() }
                group.addTask { await self.replication.run(on: self.node) }
                group.addTask { await self.openDNS() }
            }
        }
    }

    /// Looks for the others as long as the node is in the cluster.
    private func join() async {
        for await stay in presence.stays {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.joiner.run() }
                group.addTask { for await _ in stay {} }
                await group.next()
                group.cancelAll()
            }
        }
    }

    /// Answers for the registry once the node is ready.
    private func openDNS() async {
        for await _ in arrivals {
            dns.setHasContent(notReady == nil)
            await waitUntilReady()
            guard !Task.isCancelled else { return }
            names.serve()
            dns.setHasContent(true)
        }
    }

    // MARK: Leaving and coming back

    /// Tells everybody that this node goes. It serves on, alone.
    func leave() async throws(ClusterError) {
        try presence.move(from: .here, to: .leaving)
        await goAway()
        try presence.move(from: .leaving, to: .left)
    }

    private func goAway() async {
        logger.notice("leaving the cluster")
        replication.leave(on: node)
        if names.twin == nil { await node.leave() } else { await node.withdraw() }
        replication.left(node)
    }

    /// After a leave: a member again of the cluster that these addresses belong to, under a new incarnation. Others are
    /// told that it is ready when it has taken over what they have.
    ///
    /// - Returns: those that answered; when there are none, the node has left as before.
    func comeBack(by addresses: [GossipAddress]) async throws(ClusterError) -> Set<GossipAddress> {
        try presence.move(from: .left, to: .returning)
        let joined: Set<GossipAddress>
        do throws(GossipNodeError) {
            joined = try await dial(addresses)
        } catch {
            try presence.move(from: .returning, to: .left)
            throw ClusterError(error)
        }
        if let twin = await twinAfterJoin() {
            await goAway()
            try presence.move(from: .returning, to: .left)
            throw .refused("\(twin) has this node's name, \(node.name), meanwhile; this node stays out of its cluster")
        }
        guard !joined.isEmpty else {
            logger.warning("not joined again: nobody answers", metadata: ["dialled": "\(addresses.count)"])
            await goAway()
            try presence.move(from: .returning, to: .left)
            return []
        }
        // Before anybody hears of the join's end the node knows its peers, and is not ready.
        await replication.returned(node)
        dns.setHasContent(notReady == nil)
        arriving.yield()
        logger.notice("in the cluster again", metadata: ["answered": "\(joined.count)"])
        try presence.move(from: .returning, to: .here)
        return joined
    }

    /// Another node may have taken the name meanwhile.
    private func twinAfterJoin() async -> GossipAddress? {
        do throws(UserError) {
            try await judgeName()
        } catch {
            logger.error("\(error)")
        }
        return names.twin
    }

    private func dial(_ addresses: [GossipAddress]) async throws(GossipNodeError) -> Set<GossipAddress> {
        let tags = state.withLock { state in
            state.tags.isReady = false
            state.toldTags = state.tags
            return state.tags
        }
        names.forget()
        try await node.comeBack(meta: tags.meta)
        return try await node.join(addresses)
    }

    private func followEvents() async {
        let events: AsyncStream<GossipEvent>
        do {
            events = try await node.events()
        } catch {
            return logger.error("the cluster's events are not followed", metadata: ["error": "\(error)"])
        }
        for await event in events { tell(event) }
    }

    private func tell(_ event: GossipEvent) {
        switch event {
        case .joined(let member) where member.name != node.name:
            logger.notice("a member is there", metadata: ["name": "\(member.name)", "address": "\(member.address)"])
        case .left(let member) where member.name != node.name:
            logger.notice("a member left", metadata: ["name": "\(member.name)"])
        case .failed(let member):
            logger.warning(
                "a member is dead", metadata: ["name": "\(member.name)", "address": "\(member.address)"])
        case .refuted(let incarnation):
            logger.warning("others took this node for dead; it objected", metadata: ["incarnation": "\(incarnation)"])
        default: break
        }
    }

    private func observe() async {
        repeat {
            do {
                let view = try await node.view()
                state.withLock { $0.take(view) }
                try await follow(view)
            } catch {
                // The node was shut down, which ends this task, too.
                return
            }
        } while (try? await Task.sleep(for: Self.pause)) != nil
    }

    /// Follows the others, and the date, to a passphrase's next key, and tells what changed here.
    private func follow(_ view: GossipView) async throws(GossipNodeError) {
        if view.keys.hasPassphrase, view.keys.epoch < .max {
            let next = view.keys.epoch + 1
            let due = choice.keys.followsDate ? GossipKeys.epoch(atUnix: clock.unixMilliseconds()) : 0
            // One at a time: who is two behind opens nothing of the others and hears of it from nobody.
            if due >= next || peers(view).contains(where: { $0.tags.epoch == next }) {
                try await advance(to: next)
            }
        }
        try await tellTags()
    }

    /// Uses the passphrase's key of this number, keeps it, and tells the others.
    func advance(to epoch: UInt32) async throws(GossipNodeError) {
        try await node.change(.advance(epoch: epoch))
        logger.notice("the passphrase's next key is used", metadata: ["epoch": "\(epoch)"])
        do {
            try files?.keep(epoch: epoch)
        } catch {
            logger.error("the key's number could not be kept", metadata: ["epoch": "\(epoch)", "error": "\(error)"])
        }
        // The date's number is one that others open as long as it is one less.
        if files == nil, epoch > GossipKeys.epoch(atUnix: clock.unixMilliseconds()) &+ 1 {
            logger.warning(
                "without --data-dir this node begins with a key that is too old after a restart; add --gossip-epoch",
                metadata: ["epoch": "\(epoch)"])
        }
    }

    /// Tells the others this node's mark.
    func tell(_ mark: UInt8) async {
        state.withLock { $0.tags.mark = mark }
        do {
            try await tellTags()
        } catch {
            logger.error("the others are not told this node's mark", metadata: ["error": "\(error)"])
        }
    }

    /// Brings metadata up to date.
    func tellTags() async throws(GossipNodeError) {
        let chain = try await node.keys()
        let isReady = readiness.isReady && notReady == nil
        let tags: GossipTags? = state.withLock { state in
            state.tags.take(chain)
            state.tags.isReady = isReady
            guard state.tags != state.toldTags, presence.phase == .here else { return nil }
            state.toldTags = state.tags
            return state.tags
        }
        if let tags { try await node.update(meta: tags.meta) }
    }

    // MARK: What is known

    /// Nil before the first look, a second after the start at the latest.
    var view: GossipView? { state.withLock { $0.view } }

    var phase: GossipPresence.Phase { presence.phase }

    /// Other nodes of regdns that are there.
    func peers(_ view: GossipView) -> [(member: Member, tags: PeerTags)] {
        view.members.filter { $0.name != node.name && !$0.state.isGone }.map { ($0, PeerTags($0)) }
            .filter(\.1.isRegdns)
    }

    var degradations: [OperationsDoor.Degradation] {
        let (view, isRising, mark) = state.withLock { ($0.view, $0.isUndecryptableRising, $0.tags.mark) }
        let rival = view.flatMap { view in peers(view).first { $0.tags.mark == mark }?.member.name }
        var list: [OperationsDoor.Degradation] = []
        func add(_ why: String) { list.append(.init(what: "cluster", why: why)) }
        for why in nameDegradations { add(why) }
        if let rival { add("\(rival) marks etcd revisions as this node does: restart one of them") }
        if isRising { add("packets come that no key of this node opens") }
        list += replication.status.degradations
        guard let view else { return list }
        if view.hasLeft { add("this node has left, and is alone until it joins again or is restarted") }
        for member in view.members where member.state == .dead { add("\(member.name) at \(member.address) is dead") }
        if view.health >= 4 { add("this node itself answers late (health score \(view.health) of 7)") }
        return list
    }

    /// For `/healthz` and `status`.
    var facts: [(name: String, value: String)] {
        let view = view
        let counts = NodeState.allCases.compactMap { state -> String? in
            let count = view?.members.count { $0.state == state } ?? 0
            return count > 0 ? "\(count) \(state)" : nil
        }
        return [
            (name: "gossip", value: boundAddress),
            (name: "members", value: counts.isEmpty ? "not known yet" : counts.joined(separator: ", ")),
            (name: "gossip_encryption", value: view?.keys.isEmpty ?? choice.keys.isEmpty ? "off" : "on"),
        ] + replication.status.facts
    }
}

extension GossipService: ReadinessGate {
    /// What was there when this node came must be here, once: nodes that go later make nobody unready.
    var notReady: String? {
        let isInDoubt = names.isInDoubt(replication.nameClaim)
        return replication.notReady ?? (isInDoubt ? "gossip: asking who else has the name \(node.name)" : nil)
    }

    func waitUntilReady() async {
        while notReady != nil {
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return }
        }
    }
}

extension GossipService.State {
    /// Views in a minute.
    private static let window = 60

    mutating func take(_ view: GossipView) {
        self.view = view
        undecryptable.append(view.transport.undecryptable + view.transport.undecryptableStreams)
        if undecryptable.count > Self.window { undecryptable.removeFirst() }
    }

    var isUndecryptableRising: Bool { (undecryptable.last ?? 0) > (undecryptable.first ?? 0) }
}
