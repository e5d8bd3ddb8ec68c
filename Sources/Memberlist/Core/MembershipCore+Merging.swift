// What is believed when: the merge rules of alive, suspect and dead.

extension MembershipCore {
    /// The farthest that one accusation moves the own incarnation. A forged one near 2^32 would else leave no room to
    /// object ever again.
    static let incarnationStep: UInt32 = 1 << 24

    // MARK: Alive

    mutating func take(_ alive: Alive) {
        guard !(isOwn(alive.node) && hasBegunToLeave) else { return }
        guard let versions = alive.versions, versions.isUsable,
            let address = GossipAddress(ip: alive.address ?? [], port: alive.port), address.port > 0,
            (1...NodeName.maxOctets).contains(alive.node.octets.count),
            alive.meta?.count ?? 0 <= CoreSettings.maxMetaOctets, settings.admits(address)
        else {
            counters.invalidMembers += 1
            return
        }
        if let known = table[alive.node] {
            take(alive, versions, address, known: known)
        } else {
            takeNew(alive, versions, address)
        }
    }

    private mutating func takeNew(_ alive: Alive, _ versions: ProtocolVersions, _ address: GossipAddress) {
        guard alive.incarnation > 0 else { return }
        guard table.count < settings.limits.members else {
            counters.membersBeyondLimit += 1
            return
        }
        let member = Member(
            name: alive.node, address: address, meta: alive.meta ?? [], versions: versions,
            incarnation: alive.incarnation, state: .alive, since: now)
        table.insert(member, &dice)
        gossip(.alive(alive), about: alive.node)
        hasCome(member)
        notify(.joined(member))
    }

    private mutating func take(
        _ alive: Alive, _ versions: ProtocolVersions, _ address: GossipAddress, known: Member
    ) {
        let moves = address != known.address
        if moves, !isReclaimable(known) {
            counters.conflicts += 1
            notify(.conflict(known, other: address))
            return
        }
        if isOwn(alive.node) {
            guard alive.incarnation >= incarnation else { return }
            let isEcho = alive.incarnation == incarnation && (alive.meta ?? []) == meta && versions == known.versions
            if !isEcho { refute(alive.incarnation) }
            return
        }
        guard alive.incarnation > known.incarnation || moves else { return }
        if known.state == .dead, alive.incarnation > known.incarnation, !moves { counters.falseDeaths += 1 }
        let now = now
        table.update(alive.node) { member in
            member.incarnation = alive.incarnation
            member.address = address
            member.meta = alive.meta ?? []
            member.versions = versions
            member.suspicion = nil
            if member.state.isGone { member.leaveTime = nil }
            if member.state != .alive {
                member.state = .alive
                member.since = now
            }
        }
        suspects.removeAll { $0 == alive.node }
        gossip(.alive(alive), about: alive.node)
        guard let member = table[alive.node] else { return }
        hasCome(member)
        if known.state.isGone {
            notify(.joined(member))
        } else if known.meta != member.meta || moves {
            notify(.updated(member))
        }
    }

    /// Whether a name may come back at another address.
    private func isReclaimable(_ member: Member) -> Bool {
        member.state == .left
            || member.state == .dead && settings.reclaimAfter > 0 && now - member.since > settings.reclaimAfter
    }

    private mutating func hasCome(_ member: Member) {
        learned += 1
        viewHasChanged()
        candidates.note(member.name, at: member.address, now: now)
        peak.note(peerCount, now: now)
    }

    // MARK: Suspect

    mutating func suspect(_ accusation: Accusation) {
        guard let known = table[accusation.node], accusation.incarnation >= known.incarnation else { return }
        if known.state == .suspect {
            var isNew = false
            table.update(known.name) { isNew = $0.suspicion?.confirm(accusation.from) ?? false }
            if isNew { gossip(.suspect(accusation), about: known.name) }
            return
        }
        guard known.state == .alive else { return }
        guard !isOwn(known.name) else {
            refute(accusation.incarnation)
            return
        }
        gossip(.suspect(accusation), about: known.name)
        let shortest = GossipFormulas.suspicionMin(timing, nodes: table.count)
        let wanted = timing.suspicionMultiplier - 2
        let suspicion = Suspicion(
            by: accusation.from, start: now, shortest: shortest,
            longest: shortest * Milliseconds(timing.suspicionMaxMultiplier),
            // Nobody waits for more confirmations than there are others to give them.
            wanted: table.count - 2 < wanted ? 0 : wanted)
        table.update(known.name) { member in
            member.incarnation = accusation.incarnation
            member.state = .suspect
            member.since = suspicion.start
            member.suspicion = suspicion
        }
        suspects.append(known.name)
        counters.suspicions += 1
        notify(.suspected(known.name, by: accusation.from))
    }

