package import Memberlist

/// What nodes that replicate tell of themselves in their metadata.
package enum ReplicationTags {
    /// Versions of frames that this program reads.
    package static let versions = Frame.version...Frame.version

    /// The tags without which a member is no peer.
    ///
    /// - Parameter origin: of the operations that this process makes.
    package static func tags(origin: UInt64) -> [String: String] {
        [
            "role": "regdns", "rd": "\(versions.lowerBound)-\(versions.upperBound)",
            "o": String(origin, radix: 16),
        ]
    }

    /// The tag by which a node says whether it is ready: `1` or `0`.
    package static let readyTag = "r"

    /// Whether a member says that it has what there is to have.
    static func isReady(_ member: Member) -> Bool { MemberTags.decode(member.meta)?[readyTag] == "1" }

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
