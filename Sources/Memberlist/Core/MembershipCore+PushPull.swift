// Whole views by stream: joining, repair, and finding lost peers again.

/// A stream that this node dialled.
struct Dial: Sendable {
    enum Purpose: Hashable {
        case ping
        case join(GossipAddress)
        case repair
        case viewRepair
        case quickPull
        case rejoin
    }

    let id: UInt64
    let purpose: Purpose
    /// When an answer cannot come any more.
    let deadline: Milliseconds
}

/// Push/pulls in quick succession after a join: gossip alone leaves gaps in a cluster that has just formed, and the
/// usual repair comes only after half a minute.
struct QuickPulls: Sendable {
    /// Members asked at once after a join.
    static let atOnce = 2
    static let interval: Milliseconds = 2_000
    /// This many in a row that bring nothing new end it.
    static let quietEnough = 2

    /// When the next one is due; nil when there is none.
    var next: Milliseconds?
    var quiet = 0
}

extension MembershipCore {
    /// How long an answer of the driver may be late before it counts as none.
    private static let dialGrace: Milliseconds = 1_000

    // MARK: Dialling

    /// The number of a new dial; nil at the bound.
    mutating func dial(_ purpose: Dial.Purpose, until deadline: Milliseconds) -> UInt64? {
        // Probes have their own share, so that many joins do not make this node deaf.
        let limit = purpose == .ping ? CoreLimits.pingDials : settings.limits.dials
        guard dials.count(where: { ($0.purpose == .ping) == (purpose == .ping) }) < limit else {
            counters.dialsBeyondLimit += 1
            return nil
        }
        lastDial += 1
        dials.append(Dial(id: lastDial, purpose: purpose, deadline: deadline))
        return lastDial
    }

    /// Takes a dial off the list; nil for one that is not on it.
    mutating func endDial(_ id: UInt64) -> Dial? {
        dials.firstIndex { $0.id == id }.map { dials.remove(at: $0) }
    }

    mutating func expireDials() {
        for dial in dials.filter({ $0.deadline + Self.dialGrace <= now }) {
            switch dial.purpose {
            case .ping: pingAnswered(dial.id, false)
            default: pushPullAnswered(dial.id, nil)
            }
        }
    }

    var nextDialEnd: Milliseconds? { dials.map { $0.deadline + Self.dialGrace }.min() }

    mutating func pushPull(with address: GossipAddress, _ purpose: Dial.Purpose, isJoin: Bool) {
        let deadline = now + timing.streamTimeout
        guard let id = dial(purpose, until: deadline) else { return }
        counters.pushPulls += 1
        effects.append(
            .dialPushPull(dial: id, to: address, state: ownState(isJoin: isJoin), deadline: deadline))
    }

    private func ownState(isJoin: Bool) -> PushPull {
        let nodes = table.members.map { member in
            PushPullNode(
                incarnation: member.incarnation, name: member.name, address: member.address.ip,
                port: member.address.port, meta: member.meta.isEmpty && !isOwn(member.name) ? nil : member.meta,
                state: member.state, versions: member.versions)
        }
        return PushPull(
            join: isJoin, nodes: nodes,
            userState: settings.dialect == .serf ? serf.encodedState(carrying: userState) : userState)
    }

    /// Alive members other than this one, at random.
    private mutating func randomPeers(_ count: Int, besides address: GossipAddress? = nil) -> [Member] {
        let own = name
        return table.pick(count, &dice) { $0.state == .alive && $0.name != own && $0.address != address }
    }

    // MARK: Joining

    mutating func join(_ addresses: [GossipAddress]) {
        for address in addresses where !candidates.addSeed(address) { counters.seedsBeyondLimit += 1 }
        exchange(with: addresses)
    }

    mutating func exchange(with addresses: [GossipAddress]) {
        for address in addresses where address != settings.address {
            pushPull(with: address, .join(address), isJoin: true)
        }
    }

    mutating func repairTick() {
        guard let peer = randomPeers(1).first else { return }
        pushPull(with: peer.address, .repair, isJoin: false)
    }

    mutating func quickPullTick() {
        guard let peer = randomPeers(1).first else {
            quickPulls.next = nil
            return
        }
        quickPulls.next = now + QuickPulls.interval
        pushPull(with: peer.address, .quickPull, isJoin: false)
    }

    private mutating func startQuickPulls(besides address: GossipAddress?) {
        quickPulls.quiet = 0
        quickPulls.next = now + QuickPulls.interval
        for peer in randomPeers(QuickPulls.atOnce, besides: address) {
            pushPull(with: peer.address, .quickPull, isJoin: false)
        }
    }

    // MARK: Rejoining

