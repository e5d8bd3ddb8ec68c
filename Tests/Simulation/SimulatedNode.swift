package import Memberlist

/// A process of the simulated cluster: the core, its codec, and what waits for it while it stands still.
package struct SimulatedNode {
    package enum Condition {
        case running
        case paused
        case killed
    }

    /// Bytes that have come.
    enum Waiting {
        case packet([UInt8], from: GossipAddress)
        case stream([UInt8], id: UInt64, from: GossipAddress)
    }

    /// What became of the bytes.
    enum Reading {
        case event(CoreEvent)
        case unreadable(stream: UInt64?)
    }

    package internal(set) var core: MembershipCore
    package internal(set) var condition = Condition.running
    /// Packets and parts that could not be read or written; the cores' own are always readable.
    package internal(set) var unreadable = 0
    package internal(set) var unsendable = 0
    package internal(set) var largestPacket = 0
    let security: GossipSecurity
    let codec: PacketCodec
    var inbox: [Waiting] = []
    var wake: Milliseconds?

    init(settings: CoreSettings, security: GossipSecurity) {
        var settings = settings
        settings.packetOverhead = security.packetOverhead
        core = MembershipCore(settings: settings)
        self.security = security
        codec = PacketCodec(security: security)
    }

    mutating func read(_ waiting: Waiting) -> Reading {
        switch waiting {
        case .packet(let bytes, let sender):
            guard let contents = try? codec.decode(bytes) else {
                unreadable += 1
                return .unreadable(stream: nil)
            }
            unreadable += contents.problems.count + contents.lostParts
            return .event(.packet(contents.messages, from: sender))
        case .stream(let bytes, let id, let sender):
            var decoder = StreamDecoder(side: .dialler, security: security)
            guard let message = try? decoder.append(bytes) else {
                unreadable += 1
                return .unreadable(stream: id)
            }
            return .event(.streamRequest(message, stream: id, from: sender))
        }
    }
}
