/// What the cluster door asks of the node's cluster. Values in and out; the composition root makes them of the gossip.
package protocol ClusterControl: Sendable {
    /// All known members, this node included, by name.
    func members() async throws(ClusterError) -> [ClusterMember]
    /// Dials these addresses (`HOST:PORT`), and returns when each has answered or its time is over. A node that has
    /// left comes back by it.
    ///
    /// - Returns: how many addresses they were, and which of them answered.
    func join(_ addresses: [String]) async throws(ClusterError) -> ClusterJoin
    /// Tells everybody that this node goes. It serves on, alone.
    func leave() async throws(ClusterError)
    /// Gives up a dead member.
    func forceLeave(_ name: String) async throws(ClusterError)
    func keys() async throws(ClusterError) -> ClusterKeys
    func changeKeys(_ change: ClusterKeyChange) async throws(ClusterError)
    /// Goes on to the next key of the passphrase.
    ///
    /// - Returns: its number.
    func rotateKeys() async throws(ClusterError) -> UInt32
    /// What this node has of everybody's registrations, and how far it agrees with the others.
    func sync() async throws(ClusterError) -> ClusterSync
    /// Asks all members what they have, and compares.
    func verify() async throws(ClusterError) -> ClusterVerification
    /// Whether ends of leases are held back when too many are due at once.
    func preserves() async throws(ClusterError) -> Bool
    func preserve(_ isOn: Bool) async throws(ClusterError)
    /// What happens to the members from now on. A reader that is too slow loses the newest, and should list again.
    func events() async throws(ClusterError) -> any AsyncSequence<ClusterEvent, Never> & Sendable
}

/// Why a wish about the cluster is not fulfilled.
package enum ClusterError: Error, Hashable, Sendable {
    /// This node was started without gossip.
    case off
    /// The node has left the cluster.
    case left
    /// The wish contradicts the state; why, and what to do.
    case refused(String)
    /// No member has this name.
    case unknownMember(String)
    /// What the client sent; the value is shown, unless it is a secret.
    case invalid(field: String, value: String?, expected: String)
    /// Not now; why.
    case unavailable(String)
}

/// A member of the cluster.
package struct ClusterMember: Sendable {
    package enum State: String, Sendable {
        case alive
        case suspect
        case dead
        case left
    }

    package var name: String
    /// `IP:PORT` of its gossip.
    package var address: String
    package var state: State
    /// `regdns`, what it calls itself, or empty.
    package var role = ""
    /// Of its program; empty when it does not say.
    package var version = ""
    /// Whether it answers; nil when it does not say.
    package var isReady: Bool?
    /// Of the last ping by packet; nil when there was none.
    package var roundTripMilliseconds: Double?
    /// When the state last changed, since 1970.
    package var sinceUnixMilliseconds: Int64
    package var incarnation: UInt32
    package var isSelf = false
    /// What it says of itself, by name.
    package var tags: [(name: String, value: String)] = []
    /// Metadata that are no tags, in hexadecimal.
    package var opaqueMetadata = ""

    package init(
        name: String, address: String, state: State, sinceUnixMilliseconds: Int64, incarnation: UInt32
    ) {
        self.name = name
        self.address = address
        self.state = state
        self.sinceUnixMilliseconds = sinceUnixMilliseconds
        self.incarnation = incarnation
    }
}

/// The end of a join.
package struct ClusterJoin: Hashable, Sendable {
    /// Addresses that were dialled.
    package var dialled: Int
    /// Those that answered.
    package var joined: [String]
    /// Whether the node is in a cluster now; not when it had left and nobody answered.
    package var isMember: Bool

    package init(dialled: Int, joined: [String], isMember: Bool = true) {
        self.dialled = dialled
        self.joined = joined
        self.isMember = isMember
    }
}

/// The keys, without telling them.
package struct ClusterKeys: Hashable, Sendable {
    package struct Key: Hashable, Sendable {
        package enum Kind: String, Sendable {
            case key
            case passphrase
        }

        package var kind: Kind
        package var fingerprint: String
        package var isPrimary: Bool

        package init(kind: Kind, fingerprint: String, isPrimary: Bool) {
            self.kind = kind
            self.fingerprint = fingerprint
            self.isPrimary = isPrimary
        }
    }

    /// The one that encrypts first; empty when nothing is encrypted.
    package var keys: [Key]
    /// Number of the passphrase's key.
    package var epoch: UInt32
    /// What a restart would forget of them, and what to do about it; nil for nothing.
    package var loss: String?

    package init(keys: [Key], epoch: UInt32, loss: String? = nil) {
        self.keys = keys
        self.epoch = epoch
        self.loss = loss
    }
}

