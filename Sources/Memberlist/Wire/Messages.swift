/// Where an answer to a ping is to go; left out by old peers.
package struct PingSource: Hashable, Sendable {
    /// 4 or 16 octets; empty when the sender left it out.
    package var address: [UInt8]
    package var port: UInt16
    package var node: NodeName

    package init(address: [UInt8] = [], port: UInt16 = 0, node: NodeName = "") {
        self.address = address
        self.port = port
        self.node = node
    }

    /// Where to answer; nil when the sender's address of the packet counts.
    package var answerAddress: GossipAddress? { port == 0 ? nil : GossipAddress(ip: address, port: port) }
}

/// "Are you `node`?" Answered by an ack with the same number.
package struct Ping: Hashable, Sendable {
    package var sequence: UInt32
    /// Empty means whoever listens there.
    package var node: NodeName
    package var source: PingSource

    package init(sequence: UInt32, node: NodeName, source: PingSource = PingSource()) {
        self.sequence = sequence
        self.node = node
        self.source = source
    }
}

/// "Ping `node` for me."
package struct IndirectPing: Hashable, Sendable {
    package var sequence: UInt32
    /// 4 or 16 octets.
    package var target: [UInt8]
    package var port: UInt16
    package var node: NodeName
    /// Whether a nack is wanted when `node` does not answer.
    package var wantsNack: Bool
    package var source: PingSource

    package init(
        sequence: UInt32, target: [UInt8], port: UInt16, node: NodeName, wantsNack: Bool,
        source: PingSource = PingSource()
    ) {
        self.sequence = sequence
        self.target = target
        self.port = port
        self.node = node
        self.wantsNack = wantsNack
        self.source = source
    }
}

package struct Ack: Hashable, Sendable {
    package var sequence: UInt32
    /// The application's; nil and empty mean the same.
    package var payload: [UInt8]?

    package init(sequence: UInt32, payload: [UInt8]? = nil) {
        self.sequence = sequence
        self.payload = payload
    }
}

/// A helper's "no answer yet".
package struct Nack: Hashable, Sendable {
    package var sequence: UInt32

    package init(sequence: UInt32) { self.sequence = sequence }
}

/// What suspect and dead messages say: `from` accuses `node`. A dead message whose `from` is the node itself is its
/// leave.
package struct Accusation: Hashable, Sendable {
    package var incarnation: UInt32
    package var node: NodeName
    package var from: NodeName

    package init(incarnation: UInt32, node: NodeName, from: NodeName) {
        self.incarnation = incarnation
        self.node = node
        self.from = from
    }
}

/// "`node` lives here, and says of itself …"
package struct Alive: Hashable, Sendable {
    package var incarnation: UInt32
    package var node: NodeName
    /// 4 or 16 octets from a sound peer; anything from others.
    package var address: [UInt8]?
    package var port: UInt16
    /// At most 512 octets from a sound peer. Go writes nil or empty, depending on where it learnt of the node.
    package var meta: [UInt8]?
    /// nil when there were not exactly six; such a message must not be taken.
    package var versions: ProtocolVersions?

    package init(
        incarnation: UInt32, node: NodeName, address: [UInt8]?, port: UInt16, meta: [UInt8]?,
        versions: ProtocolVersions?
    ) {
        self.incarnation = incarnation
        self.node = node
        self.address = address
        self.port = port
        self.meta = meta
        self.versions = versions
    }
}

/// One message of a packet, with all wrappers gone.
package enum Message: Hashable, Sendable {
    case ping(Ping)
    case indirectPing(IndirectPing)
    case ack(Ack)
    case nack(Nack)
    case suspect(Accusation)
    case alive(Alive)
    case dead(Accusation)
    /// The application's bytes.
    case user([UInt8])
}
