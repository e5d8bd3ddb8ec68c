import Memberlist
import RegdnsTestKit
import RegistryStore
import Replication

/// What is looked at over time. Times in microseconds.
struct ClusterWatch {
    /// Since when nothing is wrong and everybody sees everybody; nil while it is not so.
    var calmSince: Int64?
    /// When nodes were last seen to be equal, and to differ.
    var equalAt: Int64 = 0
    var unequalAt: Int64 = 0
    /// When a process last ended with all that it had.
    var lossAt: Int64 = .min / 2
    var isOver = false
    var samples = 0
}

extension ClusterWorld {
    /// How long it may take until all have what happened: repair by two digests, two seconds, and the way through the
    /// cluster.
    package var bound: Int64 {
        var diameter: Int64 = 1
        while 1 << diameter < nodes.count { diameter += 1 }
        let lossy = network.lossPercent > 0 ? Int64(2) : 1
        return (2_000 + 2 * Self.calmDigests + diameter * (200 + 4 * scenario.latency / 1_000)) * 1_000 * lossy
    }

    /// Milliseconds between digests where something was going on within a minute.
    private static let calmDigests: Int64 = 2_000

    private var lease: Int64 { scenario.lease * 1_000 }

    /// A home that is gone is stood in for after so long.
    private var grace: Int64 { max(10_000_000, lease / 2) }

    /// How long a stopped client's entry may be there: a home that came back counts anew once it has heard of it.
    private var staleBound: Int64 { lease + grace + 2 * bound + 2_000_000 + preservedBound }

    /// How long the membership may take to be whole again.
    private static let healBound: Int64 = 60_000_000

    private var live: [(node: ClusterNode, process: ClusterProcess)] {
        nodes.compactMap { node in node.running.map { (node, $0) } }
    }

    // MARK: Sampling

    func sample() {
        heap.insert(.sample, at: now + 500_000)
        watch.samples += 1
        lookAtCalm()
        let live = live
        for (node, _) in live { node.setClock(now) }
        checkClients(live)
        if watch.samples.isMultiple(of: 4) {
            for (node, process) in live {
                check { () throws(ClusterViolation) in try books.look(at: node.number, process.registry, now: now) }
            }
        }
        if watch.samples.isMultiple(of: 40) { checkBooks(live) }
        guard now >= scenario.calmAt * 1_000 else { return }
        checkEquality(live)
        let rest = staleBound + 2_000_000
        if let since = watch.calmSince, now >= max(since, scenario.calmAt * 1_000) + rest, isToldOfEnds {
            checkEnd(live)
            watch.isOver = true
        } else if watch.calmSince == nil, now > scenario.calmAt * 1_000 + Self.healBound {
            let views = live.map { "n\($0.node.number) sees \($0.process.peers.joined(separator: " "))" }
            fail(.convergence, "views are not whole: " + views.joined(separator: ", "))
        }
    }

    private func lookAtCalm() {
        let live = live
        let isTroubled = active.contains { place in
            let kind = scenario.faults[place].kind
            return !kind.isQuiet && kind != .loss && kind != .offset && kind != .gone
        }
        let names = live.map(\.node.name)
        let isWhole = live.allSatisfy { pair in
            pair.process.isReady && Set(pair.process.peers) == Set(names.filter { $0 != pair.node.name })
        }
        guard !isTroubled, isWhole else {
            watch.calmSince = nil
            return
        }
        guard watch.calmSince == nil else { return }
        watch.calmSince = now
        if now > scenario.calmAt * 1_000 {
            figures.healMilliseconds = max(figures.healMilliseconds, now / 1_000 - scenario.calmAt)
        }
    }

    // MARK: Clients

    private func checkClients(_ live: [(node: ClusterNode, process: ClusterProcess)]) {
        for client in clients where client.isLeased {
            if client.isOn {
                checkPresence(of: client, live)
                checkMarks(of: client, live)
            } else if let calm = watch.calmSince, client.offSince > 0 {
                checkAbsence(of: client, since: max(calm, client.offSince), live)
            }
        }
    }

