// What is told to others, and how it is put into packets.

extension MembershipCore {
    /// What the application's messages cost beside their octets: a length, and the type in front.
    static let userOverhead = 3

    /// Queues a message of memberlist's own for everybody.
    mutating func gossip(_ message: Message, about node: NodeName) {
        broadcasts.insert(message.encoded, about: node)
    }

    /// Queues the application's bytes for everybody.
    mutating func broadcast(user bytes: [UInt8]) {
        guard fits(user: bytes) else { return }
        userBroadcasts.insert(Message.user(bytes).encoded, about: nil)
    }

    /// Whether a packet has room for it; what has none would wait for ever.
    private mutating func fits(user bytes: [UInt8]) -> Bool {
        let room = settings.packetBytes - packetOverhead - Checksum.overhead - Compound.overhead
        guard bytes.count <= room - Self.userOverhead else {
            counters.messagesTooLong += 1
            return false
        }
        return true
    }

    /// Sends to a few random nodes, also to those dead for a short time: they may be alive and able to object.
    mutating func gossipTick() {
        guard !broadcasts.isEmpty || !userBroadcasts.isEmpty else { return }
        let (own, now, gossipToDead) = (name, now, timing.gossipToDead)
        let targets = table.pick(timing.gossipNodes, &dice) { member in
            switch member.state {
            case .alive, .suspect: member.name != own
            case .dead: now - member.since < gossipToDead
            case .left: false
            }
        }
        for target in targets where !broadcasts.isEmpty || !userBroadcasts.isEmpty {
            send([], to: target, piggybacks: true)
        }
    }

    /// Sends the application's bytes to one member at once.
    mutating func send(user bytes: [UInt8], to name: NodeName) {
        guard let member = table[name], !isOwn(name), fits(user: bytes) else { return }
        send([Message.user(bytes).encoded], to: member, piggybacks: true)
    }

    /// One message to an address, filled up with gossip. memberlist puts no checksum on these.
    mutating func send(_ message: Message, to address: GossipAddress) {
        pack([message.encoded], to: address, node: nil, hasChecksum: false, piggybacks: true)
    }

    /// Messages to a member, with a checksum if it understands one.
    mutating func send(_ messages: [[UInt8]], to member: Member, piggybacks: Bool) {
        pack(
            messages, to: member.address, node: member.name, hasChecksum: member.versions.protocolMax >= 5,
            piggybacks: piggybacks)
    }

    private mutating func pack(
        _ first: [[UInt8]], to address: GossipAddress, node: NodeName?, hasChecksum: Bool, piggybacks: Bool
    ) {
        var messages = first
        var room = settings.packetBytes - packetOverhead - Compound.overhead - (hasChecksum ? Checksum.overhead : 0)
        room -= first.reduce(0) { $0 + $1.count + Compound.partOverhead }
        if piggybacks {
            let limit = GossipFormulas.transmitLimit(
                multiplier: timing.retransmitMultiplier, nodes: table.count)
            for queue in [\MembershipCore.broadcasts, \.userBroadcasts] {
                messages += self[keyPath: queue].take(
                    room: &room, overhead: Compound.partOverhead, limit: limit,
                    count: Compound.maxPartsWritten - messages.count)
            }
        }
        guard !messages.isEmpty else { return }
        counters.packetsSent += 1
        effects.append(
            .send(
                OutgoingPacket(
                    address: address, node: node, messages: messages, hasChecksum: hasChecksum,
                    room: max(room, 0))))
    }

    // MARK: Leaving

    mutating func leave() {
        guard phase == .running else { return }
        if settings.dialect == .serf, peerCount > 0 {
            broadcastLeaveIntent(of: name)
            phase = .announcingLeave(until: now + SerfState.leaveDelay)
        } else {
            sayLeave()
        }
    }

    mutating func withdraw() {
        guard phase == .running else { return }
        phase = .left
        let now = now
        table.update(name) { member in
            member.state = .left
            member.since = now
        }
        viewHasChanged()
        broadcasts.removeAll()
        userBroadcasts.removeAll()
    }

    /// Begins anew, with an incarnation above the one that left. What this node knew of the others is as old as its
    /// leave: told to anybody it would bring back members that are gone. Who joins again hears of them.
    mutating func comeBack(meta new: [UInt8]) {
        guard phase == .left else { return }
        guard new.count <= CoreSettings.maxMetaOctets else {
            counters.invalidMembers += 1
            return
        }
        phase = .running
        forgetOthers()
        meta = new
        returnToTable()
        startTimers()
        // Those who are named by the `join` first; should they not answer, nobody else is called behind its back.
        timers.rejoin = now + Self.rejoinSlowly
        if settings.dialect == .serf { broadcastJoinIntent() }
    }

    private mutating func forgetOthers() {
        let own = name
        _ = table.renew(&dice) { $0.name != own }
        suspects = []
        probe = nil
        probePlace = 0
        lastTurn = nil
        quickPulls = QuickPulls()
        broadcasts.removeAll()
        userBroadcasts.removeAll()
    }

    /// Only serf has a message by which the others give a member up, too; said again, it reaches those who missed it.
    mutating func forceLeave(_ name: NodeName) {
        guard !isOwn(name), table[name]?.state.isGone == true else { return }
        giveUp(name)
        if settings.dialect == .serf { broadcastLeaveIntent(of: name) }
    }

    mutating func sayLeave() {
        phase = .leaving(until: now + settings.leaveTimeout)
        bury(Accusation(incarnation: incarnation, node: name, from: name))
    }

    /// Goes on with a leave whose message went out as often as it should, or whose time is over.
    mutating func continueLeave() {
        switch phase {
        case .announcingLeave(let until) where until <= now: sayLeave()
        case .leaving(let until) where until <= now || peerCount == 0 || !broadcasts.contains(name):
            phase = .left
            notify(.leaveDone)
        default: break
        }
    }
}
