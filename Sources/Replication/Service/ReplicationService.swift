package import Logging
package import Memberlist
package import RegistryStore
import Synchronization

/// The replication of a registry on a node of the gossip: carries out what the `Replicator` wants.
///
/// It is given to `GossipNode.start` as its application, then `run` with that node.
package final class ReplicationService: GossipApplication {
    /// Pause between ticks.
    static let pause: Duration = .milliseconds(50)

    package let registry: Registry
    let clock: RegistryClock
    let logger: Logger
    let sync: SyncStreams
    let inbox = MessageInbox()
    let claim = Mutex<NameClaim?>(nil)
    private let vouch: @Sendable (Int64) -> Void
    private let state: Mutex<State>
    private let pulls: AsyncStream<PullRequest>
    private let pullRequests: AsyncStream<PullRequest>.Continuation

    private struct State {
        var replicator: Replicator
        var random = SystemRandomNumberGenerator()
        /// Addresses of the peers, by name.
        var addresses: [String: GossipAddress] = [:]
        /// Those that say that they are ready, in the members' order.
        var readyPeers: [String] = []
        /// Whether the node has left the cluster: then it has no peers, whatever it still knows of members.
        var isAway = false
        var saidFenced = false
    }

    struct PullRequest: Sendable {
        let id: UInt64
        let peer: String
        let isRepair: Bool
    }

    /// Begins to replicate: from now on nobody else may end the registry's leases (`Registry.expireDue`).
    ///
    /// - Parameter vouch: told until when, in monotonic milliseconds, what the registry holds may be answered; again
    ///   with every tick while it is like that of the others, as far as this node can know.
    package init(
        _ settings: ReplicatorSettings, registry: Registry, clock: RegistryClock, sync: SyncStreams, logger: Logger,
        vouch: @escaping @Sendable (Int64) -> Void = { _ in }
    ) {
        self.vouch = vouch
        self.registry = registry
        self.clock = clock
        self.logger = logger
        self.sync = sync
        state = Mutex(State(replicator: Replicator(settings, registry: registry, now: clock.now)))
        (pulls, pullRequests) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(16))
    }

    // MARK: The gossip's application

    package func receive(_ message: [UInt8], from sender: GossipAddress) -> Bool {
        inbox.add(message)
        // What is new goes on by the replicator's own queue.
        return false
    }

    package func serve(_ stream: GossipStream) async throws { await sync.serve(stream) }

    // MARK: Running

    /// The node that this runs on. From now on it says who it is.
    package func attach(_ node: GossipNode) { sync.attach(node) }

    /// Replicates until the task is cancelled.
    package func run(on node: GossipNode) async {
        attach(node)
        await withDiscardingTaskGroup { group in
            group.addTask { await self.tick(node) }
            group.addTask { await self.readMessages(node) }
            group.addTask { await self.followMembers(node) }
            group.addTask { await self.servePulls(node) }
        }
    }

    private func tick(_ node: GossipNode) async {
        repeat {
            step([.tick], node)
            if let until = state.withLock({ $0.replicator.vouchedUntil }) { vouch(until) }
        } while (try? await Task.sleep(for: Self.pause)) != nil
        // What has stopped to replicate goes on answering until it ends.
        vouch(.max)
    }

    private func readMessages(_ node: GossipNode) async {
        for await _ in inbox.arrivals { step(inbox.takeAll().map { .message($0) }, node) }
    }

    /// Looks at the members whenever one comes, goes, or changes, and once a second in case an event was lost.
    private func followMembers(_ node: GossipNode) async {
        await withDiscardingTaskGroup { group in
            group.addTask {
                guard let events = try? await node.events() else { return }
                for await event in events {
                    switch event {
                    case .joined, .updated, .left, .failed: await self.lookAtMembers(node)
                    default: break
                    }
                }
            }
            group.addTask {
                repeat { await self.lookAtMembers(node) } while (try? await Task.sleep(for: .seconds(1))) != nil
            }
        }
    }

    private func lookAtMembers(_ node: GossipNode) async {
        guard let members = try? await node.members() else { return }
        var addresses: [String: GossipAddress] = [:]
        var ready: [String] = []
        for member in members where !member.state.isGone && member.name != node.name {
            guard ReplicationTags.isPeer(member), let name = String(validating: member.name.octets, as: UTF8.self)
            else { continue }
            addresses[name] = member.address
            if ReplicationTags.isReady(member) { ready.append(name) }
        }
        setPeers(addresses, ready: ready, node)
    }

    /// Under one lock, so that of two looks at a time the replicator takes the one that stays.
    private func setPeers(_ addresses: [String: GossipAddress], ready: [String], _ node: GossipNode) {
        let effects: [ReplicatorEffect] = state.withLock { state in
            let (addresses, ready) = state.isAway ? ([:], []) : (addresses, ready)
            let isKnown = state.addresses.keys == addresses.keys && state.readyPeers == ready
            (state.addresses, state.readyPeers) = (addresses, ready)
            guard !isKnown else { return [] }
            return state.replicator.step(
                .peers(Array(addresses.keys), ready: ready), now: clock.now, random: &state.random)
        }
        perform(effects, node)
    }

    /// Gives the replicator events, and carries out what it wants.
    private func step(_ events: [ReplicatorEvent], _ node: GossipNode) {
        guard !events.isEmpty else { return }
        let effects = state.withLock { state in
            events.flatMap { state.replicator.step($0, now: clock.now, random: &state.random) }
        }
        perform(effects, node)
    }

    private func perform(_ effects: [ReplicatorEffect], _ node: GossipNode) {
        var messages: [(bytes: [UInt8], name: NodeName)] = []
        for effect in effects {
            switch effect {
            case .send(let bytes, let name): messages.append((bytes, NodeName(name)))
            case .pull(let id, let peer, let isRepair):
                pullRequests.yield(PullRequest(id: id, peer: peer, isRepair: isRepair))
            }
        }
        if !messages.isEmpty { node.post(messages) }
        tellOfClock()
    }

    private func tellOfClock() {
        let fence: WriteFence? = state.withLock { state in
            guard case .fence(let fence) = state.replicator.clockVerdict else {
                state.saidFenced = false
                return nil
            }
            defer { state.saidFenced = true }
            return state.saidFenced ? nil : fence
        }
        guard let fence else { return }
        logger.error(
            "this node's clock is too far from the others': writes are refused until it is set right",
            metadata: ["offset-ms": "\(fence.offsetMilliseconds)"])
    }

    var peerAddresses: [(name: String, address: GossipAddress)] {
        state.withLock { state in
            state.replicator.peers.compactMap { name in state.addresses[name].map { (name, $0) } }
        }
    }

    // MARK: Pulls

    private func servePulls(_ node: GossipNode) async {
        await withDiscardingTaskGroup { group in
            for await request in pulls {
                group.addTask { self.step([.pulled(id: request.id, await self.pull(request, node))], node) }
            }
        }
    }

    private func pull(_ request: PullRequest, _ node: GossipNode) async -> PullOutcome {
        guard let address = state.withLock({ $0.addresses[request.peer] }) else {
            return .failed(reason: "it is gone")
        }
        do throws(SyncFailure) {
            let report = try await sync.pull(from: address, isRepair: request.isRepair)
            tell(report, of: request)
            switch report.state {
            case .complete: return .complete
            case .void, .open: return .failed(reason: "a removal was forgotten meanwhile")
            case .refused(let count): return .failed(reason: "\(count) of its operations find no room here")
            }
        } catch {
            switch error {
            case .busy(let milliseconds): return .busy(retryAfter: milliseconds)
            case .busyHere: return .busy(retryAfter: 100)
            default: return .failed(reason: "\(error)")
            }
        }
    }

    private func tell(_ report: SyncReport, of request: PullRequest) {
        guard report.wasReset else { return }
        let metadata: Logger.Metadata = [
            "peer": "\(request.peer)", "operations": "\(report.operations)", "dropped": "\(report.dropped)",
        ]
        if request.isRepair {
            logger.error(
                "a peer knew of the same operations and showed other entries: its content was taken over",
                metadata: metadata)
        } else {
            logger.info(
                "a peer's whole content was taken over, since it has forgotten old removals", metadata: metadata)
        }
    }

    // MARK: From outside

    /// Tells the others what is left of the leases that this node counts. To be called before the gossip leaves.
    package func leave(on node: GossipNode) { step([.leaving], node) }

    /// The gossip has left: nobody is this node's peer until `returned`.
    package func left(_ node: GossipNode) {
        state.withLock { $0.isAway = true }
        setPeers([:], ready: [], node)
    }

    /// The gossip is a member again. On return the peers that it knows by now are the replicator's.
    package func returned(_ node: GossipNode) async {
        state.withLock { $0.isAway = false }
        await lookAtMembers(node)
    }

    package func preserve(_ rules: Preservation?, on node: GossipNode) { step([.preserve(rules)], node) }

    /// Why the node is not ready; nil when it is.
    package var notReady: String? { state.withLock { $0.replicator.notReady } }

    package var status: ReplicationStatus {
        state.withLock { state in
            let replicator = state.replicator
            return ReplicationStatus(
                phase: replicator.phase, notReady: replicator.notReady, peers: replicator.peers,
                agreements: replicator.agreements, now: clock.monotonicMilliseconds(),
                counters: replicator.counters, leases: replicator.keeper.counts,
                preserves: replicator.keeper.preserves, preservation: replicator.keeper.preservation,
                preservedLeases: registry.deadlines.preservedCount,
                clock: replicator.clockVerdict, queued: replicator.queued, messagesDropped: inbox.dropped,
                sync: sync.counters)
        }
    }
}

/// How the replication does, at one moment.
package struct ReplicationStatus: Sendable {
    package let phase: ReplicatorPhase
    /// Why the node is not ready; nil when it is.
    package let notReady: String?
    package let peers: [String]
    /// When this node last had the same as a peer, in milliseconds of the clock that `now` is of.
    package let agreements: [String: Int64]
    package let now: Int64
    package let counters: ReplicatorCounters
    package let leases: LeaseKeeper.Counts
    /// Whether leases whose time is over are being kept.
    package let preserves: Bool
    package let preservation: Preservation?
    /// Leases that are over and that this node keeps, since too many were at once or since their service ends slowly.
    package let preservedLeases: Int
    package let clock: ClockWatch.Verdict
    package let queued: (count: Int, bytes: Int)
    /// Messages that came faster than they could be looked at.
    package let messagesDropped: Int
    package let sync: SyncCounters
}
