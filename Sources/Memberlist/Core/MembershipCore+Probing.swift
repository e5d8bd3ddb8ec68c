// One node at a time is probed: directly, then through others and by stream.

/// The probe that is under way.
struct Probe: Sendable {
    let sequence: UInt32
    let node: NodeName
    /// When others are asked.
    let indirectAt: Milliseconds
    /// When the verdict falls.
    var deadline: Milliseconds
    var hasAskedOthers = false
    var expectedNacks = 0
    var nacks = 0
    var dial: UInt64?
    var isAckedByStream = false
}

/// A ping made for another node.
struct Relay: Sendable {
    let sequence: UInt32
    let askerSequence: UInt32
    let asker: GossipAddress
    /// Whether the asker is still to be told that there was no answer.
    var owesNack: Bool
    let nackAt: Milliseconds
    let deadline: Milliseconds

    var nextTime: Milliseconds { owesNack ? nackAt : deadline }
}

extension MembershipCore {
    var source: PingSource {
        PingSource(address: settings.address.ip, port: settings.address.port, node: name)
    }

    mutating func nextSequence() -> UInt32 {
        sequence &+= 1
        return sequence
    }

    // MARK: Asking

    mutating func startProbe() {
        guard let member = nextToProbe() else { return }
        let ping = Message.ping(Ping(sequence: nextSequence(), node: member.name, source: source))
        probe = Probe(
            sequence: sequence, node: member.name, indirectAt: now + timing.probeTimeout,
            deadline: now + timing.probeInterval * Milliseconds(health + 1))
        counters.probes += 1
        if member.state == .suspect {
            // Together with the accusation, so that it can object at once.
            let accusation = Accusation(incarnation: member.incarnation, node: member.name, from: name)
            send([ping.encoded, Message.suspect(accusation).encoded], to: member, piggybacks: false)
        } else {
            send(ping, to: member.address)
        }
    }

    private mutating func nextToProbe() -> Member? {
        guard let unixOffset = settings.unixOffset else { return nextOfList() }
        // The timer has been set to the next turn already; it keeps its place within turns, however late it fires.
        let turn = max(timers.probe &- timing.probeInterval &+ unixOffset, 0) / max(timing.probeInterval, 1)
        defer { lastTurn = turn }
        // A probe that failed took some turns. Those whose turns they were must not wait for the next round: such a
        // node could miss the same ones again and again.
        if let last = lastTurn, turn != last + 1 { return nextOfList() }
        if turn % Milliseconds(table.count) == 0 {
            probePlace = 0
            forgetDead()
        }
        return next(ofTurn: turn)
    }

    /// Walks the list once and shuffles it then, as memberlist. Those dead for long are forgotten at that time.
    private mutating func nextOfList() -> Member? {
        for _ in 0...table.count {
            if probePlace >= table.count {
                probePlace = 0
                forgetDead()
            }
            guard probePlace < table.count else { return nil }
            let member = table.members[probePlace]
            probePlace += 1
            if !member.state.isGone, !isOwn(member.name) { return member }
        }
        return nil
    }

    /// All nodes stand on one ring. In each turn of the common clock a node probes the one that stands so many places
    /// further as turns have passed: in every turn everybody is probed once, and in as many turns as there are others
    /// everybody by everybody. Random lists leave a node alone for a turn with probability 1/e, and for five turns now
    /// and then. Where views or clocks differ, some are probed twice in a turn and some not at all, as with lists.
    private func next(ofTurn turn: Milliseconds) -> Member? {
        // By hash, for neighbours in name are often neighbours in death.
        var ring: [(hash: UInt64, member: Member)] = []
        for member in table.members where !member.state.isGone { ring.append((member.name.octets.mixedHash, member)) }
        ring.sort { $0.hash == $1.hash ? $0.member.name < $1.member.name : $0.hash < $1.hash }
        guard ring.count > 1, let own = ring.firstIndex(where: { isOwn($0.member.name) }) else { return nil }
        let step = Int(turn % Milliseconds(ring.count - 1))
        return ring[(own + 1 + step) % ring.count].member
    }

    private mutating func forgetDead() {
        let (own, now, gossipToDead) = (name, now, timing.gossipToDead)
        _ = table.renew(&dice) { member in
            member.state.isGone && now - member.since > gossipToDead && member.name != own
        }
    }

