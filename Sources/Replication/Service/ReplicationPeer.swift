package import Memberlist

/// What nodes that replicate tell of themselves in their metadata: tags, as serf's.
package enum ReplicationTags {
    /// Versions of frames that this program reads.
    package static let versions: ClosedRange<UInt8> = 1...1

    /// - Parameter others: further tags, for people and other programs.
    package static func meta(origin: UInt64, others: [String: String] = [:]) -> [UInt8] {
        var tags = others
        tags["role"] = "regdns"
        tags["rd"] = "\(versions.lowerBound)-\(versions.upperBound)"
        tags["o"] = String(origin, radix: 16)
        return MemberTags.encode(tags)
    }

    /// Whether a member speaks this protocol, as far as its metadata tells.
    package static func isPeer(_ member: Member) -> Bool {
        guard let tags = MemberTags.decode(member.meta), tags["role"] == "regdns", let range = tags["rd"] else {
            return false
        }
        let bounds = range.split(separator: "-").compactMap { UInt8($0) }
        guard bounds.count == 2, bounds[0] <= bounds[1] else { return false }
        return (bounds[0]...bounds[1]).overlaps(versions)
    }
}