    private func checkPresence(of client: ClusterClient, _ live: [(node: ClusterNode, process: ClusterProcess)]) {
        guard now - client.lastAck < client.interval else { return }
        // A crash may take one key of a granted lease with it and leave another: then its heartbeats go on.
        guard client.kind != .granted || client.putAt > watch.lossAt else { return }
        if let calm = watch.calmSince, client.steadySince < .max {
            let since = max(calm, client.steadySince)
            for (node, process) in live where process.isReady && now - (process.freshAt ?? .min / 2) > bound {
                for key in client.keys where !process.answers(key, now: node.clock.now) {
                    let absent = now - since
                    guard absent > bound + client.interval else { continue }
                    fail(
                        .absence,
                        "\(client.name) renews since \(client.steadySince / 1_000) ms, all is well since "
                            + "\(calm / 1_000) ms, and n\(node.number) does not answer with it; it is home "
                            + (home(of: key, process) ?? "gone"))
                }
            }
        }
        // A client that stays with a node is there whatever happens elsewhere.
        // With unequal clocks an end of a write made elsewhere may be later than what was written here.
        guard scenario.hasEqualClocks, client.stickSince < .max, now - client.stickSince > lease + 3_000_000 else {
            return
        }
        let node = nodes[client.stickNode]
        guard let process = node.running, process.isReady, !process.isFenced, node.late == 0,
            now - (process.freshAt ?? .min / 2) > lease, now - process.startedAt > lease + 3_000_000
        else { return }
        figures.stickChecks += 1
        for key in client.keys where !process.answers(key, now: node.clock.now) {
            fail(
                .absence,
                "\(client.name) renews at n\(client.stickNode) alone since \(client.stickSince / 1_000) ms, last "
                    + "\(client.lastAck / 1_000) ms, which does not answer with it; it is home "
                    + (home(of: key, process) ?? "gone"))
        }
    }

    /// A lease does not end at a node that has acknowledged a heartbeat within it; nor at another one, where nothing
    /// but processes fails: stewards wait longer.
    func checkExpiry(of key: [UInt8], _ ended: Version?, by node: ClusterNode, _ process: ClusterProcess) {
        // What was written meanwhile wins; the heartbeat may have been for that.
        guard let ended, !books.byKey[books.number(of: key)].contains(where: { $0.version > ended }) else { return }
        guard let client = clients.first(where: { $0.isOn && $0.isLeased && $0.keys.contains(key) }) else { return }
        // Elsewhere a first heartbeat just before the end may come too late.
        let mindsOthers = hasSoundNetwork && client.steadySince < now - lease
        let last = client.acks.filter { $0.key == node.number || mindsOthers && isSteady($0.key) }.map(\.value).max()
        // Clocks that run apart, and ticks.
        guard let last, now - last < lease - 100_000, !process.isFenced else { return }
        fail(
            .absence,
            "n\(node.number) ends the lease of \(client.name) \((now - last) / 1_000) ms after a heartbeat; it has "
                + "heard \(client.acks.map { "n\($0.key) at \($0.value / 1_000)" }.sorted())")
    }

    /// A node that counts a lease, and has acknowledged a heartbeat within it, does not give it up to the expiry of the
    /// same write by somebody else.
    func checkGivenUp(_ change: Change, by node: ClusterNode, _ process: ClusterProcess) {
        guard let previous = change.previous, previous.version.origin == process.origin,
            previous.version.isOfSameWrite(as: change.version),
            let client = clients.first(where: { $0.isOn && $0.kind != .granted && $0.keys.contains(change.key) }),
            let last = client.acks[node.number], now - last < lease - 100_000
        else { return }
        fail(
            .absence,
            "n\(node.number) gives up the lease of \(client.name), renewed there \((now - last) / 1_000) ms ago, for "
                + change.version.brief)
    }

    private var hasSoundNetwork: Bool {
        scenario.faults.allSatisfy { [.pause, .stop, .duplicate, .drift, .flip, .babble, .late].contains($0.kind) }
    }

    /// Whether a node has not come back lately, which others have to hear first.
    private func isSteady(_ number: Int) -> Bool {
        let since = max(nodes[number].resumedAt, nodes[number].process?.startedAt ?? 0)
        return since == 0 || now - since > lease + grace + 10_000_000
    }

    func home(of key: [UInt8], _ process: ClusterProcess) -> String? {
        guard let entry = process.registry.entry(namespace: .default, key: key), let lease = entry.lease else {
            return nil
        }
        return process.registry.lease(lease)?.home
    }

    private func checkAbsence(
        of client: ClusterClient, since: Int64, _ live: [(node: ClusterNode, process: ClusterProcess)]
    ) {
        for (node, process) in live where process.isReady {
            for key in client.keys where process.answers(key, now: node.clock.now) {
                figures.staleMilliseconds = max(figures.staleMilliseconds, (now - since) / 1_000)
                guard now - since > staleBound, !books.late.contains(books.number(of: key)), !mayStay(key) else {
                    continue
                }
                fail(
                    .staleness,
                    "\(client.name) stopped at \(client.offSince / 1_000) ms, all is well since \(since / 1_000) ms, "
                        + "and n\(node.number) still answers; its home is \(home(of: key, process) ?? "none")")
            }
        }
    }

    // MARK: Equality

