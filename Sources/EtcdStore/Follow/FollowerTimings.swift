/// How long the follower waits for what, in milliseconds.
package struct FollowerTimings: Sendable {
    /// Cold and without a quorum for so long: a list of one member's own state will do.
    package var coldSerializable: Int64 = 10_000
    /// A watch that was asked for must be there after so long.
    package var watchCreation: Int64 = 5_000
    /// Between two questions whether the watch is alive.
    package var progress: Int64 = 15_000
    /// A watch without any message for so long is dead.
    package var silence: Int64 = 45_000
    /// Between two lists that are compared with the table, give or take a tenth.
    package var audit: Int64 = 600_000
    /// Between the end of such a list and the comparison: what is on its way is no fault.
    package var auditGrace: Int64 = 1_000
    /// The first and the longest pause before another try; each is chosen at random below the bound, which grows by
    /// 1.6.
    package var backoffMin: Int64 = 50
    package var backoffMax: Int64 = 5_000
    /// A watch that lasted so long makes the next pause short again.
    package var goodWatch: Int64 = 30_000

    package init() {}
}
