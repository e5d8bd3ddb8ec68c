/// A domain name as the key of an index: wire form, uncompressed, ASCII letters in lower case (RFC 4343).
///
/// 1 to 255 octets, labels of 1 to 63. Equality, hash and order need no further folding. Use `DomainName` where the
/// letter case must survive.
public struct OwnerName: Hashable, Sendable {
    /// The name in wire form, closed by the root's zero octet.
    public let wire: [UInt8]

    /// The name of the root: one zero octet.
    public static let root = OwnerName(trusted: [0])

    init(trusted wire: [UInt8]) { self.wire = wire }

    /// Checks and folds one uncompressed name that fills `wire` exactly.
    public init(wire: [UInt8]) throws(WireError) {
        try NameBytes.validate(wire)
        var folded = wire
        NameBytes.fold(&folded)
        self.wire = folded
    }

    /// Reads dotted text with `\.` and `\DDD` escapes. A dot at the end makes no difference; `.` is the root. Octets
    /// above 127 are taken as they are (UTF-8, no IDNA).
    public init(_ text: String) throws(WireError) {
        var wire = try NameText.wire(text)
        NameBytes.fold(&wire)
        self.wire = wire
    }

    /// True for the name without labels.
    public var isRoot: Bool { wire.count == 1 }

    /// The number of labels, the root not counted. O(labels).
    public var labelCount: Int { NameBytes.labelCount(wire) }

    /// The labels from the leaf to the root, which itself is left out.
    public var labels: NameLabels { NameLabels(wire: wire) }

    /// True when this name is `other` or below it. O(length), no allocation.
    public func isSubdomain(of other: OwnerName) -> Bool { NameBytes.isSuffix(other.wire, of: wire) }

    /// The name without its first label; nil for the root. Allocates.
    public var parent: OwnerName? { isRoot ? nil : droppingFirst(1) }

    /// The name without its first `labels` labels; the root when there are not that many. Allocates.
    public func droppingFirst(_ labels: Int) -> OwnerName {
        OwnerName(trusted: Array(wire[NameBytes.offset(afterLabels: labels, in: wire)...]))
    }

    /// The name below this one with the given leaf label, which is folded. Throws when a limit is passed.
    public func prepending(label: some Collection<UInt8>) throws(WireError) -> OwnerName {
        var result = try NameBytes.prepending(label, to: wire)
        NameBytes.fold(&result)
        return OwnerName(trusted: result)
    }
}

extension OwnerName {
    /// Feeds eight octets at a time; names end themselves, so that no length is needed.
    public func hash(into hasher: inout Hasher) {
        let octets = wire.span.octets
        var at = 0
        while at &+ 8 <= octets.byteCount {
            hasher.combine(octets.uint64(at: at))
            at &+= 8
        }
        var rest: UInt64 = 0
        while at < octets.byteCount {
            rest = rest << 8 | UInt64(octets.octet(at: at))
            at &+= 1
        }
        hasher.combine(rest)
    }
}

extension OwnerName: Comparable {
    /// Canonical order: label by label from the root, as unsigned octets, shorter first (RFC 4034 §6.1).
    public static func < (a: OwnerName, b: OwnerName) -> Bool {
        let aLabels = Array(a.labels)
        let bLabels = Array(b.labels)
        for (left, right) in zip(aLabels.reversed(), bLabels.reversed()) where !left.elementsEqual(right) {
            return left.lexicographicallyPrecedes(right)
        }
        return aLabels.count < bLabels.count
    }
}

extension OwnerName: CustomStringConvertible {
    /// Dotted text with escapes and a dot at its end; `.` for the root.
    public var description: String { NameText.format(wire) }

    /// Dotted text without the dot at its end, as users write names in settings; `.` for the root.
    public var textWithoutFinalDot: String { isRoot ? "." : String(description.dropLast()) }
}