    private func checkEquality(_ live: [(node: ClusterNode, process: ClusterProcess)]) {
        guard let first = live.first else { return }
        let summary = first.process.registry.summary()
        guard let other = live.first(where: { $0.process.registry.summary() != summary }) else {
            watch.equalAt = now
            return
        }
        watch.unequalAt = now
        guard let calm = watch.calmSince else { return }
        // An old message that comes again may tell of an operation that nobody had heard of, and that changes nothing.
        let since = max(calm, books.lastMade, scenario.calmAt * 1_000, watch.equalAt)
        figures.convergenceMilliseconds = max(figures.convergenceMilliseconds, (now - since) / 1_000)
        guard now - since > bound else { return }
        fail(
            .convergence,
            "n\(first.node.number) and n\(other.node.number) differ \((now - since) / 1_000) ms after the last write "
                + "and the last fault: " + difference(first.process, other.process))
    }

    private func difference(_ a: ClusterProcess, _ b: ClusterProcess) -> String {
        for key in books.keyBytes.indices {
            let mine = a.registry.operation(namespace: .default, key: books.keyBytes[key])
            let theirs = b.registry.operation(namespace: .default, key: books.keyBytes[key])
            if mine?.version != theirs?.version, mine?.value != nil || theirs?.value != nil {
                let words = [mine, theirs].map { $0?.version.brief ?? "nothing" }
                return "\(books.name(key)) is \(words[0]) and \(words[1])"
            }
        }
        let (mine, theirs) = (a.registry.context(), b.registry.context())
        for origin in Set(mine.origins.keys).union(theirs.origins.keys).sorted()
        where mine.origins[origin] != theirs.origins[origin] {
            let words = [mine, theirs].map { context in
                context.origins[origin].map { "\($0.head) \($0.gaps)" } ?? "unknown"
            }
            return "operations of \(origin & 0xffff): \(words[0]) and \(words[1])"
        }
        return "hashes alone"
    }

    // MARK: Books

    private func checkBooks(_ live: [(node: ClusterNode, process: ClusterProcess)]) {
        for (node, process) in live {
            check { () throws(ClusterViolation) in
                try books.checkContext(of: node.number, process.registry, now: now)
            }
            checkBounds(node, process)
        }
    }

    private func checkBounds(_ node: ClusterNode, _ process: ClusterProcess) {
        let queued = process.replicator.queued
        if queued.bytes > scenario.queue { fail(.bounds, "n\(node.number) queues \(queued.bytes) octets") }
        let counts = process.registry.counts()
        if counts.tombstoneBytes > limits.tombstoneBytes || counts.origins > limits.maxOrigins {
            fail(
                .bounds, "n\(node.number) holds \(counts.tombstoneBytes) octets of removals, \(counts.origins) origins")
        }
        let queues = process.member.core.queues
        if queues.bytes > 4_194_304 || queues.userBytes > 8_388_608 {
            fail(.bounds, "the membership of n\(node.number) queues \(queues.bytes + queues.userBytes) octets")
        }
        figures.queuedMax = max(figures.queuedMax, queued.bytes)
        let context = process.registry.context()
        let gaps = context.origins.values.map(\.gaps.count).max() ?? 0
        if gaps > limits.maxGapsPerOrigin { fail(.bounds, "n\(node.number) remembers \(gaps) gaps of one origin") }
        figures.gapsMax = max(figures.gapsMax, gaps)
    }

    // MARK: Readiness

    func lookAtPhase(of node: ClusterNode) {
        guard let process = node.process, process.readyAt == nil else { return }
        let phase = process.replicator.phase
        guard phase == .ready else { return }
        process.readyAt = now
        figures.readyMilliseconds = max(figures.readyMilliseconds, (now - process.startedAt) / 1_000)
        guard !process.peers.isEmpty else { return }
        // Who began anew meanwhile may have lost what it had.
        let isSame = process.snapshots.allSatisfy { asked in
            nodes.first { $0.name == asked.node }?.process.map { $0.boot == asked.boot } ?? true
        }
        guard isSame else { return }
        let own = process.registry.context()
        // Of those that have gone since, nothing needs to be here.
        let present = process.snapshots.filter { process.peers.contains($0.node) }
        let covered = present.count { own.covers($0.context) }
        let isTried = process.replicator.counters.pullsFailed >= 5
        if covered < min(isTried ? 1 : 2, process.peers.count) {
            fail(
                .readiness,
                "n\(node.number) is ready and has what \(covered) of \(process.peers.count) others had when it asked"
            )
        }
    }

    // MARK: The end

