/// What happens to a core.
package enum CoreEvent: Hashable, Sendable {
    /// The first event: this node is alive.
    case start
    /// The time of the last `CoreEffect.wake` has come.
    case timer
    case packet([Message], from: GossipAddress)
    /// Another node dialled and sent this.
    case streamRequest(StreamMessage, stream: UInt64, from: GossipAddress)
    /// The answer to `dialPing`: whether an ack with the ping's number came in time.
    case pingAnswer(dial: UInt64, isAcked: Bool)
    /// The answer to `dialPushPull`; nil when none came in time.
    case pushPullAnswer(dial: UInt64, state: PushPull?)
    /// Dial these addresses and be a member of their cluster; they stay candidates.
    case join([GossipAddress])
    /// Exchange whole views with these addresses once, and report it as a `join`.
    case exchange([GossipAddress])
    /// Tell everybody, and report `leaveDone`.
    case leave
    /// Be a member no more without telling anybody: another node has this one's name, and would be taken for the one
    /// that goes.
    case withdraw
    /// After `leaveDone` or `withdraw`: be a member again, with this metadata. Nobody is called before the next `join`.
    case comeBack(meta: [UInt8])
    /// Give up a dead member: it counts as left, and is not called any more.
    case forceLeave(NodeName)
    case updateMeta([UInt8])
    /// Gossip the application's bytes to everybody. They must fit a packet.
    case broadcast([UInt8])
    /// Send the application's bytes to one member, once.
    case send([UInt8], to: NodeName)
    /// What push/pulls carry for the application.
    case setUserState([UInt8])
    /// What acks carry for the application; nothing in serf's dialect.
    case setAckPayload([UInt8]?)
    /// Label or keys changed: what they add to a packet.
    case setPacketOverhead(Int)
}

/// What a core wants done.
package enum CoreEffect: Hashable, Sendable {
    case send(OutgoingPacket)
    /// Dial, send the ping, wait for an ack with its number; then `pingAnswer`, at `deadline` at the latest.
    case dialPing(dial: UInt64, to: GossipAddress, ping: Ping, deadline: Milliseconds)
    /// Dial, send the state, wait for one; then `pushPullAnswer`, at `deadline` at the latest.
    case dialPushPull(dial: UInt64, to: GossipAddress, state: PushPull, deadline: Milliseconds)
    /// Write the message on the stream, and close it.
    case answer(stream: UInt64, StreamMessage)
    case close(stream: UInt64)
    case notify(CoreNotice)
    /// Bring a `timer` event at this time; replaces the wish before.
    case wake(at: Milliseconds)
}

/// Messages for one packet.
package struct OutgoingPacket: Hashable, Sendable {
    package let address: GossipAddress
    /// The member that it goes to, if it is known.
    package let node: NodeName?
    /// Encoded, with their types; at least one.
    package let messages: [[UInt8]]
    /// Whether a checksum goes in front: the receiver's record says that it understands one.
    package let hasChecksum: Bool
    /// Octets that the application may still use, two of them for each message beside its own.
    package let room: Int
}

/// What the application is told.
package enum CoreNotice: Hashable, Sendable {
    case joined(Member)
    /// Metadata or address changed.
    case updated(Member)
    case left(Member)
    case failed(Member)
    case suspected(NodeName, by: NodeName)
    /// Another address claims the name of a member, or of this node; it is not taken.
    case conflict(Member, other: GossipAddress)
    /// This node was accused and objected.
    case refuted(incarnation: UInt32)
    /// An accusation of this node names an incarnation that is out of reach; it is not followed.
    case incarnationRefused(UInt32)
    case userMessage([UInt8], from: GossipAddress)
    /// A peer's part of a push/pull. `isJoin`: it, or we, joined by it.
    case userState([UInt8], isJoin: Bool)
    case ackPayload([UInt8], from: NodeName)
    /// The end of one dial of a `join`.
    case joinAnswered(GossipAddress, isMerged: Bool)
    /// A peer's view was refused: a member speaks what another one does not understand.
    case mergeRefused(VersionClash)
    /// A member answered by stream alone: packets to it, or from it, are lost.
    case answersByStreamOnly(NodeName)
    case leaveDone
}

/// Who speaks what not everybody understands.
package struct VersionClash: Hashable, Sendable {
    package let name: NodeName
    package let versions: ProtocolVersions
    /// What everybody understands; empty when least is above greatest.
    package let protocolMin: UInt8
    package let protocolMax: UInt8
    package let delegateMin: UInt8
    package let delegateMax: UInt8
}

/// What a core counts, from its start on.
package struct CoreCounters: Hashable, Sendable {
    package var probes = 0
    package var failedProbes = 0
    package var suspicions = 0
    package var deaths = 0
    /// Deaths that the node itself objected to later.
    package var falseDeaths = 0
    package var refutations = 0
    package var conflicts = 0
    package var pushPulls = 0
    package var failedPushPulls = 0
    /// Views asked for because an ack told of another one.
    package var viewRepairs = 0
    package var refusedMerges = 0
    package var packetsSent = 0
    /// Times that the process stood still for longer than a probe may take.
    package var pauses = 0
    // What was dropped, and why.
    package var invalidMembers = 0
    package var membersBeyondLimit = 0
    package var relaysBeyondLimit = 0
    package var dialsBeyondLimit = 0
    package var seedsBeyondLimit = 0
    package var foreignUserMessages = 0
    package var messagesTooLong = 0
    package var relayedUserMessages = 0

    package init() {}
}
