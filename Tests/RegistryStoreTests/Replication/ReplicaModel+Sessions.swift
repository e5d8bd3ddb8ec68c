import RegdnsTestKit
import Synchronization

@testable import RegistryStore

extension ReplicaModel {
    // MARK: Sessions

    /// Opens sessions now and then, moves the open ones on by a page, and lets some break off.
    func advanceSessions() throws {
        if nodes.count > 1, random.below(100) < 30 {
            let from = random.below(nodes.count)
            let to = (from + 1 + random.below(nodes.count - 1)) % nodes.count
            if groups[from] == groups[to] { sessions.append(open(from: from, to: to, isQuick: random.oneIn(2))) }
        }
        let open = sessions
        sessions = []
        for var session in open {
            let isBroken =
                groups[session.from] != groups[session.to] || random.below(400) < lossPercent
                || session.boots != [nodes[session.from].boots, nodes[session.to].boots]
            if !isBroken, try !advance(&session) { sessions.append(session) }
        }
    }

    func open(from: Int, to: Int, isQuick: Bool) -> Session {
        let source: SyncSource
        let receiver = nodes[to].registry.beginSession()
        let context = receiver.context
        if fault == .noFloor {
            source = nodes[from].registry.state.withLock { $0.core.openSync(to: context, delta: true) }
        } else if fault == .holesIgnored {
            source = nodes[from].registry.state.withLock { state in
                let isDelta = state.core.tombstones.floors.allSatisfy { origin, floor in
                    context.origins[origin]?.head ?? 0 >= floor
                }
                return state.core.openSync(to: context, delta: isDelta)
            }
        } else {
            source = nodes[from].registry.openSync(to: context)
        }
        return Session(
            from: from, to: to, boots: [nodes[from].boots, nodes[to].boots], pageSize: 1 + random.below(4),
            isQuick: isQuick, source: source, receiver: receiver)
    }

    /// Sends a page, or all of them when the session is quick. True at the end.
    func advance(_ session: inout Session) throws -> Bool {
        while var page = nodes[session.from].registry.nextPage(of: &session.source, operationsMax: session.pageSize) {
            if fault == .noCatchUp, session.source.covered != session.source.peer { page.operations = [] }
            if try receive(page, &session) { return true }
            if !session.isQuick { return false }
        }
        return true
    }

    private func receive(_ page: SyncPage, _ session: inout Session) throws -> Bool {
        let index = session.to
        var page = page
        if fault == .dropFuture { page.operations.removeAll { isFuture($0, at: index) } }
        if fault == .joinEarly, page.number == 0 {
            let joined = nodes[session.from].registry.context()
            nodes[index].registry.state.withLock { $0.core.context.join(joined) }
        }
        if fault == .noFloor || fault == .holesIgnored, page.end == .void {
            let rows = nodes[session.from].registry.context().sorted
            page.end = .complete(
                rows.map { SyncOrigin(origin: $0.origin, head: $0.known.head, gaps: $0.known.gaps, floor: 0) })
        }
        let before = page.operations.map { entry(index, number(ofKey: $0.key)) }
        let runs = before.map { $0.map { isRenewedHere($0, at: index) } ?? false }
        let progress = try nodes[index].registry.receive(page, in: &session.receiver)
        if progress.isComplete {
            sessionsCompleted += 1
            if session.receiver.resetContext != nil {
                resets += 1
                // What the sender dropped it knew the successor of.
                for (key, version) in nodes[session.from].known.sorted(by: { $0.key < $1.key }) {
                    nodes[index].known[key] = max(version, nodes[index].known[key] ?? version)
                }
            }
        }
        try check(progress.receipt, of: page.operations, before: before, runs: runs, at: index)
        if progress.isComplete, sessionsCompleted.isMultiple(of: 16) { try checkContexts() }
        // A void session ends too: the next one begins anew.
        return progress.state != .open
    }

    // MARK: Checks

    /// An operation is in a context only if it, or what replaced it, was applied there (I8).
    func checkContexts() throws {
        // These two are to be found by the harm that they do, not by the books.
        if fault == .noFloor || fault == .holesIgnored { return }
        for node in nodes {
            let context = node.registry.context()
            for (key, version) in history
            where context.contains(origin: version.origin, sequence: version.sequence) {
                guard let known = node.known[key], known >= version else {
                    throw ModelFailure(
                        "tick \(now): node \(node.number) claims an operation on key \(key) it never saw")
                }
            }
        }
        for node in nodes {
            if let problem = node.registry.inconsistency { throw ModelFailure("node \(node.number): \(problem)") }
        }
    }

    /// Quiet: everybody tells everybody.
    func settle() throws {
        sessions = []
        wire = []
        groups = groups.map { _ in 0 }
        for _ in 0..<6 {
            for from in nodes.indices {
                for to in nodes.indices where to != from {
                    var session = open(from: from, to: to, isQuick: true)
                    while try !advance(&session) {}
                }
            }
        }
    }

    /// What a node shows, key by key, leases and their homes included.
    private func visible(_ node: Node) -> [RemoteOperation] {
        node.registry.range(namespace: .default, lower: [], upper: nil).entries.compactMap {
            node.registry.operation(namespace: .default, key: $0.key)
        }
    }

    func checkEnd() throws {
        let reference = visible(nodes[0])
        let digest = nodes[0].registry.digest()
        for node in nodes.dropFirst() {
            if visible(node) != reference { throw ModelFailure("nodes 0 and \(node.number) differ in the end") }
            let other = node.registry.digest()
            if other.summary.entries != digest.summary.entries {
                throw ModelFailure("nodes 0 and \(node.number) have different hashes")
            }
            if node.registry.compare(with: digest) != .covered {
                throw ModelFailure("node \(node.number) does not agree with node 0 in the end")
            }
        }
        let contexts = nodes.map { $0.registry.context() }
        for key in 0..<keyCount {
            guard let best = history.filter({ $0.key == key }).map(\.version).max() else { continue }
            // A crash can take an operation out of the world before anybody has it.
            guard contexts.allSatisfy({ $0.contains(origin: best.origin, sequence: best.sequence) }) else { continue }
            let shown = reference.first { number(ofKey: $0.key) == key }
            if best.kind == .write, shown?.version != best { throw ModelFailure("key \(key) has an old value") }
            if best.kind != .write, shown != nil { throw ModelFailure("key \(key) is there in the end") }
        }
    }
}