    /// Asks others to ping, and pings by stream.
    mutating func askOthers() {
        guard var running = probe, !running.hasAskedOthers else { return }
        running.hasAskedOthers = true
        defer { probe = running }
        guard let target = table[running.node] else { return }
        let own = name
        let helpers = table.pick(timing.indirectHelpers, &dice) {
            $0.state == .alive && $0.name != own && $0.name != target.name
        }
        for helper in helpers {
            let wantsNack = helper.versions.protocolMax >= 4
            if wantsNack { running.expectedNacks += 1 }
            let ping = IndirectPing(
                sequence: running.sequence, target: target.address.ip, port: target.address.port, node: target.name,
                wantsNack: wantsNack, source: source)
            send(.indirectPing(ping), to: helper.address)
        }
        if settings.probesByStream, target.versions.protocolMax >= 3 {
            running.dial = dial(.ping, until: running.deadline)
            if let dial = running.dial {
                let ping = Ping(sequence: running.sequence, node: target.name, source: source)
                effects.append(
                    .dialPing(dial: dial, to: target.address, ping: ping, deadline: running.deadline))
            }
        }
    }

    /// The verdict of a probe whose time is over.
    mutating func endProbe() {
        guard let ended = probe else { return }
        probe = nil
        if ended.isAckedByStream {
            changeHealth(by: -1)
            notify(.answersByStreamOnly(ended.node))
            return
        }
        counters.failedProbes += 1
        // Missing nacks tell that it is rather this node that does not hear well.
        changeHealth(by: ended.expectedNacks > 0 ? max(0, ended.expectedNacks - ended.nacks) : 1)
        guard let member = table[ended.node] else { return }
        suspect(Accusation(incarnation: member.incarnation, node: member.name, from: name))
    }

    // MARK: Hearing

    mutating func take(_ ack: Ack) {
        if let running = probe, running.sequence == ack.sequence {
            probe = nil
            changeHealth(by: -1)
            let payload = takeDigest(of: ack.payload ?? [], from: running.node)
            if !payload.isEmpty { notify(.ackPayload(payload, from: running.node)) }
        } else if let place = relays.firstIndex(where: { $0.sequence == ack.sequence }) {
            let relay = relays.remove(at: place)
            send(.ack(Ack(sequence: relay.askerSequence)), to: relay.asker)
        }
    }

    mutating func take(_ nack: Nack) {
        guard probe?.sequence == nack.sequence else { return }
        probe?.nacks += 1
    }

    mutating func pingAnswered(_ id: UInt64, _ isAcked: Bool) {
        guard endDial(id) != nil, isAcked, probe?.dial == id else { return }
        probe?.isAckedByStream = true
    }

    // MARK: Answering

    private func isForThisNode(_ ping: Ping) -> Bool { ping.node.octets.isEmpty || isOwn(ping.node) }

    mutating func answer(_ ping: Ping, from sender: GossipAddress) {
        guard isForThisNode(ping) else { return }
        send(
            .ack(Ack(sequence: ping.sequence, payload: ownAckPayload())), to: ping.source.answerAddress ?? sender)
    }

    mutating func answer(_ ping: Ping, stream: UInt64) {
        guard isForThisNode(ping) else {
            effects.append(.close(stream: stream))
            return
        }
        effects.append(.answer(stream: stream, .ack(Ack(sequence: ping.sequence, payload: ownAckPayload()))))
    }

    mutating func relay(_ ping: IndirectPing, from sender: GossipAddress) {
        guard let target = GossipAddress(ip: ping.target, port: ping.port), target.port > 0 else { return }
        guard relays.count < settings.limits.relays else {
            counters.relaysBeyondLimit += 1
            return
        }
        let relay = Relay(
            sequence: nextSequence(), askerSequence: ping.sequence, asker: ping.source.answerAddress ?? sender,
            owesNack: ping.wantsNack, nackAt: now + timing.probeTimeout * 4 / 5,
            deadline: now + timing.probeTimeout)
        relays.append(relay)
        send(.ping(Ping(sequence: relay.sequence, node: ping.node, source: source)), to: target)
    }

    /// Tells the askers that there was no answer, and forgets whom nobody waits for. memberlist does both at the
    /// deadline; with LAN timers that is when the asker's probe ends, so that every nack is late, and the asker doubts
    /// itself and probes slowly just when somebody died.
    mutating func expireRelays() {
        for place in relays.indices where relays[place].owesNack && relays[place].nackAt <= now {
            relays[place].owesNack = false
            send(.nack(Nack(sequence: relays[place].askerSequence)), to: relays[place].asker)
        }
        relays.removeAll { $0.deadline <= now }
    }

    var nextRelayTime: Milliseconds? { relays.lazy.map(\.nextTime).min() }
}
