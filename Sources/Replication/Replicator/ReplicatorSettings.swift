/// How a node replicates. Times in milliseconds.
package struct ReplicatorSettings: Sendable {
    /// This node's name in the cluster.
    package var node: String
    /// Whether others are to be found: then the node is not ready before it has synced with them, or has looked for
    /// them for `soloAfter`.
    package var expectsPeers: Bool
    /// Others without which the node never becomes ready.
    package var minPeers = 0
    package var soloAfter: Int64 = 10_000
    /// Octets of a message that fits a packet.
    package var payloadMax = 1_300
    /// Members that an announcement goes to at a time.
    package var fanout = 3
    /// How often an announcement is sent by one node: this times the decimal digits of the cluster's size.
    package var sendsPerDigit = 3
    /// Octets of announcements that a node sends in a second, to all together. What does not fit is found by digests.
    package var announcedBytesPerSecond = 65_536
    /// Octets that queued announcements take.
    package var queuedBytesMax = 8 << 20
    /// How long an announcement may wait for its first packet.
    package var announcedWithin: Int64 = 2_000
    /// Whether the node writes however far its clock is off.
    package var allowsSkew = false
    /// Nil when every lease ends when its time is over.
    package var preservation: Preservation?

    package init(node: String, expectsPeers: Bool) {
        self.node = node
        self.expectsPeers = expectsPeers
    }

    // Fixed by the protocol's design rather than to be tuned.

    /// Pause between digests: while things change, when nothing did for `hotFor`, and when nothing did for `coldAfter`.
    static let hotPause: Int64 = 250
    static let calmPause: Int64 = 2_000
    static let coldPause: Int64 = 10_000
    static let hotFor: Int64 = 3_000
    static let coldAfter: Int64 = 60_000
    /// How long a difference may be one that announcements on their way will end.
    static let patience: Int64 = 150
    /// Pause between long digests to one peer.
    static let longPause: Int64 = 500
    /// Operations that are asked for by packets; more come over a stream.
    static let packetOperations: UInt64 = 40
    /// Packets that answer such a question.
    static let answerPackets = 4
    static let packetSessionsMax = 8
    static let packetSessionTime: Int64 = 1_000
    /// Streams pulled at a time.
    static let pullsMax = 2
    /// Pause after a pull that failed.
    static let pullPause: Int64 = 500
    /// Peers that a node syncs with before it is ready.
    static let bootstrapPeers = 2
    static let bootstrapTries = 5
    /// A pause between two ticks after which what the others have is not known any more, and how long answers wait for
    /// it at most.
    static let standstillMin: Int64 = 2_000
    static let doubtMax: Int64 = 3_000
    /// Leases whose adoption waits for a pull.
    static let adoptionsMax = 65_536
}
