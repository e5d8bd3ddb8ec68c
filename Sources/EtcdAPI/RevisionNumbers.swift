/// How the store's revisions of this node show as etcd's: v2 indices and v3 revisions are the same numbers.
///
/// A number is `tag × 2^45 + n`. The tag belongs to a node; n goes on from where an earlier process may have stopped.
/// All numbers are below 2^53, so that clients which read JSON numbers as floating point lose nothing. The start of a
/// process is a compaction: whatever a client has seen before it, or on a node with another tag, must be listed again.
package struct RevisionNumbers: Sendable, Hashable {
    /// What a number from a client means here.
    package enum Meaning: Sendable, Hashable {
        /// A number of this process and the store's revision for it. Whether its history is kept is the store's to say.
        case known(revision: Int64)
        /// Older than this process, or of another node: its history is not here.
        case compacted
        /// A number that this process will give out when the store reaches this revision.
        case future(revision: Int64)
    }

    /// Bits of a number below its tag.
    package static let countBits: Int64 = 45
    private static let countMask: Int64 = 1 << countBits - 1
    /// Start of 2020 in Unix milliseconds, from where n counts: with tag 0 numbers keep to 12 digits until 2051, and
    /// the names that `POST` makes of them keep the zeros in front by which clients know them.
    static let epoch: Int64 = 1_577_836_800_000

    /// This node's mark in all its numbers.
    package let tag: UInt8
    /// The number of the store's revision 0: that of a process which has not written yet.
    package let boot: Int64

    /// - Parameters:
    ///   - tag: the node's tag; 0 until membership hands out others.
    ///   - startUnixMilliseconds: when this process started. n from there, less the epoch, grows over restarts as long
    ///     as a node does not average 1,000 changes a second for its whole life.
    ///   - reservedThrough: the highest n that earlier processes may have used, from a state file; 0 without one.
    package init(tag: UInt8 = 0, startUnixMilliseconds: Int64, reservedThrough: Int64 = 0) {
        self.tag = tag
        // A clock or a file that is far off must not reach into the tag: half of the numbers are left to count with.
        let start = max(max(startUnixMilliseconds, 0) - Self.epoch, min(reservedThrough, Self.countMask) + 1)
        boot = Int64(tag) << Self.countBits | min(max(start, 1), Self.countMask / 2)
    }

    private init(tag: UInt8 = 0, boot: Int64) {
        self.tag = tag
        self.boot = boot
    }

    /// The same numbers with another node's mark.
    package func tagged(_ tag: UInt8) -> RevisionNumbers {
        RevisionNumbers(tag: tag, boot: Int64(tag) << Self.countBits | firstCount)
    }

    /// Those of a registry that is the copy of an etcd cluster: the revisions are the cluster's as they are.
    package static let clusters = RevisionNumbers(boot: 0)

    /// The number of revision 0 without the tag: what is reserved on a disk counts from there.
    package var firstCount: Int64 { boot & Self.countMask }

    /// etcd's number for a revision of the store, which must not be negative.
    package func number(of revision: Int64) -> Int64 { boot &+ revision }

    /// What a number from a client means.
    ///
    /// - Parameter current: the store's revision now.
    package func meaning(of number: Int64, current: Int64) -> Meaning {
        guard number >= boot, number >> Self.countBits == Int64(tag) else { return .compacted }
        let revision = number - boot
        return revision > current ? .future(revision: revision) : .known(revision: revision)
    }
}
