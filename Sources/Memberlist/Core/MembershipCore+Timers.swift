// When things are due. One wish for a wake-up stands for all timers.

/// The periodic ones.
struct Timers: Sendable {
    var probe: Milliseconds = 0
    var gossip: Milliseconds = 0
    var repair: Milliseconds = 0
    var rejoin: Milliseconds = 0
}

extension MembershipCore {
    /// Between calls to lost peers, while some are missing and otherwise.
    static let rejoinQuickly: Milliseconds = 5_000
    static let rejoinSlowly: Milliseconds = 30_000

    /// Each timer begins at a random place of its period, so that nodes started together do not act together.
    mutating func startTimers() {
        timers.probe = now + offset(timing.probeInterval)
        timers.gossip = now + offset(timing.gossipInterval)
        timers.repair = now + offset(repairInterval)
        timers.rejoin = now + offset(Self.rejoinQuickly)
    }

    private mutating func offset(_ period: Milliseconds) -> Milliseconds {
        Milliseconds.random(in: 0..<max(period, 1), using: &dice)
    }

    private var repairInterval: Milliseconds {
        GossipFormulas.pushPullInterval(timing.pushPullInterval, nodes: table.count)
    }

    /// Calls lost peers soon, now that one more is lost.
    mutating func hurryRejoin() { timers.rejoin = min(timers.rejoin, now + Self.rejoinQuickly) }

    // MARK: Running

    /// Does all that is due, always in this order.
    mutating func runTimers() {
        expireSuspicions()
        expireRelays()
        expireDials()
        if let running = probe, running.deadline <= now { endProbe() }
        if let running = probe, running.indirectAt <= now { askOthers() }
        if !hasBegunToLeave { runOwnTimers() }
        if isDue(&timers.gossip, timing.gossipInterval) { gossipTick() }
        continueLeave()
    }

    /// What a node that leaves does not do any more.
    private mutating func runOwnTimers() {
        if probe == nil, isDue(&timers.probe, timing.probeInterval) { startProbe() }
        if isDue(&timers.repair, repairInterval) { repairTick() }
        if let next = quickPulls.next, next <= now { quickPullTick() }
        if timers.rejoin <= now {
            rejoinTick()
            timers.rejoin = now + (isShortOfPeers ? Self.rejoinQuickly : Self.rejoinSlowly)
        }
    }

    /// Whether a period is over; then the next one begins. Periods that were missed do not follow.
    private func isDue(_ timer: inout Milliseconds, _ period: Milliseconds) -> Bool {
        guard timer <= now else { return false }
        timer = timer + period > now ? timer + period : now + period
        return true
    }

    // MARK: Waking

    mutating func announceWake() {
        var times = [timers.gossip]
        if !hasBegunToLeave {
            times += [timers.repair, timers.rejoin]
            if let next = quickPulls.next { times.append(next) }
            if probe == nil { times.append(timers.probe) }
        }
        if let running = probe { times.append(running.hasAskedOthers ? running.deadline : running.indirectAt) }
        switch phase {
        case .announcingLeave(let until), .leaving(let until): times.append(until)
        case .created, .running, .left: break
        }
        times += [nextSuspicionEnd, nextRelayTime, nextDialEnd].compactMap { $0 }
        guard let least = times.min() else { return }
        let wake = max(least, now + 1)
        guard wake != plannedWake else { return }
        plannedWake = wake
        effects.append(.wake(at: wake))
    }

    // MARK: Pauses

    /// A process that stood still has heard nobody: what it wanted to judge in that time is judged later.
    mutating func forgivePause() {
        guard let planned = plannedWake else { return }
        let late = now - planned
        guard late > max(timing.probeTimeout, timing.gossipInterval * 2) else { return }
        counters.pauses += 1
        changeHealth(by: 1)
        for name in suspects { table.update(name) { $0.suspicion?.start += late } }
        probe = nil
    }
}
