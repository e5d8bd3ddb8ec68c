import Memberlist
import RegdnsTestKit
import RegistryStore
import Replication

/// A stream by which one node takes over what another has, page by page.
struct ClusterPull {
    /// The replicator's number for it.
    let id: UInt64
    /// Who asks, and whom.
    let to: Int
    let boot: Int
    let from: Int
    let isRepair: Bool
    var session: SyncSession
    var source: SyncSource?
    var sourceBoot = 0
    /// When something last came, in microseconds.
    var since: Int64
}

extension ClusterWorld {
    /// Streams that a node serves at a time.
    private static let servedMax = 4
    /// Microseconds without a byte after which a stream is given up.
    private static let stallAfter: Int64 = 10_000_000

    func beginPull(_ id: UInt64, at node: ClusterNode, from name: String, isRepair: Bool) {
        guard let process = node.process else { return }
        lastStream += 1
        let session = process.registry.beginSession(isRepair: isRepair)
        guard let source = nodes.first(where: { $0.name == name }) else {
            // A name that a flipped bit has made.
            pulls[lastStream] = ClusterPull(
                id: id, to: node.number, boot: process.boot, from: node.number, isRepair: isRepair, session: session,
                since: now)
            return heap.insert(.pullStalls(pull: lastStream, since: now), at: now + Self.stallAfter)
        }
        pulls[lastStream] = ClusterPull(
            id: id, to: node.number, boot: process.boot, from: source.number, isRepair: isRepair, session: session,
            since: now)
        figures.pulls += 1
        let want = Frame(.want(WantFrame(session: lastStream, context: planted.asked(Self.rows(of: session.context)))))
            .encoded()
        let time = latency(node.number, source.number) * 2 + streamLatency(node.number, source.number)
        heap.insert(.want(pull: lastStream, want), at: now + time)
        heap.insert(.pullStalls(pull: lastStream, since: now), at: now + Self.stallAfter)
        if bug == .pullPretended { heap.insert(.pullEnds(pull: lastStream, .complete), at: now + 1) }
    }

    /// A context as it travels in a question.
    private static func rows(of context: CausalContext) -> [SyncOrigin] {
        context.sorted.map { SyncOrigin(origin: $0.origin, head: $0.known.head, gaps: $0.known.gaps, floor: 0) }
    }

    func stall(_ id: UInt64, _ since: Int64) {
        guard let pull = pulls[id] else { return }
        if pull.since == since {
            deliverEnd(id, .failed(reason: "nothing came"))
        } else {
            heap.insert(.pullStalls(pull: id, since: pull.since), at: pull.since + Self.stallAfter)
        }
    }

    func deliverWant(_ id: UInt64, _ bytes: [UInt8]) {
        guard let pull = pulls[id] else { return }
        guard passes(pull.to, pull.from) else {
            return heap.insert(.want(pull: id, bytes), at: now + Self.retransmit)
        }
        let node = nodes[pull.from]
        guard let process = node.process else { return endPull(id, .failed(reason: "refused")) }
        guard !node.isPaused else { return node.inbox.append(.want(pull: id, bytes)) }
        let served = pulls.values.count { $0.from == pull.from && $0.source != nil }
        guard served < Self.servedMax, !node.isLeaving else { return endPull(id, .busy(retryAfter: 500)) }
        guard case .want(let want)? = try? Frame(decoding: bytes).body,
            let context = CausalContext(checking: want.context, limits: limits)
        else {
            return fail(.bounds, "a question for a session cannot be read")
        }
        node.setClock(now)
        pulls[id]?.source = process.registry.openSync(to: context, isRepair: pull.isRepair)
        pulls[id]?.sourceBoot = process.boot
        if let asker = nodes[pull.to].process, asker.boot == pull.boot { asker.note(process, of: node) }
        sendPage(id)
    }

    private func sendPage(_ id: UInt64) {
        guard var pull = pulls[id], var source = pull.source else { return }
        let node = nodes[pull.from]
        guard let process = node.process, process.boot == pull.sourceBoot else {
            return endPull(id, .failed(reason: "closed"))
        }
        node.setClock(now)
        guard let page = process.registry.nextPage(of: &source, operationsMax: scenario.page) else { return }
        pull.source = source
        pulls[id] = pull
        let changed = planted.page(page, from: node)
        let bytes = Frame(.page(session: id, changed)).encoded()
        figures.pages += 1
        if case .reset = page.opening { figures.resets += 1 }
        // A hundred megabits a second.
        let time = streamLatency(pull.from, pull.to) + Int64(bytes.count * 8 / 100)
        heap.insert(.page(pull: id, bytes), at: now + time)
    }

    func deliverPage(_ id: UInt64, _ bytes: [UInt8]) {
        guard var pull = pulls[id] else { return }
        guard passes(pull.from, pull.to) else {
            return heap.insert(.page(pull: id, bytes), at: now + Self.retransmit)
        }
        let node = nodes[pull.to]
        guard let process = node.process, process.boot == pull.boot else {
            pulls[id] = nil
            return
        }
        guard !node.isPaused else { return node.inbox.append(.page(pull: id, bytes)) }
        note(bytes, pull.from, pull.to)
        node.setClock(now)
        let progress: SyncProgress
        do {
            guard case .page(_, let page) = try Frame(decoding: bytes).body else { return }
            progress = try process.registry.receive(planted.received(page, at: node), in: &pull.session)
        } catch {
            return fail(.bounds, "a page from n\(pull.from) to n\(pull.to) cannot be read: \(error)")
        }
        pull.since = now
        pulls[id] = pull
        drain(node)
        switch progress.state {
        case .open:
            if nodes[pull.from].isPaused {
                nodes[pull.from].inbox.append(.page(pull: id, bytes))
            } else {
                sendPage(id)
            }
        case .complete:
            figures.sessions += 1
            check { () throws(ClusterViolation) in
                try books.checkContext(of: node.number, process.registry, now: now)
            }
            deliverEnd(id, .complete)
        case .void, .refused: deliverEnd(id, .failed(reason: "\(progress.state)"))
        }
    }

    private func endPull(_ id: UInt64, _ outcome: PullOutcome) {
        guard let pull = pulls[id] else { return }
        heap.insert(.pullEnds(pull: id, outcome), at: now + latency(pull.from, pull.to))
    }

    func deliverEnd(_ id: UInt64, _ outcome: PullOutcome) {
        guard let pull = pulls[id] else { return }
        let node = nodes[pull.to]
        guard let process = node.process, process.boot == pull.boot else {
            pulls[id] = nil
            return
        }
        guard !node.isPaused else { return node.inbox.append(.pullEnds(pull: id, outcome)) }
        pulls[id] = nil
        if outcome != .complete { figures.pullsFailed += 1 }
        give(.pulled(id: pull.id, outcome), to: node)
        lookAtPhase(of: node)
    }

    /// The process of a node has ended: streams to it are forgotten, streams from it are closed.
    func breakPulls(of number: Int) {
        for (id, pull) in pulls.sorted(by: { $0.key < $1.key }) {
            if pull.to == number {
                pulls[id] = nil
            } else if pull.from == number, pull.source != nil {
                endPull(id, .failed(reason: "closed"))
            }
        }
    }
}
