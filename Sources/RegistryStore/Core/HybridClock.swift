/// Makes the versions of this process: hybrid logical time and the dots of one origin.
struct HybridClock: Sendable {
    /// How far a remote time may pull this clock ahead of the wall clock, in milliseconds.
    static let leadMax: Int64 = 10_000

    private(set) var origin: UInt64
    /// Greatest time given or taken over so far.
    private(set) var last: UInt64 = 0
    /// Dots given so far.
    private(set) var sequence: UInt64 = 0

    /// For tests of the tests alone: breaks one rule of replication.
    var plantedFault: PlantedFault?

    enum PlantedFault: Sendable {
        /// An expiry has the present time, not that of the write it ends.
        case expiryNow
        /// A write takes the clock only, not what it writes over.
        case noCausalBump
        /// A lease that runs here is given up when somebody else expires it.
        case noReassert
    }

    init(origin: UInt64) { self.origin = origin }

    /// Begins a new origin, as after a start of the process; time goes on.
    mutating func restart(origin: UInt64) {
        self.origin = origin
        sequence = 0
    }

    private static func pack(_ milliseconds: Int64) -> UInt64 {
        UInt64(min(max(milliseconds, 0), (1 << 48) - 1)) << 16
    }

    /// The version of a write or delete over `known` (the entry's or tombstone's). It is greater than that one whatever
    /// the clocks say, unless `known` is at the end of time.
    mutating func next(_ kind: OperationKind, over known: UInt64?, unix: Int64) -> Version {
        var hlc = max(Self.pack(unix), last)
        if let known, plantedFault != .noCausalBump { hlc = max(hlc, known == .max ? known : known + 1) }
        last = hlc
        return stamp(kind, hlc: hlc)
    }

    /// The least version greater than `known`, whatever the wall clock says: of an entry that is written again as it
    /// is. It beats that one and its expiry, and no write or delete that somebody asked for meanwhile.
    mutating func least(_ kind: OperationKind, over known: UInt64) -> Version {
        stamp(kind, hlc: known == .max ? known : known + 1)
    }

    /// The version of an expiry: the hybrid time of the very write that it ends, so that it beats nothing newer.
    mutating func expiry(of version: Version, unix: Int64) -> Version {
        guard plantedFault != .expiryNow else { return next(.expiry, over: version.hlc, unix: unix) }
        return stamp(.expiry, hlc: version.hlc)
    }

    private mutating func stamp(_ kind: OperationKind, hlc: UInt64) -> Version {
        sequence += 1
        return Version(hlc: hlc, kind: kind, origin: origin, sequence: sequence)
    }

    /// Takes over the greatest time of an earlier process of this node.
    mutating func restore(_ hlc: UInt64) { last = max(last, hlc) }

    /// Takes over the time of a remote operation, as far as it is not absurd.
    mutating func observe(_ hlc: UInt64, unix: Int64) {
        last = max(last, min(hlc, Self.pack(unix &+ Self.leadMax)))
    }
}
