/// Which operations of which processes have been taken over: per origin the greatest sequence and the holes below it.
///
/// An operation that is in the context is ignored when it comes again, even after its tombstone has been given up.
/// Bounded: an operation that would need a further origin or hole is simply not remembered; applying it again then does
/// no harm while its key's version is known.
package struct CausalContext: Hashable, Sendable {
    /// What is known of one origin.
    package struct Origin: Hashable, Sendable {
        /// The greatest sequence taken over.
        package fileprivate(set) var head: UInt64
        /// Ranges of sequences below `head` that are missing, ascending.
        package fileprivate(set) var gaps: [ClosedRange<UInt64>]
    }

    package private(set) var origins: [UInt64: Origin] = [:]
    private let originsMax: Int
    private let gapsMax: Int

    init(limits: RegistryLimits) {
        originsMax = limits.maxOrigins
        gapsMax = limits.maxGapsPerOrigin
    }

    /// Whether the operation has been taken over. O(log gaps).
    package func contains(origin: UInt64, sequence: UInt64) -> Bool {
        guard let known = origins[origin], sequence <= known.head else { return false }
        let index = Self.firstGap(notBelow: sequence, in: known.gaps)
        return index == known.gaps.count || known.gaps[index].lowerBound > sequence
    }

    /// Remembers an operation. O(gaps).
    mutating func insert(origin: UInt64, sequence: UInt64) {
        guard sequence > 0 else { return }
        guard var known = origins[origin] else {
            guard origins.count < originsMax else { return }
            origins[origin] = Origin(head: sequence, gaps: sequence > 1 ? [1...(sequence - 1)] : [])
            return
        }
        if sequence > known.head {
            if sequence - known.head > 1 {
                guard known.gaps.count < gapsMax else { return }
                known.gaps.append((known.head + 1)...(sequence - 1))
            }
            known.head = sequence
        } else {
            let index = Self.firstGap(notBelow: sequence, in: known.gaps)
            guard index < known.gaps.count, known.gaps[index].lowerBound <= sequence else { return }
            let gap = known.gaps[index]
            var rest: [ClosedRange<UInt64>] = []
            if gap.lowerBound < sequence { rest.append(gap.lowerBound...(sequence - 1)) }
            if gap.upperBound > sequence { rest.append((sequence + 1)...gap.upperBound) }
            guard known.gaps.count - 1 + rest.count <= gapsMax else { return }
            known.gaps.replaceSubrange(index...index, with: rest)
        }
        origins[origin] = known
    }

    /// Takes over what an earlier process knew of an origin; gaps that are none are left out.
    mutating func restore(origin: UInt64, head: UInt64, gaps: [ClosedRange<UInt64>]) {
        guard head > 0, origins.count < originsMax || origins[origin] != nil else { return }
        var kept: [ClosedRange<UInt64>] = []
        for gap in gaps where gap.lowerBound > (kept.last?.upperBound ?? 0) && gap.upperBound < head {
            kept.append(gap)
        }
        origins[origin] = Origin(head: head, gaps: kept)
    }

    /// The first gap that ends at or after the sequence.
    private static func firstGap(notBelow sequence: UInt64, in gaps: [ClosedRange<UInt64>]) -> Int {
        var low = 0
        var high = gaps.count
        while low < high {
            let middle = (low + high) / 2
            if gaps[middle].upperBound < sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
