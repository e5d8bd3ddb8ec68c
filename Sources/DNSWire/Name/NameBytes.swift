/// Rules shared by `OwnerName` and `DomainName`: an uncompressed name is labels of 1 to 63 octets, each behind its
/// length, closed by a zero octet; 255 octets at most (RFC 1035 §3.1).
enum NameBytes {
    /// The longest name in wire form, the closing zero included.
    static let lengthMax = 255
    /// The longest label.
    static let labelMax = 63

    /// Checks that `wire` is exactly one uncompressed name. O(labels).
    static func validate(_ wire: [UInt8]) throws(WireError) {
        guard wire.count <= lengthMax else { throw .nameTooLong(offset: lengthMax) }
        var at = 0
        while at < wire.count {
            let length = Int(wire[at])
            if length == 0 {
                guard at == wire.count - 1 else { throw .trailingOctets(offset: at + 1) }
                return
            }
            if length > labelMax {
                throw length >= 0xc0 ? .badPointer(offset: at) : .reservedLabelType(offset: at)
            }
            at += length + 1
        }
        throw .truncated(offset: wire.count)
    }

    /// Lower-cases ASCII letters. Length octets are at most 63 and therefore never letters.
    static func fold(_ wire: inout [UInt8]) {
        for index in wire.indices where isUpper(wire[index]) { wire[index] |= 0x20 }
    }

    static func isUpper(_ octet: UInt8) -> Bool { octet &- 0x41 < 26 }

    static func labelCount(_ wire: [UInt8]) -> Int {
        var count = 0
        var at = 0
        while at < wire.count, wire[at] != 0 {
            at += Int(wire[at]) + 1
            count += 1
        }
        return count
    }

    /// Where the name without its first `labels` labels begins; the closing zero when there are fewer.
    static func offset(afterLabels labels: Int, in wire: [UInt8]) -> Int {
        var at = 0
        var left = labels
        while left > 0, at < wire.count, wire[at] != 0 {
            at += Int(wire[at]) + 1
            left -= 1
        }
        return at
    }

    /// `wire` with one label in front of it.
    static func prepending(_ label: some Collection<UInt8>, to wire: [UInt8]) throws(WireError) -> [UInt8] {
        let count = label.count
        guard count > 0 else { throw .emptyLabel(offset: 0) }
        guard count <= labelMax else { throw .labelTooLong(offset: 0) }
        guard count + 1 + wire.count <= lengthMax else { throw .nameTooLong(offset: count + 1) }
        var result: [UInt8] = []
        result.reserveCapacity(count + 1 + wire.count)
        result.append(UInt8(count))
        result.append(contentsOf: label)
        result.append(contentsOf: wire)
        return result
    }

    /// True when `parent` is `wire` or one of its ancestors; both folded. O(length), no allocation.
    static func isSuffix(_ parent: [UInt8], of wire: [UInt8]) -> Bool {
        let skipped = wire.count - parent.count
        guard skipped >= 0 else { return false }
        var at = 0
        while at < skipped { at += Int(wire[at]) + 1 }
        return at == skipped && wire[skipped...].elementsEqual(parent)
    }
}

/// The labels of a name from the leaf to the root, which itself is left out. Each is a slice of the wire form.
public struct NameLabels: Sequence, Sendable {
    let wire: [UInt8]

    /// Walks the labels of one name.
    public struct Iterator: IteratorProtocol {
        let wire: [UInt8]
        var at = 0

        /// The next label, or nil before the root.
        public mutating func next() -> ArraySlice<UInt8>? {
            guard at < wire.count, wire[at] != 0 else { return nil }
            let start = at + 1
            at = start + Int(wire[at])
            return wire[start..<at]
        }
    }

    /// Starts at the leaf.
    public func makeIterator() -> Iterator { Iterator(wire: wire) }
}
