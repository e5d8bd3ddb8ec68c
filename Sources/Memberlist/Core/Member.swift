/// A node as this one knows it.
package struct Member: Hashable, Sendable {
    package let name: NodeName
    package internal(set) var address: GossipAddress
    package internal(set) var meta: [UInt8]
    package internal(set) var versions: ProtocolVersions
    package internal(set) var incarnation: UInt32
    package internal(set) var state: NodeState
    /// When the state last changed.
    package internal(set) var since: Milliseconds
    /// Runs while the state is suspect.
    var suspicion: Suspicion?
    /// serf's time of the word that it leaves; its end is a leave then, not a failure.
    var leaveTime: UInt64?
}

/// The time an accused node has to object, which shrinks with each independent accuser.
struct Suspicion: Hashable, Sendable {
    var start: Milliseconds
    let shortest: Milliseconds
    let longest: Milliseconds
    /// How many confirmations make it as short as it gets.
    let wanted: Int
    /// The first accuser, and those who confirmed.
    private(set) var accusers: [NodeName]

    init(by accuser: NodeName, start: Milliseconds, shortest: Milliseconds, longest: Milliseconds, wanted: Int) {
        self.start = start
        self.shortest = shortest
        self.longest = longest
        self.wanted = wanted
        accusers = [accuser]
    }

    var deadline: Milliseconds {
        start
            + GossipFormulas.suspicion(
                min: shortest, max: longest, confirmations: accusers.count - 1, wanted: wanted)
    }

    /// - Returns: whether this accuser was new and still wanted; then the others should hear of it.
    mutating func confirm(_ accuser: NodeName) -> Bool {
        guard accusers.count - 1 < wanted, !accusers.contains(accuser) else { return false }
        accusers.append(accuser)
        return true
    }
}
