/// What the network does to what is sent over it.
package struct NetworkFaults {
    /// Milliseconds of one way, evenly spread.
    package var latency: ClosedRange<Int64> = 1...3
    /// How many packets of a hundred are lost. On streams each loss is a delay of `retransmit`.
    package var lossPercent = 0
    /// How many packets of a hundred come twice.
    package var duplicatePercent = 0
    /// A stream's wait for a lost segment.
    package var retransmit: Int64 = 200
    /// Packets that wait at a process that stands still; more are dropped, as by a full socket.
    package var pausedInbox = 200

    package init() {}
}

/// A direction between two nodes, by their numbers.
struct Direction: Hashable {
    let from: Int
    let to: Int
}
