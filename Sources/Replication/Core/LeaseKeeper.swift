package import RegistryStore

/// Who counts which lease: the part of a node that passes heartbeats on to the homes of leases, stands in for homes
/// that are gone, and decides what ends.
///
/// A pure state machine: events and the time go in, effects come out, in one order on every run.
package struct LeaseKeeper: Sendable {
    let settings: LeaseKeeperSettings
    /// In byte order, this node included.
    var members: [String]
    var outbox = HeartbeatOutbox()
    /// Homes that are gone, by name in byte order.
    var absent: [AbsentHome] = []
    /// What nodes said of their leases before they left.
    var handedOver: [HandedOver] = []
    var preserver: LeasePreserver?
    /// Since this node said that it leaves, until others are there again: they count what is theirs, and it hears
    /// nothing of it. So it stands in for nobody.
    var hasLeft = false
    private var lastTick: Int64?
    private var nextLook: Int64 = .min

    package private(set) var counts = Counts()

    /// Done since the start.
    package struct Counts: Hashable, Sendable {
        /// Leases that this node became the home of.
        package var adopted = 0
        /// Batches sent, those repeated, and those never answered.
        package var batches = 0
        package var repeats = 0
        package var unanswered = 0
        /// Leases that were over and were kept for now, each once.
        package var preserved = 0
        /// Leases of absent homes ended here.
        package var endedAsSteward = 0
        /// Leases of which was not remembered what their home said when it left, for want of room: they get their
        /// whole length again.
        package var handedOverBeyondLimit = 0
    }

    /// A home that is gone, and what is left of its leases as far as this node is its steward.
    struct AbsentHome: Sendable {
        let name: String
        /// When each lease is over; empty while another node is the steward.
        var deadlines: [LeaseID: Int64] = [:]
        /// Whether some of them may be preserved here.
        var isPreserved = false

        /// Counts them no more, or anew.
        mutating func forget() -> [LeaseEffect] {
            deadlines = [:]
            guard isPreserved else { return [] }
            isPreserved = false
            return [.endPreserving(of: name)]
        }
    }

    /// A lease as its home left it.
    struct HandedOver: Sendable {
        let home: String
        /// When it was last heard.
        let at: Int64
        let deadlines: [LeaseID: Int64]
    }

    package init(_ settings: LeaseKeeperSettings) {
        self.settings = settings
        members = [settings.node]
        preserver = settings.preservation.map { LeasePreserver($0) }
    }

    /// Takes an event at a time. `now` is the registry's clock.
    package mutating func step(_ event: LeaseEvent, now: Moment) -> [LeaseEffect] {
        switch event {
        case .members(let names): return setMembers(names, now: now.monotonic)
        case .tick: return tick(now)
        case .heartbeats(let heartbeats): return pass(heartbeats, now: now.monotonic)
        case .received(let frame, let sender):
            return [
                .renew(batch: frame.batch, from: sender, frame.renewals, sentUnix: Int64(clamping: frame.hlc >> 16))
            ]
        case .renewed(let batch, let sender, let refused, let homes):
            return answer(batch, to: sender, refused, homes)
        case .answered(let answer, let sender):
            let refused = outbox.answered(answer.batch, by: sender, refused: answer.refused)
            return adopt(refused, syncWith: isAlive(sender) ? sender : nil)
        case .homes(let names): return lookAfter(names)
        case .leases(let leases, let home): return stand(in: home, for: leases, now: now.monotonic)
        case .due(let leases, let home, let ownCount, let preservedCount):
            return end(leases, of: home, own: (ownCount, preservedCount), now: now.monotonic)
        case .handover(let leases, let home): return take(leases, from: home, now: now.monotonic)
        case .leaving(let leases): return leave(leases)
        }
    }

    private mutating func tick(_ now: Moment) -> [LeaseEffect] {
        var effects: [LeaseEffect] = []
        let pause = lastTick.map { now.monotonic &- $0 } ?? 0
        lastTick = now.monotonic
        if pause > settings.pauseMin {
            effects.append(.extendOwn(afterPause: pause))
            // Who renewed leases of absent homes could not reach this node either.
            for index in absent.indices { effects += absent[index].forget() }
            nextLook = .min
        }
        let sending = outbox.tick(now, settings)
        counts.batches += sending.batches
        counts.repeats += sending.repeats
        counts.unanswered += sending.unanswered
        effects += sending.frames
        effects += adopt(sending.abandoned, syncWith: nil)
        if now.monotonic >= nextLook {
            nextLook = now.monotonic &+ settings.lookInterval
            effects.append(.listHomes)
        }
        return effects + askAboutEnds(now: now.monotonic)
    }

    // MARK: Members

    /// How long after a home's last words it may be seen to go, for these to count; no longer than the shortest grace.
    private static let handoverFor: Int64 = 10_000

    func isAlive(_ name: String) -> Bool { members.contains { sameName($0, name) } }

    private mutating func setMembers(_ names: [String], now: Int64) -> [LeaseEffect] {
        var names = names
        if !names.contains(where: { sameName($0, settings.node) }) { names.append(settings.node) }
        let before = members
        members = names.sorted(by: precedes)
        if before.count == 1, members.count > 1 { hasLeft = false }
        let gone = before.filter { !isAlive($0) }
        let back = members.filter { name in !before.contains { sameName($0, name) } }
        preserver?.sawMembers(members, gone: gone, now: now)
        var effects: [LeaseEffect] = []
        for index in absent.indices where isAlive(absent[index].name) { effects += absent[index].forget() }
        absent = absent.filter { !isAlive($0.name) }
        // A home may be back before it was seen to be gone, and what it said when it left is no more than its past.
        handedOver.removeAll { handed in
            back.contains { sameName($0, handed.home) }
                || now &- handed.at > Self.handoverFor && gone.contains { sameName($0, handed.home) }
        }
        return effects + lookAfter(gone)
    }

    /// The node that counts the leases of a home now: itself, or its steward.
    func counter(of home: String) -> String {
        isAlive(home) ? home : Rendezvous.steward(of: home, among: members) ?? settings.node
    }

    // MARK: Heartbeats

    private mutating func pass(_ heartbeats: [ForwardedHeartbeat], now: Int64) -> [LeaseEffect] {
        var own: [LeaseID] = []
        for heartbeat in heartbeats {
            let target = counter(of: heartbeat.home)
            if sameName(target, settings.node) || !outbox.add(heartbeat, for: target, settings) {
                own.append(heartbeat.id)
            }
        }
        return adopt(own, syncWith: nil)
    }

    private mutating func answer(
        _ batch: UInt64, to sender: String, _ refused: [LeaseID], _ homes: [LeaseID: String]
    ) -> [LeaseEffect] {
        // The first heartbeat for a lease of an absent home makes its steward the home.
        let taken = refused.filter { id in
            homes[id].map { !isAlive($0) && sameName(counter(of: $0), settings.node) } ?? false
        }
        let others = refused.filter { !taken.contains($0) }
        return adopt(taken, syncWith: nil) + [
            .send(Frame(.renewAnswer(RenewAnswerFrame(batch: batch, refused: others))), to: sender)
        ]
    }

    private mutating func adopt(_ ids: [LeaseID], syncWith peer: String?) -> [LeaseEffect] {
        guard !ids.isEmpty else { return [] }
        counts.adopted += ids.count
        for index in absent.indices { for id in ids { absent[index].deadlines[id] = nil } }
        return [.adopt(ids, syncWith: peer)]
    }

    /// Whether leases are kept when too many are over at once, from now on.
    package mutating func setPreservation(_ rules: Preservation?) {
        guard preserver?.rules != rules else { return }
        preserver = rules.map { LeasePreserver($0) }
        preserver?.sawMembers(members, gone: [], now: 0)
    }

    package var preservation: Preservation? { preserver?.rules }

    /// Whether leases whose time is over are being kept.
    package var preserves: Bool { preserver?.isPaused ?? false }

    mutating func noteHandedOverBeyondLimit(_ count: Int) { counts.handedOverBeyondLimit += count }

    /// - Parameter preserved: those that were not preserved before.
    mutating func noteEnded(_ count: Int, preserved: Int, isOwn: Bool) {
        counts.preserved += preserved
        if !isOwn { counts.endedAsSteward += count }
    }
}
