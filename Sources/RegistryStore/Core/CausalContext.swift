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

        fileprivate init(head: UInt64, gaps: [ClosedRange<UInt64>]) {
            self.head = head
            self.gaps = gaps
        }

        /// What a peer says of an origin. Nil unless the gaps ascend, lie from 1 to below the head, and do not touch.
        package init?(head: UInt64, checking gaps: [ClosedRange<UInt64>]) {
            guard head > 0 else { return nil }
            var last: UInt64?
            for gap in gaps {
                guard gap.lowerBound > 0, gap.upperBound < head else { return nil }
                // Two gaps without a dot between them would be one. Below the head there is a number to add.
                if let last, gap.lowerBound <= last + 1 { return nil }
                last = gap.upperBound
            }
            self.init(head: head, gaps: gaps)
        }

        /// Everything up to here has been taken over.
        package var completeHead: UInt64 { gaps.first.map { $0.lowerBound - 1 } ?? head }

        /// How many operations below the head are missing, 2³² - 1 at most.
        package var missing: Int {
            gaps.reduce(0) { sum, gap in
                min(sum + Int(min(gap.upperBound - gap.lowerBound, UInt64(UInt32.max))) + 1, Int(UInt32.max))
            }
        }
    }

    package private(set) var origins: [UInt64: Origin] = [:]
    private let originsMax: Int
    private let gapsMax: Int

    package init(limits: RegistryLimits) {
        originsMax = limits.maxOrigins
        gapsMax = limits.maxGapsPerOrigin
    }

    /// Whether the operation has been taken over. O(log gaps).
    package func contains(origin: UInt64, sequence: UInt64) -> Bool {
        guard let known = origins[origin], sequence <= known.head else { return false }
        let index = Self.firstGap(notBelow: sequence, in: known.gaps)
        return index == known.gaps.count || known.gaps[index].lowerBound > sequence
    }

    /// Remembers an operation; false when a bound keeps it from that. O(gaps) at worst.
    @discardableResult
    mutating func insert(origin: UInt64, sequence: UInt64) -> Bool {
        guard sequence > 0 else { return false }
        guard origins[origin] != nil else {
            guard origins.count < originsMax else { return false }
            origins[origin] = Origin(head: sequence, gaps: sequence > 1 ? [1...(sequence - 1)] : [])
            return true
        }
        return origins[origin]?.insert(sequence, gapsMax: gapsMax) ?? false
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

    /// Remembers everything up to a sequence, as a process does of itself.
    mutating func setAll(origin: UInt64, through head: UInt64) {
        guard head > 0, origins[origin] != nil || origins.count < originsMax else { return }
        origins[origin] = Origin(head: head, gaps: [])
    }

    /// Forgets an origin, after which all its operations are unknown.
    mutating func forget(origin: UInt64) { origins[origin] = nil }

    mutating func forgetAll() { origins = [:] }

    /// Puts what another node knows of an origin beside what is known here. The lowest gaps stay when there would be
    /// too many; what lies above them is forgotten and comes again.
    mutating func join(_ origin: UInt64, _ other: Origin) {
        guard other.head > 0 else { return }
        guard let known = origins[origin] else {
            if origins.count < originsMax { origins[origin] = other.bounded(gapsMax: gapsMax) }
            return
        }
        origins[origin] = known.union(other).bounded(gapsMax: gapsMax)
    }

    mutating func join(_ other: CausalContext) {
        for (origin, known) in other.sorted { join(origin, known) }
    }

    /// What is known of each origin, by ascending origin.
    package var sorted: [(origin: UInt64, known: Origin)] {
        origins.sorted { $0.key < $1.key }.map { (origin: $0.key, known: $0.value) }
    }

    /// The first sequence from `sequence` on that has not been taken over; nil when there is none.
    func firstMissing(origin: UInt64, from sequence: UInt64) -> UInt64? {
        let sequence = max(sequence, 1)
        guard let known = origins[origin], sequence <= known.head else { return sequence }
        let index = Self.firstGap(notBelow: sequence, in: known.gaps)
        if index < known.gaps.count { return max(sequence, known.gaps[index].lowerBound) }
        return known.head == .max ? nil : known.head + 1
    }

    /// Everything up to here has been taken over.
    package func completeHead(origin: UInt64) -> UInt64 { origins[origin]?.completeHead ?? 0 }

    /// The first gap that ends at or after the sequence.
    fileprivate static func firstGap(notBelow sequence: UInt64, in gaps: [ClosedRange<UInt64>]) -> Int {
        var low = 0
        var high = gaps.count
        while low < high {
            let middle = (low + high) / 2
            if gaps[middle].upperBound < sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension CausalContext.Origin {
    /// Remembers one sequence; false when there would be too many gaps.
    fileprivate mutating func insert(_ sequence: UInt64, gapsMax: Int) -> Bool {
        if sequence > head {
            if sequence - head > 1 {
                guard gaps.count < gapsMax else { return false }
                gaps.append((head + 1)...(sequence - 1))
            }
            head = sequence
            return true
        }
        let index = CausalContext.firstGap(notBelow: sequence, in: gaps)
        guard index < gaps.count, gaps[index].lowerBound <= sequence else { return true }
        let gap = gaps[index]
        switch (gap.lowerBound < sequence, gap.upperBound > sequence) {
        case (false, false): gaps.remove(at: index)
        case (true, false): gaps[index] = gap.lowerBound...(sequence - 1)
        case (false, true): gaps[index] = (sequence + 1)...gap.upperBound
        case (true, true):
            guard gaps.count < gapsMax else { return false }
            gaps[index] = gap.lowerBound...(sequence - 1)
            gaps.insert((sequence + 1)...gap.upperBound, at: index + 1)
        }
        return true
    }

    /// Missing are the sequences that both miss.
    fileprivate func union(_ other: Self) -> Self {
        let greater = max(head, other.head)
        let mine = missing(below: greater)
        let theirs = other.missing(below: greater)
        var gaps: [ClosedRange<UInt64>] = []
        var (i, j) = (0, 0)
        while i < mine.count, j < theirs.count {
            let lower = max(mine[i].lowerBound, theirs[j].lowerBound)
            let upper = min(mine[i].upperBound, theirs[j].upperBound)
            if lower <= upper { gaps.append(lower...upper) }
            if mine[i].upperBound < theirs[j].upperBound { i += 1 } else { j += 1 }
        }
        return Self(head: greater, gaps: gaps)
    }

    /// The gaps, and what lies between the head and `other`, the head of somebody who knows more.
    private func missing(below other: UInt64) -> [ClosedRange<UInt64>] {
        head < other ? gaps + [(head + 1)...other] : gaps
    }

    fileprivate func bounded(gapsMax: Int) -> Self {
        guard gaps.count > gapsMax else { return self }
        return Self(head: gaps[gapsMax].lowerBound - 1, gaps: Array(gaps[..<gapsMax]))
    }
}