    /// Calls one candidate that is not there.
    mutating func rejoinTick() {
        candidates.forgetOld(now: now)
        peak.note(peerCount, now: now)
        let missing = candidates.missing(in: table, own: settings.address)
        guard let address = missing.randomElement(using: &dice) else { return }
        pushPull(with: address, .rejoin, isJoin: true)
    }

    /// Whether somebody is missing who was there within the last hour.
    var isShortOfPeers: Bool { peerCount == 0 || peerCount < peak.count }

    // MARK: Answers

    mutating func pushPullAnswered(_ id: UInt64, _ state: PushPull?) {
        guard let dial = endDial(id), dial.purpose != .ping else { return }
        let before = learned
        let isMerged = state.map { merge($0) } ?? false
        if !isMerged { counters.failedPushPulls += 1 }
        switch dial.purpose {
        case .join(let address):
            notify(.joinAnswered(address, isMerged: isMerged))
            if isMerged { startQuickPulls(besides: address) }
        case .rejoin:
            if isMerged, learned != before { startQuickPulls(besides: nil) }
        case .quickPull:
            quickPulls.quiet = learned == before && isMerged ? quickPulls.quiet + 1 : 0
            if quickPulls.quiet >= QuickPulls.quietEnough { quickPulls.next = nil }
        case .viewRepair: viewIsRepaired(bringsNews: learned != before)
        case .repair, .ping: break
        }
    }

    /// Another node's stream.
    mutating func receive(_ message: StreamMessage, stream: UInt64, from sender: GossipAddress) {
        switch message {
        case .ping(let ping): answer(ping, stream: stream)
        case .pushPull(let state):
            // The own view as it was before: an answer does not mean acceptance.
            effects.append(.answer(stream: stream, .pushPull(ownState(isJoin: state.join))))
            _ = merge(state)
        case .user(let bytes):
            effects.append(.close(stream: stream))
            receive(user: bytes, from: sender)
        case .ack, .error, .own: effects.append(.close(stream: stream))
        }
    }

    // MARK: Merging

    /// - Returns: false when the view was refused.
    private mutating func merge(_ view: PushPull) -> Bool {
        if let clash = versionClash(with: view.nodes) {
            counters.refusedMerges += 1
            notify(.mergeRefused(clash))
            return false
        }
        for node in view.nodes { merge(node) }
        let state = settings.dialect == .serf ? serf.takeState(view.userState) : view.userState
        if let state, !state.isEmpty { notify(.userState(state, isJoin: view.join)) }
        return true
    }

    private mutating func merge(_ node: PushPullNode) {
        guard node.versions != nil else {
            counters.invalidMembers += 1
            return
        }
        switch node.state {
        case .alive:
            take(
                Alive(
                    incarnation: node.incarnation, node: node.name, address: node.address, port: node.port,
                    meta: node.meta, versions: node.versions))
        case .left: bury(Accusation(incarnation: node.incarnation, node: node.name, from: node.name))
        // Somebody else's verdict is a suspicion here: the accused may still object.
        case .dead, .suspect:
            noteClaim(node)
            suspect(Accusation(incarnation: node.incarnation, node: node.name, from: name))
        case nil: counters.invalidMembers += 1
        }
    }

    /// Others know this node's name at another address: what is left of a former life, or somebody else who is slow.
    /// One that is alive there is told by its alive message.
    private mutating func noteClaim(_ node: PushPullNode) {
        guard isOwn(node.name), !hasBegunToLeave, let own = table[name],
            let other = GossipAddress(ip: node.address ?? [], port: node.port), other != own.address
        else { return }
        counters.conflicts += 1
        notify(.conflict(own, other: other))
    }

    /// The first member, here or there, that speaks what not all alive members understand.
    private func versionClash(with nodes: [PushPullNode]) -> VersionClash? {
        let remote = nodes.compactMap { node in
            node.state == .alive ? node.versions.map { (node.name, $0) } : nil
        }
        let local = table.members.filter { $0.state == .alive }.map { ($0.name, $0.versions) }
        let all = remote + local
        let protocolMin = all.map(\.1.protocolMin).max() ?? 0
        let protocolMax = all.map(\.1.protocolMax).min() ?? .max
        let delegateMin = all.map(\.1.delegateMin).max() ?? 0
        let delegateMax = all.map(\.1.delegateMax).min() ?? .max
        let clashing = all.first { _, versions in
            versions.protocolNow < protocolMin || versions.protocolNow > protocolMax
                || versions.delegateNow < delegateMin || versions.delegateNow > delegateMax
        }
        return clashing.map { name, versions in
            VersionClash(
                name: name, versions: versions, protocolMin: protocolMin, protocolMax: protocolMax,
                delegateMin: delegateMin, delegateMax: delegateMax)
        }
    }
}
