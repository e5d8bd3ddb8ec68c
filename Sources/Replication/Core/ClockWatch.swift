package import RegistryStore

/// How far this node's wall clock is from the others', by the times that their digests carry, and whether it may still
/// make versions.
package struct ClockWatch: Sendable {
    /// Beyond this many milliseconds an operator is warned.
    package static let warnAt: Int64 = 500
    /// Beyond this many the node makes no versions.
    package static let fenceAt: Int64 = 5000
    /// A fenced node is free again below this.
    package static let freeAt: Int64 = 4500
    /// How long a peer's word counts.
    static let window: Int64 = 60_000
    static let samplesMax = 16
    static let peersMax = 4096

    package enum Verdict: Hashable, Sendable {
        /// Nobody to compare with, or all is well.
        case fine
        case warn(offset: Int64)
        /// `Registry.setFence` with this.
        case fence(WriteFence)
    }

    /// Whether the node goes on writing whatever its clock shows (`--allow-skew`).
    private let allowsSkew: Bool
    private var samples: [String: [Sample]] = [:]
    private var isFenced = false

    private struct Sample: Sendable {
        let at: Int64
        /// The peer's wall clock minus this node's monotonic one: it stays right when this node's wall clock is set.
        let difference: Int64
    }

    package init(allowsSkew: Bool) { self.allowsSkew = allowsSkew }

    /// Takes in what a peer's clock showed when it sent something that has just arrived.
    package mutating func heard(from peer: String, sentUnix: Int64, now: Moment) {
        guard samples[peer] != nil || samples.count < Self.peersMax else { return }
        let difference = sentUnix.subtractingReportingOverflow(now.monotonic)
        guard !difference.overflow else { return }
        var kept = recent(samples[peer] ?? [], now: now.monotonic).suffix(Self.samplesMax - 1)
        kept.append(Sample(at: now.monotonic, difference: difference.partialValue))
        samples[peer] = Array(kept)
    }

    private func recent(_ samples: [Sample], now: Int64) -> [Sample] {
        samples.filter { now &- $0.at < Self.window }
    }

    /// The median of the peers' clocks minus this node's, in milliseconds; nil when nobody was heard lately. Of each
    /// peer the sample counts that was the shortest time on its way. With one peer nobody can say whose clock is wrong;
    /// with two the lesser difference counts.
    package func offset(now: Moment) -> Int64? {
        let offsets = samples.values.compactMap { recent($0, now: now.monotonic).map(\.difference).max() }
            .compactMap { offset(of: $0, now: now) }.sorted()
        guard !offsets.isEmpty else { return nil }
        let middle = offsets.count / 2
        guard offsets.count.isMultiple(of: 2) else { return offsets[middle] }
        return offsets[middle - 1].magnitude <= offsets[middle].magnitude ? offsets[middle - 1] : offsets[middle]
    }

    private func offset(of difference: Int64, now: Moment) -> Int64? {
        let offset = difference.subtractingReportingOverflow(now.unix &- now.monotonic)
        return offset.overflow ? nil : offset.partialValue
    }

    /// When this node's clock showed what a peer's did, for a time that the peer's clock showed when it sent something
    /// that has just arrived: of all that is known of the peer's clock, by what makes the message the youngest.
    package func ownTime(of sentUnix: Int64, from peer: String, now: Moment) -> Int64 {
        let offsets = recent(samples[peer] ?? [], now: now.monotonic).compactMap { offset(of: $0.difference, now: now) }
        let times = ([0] + offsets).compactMap { offset -> Int64? in
            let time = sentUnix.subtractingReportingOverflow(offset)
            return time.overflow ? nil : time.partialValue
        }
        return times.max() ?? sentUnix
    }

    /// What follows; to be asked once a second or so.
    package mutating func verdict(now: Moment) -> Verdict {
        samples = samples.filter { !recent($0.value, now: now.monotonic).isEmpty }
        guard let offset = offset(now: now) else {
            isFenced = false
            return .fine
        }
        isFenced = !allowsSkew && offset.magnitude > UInt64(isFenced ? Self.freeAt : Self.fenceAt)
        if isFenced { return .fence(WriteFence(offsetMilliseconds: offset)) }
        return offset.magnitude > UInt64(Self.warnAt) ? .warn(offset: offset) : .fine
    }
}
