/// Consecutive operations of one process.
package struct DotRange: Hashable, Sendable {
    package var origin: UInt64
    package var sequences: ClosedRange<UInt64>

    package init(origin: UInt64, sequences: ClosedRange<UInt64>) {
        self.origin = origin
        self.sequences = sequences
    }
}

/// A set of operations given as ranges, in any order; looked up in O(log ranges).
struct DotSet: Sendable {
    private let ranges: [DotRange]

    init(_ ranges: [DotRange]) {
        let sorted = ranges.sorted {
            ($0.origin, $0.sequences.lowerBound, $0.sequences.upperBound)
                < ($1.origin, $1.sequences.lowerBound, $1.sequences.upperBound)
        }
        var merged: [DotRange] = []
        for range in sorted {
            if let last = merged.last, last.origin == range.origin,
                range.sequences.lowerBound <= last.sequences.upperBound
            {
                let upper = max(last.sequences.upperBound, range.sequences.upperBound)
                merged[merged.count - 1].sequences = last.sequences.lowerBound...upper
            } else {
                merged.append(range)
            }
        }
        self.ranges = merged
    }

    func contains(_ dot: Dot) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            let range = ranges[middle]
            if (range.origin, range.sequences.upperBound) < (dot.origin, dot.sequence) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low < ranges.count && ranges[low].origin == dot.origin && ranges[low].sequences.contains(dot.sequence)
    }
}
