/// Whom to call when members are missing: the addresses given for joining, and the peers known last. memberlist alone
/// forgets dead nodes and never heals a long split.
struct CandidateList: Sendable {
    struct Peer: Hashable, Sendable {
        let name: NodeName
        var address: GossipAddress
        /// When it was last seen to come or to fail.
        var heard: Milliseconds
    }

    /// How long a peer is called that never answers.
    static let keep: Milliseconds = 24 * 3_600_000

    private let limits: CoreLimits
    private(set) var seeds: [GossipAddress] = []
    /// The one heard of last stands last.
    private(set) var peers: [Peer] = []

    init(limits: CoreLimits) { self.limits = limits }

    /// - Returns: false when there was no room.
    mutating func addSeed(_ address: GossipAddress) -> Bool {
        guard !seeds.contains(address) else { return true }
        guard seeds.count < limits.seeds else { return false }
        seeds.append(address)
        return true
    }

    /// A peer that came, or that failed.
    mutating func note(_ name: NodeName, at address: GossipAddress, now: Milliseconds) {
        peers.removeAll { $0.name == name }
        peers.append(Peer(name: name, address: address, heard: now))
        if peers.count > limits.candidates { peers.removeFirst(peers.count - limits.candidates) }
    }

    /// A peer that left on its own accord.
    mutating func forget(_ name: NodeName) { peers.removeAll { $0.name == name } }

    mutating func forgetOld(now: Milliseconds) { peers.removeAll { now - $0.heard > Self.keep } }

    /// Addresses of candidates that are not there, each once.
    func missing(in table: MemberTable, own: GossipAddress) -> [GossipAddress] {
        let present = Set(table.members.filter { !$0.state.isGone }.map(\.address))
        var addresses: [GossipAddress] = []
        for address in seeds where !present.contains(address) && address != own { addresses.append(address) }
        for peer in peers where !present.contains(peer.address) && peer.address != own {
            if !addresses.contains(peer.address) { addresses.append(peer.address) }
        }
        return addresses
    }
}

/// The greatest number of peers of the last hour, to five minutes.
struct PeerPeak: Sendable {
    private static let bucket: Milliseconds = 300_000
    private static let buckets = 12
    private var peaks: [(start: Milliseconds, count: Int)] = []

    mutating func note(_ count: Int, now: Milliseconds) {
        let start = now - now % Self.bucket
        if let last = peaks.last, last.start == start {
            peaks[peaks.count - 1].count = max(last.count, count)
        } else {
            peaks.append((start, count))
        }
        peaks.removeAll { now - $0.start > Self.bucket * Milliseconds(Self.buckets) }
    }

    /// One peer went on purpose; nobody waits for it.
    mutating func leave() {
        for place in peaks.indices where peaks[place].count > 0 { peaks[place].count -= 1 }
    }

    var count: Int { peaks.map(\.count).max() ?? 0 }
}