    private func checkEnd(_ live: [(node: ClusterNode, process: ClusterProcess)]) {
        checkBooks(live)
        checkIncarnations(live)
        guard let first = live.first?.process.registry else { return }
        let contexts = live.map { $0.process.registry.context() }
        for key in books.keyBytes.indices {
            let bytes = books.keyBytes[key]
            let shown = first.entry(namespace: .default, key: bytes).flatMap { _ in
                first.operation(namespace: .default, key: bytes)
            }
            for (node, process) in live.dropFirst() {
                let other = process.registry.entry(namespace: .default, key: bytes).flatMap { _ in
                    process.registry.operation(namespace: .default, key: bytes)
                }
                if other != shown {
                    fail(
                        .convergence,
                        "\(books.name(key)) is \(shown?.version.brief ?? "nothing") at n\(live[0].node.number) and "
                            + "\(other?.version.brief ?? "nothing") at n\(node.number) in the end; leases "
                            + "\(shown?.lease.map { "\($0)" } ?? "-"), \(other?.lease.map { "\($0)" } ?? "-")")
                }
            }
            checkLastWriter(of: key, shown, contexts)
        }
        checkTruth(live)
    }

    /// What is shown is the greatest version of all that were ever made, but for those that a crash took out of the
    /// world before anybody had them. Removals that change nothing for anybody need not have come everywhere.
    private func checkLastWriter(of key: Int, _ shown: RemoteOperation?, _ contexts: [CausalContext]) {
        guard !books.late.contains(key) else { return }
        let lasting = books.byKey[key].filter { made in
            let isEverywhere = contexts.allSatisfy {
                $0.contains(origin: made.version.origin, sequence: made.version.sequence)
            }
            return isEverywhere || !nodes[made.node].crashedBoots.contains(made.boot) && !isOfFormerLife(made)
        }
        let name = books.name(key)
        if let best = lasting.max(by: { $0.version < $1.version }) {
            let words = "\(best.version.brief), made by n\(best.node) at \(best.at / 1_000) ms"
            if best.version.kind == .write, shown.map({ $0.version < best.version }) ?? true {
                fail(.lastWriter, "\(name) is \(shown?.version.brief ?? "nothing") instead of \(words)")
            } else if best.version.kind != .write, let shown, shown.version < best.version {
                fail(.lastWriter, "\(name) is \(shown.version.brief), which was removed by \(words)")
            }
        }
        guard let shown else { return }
        guard let made = books.made[shown.version.dot] else {
            return fail(.lastWriter, "\(name) is \(shown.version.brief), which nobody made")
        }
        if shown.value.map(Self.text) != made.value.map(Self.text) {
            fail(.lastWriter, "\(name) shows another value than was written with \(shown.version.brief)")
        }
    }

    /// Whether an operation was made before its process began anew: what nobody had heard of by then is gone.
    private func isOfFormerLife(_ made: ClusterBooks.Made) -> Bool {
        guard let process = nodes[made.node].process, process.boot == made.boot else {
            // It left and took with it what it could not tell.
            return true
        }
        return process.origin != made.version.origin
    }

    private static func text(_ value: PutValue) -> String {
        switch value {
        case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
        case .registration(let registration): "\(registration.port) \(registration.instance?.endpoint ?? "")"
        }
    }

    /// Who renews is there and who stopped is gone, everywhere.
    private func checkTruth(_ live: [(node: ClusterNode, process: ClusterProcess)]) {
        for client in clients where client.isLeased {
            for key in client.keys where !books.late.contains(books.number(of: key)) {
                for (node, process) in live {
                    let isThere = process.answers(key, now: node.clock.now)
                    let isSteady =
                        client.steadySince < scenario.calmAt * 1_000 && now - client.lastAck < client.interval
                    if client.isOn, isSteady, !isThere {
                        fail(.absence, "\(client.name) renews and is not there at n\(node.number) in the end")
                    }
                    if !client.isOn, isThere, !mayStay(key) {
                        fail(.staleness, "\(client.name) has stopped and is there at n\(node.number) in the end")
                    }
                }
            }
        }
    }

    private func checkIncarnations(_ live: [(node: ClusterNode, process: ClusterProcess)]) {
        for (node, process) in live {
            let own = process.member.core.incarnation
            for (other, peer) in live where other !== node {
                guard let known = peer.member.core.member(NodeName(node.name)), known.incarnation > own else {
                    continue
                }
                fail(
                    .identity,
                    "n\(node.number) is at incarnation \(own), and n\(other.number) knows it by \(known.incarnation)")
            }
        }
    }
}

extension CausalContext {
    /// Whether this one has every operation that another one has.
    func covers(_ other: CausalContext) -> Bool {
        other.origins.allSatisfy { origin, known in
            if completeHead(origin: origin) >= known.head { return true }
            var sequence = completeHead(origin: origin) + 1
            while sequence <= known.head {
                if other.contains(origin: origin, sequence: sequence), !contains(origin: origin, sequence: sequence) {
                    return false
                }
                sequence += 1
            }
            return true
        }
    }
}
