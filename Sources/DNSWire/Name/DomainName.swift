/// A domain name with its letter case kept: names in RDATA, in forwarded answers and in questions that are echoed.
///
/// 1 to 255 octets of uncompressed wire form. Equality is by octets; compare `folded` to ask whether two are the same
/// name (RFC 4343).
public struct DomainName: Hashable, Sendable {
    /// The name in wire form, closed by the root's zero octet.
    public let wire: [UInt8]

    /// The name of the root: one zero octet.
    public static let root = DomainName(trusted: [0])

    init(trusted wire: [UInt8]) { self.wire = wire }

    /// Checks one uncompressed name that fills `wire` exactly.
    public init(wire: [UInt8]) throws(WireError) {
        try NameBytes.validate(wire)
        self.wire = wire
    }

    /// Reads dotted text with `\.` and `\DDD` escapes. A dot at the end makes no difference; `.` is the root.
    public init(_ text: String) throws(WireError) {
        self.wire = try NameText.wire(text)
    }

    /// The same name in lower case.
    public init(_ owner: OwnerName) {
        self.wire = owner.wire
    }

    /// True for the name without labels.
    public var isRoot: Bool { wire.count == 1 }

    /// The number of labels, the root not counted. O(labels).
    public var labelCount: Int { NameBytes.labelCount(wire) }

    /// The labels from the leaf to the root, which itself is left out.
    public var labels: NameLabels { NameLabels(wire: wire) }

    /// The name in lower case, to look it up or to compare it.
    public var folded: OwnerName {
        var result = wire
        NameBytes.fold(&result)
        return OwnerName(trusted: result)
    }
}

extension DomainName: CustomStringConvertible {
    /// Dotted text with escapes and a dot at its end; `.` for the root.
    public var description: String { NameText.format(wire) }
}