/// One step of a rotation.
package enum ClusterKeyChange: Hashable, Sendable {
    case install([UInt8])
    case use([UInt8])
    case remove([UInt8])
}

/// How this node's registrations stand to the others'.
package struct ClusterSync: Sendable {
    package struct Origin: Hashable, Sendable {
        package var origin: UInt64
        package var head: UInt64
        package var floor: UInt64
        /// How many operations below the head are missing.
        package var gaps: Int
        package var hash: UInt64

        package init(origin: UInt64, head: UInt64, floor: UInt64, gaps: Int, hash: UInt64) {
            self.origin = origin
            self.head = head
            self.floor = floor
            self.gaps = gaps
            self.hash = hash
        }
    }

    package struct Peer: Hashable, Sendable {
        package var name: String
        /// When it was last seen to have what this node has, since 1970; nil: not yet.
        package var agreedUnixMilliseconds: Int64?

        package init(name: String, agreedUnixMilliseconds: Int64?) {
            self.name = name
            self.agreedUnixMilliseconds = agreedUnixMilliseconds
        }
    }

    /// `joining`, `syncing`, `ready`, ….
    package var phase: String
    /// This process's own.
    package var origin: UInt64
    package var contextHash: UInt64
    package var entriesHash: UInt64
    package var origins: [Origin]
    package var peers: [Peer] = []
    /// What waits, by name.
    package var queues: [(name: String, length: Int)] = []

    package init(phase: String, origin: UInt64, contextHash: UInt64, entriesHash: UInt64, origins: [Origin]) {
        self.phase = phase
        self.origin = origin
        self.contextHash = contextHash
        self.entriesHash = entriesHash
        self.origins = origins
    }
}

/// What the members have, beside each other.
package struct ClusterVerification: Hashable, Sendable {
    package struct Row: Hashable, Sendable {
        package enum Verdict: String, Sendable {
            /// It has what this node has.
            case equal
            /// One of the two lacks operations, which a sync will bring.
            case behind
            /// Both know the same operations and show different entries: a fault.
            case diverged
            /// It did not answer.
            case silent
        }

        package var name: String
        package var verdict: Verdict
        package var contextHash: UInt64?
        package var entriesHash: UInt64?

        package init(name: String, verdict: Verdict, contextHash: UInt64? = nil, entriesHash: UInt64? = nil) {
            self.name = name
            self.verdict = verdict
            self.contextHash = contextHash
            self.entriesHash = entriesHash
        }
    }

    package var contextHash: UInt64
    package var entriesHash: UInt64
    package var members: [Row]

    package init(contextHash: UInt64, entriesHash: UInt64, members: [Row]) {
        self.contextHash = contextHash
        self.entriesHash = entriesHash
        self.members = members
    }
}

/// Something that happened to the membership.
package struct ClusterEvent: Sendable {
    /// `joined`, `updated`, `suspected`, `failed`, `left`, `conflict`, ….
    package var name: String
    /// Whom it happened to; nil where only the name is known.
    package var member: ClusterMember?
    /// Its name.
    package var node: String
    /// What else there is to say; empty for nothing.
    package var detail: String

    package init(name: String, member: ClusterMember? = nil, node: String, detail: String = "") {
        self.name = name
        self.member = member
        self.node = node
        self.detail = detail
    }
}

/// A node without a cluster.
package struct NoCluster: ClusterControl {
    package init() {}

    package func members() async throws(ClusterError) -> [ClusterMember] { throw .off }
    package func join(_ addresses: [String]) async throws(ClusterError) -> ClusterJoin { throw .off }
    package func leave() async throws(ClusterError) { throw .off }
    package func forceLeave(_ name: String) async throws(ClusterError) { throw .off }
    package func keys() async throws(ClusterError) -> ClusterKeys { throw .off }
    package func changeKeys(_ change: ClusterKeyChange) async throws(ClusterError) { throw .off }
    package func rotateKeys() async throws(ClusterError) -> UInt32 { throw .off }
    package func sync() async throws(ClusterError) -> ClusterSync { throw .off }
    package func verify() async throws(ClusterError) -> ClusterVerification { throw .off }
    package func preserves() async throws(ClusterError) -> Bool { throw .off }
    package func preserve(_ isOn: Bool) async throws(ClusterError) { throw .off }
    package func events() async throws(ClusterError) -> any AsyncSequence<ClusterEvent, Never> & Sendable {
        throw .off
    }
}
