import Basics

/// Addresses as text: dotted quads, and IPv6 as RFC 4291 §2.2 reads and RFC 5952 writes it.
public enum IPAddressText {
    /// Reads four decimal numbers without leading zeros; nil for anything else. The result is in host byte order.
    public static func ipv4(_ text: some Collection<UInt8>) -> UInt32? { ipv4(Array(text)[...]) }

    /// As for any collection, without a copy.
    public static func ipv4(_ text: ArraySlice<UInt8>) -> UInt32? {
        var address: UInt32 = 0
        var parts = 0
        var value = 0
        var digits = 0
        for octet in text {
            if NameText.isDigit(octet) {
                if digits == 1, value == 0 { return nil }
                value = value * 10 + Int(octet - 0x30)
                digits += 1
                guard value <= 255 else { return nil }
            } else {
                guard octet == dot, digits > 0, parts < 3 else { return nil }
                address = address << 8 | UInt32(value)
                parts += 1
                value = 0
                digits = 0
            }
        }
        guard parts == 3, digits > 0 else { return nil }
        return address << 8 | UInt32(value)
    }

    /// Reads an IPv6 address, with `::` and a dotted quad at its end allowed; nil for anything else, zones included.
    public static func ipv6(_ text: some Collection<UInt8>) -> (high: UInt64, low: UInt64)? { ipv6(Array(text)[...]) }

    /// As for any collection, without a copy.
    public static func ipv6(_ text: ArraySlice<UInt8>) -> (high: UInt64, low: UInt64)? {
        var groups: [UInt16] = []
        var gap: Int?
        var at = text.startIndex
        if text.starts(with: [colon, colon]) {
            gap = 0
            at += 2
        }
        while at < text.endIndex {
            guard groups.count < 8 else { return nil }
            let end = text[at...].firstIndex(of: colon) ?? text.endIndex
            if end == text.endIndex, text[at...].contains(dot) {
                guard let quad = ipv4(text[at...]) else { return nil }
                groups += [UInt16(quad >> 16), UInt16(quad & 0xffff)]
                at = end
                break
            }
            guard let group = hexGroup(text[at..<end]) else { return nil }
            groups.append(group)
            at = end
            guard at < text.endIndex else { break }
            at += 1
            // A colon needs something behind it: a group, or the one other colon.
            guard at < text.endIndex else { return nil }
            if text[at] == colon {
                guard gap == nil else { return nil }
                gap = groups.count
                at += 1
            }
        }
        if let gap {
            guard groups.count < 8 else { return nil }
            groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        return (join(groups[..<4]), join(groups[4...]))
    }

    /// The dotted quad of an address in host byte order.
    public static func format(ipv4 address: UInt32) -> String {
        "\(address >> 24).\(address >> 16 & 0xff).\(address >> 8 & 0xff).\(address & 0xff)"
    }

    /// The address in lower case with its longest run of two or more zero groups as `::`; the first of equal ones. One
    /// that is mapped from IPv4 ends with the dotted quad.
    public static func format(ipv6 address: (high: UInt64, low: UInt64)) -> String {
        if address.high == 0, address.low >> 32 == 0xffff {
            return "::ffff:" + format(ipv4: UInt32(truncatingIfNeeded: address.low))
        }
        return formatGroups(ipv6: address)
    }

    /// As `format`, but mapped addresses are groups to their end.
    public static func formatGroups(ipv6 address: (high: UInt64, low: UInt64)) -> String {
        let groups = [address.high, address.low].flatMap { half in
            [48, 32, 16, 0].map { UInt16(truncatingIfNeeded: half >> $0) }
        }
        var best = 0..<0
        var at = 0
        while at < 8 {
            let end = groups[at...].firstIndex { $0 != 0 } ?? 8
            if end - at > max(best.count, 1) { best = at..<end }
            at = end + 1
        }
        let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
        if best.isEmpty { return text(groups[...]) }
        return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
    }

    private static func hexGroup(_ digits: ArraySlice<UInt8>) -> UInt16? {
        guard (1...4).contains(digits.count) else { return nil }
        var value: UInt16 = 0
        for digit in digits {
            guard let nibble = HexText.value(digit) else { return nil }
            value = value << 4 | UInt16(nibble)
        }
        return value
    }

    private static func join(_ groups: ArraySlice<UInt16>) -> UInt64 {
        groups.reduce(0) { $0 << 16 | UInt64($1) }
    }

    private static let dot: UInt8 = 0x2e
    private static let colon: UInt8 = 0x3a
}
