/// What a node is said to be.
package enum NodeState: UInt8, Hashable, Sendable, CaseIterable {
    case alive = 0
    case suspect = 1
    case dead = 2
    case left = 3

    /// Dead or left: nobody probes it.
    package var isGone: Bool { self == .dead || self == .left }
}

/// One node as a push/pull tells of it.
package struct PushPullNode: Hashable, Sendable {
    package var incarnation: UInt32
    package var name: NodeName
    package var address: [UInt8]?
    package var port: UInt16
    package var meta: [UInt8]?
    /// nil for a number that has no meaning; such an entry is not taken.
    package var state: NodeState?
    /// nil when there were not exactly six; such an entry is not taken.
    package var versions: ProtocolVersions?

    package init(
        incarnation: UInt32, name: NodeName, address: [UInt8]?, port: UInt16, meta: [UInt8]?, state: NodeState?,
        versions: ProtocolVersions?
    ) {
        self.incarnation = incarnation
        self.name = name
        self.address = address
        self.port = port
        self.meta = meta
        self.state = state
        self.versions = versions
    }
}

/// The whole view of a node, and a few bytes of its application. Both sides of a stream send one.
package struct PushPull: Hashable, Sendable {
    /// Said by a node that joins, and said back.
    package var join: Bool
    package var nodes: [PushPullNode]
    package var userState: [UInt8]

    package init(join: Bool, nodes: [PushPullNode], userState: [UInt8] = []) {
        self.join = join
        self.nodes = nodes
        self.userState = userState
    }
}

/// The one message of a stream's direction.
package enum StreamMessage: Hashable, Sendable {
    case ping(Ping)
    case ack(Ack)
    case pushPull(PushPull)
    case user([UInt8])
    /// The answer to anything unreadable: its reason.
    case error([UInt8])
    /// A type of our own (`StreamLimits.ownTypes`): after the type a length of four octets, then the body.
    case own(type: UInt8, body: [UInt8])
}