    /// Declares those dead whose time to object is over.
    mutating func expireSuspicions() {
        for name in suspects {
            guard let member = table[name], let suspicion = member.suspicion, suspicion.deadline <= now else {
                continue
            }
            bury(Accusation(incarnation: member.incarnation, node: name, from: self.name))
        }
    }

    var nextSuspicionEnd: Milliseconds? { suspects.compactMap { table[$0]?.suspicion?.deadline }.min() }

    // MARK: Dead

    mutating func bury(_ accusation: Accusation) {
        guard let known = table[accusation.node], accusation.incarnation >= known.incarnation,
            !known.state.isGone
        else { return }
        if isOwn(known.name), !hasBegunToLeave {
            refute(accusation.incarnation)
            return
        }
        gossip(.dead(accusation), about: known.name)
        let hasLeft = accusation.node == accusation.from || known.leaveTime != nil
        let now = now
        table.update(known.name) { member in
            member.incarnation = accusation.incarnation
            member.state = hasLeft ? .left : .dead
            member.since = now
            member.suspicion = nil
        }
        suspects.removeAll { $0 == known.name }
        viewHasChanged()
        guard let member = table[known.name], !isOwn(known.name) else { return }
        if hasLeft {
            candidates.forget(known.name)
            peak.leave()
            notify(.left(member))
        } else {
            counters.deaths += 1
            candidates.note(known.name, at: known.address, now: now)
            hurryRejoin()
            notify(.failed(member))
        }
    }

    /// Takes a dead member for one that left.
    mutating func giveUp(_ name: NodeName) {
        guard table[name]?.state == .dead else { return }
        table.update(name) { $0.state = .left }
        candidates.forget(name)
        peak.leave()
        if let member = table[name] { notify(.left(member)) }
    }

    /// Whether this node has told others that it goes. From then on it objects to nothing.
    var hasBegunToLeave: Bool {
        switch phase {
        case .leaving, .left: true
        case .created, .running, .announcingLeave: false
        }
    }

    // MARK: Objecting

    /// Takes an incarnation that beats the accusation's, and says so.
    private mutating func refute(_ accused: UInt32) {
        var next = incarnation.addingClamped(1)
        if accused >= next {
            if accused - next < Self.incarnationStep {
                next = accused.addingClamped(1)
            } else {
                notify(.incarnationRefused(accused))
            }
        }
        counters.refutations += 1
        changeHealth(by: 1)
        beAlive(incarnation: next)
        notify(.refuted(incarnation: next))
    }

    mutating func update(meta new: [UInt8]) {
        guard new.count <= CoreSettings.maxMetaOctets, !hasBegunToLeave else {
            counters.invalidMembers += 1
            return
        }
        meta = new
        beAlive(incarnation: incarnation.addingClamped(1))
    }

    /// Alive after a leave, above the incarnation that everybody knows as left.
    mutating func returnToTable() {
        let now = now
        table.update(name) { member in
            member.state = .alive
            member.since = now
        }
        beAlive(incarnation: incarnation.addingClamped(1))
        if let own = table[name] { notify(.joined(own)) }
    }

    private mutating func beAlive(incarnation next: UInt32) {
        incarnation = next
        let meta = meta
        table.update(name) { member in
            member.incarnation = next
            member.meta = meta
        }
        viewHasChanged()
        broadcastOwnAlive()
    }

    mutating func broadcastOwnAlive() {
        let alive = Alive(
            incarnation: incarnation, node: name, address: settings.address.ip, port: settings.address.port,
            meta: meta, versions: settings.dialect.versions)
        gossip(.alive(alive), about: name)
    }

    mutating func changeHealth(by delta: Int) { health = min(max(health + delta, 0), Self.healthCeiling - 1) }

    static let healthCeiling = 8
}

extension UInt32 {
    fileprivate func addingClamped(_ other: UInt32) -> UInt32 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
