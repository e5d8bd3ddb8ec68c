import Basics

// Gossip misses somebody now and then (e^-8 of all deliveries), and the usual repair comes after half a minute. Nodes
// of our kind therefore put a digest of their view into their acks: whoever sees another one than its own asks for the
// view.

/// When a view that differs is asked for.
struct ViewRepair: Sendable {
    /// In front of the digest in an ack: no payload of serf begins so.
    static let mark: [UInt8] = [0xd0, 0x01]
    static let digestOctets = 8
    /// As long as a view changes, gossip is still on its way.
    static let settleTime: Milliseconds = 1_000
    static let shortestWait: Milliseconds = 2_000
    /// Views can differ for long, as in a split that is not whole; asking is of no use then.
    static let longestWait: Milliseconds = 30_000

    var lastChange: Milliseconds = 0
    var notBefore: Milliseconds = 0
    var wait = Self.shortestWait
    /// The digest of the present view, as long as nothing changed.
    var digest: UInt64?
}

extension MembershipCore {
    private var sharesView: Bool { settings.sharesView && settings.dialect == .plain }

    mutating func viewHasChanged() {
        viewRepair.digest = nil
        viewRepair.lastChange = now
    }

    /// Who is there, with which incarnation: equal on two nodes that know the same, whatever their order. Suspicions do
    /// not count, they go by themselves.
    mutating func viewDigest() -> UInt64 {
        if let digest = viewRepair.digest { return digest }
        let digest = table.members.reduce(0 as UInt64) { sum, member in
            guard !member.state.isGone else { return sum }
            // Sums of similar names do not cancel out.
            return sum &+ (member.name.octets + [0] + member.incarnation.bigEndianOctets).mixedHash
        }
        viewRepair.digest = digest
        return digest
    }

    /// What goes into acks: the digest and the application's bytes, nothing in serf's dialect.
    mutating func ownAckPayload() -> [UInt8]? {
        guard settings.dialect == .plain else { return nil }
        guard sharesView else { return ackPayload }
        let digest = viewDigest()
        let octets = (0..<ViewRepair.digestOctets).map { UInt8(truncatingIfNeeded: digest >> UInt64(8 * $0)) }
        return ViewRepair.mark + octets + (ackPayload ?? [])
    }

    /// Looks at the digest of an ack.
    ///
    /// - Returns: the application's bytes.
    mutating func takeDigest(of payload: [UInt8], from name: NodeName) -> [UInt8] {
        let head = ViewRepair.mark.count + ViewRepair.digestOctets
        guard sharesView, payload.starts(with: ViewRepair.mark), payload.count >= head else { return payload }
        let digest = payload[ViewRepair.mark.count..<head].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        if digest != viewDigest() { repairView(with: name) }
        return Array(payload[head...])
    }

    private mutating func repairView(with name: NodeName) {
        guard !hasBegunToLeave, now - viewRepair.lastChange >= ViewRepair.settleTime, now >= viewRepair.notBefore,
            let member = table[name], member.state == .alive
        else { return }
        viewRepair.notBefore = now + viewRepair.wait
        counters.viewRepairs += 1
        pushPull(with: member.address, .viewRepair, isJoin: false)
    }

    /// Waits longer after each view that taught nothing.
    mutating func viewIsRepaired(bringsNews: Bool) {
        viewRepair.wait = bringsNews ? ViewRepair.shortestWait : min(viewRepair.wait * 2, ViewRepair.longestWait)
        viewRepair.notBefore = now + viewRepair.wait
    }
}

extension [UInt8] {
    /// The same on all nodes: FNV-1a, then mixed.
    var mixedHash: UInt64 {
        var dice = SplitMix64(seed: FNV1a(self).value)
        return dice.next()
    }
}
