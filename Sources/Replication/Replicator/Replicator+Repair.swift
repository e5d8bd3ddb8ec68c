import RegistryStore

/// What a node knows of the differences between itself and its peers.
struct RepairState: Sendable {
    /// When something last changed here.
    var changedAt: Int64 = .min / 2
    var nextDigest: Int64 = .min
    /// When this node last had the same as a peer.
    var agreedAt: [String: Int64] = [:]
    /// When a long digest last went to a peer.
    var longAt: [String: Int64] = [:]
    /// Peers that have more than this node, by when that was noticed, and whether few packets can bring it.
    var lacking: [Lack] = []
    var sessions: [PacketSession] = []
    var lastSession: UInt64 = 0
    /// Peers with the same context and other entries, and when that was noticed.
    var diverged: [String: Int64] = [:]

    struct Lack: Sendable {
        let peer: String
        let since: Int64
        let digest: ReplicaDigest
    }

    /// A session whose pages come as packets.
    struct PacketSession: Sendable {
        let id: UInt64
        let peer: String
        let since: Int64
        var session: SyncSession
    }

    mutating func forget(but peers: [String]) {
        func isPeer(_ name: String) -> Bool { peers.contains { sameName($0, name) } }
        agreedAt = agreedAt.filter { isPeer($0.key) }
        longAt = longAt.filter { isPeer($0.key) }
        diverged = diverged.filter { isPeer($0.key) }
        lacking.removeAll { !isPeer($0.peer) }
        sessions.removeAll { !isPeer($0.peer) }
    }
}

/// Finding and closing differences: digests, questions by packets, pulls over streams.
extension Replicator {
    mutating func tickRepair() {
        endSessions()
        for lack in repair.lacking where now.monotonic &- lack.since >= ReplicatorSettings.patience {
            repair.lacking.removeAll { sameName($0.peer, lack.peer) }
            if registry.compare(with: lack.digest) == .lacking { ask(lack.peer, for: lack.digest) }
        }
        guard !peers.isEmpty, needsDigests || now.monotonic >= repair.nextDigest else { return }
        let targets = somePeers(needsDigests ? settings.fanout : 1)
        needsDigests = false
        repair.nextDigest = now.monotonic &+ digestPause
        let digest = Frame.Body.digest(DigestFrame(clock: now.unix, summary: registry.summary()))
        for target in targets { send(digest, to: target) }
        counters.digestsSent += targets.count
    }

    /// Something changed here, or differs elsewhere: digests go out at short notice, and often for a while.
    mutating func noteChange() {
        repair.changedAt = now.monotonic
        repair.nextDigest = min(repair.nextDigest, now.monotonic &+ ReplicatorSettings.hotPause)
    }

    private var digestPause: Int64 {
        let silence = now.monotonic &- repair.changedAt
        if silence < ReplicatorSettings.hotFor { return ReplicatorSettings.hotPause }
        return silence < ReplicatorSettings.coldAfter ? ReplicatorSettings.calmPause : ReplicatorSettings.coldPause
    }

    // MARK: Digests

    mutating func take(_ digest: DigestFrame, from peer: String) {
        clocks.heard(from: peer, sentUnix: digest.clock, now: now)
        if registry.agrees(with: digest.summary) {
            repair.agreedAt[peer] = now.monotonic
            repair.diverged[peer] = nil
            return
        }
        counters.digestMismatches += 1
        // What is lost of the talk that follows is made up for by more of it.
        noteChange()
        guard let rows = digest.origins else { return sendLong(to: peer) }
        let theirs = ReplicaDigest(summary: digest.summary, origins: rows)
        switch registry.compare(with: theirs) {
        case .lacking: note(lacking: theirs, of: peer)
        case .diverged where !digest.isPart: noteDiverged(peer)
        case .covered, .diverged: break
        }
        if lacks(theirs, isPart: digest.isPart) { sendLong(to: peer) }
    }

    /// Rows of a digest in one packet: 34 octets each, at most.
    private static let rowsOfPacket = 34

    /// Tells a peer by origin what this node has; not again within a short time.
    private mutating func sendLong(to peer: String) {
        if let at = repair.longAt[peer], now.monotonic &- at < ReplicatorSettings.longPause { return }
        repair.longAt[peer] = now.monotonic
        let digest = registry.digest()
        let isPart = digest.origins.count > Self.rowsOfPacket
        for start in stride(from: 0, to: max(digest.origins.count, 1), by: Self.rowsOfPacket) {
            let rows = Array(digest.origins[start..<min(start + Self.rowsOfPacket, digest.origins.count)])
            let frame = DigestFrame(clock: now.unix, summary: digest.summary, origins: rows, isPart: isPart)
            send(.digest(frame), to: peer)
            counters.digestsSent += 1
        }
    }

