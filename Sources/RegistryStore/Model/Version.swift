/// What an operation did to its key; greater wins when the hybrid clocks are equal.
package enum OperationKind: UInt8, Comparable, Sendable {
    case write = 0
    case expiry = 1
    case delete = 2

    package static func < (a: OperationKind, b: OperationKind) -> Bool { a.rawValue < b.rawValue }
}

/// The replicated version of an entry: a total order, compared from left to right. It changes only with content.
///
/// `hlc` is a hybrid logical clock: 48 bits of Unix milliseconds, 16 bits of counter. `origin` is random per process
/// start; `sequence` counts the origin's operations from 1 without holes.
package struct Version: Hashable, Comparable, Sendable {
    package var hlc: UInt64
    package var kind: OperationKind
    package var origin: UInt64
    package var sequence: UInt64

    package init(hlc: UInt64, kind: OperationKind, origin: UInt64, sequence: UInt64) {
        self.hlc = hlc
        self.kind = kind
        self.origin = origin
        self.sequence = sequence
    }

    /// Whether both are of one write: it may have been written again as it was, which keeps its milliseconds.
    package func isOfSameWrite(as other: Version) -> Bool { hlc >> 16 == other.hlc >> 16 }

    package static func < (a: Version, b: Version) -> Bool {
        (a.hlc, a.kind.rawValue, a.origin, a.sequence) < (b.hlc, b.kind.rawValue, b.origin, b.sequence)
    }
}
