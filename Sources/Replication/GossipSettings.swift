package import Memberlist

/// What a node of the gossip is told once.
package struct GossipSettings: Sendable {
    package var name: NodeName
    /// Where packets and streams are taken. Port 0: any that is free for both; `0.0.0.0` or `::`: every interface.
    package var bind: GossipAddress
    /// What others are told; nil: the bound address, or one of the interfaces' when all of them are bound.
    package var advertise: GossipAddress?
    package var meta: [UInt8] = []
    package var dialect = Dialect.plain
    package var timing = GossipTiming.lan
    package var keys = KeyChain()
    /// At most 255 octets; empty: none.
    package var label: [UInt8] = []
    /// Off while encryption is being turned on: plain input is taken although there are keys.
    package var verifiesIncoming = true
    /// Off while encryption is being turned on: plain output is sent although there are keys.
    package var sealsOutgoing = true
    package var compresses = true
    /// Without keys: whether public addresses are served all the same.
    package var isInsecure = false
    /// Networks that members and senders may be in; empty: all, but without keys private ones (`Exposure`).
    package var admitted: [AddressBlock] = []
    /// Greater than every incarnation that the name had before, if that is known.
    package var incarnation: UInt32 = 1
    package var coreLimits = CoreLimits()
    package var limits = TransportLimits()

    package init(name: NodeName, bind: GossipAddress) {
        self.name = name
        self.bind = bind
    }

    /// Networks whose packets and streams are taken.
    var networks: [AddressBlock] {
        guard admitted.isEmpty, keys.isEmpty, !isInsecure else { return admitted }
        return Exposure.privateNetworks
    }

    func security() throws(GossipNodeError) -> GossipSecurity {
        guard
            let security = GossipSecurity(
                keys: keys.ring, label: label, verifiesIncoming: verifiesIncoming, sealsOutgoing: sealsOutgoing)
        else { throw .labelTooLong(label.count) }
        return security
    }

    func core(at address: GossipAddress, overhead: Int) -> CoreSettings {
        var core = CoreSettings(name: name, address: address, meta: meta, dialect: dialect, timing: timing)
        core.packetOverhead = overhead
        core.incarnation = incarnation
        core.admitted = networks
        core.limits = coreLimits
        return core
    }
}

/// How much the sockets take. At each bound the new thing is dropped and counted, unless said otherwise.
package struct TransportLimits: Hashable, Sendable {
    /// Streams of others at a time. At the bound the one that has been silent longest makes room, if that was longer
    /// than `silenceMilliseconds`.
    package var streams = 128
    package var silenceMilliseconds: Milliseconds = 1_000
    /// Octets that all unfinished streams of others hold together, and as many those that this node dialled.
    package var streamBytes = 67_108_864
    /// Streams of the application's, both ways, after their first message.
    package var ownStreams = 32
    /// Octets that wait for the packet socket.
    package var unsentPacketBytes = 1_048_576
    /// One frame of a stream of the application's.
    package var frameBytes = 1_048_576
    /// Events that wait for one reader.
    package var events = 1_024
    /// Readers of events.
    package var readers = 64

    package init() {}
}

/// Why a node does not start, or does not do what it was asked.
package enum GossipNodeError: Error, Hashable, Sendable {
    case cannotBind(GossipAddress, reason: String)
    /// A public address without a key: everybody who reaches it could join.
    case publicWithoutKey(GossipAddress)
    /// More than 255 octets.
    case labelTooLong(Int)
    case metaTooLong(Int)
    /// The node has been shut down.
    case stopped
    case timedOut
    case unreachable(GossipAddress, reason: String)
    /// The peer answered something else, or closed.
    case badAnswer
    case unknownMember(NodeName)
    /// A bound of `TransportLimits` is reached.
    case busy
    case message(GossipWireError)
    case keys(KeyRingError)
}

extension GossipNodeError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .cannotBind(let address, let reason): "gossip cannot listen on \(address): \(reason)"
        case .publicWithoutKey(let address):
            "gossip without a key would be open to everybody on the public address \(address); "
                + "give a key or a passphrase, listen on a private address, or allow it by --insecure"
        case .labelTooLong(let count): "the gossip label has \(count) octets, expected at most 255"
        case .metaTooLong(let count):
            "the metadata has \(count) octets, expected at most \(CoreSettings.maxMetaOctets)"
        case .stopped: "the gossip node has been shut down"
        case .timedOut: "no answer in time"
        case .unreachable(let address, let reason): "\(address) cannot be reached: \(reason)"
        case .badAnswer: "the peer closed the stream or answered something else"
        case .unknownMember(let name): "no member has the name \(name)"
        case .busy: "too many streams at a time"
        case .message(let error): "the message cannot be sent: \(error)"
        case .keys(.unknownKey): "the key is not installed"
        case .keys(.isPrimary): "the key is in use; use another one before it is removed"
        case .keys(.full(let limit)): "there is room for \(limit) keys"
        }
    }
}
