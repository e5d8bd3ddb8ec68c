/// Which application the cluster's other members have.
package enum Dialect: Hashable, Sendable {
    /// Memberlist alone.
    case plain
    /// serf's agents: leave intents, acks without payload, user state of serf's form, its messages passed on.
    case serf

    package var versions: ProtocolVersions { self == .plain ? .plain : .serf }
}

/// How much a core remembers. At each bound the new thing is dropped and counted, unless said otherwise.
package struct CoreLimits: Hashable, Sendable {
    package var members = 4_096
    /// Known peers that may be called again; the one that was heard of longest ago goes.
    package var candidates = 64
    /// Addresses to join at.
    package var seeds = 64
    /// memberlist's own messages that wait to be gossiped; those sent most often go.
    package var broadcastBytes = 4_194_304
    /// The application's messages that wait to be gossiped; those sent most often go.
    package var userBroadcastBytes = 8_388_608
    /// Pings made for others.
    package var relays = 1_024
    /// Push/pulls dialled at a time.
    package var dials = 64
    /// Pings by stream at a time. One probe runs at a time; more are left over from those before.
    package static let pingDials = 8
    /// Hashes of serf's messages that were passed on; the oldest goes.
    package var seenMessages = 8_192

    package init() {}
}

/// What a core is told once.
package struct CoreSettings: Hashable, Sendable {
    /// memberlist's limit for metadata.
    package static let maxMetaOctets = 512

    package let name: NodeName
    /// Where others reach this node.
    package let address: GossipAddress
    package var meta: [UInt8]
    package var dialect: Dialect
    package var timing: GossipTiming
    /// The first incarnation; greater than every one used before by this name, if that is known.
    package var incarnation: UInt32 = 1
    /// After this time a dead node's name may come back at another address; 0: not before it is forgotten.
    package var reclaimAfter: Milliseconds = 0
    /// The most octets of a packet.
    package var packetBytes = 1_400
    /// What label and seal add to a packet (`GossipSecurity.packetOverhead`).
    package var packetOverhead = 0
    /// Whether a probe that fails by packets is tried by stream.
    package var probesByStream = true
    /// What the driver's clock lacks to milliseconds since 1970. Nodes whose clocks agree then share out whom they
    /// probe; nil: in random order, as memberlist.
    package var unixOffset: Milliseconds?
    /// Whether acks carry a digest of the view, by which nodes of our kind find what gossip missed; not in serf's
    /// dialect.
    package var sharesView = true
    /// How long a leave waits until it was gossiped.
    package var leaveTimeout: Milliseconds = 5_000
    /// Networks whose addresses members may have; empty: all.
    package var admitted: [AddressBlock] = []
    package var limits = CoreLimits()

    package init(
        name: NodeName, address: GossipAddress, meta: [UInt8] = [], dialect: Dialect = .plain,
        timing: GossipTiming = .lan
    ) {
        self.name = name
        self.address = address
        self.meta = Array(meta.prefix(Self.maxMetaOctets))
        self.dialect = dialect
        self.timing = timing
    }

    func admits(_ address: GossipAddress) -> Bool {
        admitted.isEmpty || admitted.contains { $0.contains(address) }
    }
}

/// A network: addresses that begin alike.
package struct AddressBlock: Hashable, Sendable {
    private let ip: [UInt8]
    private let bits: Int

    /// - Returns: nil for anything but 4 or 16 octets, or more bits than they have.
    package init?(ip: [UInt8], bits: Int) {
        guard [4, 16].contains(ip.count), (0...ip.count * 8).contains(bits) else { return nil }
        self.ip = ip
        self.bits = bits
    }

    package func contains(_ address: GossipAddress) -> Bool {
        guard address.ip.count == ip.count else { return false }
        return ip.indices.allSatisfy { place in
            let significant = min(max(bits - place * 8, 0), 8)
            let mask = UInt8(truncatingIfNeeded: 0xff00 >> significant)
            return ip[place] & mask == address.ip[place] & mask
        }
    }
}