    /// Whether a peer lacks something that this node has, as far as its digest tells.
    private func lacks(_ theirs: ReplicaDigest, isPart: Bool) -> Bool {
        let own = registry.digest()
        let rows = Dictionary(theirs.origins.map { ($0.origin, $0) }) { first, _ in first }
        return own.origins.contains { mine in
            guard let row = rows[mine.origin] else { return !isPart }
            return row.head < mine.head || row.missing > mine.missing
        }
    }

    private mutating func note(lacking digest: ReplicaDigest, of peer: String) {
        guard !repair.lacking.contains(where: { sameName($0.peer, peer) }) else { return }
        repair.lacking.append(RepairState.Lack(peer: peer, since: now.monotonic, digest: digest))
    }

    /// Equal contexts and other entries must not be. Of the two nodes the one with the greater name takes over what the
    /// other one has; once the difference was there for a while, since digests of different times may look like it.
    private mutating func noteDiverged(_ peer: String) {
        guard let since = repair.diverged[peer] else {
            counters.divergences += 1
            repair.diverged[peer] = now.monotonic
            return
        }
        guard now.monotonic &- since >= ReplicatorSettings.calmPause, precedes(peer, settings.node) else { return }
        guard pull(from: peer, for: .repair) else { return }
        counters.repairs += 1
        repair.diverged[peer] = nil
    }

    // MARK: Asking

    private mutating func ask(_ peer: String, for digest: ReplicaDigest) {
        guard !repair.sessions.contains(where: { sameName($0.peer, peer) }) else { return }
        let known = registry.context()
        var missing: UInt64 = 0
        for row in digest.origins {
            let own = known.origins[row.origin]
            let have = own?.head ?? 0
            missing = missing.addingReportingOverflow(row.head > have ? row.head - have : 0).partialValue
            // What neither has the peer cannot bring.
            missing &+= UInt64(max(0, (own?.missing ?? 0) - row.missing))
        }
        guard missing <= ReplicatorSettings.packetOperations,
            repair.sessions.count < ReplicatorSettings.packetSessionsMax, askByPacket(peer)
        else {
            _ = pull(from: peer, for: .lack)
            return
        }
    }

    /// - Returns: false when the question is too long for a packet.
    private mutating func askByPacket(_ peer: String) -> Bool {
        let session = registry.beginSession()
        let id = UInt64.random(in: 1 ... .max, using: &dice)
        let want = WantFrame(session: id, context: session.rows)
        guard Frame(.want(want)).encoded().count + settings.node.utf8.count + 8 <= settings.payloadMax else {
            return false
        }
        repair.sessions.append(
            RepairState.PacketSession(id: id, peer: peer, since: now.monotonic, session: session))
        counters.packetSessions += 1
        send(.want(want), to: peer)
        return true
    }

    /// Answers a question by packets: all pages, or one that says that they are too many.
    mutating func answer(_ want: WantFrame, to peer: String) {
        guard let context = CausalContext(checking: want.context, limits: registry.limits) else {
            counters.badFrames += 1
            return
        }
        var source = registry.openSync(to: context)
        var pages: [Frame.Body] = []
        // Names and lengths beside the operations.
        let room = settings.payloadMax * 3 / 4
        while pages.count < ReplicatorSettings.answerPackets, let page = registry.nextPage(of: &source, bytesMax: room)
        {
            pages.append(.page(session: want.session, page))
        }
        let fits = pages.allSatisfy { Frame($0).encoded().count + settings.node.utf8.count + 8 <= settings.payloadMax }
        if !source.isFinished || !fits {
            var none = SyncPage(number: 0)
            none.opening = .delta
            none.end = .void
            pages = [.page(session: want.session, none)]
        }
        for page in pages { send(page, to: peer) }
    }

    mutating func take(_ page: SyncPage, of id: UInt64) {
        guard let index = repair.sessions.firstIndex(where: { $0.id == id }) else { return }
        let progress: SyncProgress
        do {
            progress = try registry.receive(page, in: &repair.sessions[index].session)
        } catch {
            counters.badFrames += 1
            return
        }
        if !progress.receipt.changes.isEmpty { noteChange() }
        counters.applied += progress.receipt.fresh.count
        guard progress.state != .open else { return }
        let peer = repair.sessions.remove(at: index).peer
        guard !progress.isComplete else { return }
        counters.packetSessionsFailed += 1
        _ = pull(from: peer, for: .lack)
    }

    /// Packets were lost: a stream does not lose them.
    private mutating func endSessions() {
        while let first = repair.sessions.first,
            now.monotonic &- first.since >= ReplicatorSettings.packetSessionTime
        {
            repair.sessions.removeFirst()
            counters.packetSessionsFailed += 1
            _ = pull(from: first.peer, for: .lack)
        }
    }
}
