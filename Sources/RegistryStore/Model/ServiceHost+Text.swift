extension ServiceHost {
    /// Reads a host as SkyDNS does (Go's `net.ParseIP`): an address when it is one, otherwise a name. IPv4-mapped IPv6
    /// counts as IPv4; `127.0.0.257`, leading zeros and zones make a name; empty text is no host.
    package init(text: String) {
        let bytes = Array(text.utf8)
        if bytes.isEmpty {
            self = .none
        } else if let address = Self.parseIPv4(bytes[...]) {
            self = .ipv4(address)
        } else if let (high, low) = Self.parseIPv6(bytes) {
            self = ServiceHost.ipv6(high, low).canonical
        } else {
            self = .name(text)
        }
    }

    /// IPv4 for an IPv4-mapped IPv6 address, none for an empty name, otherwise the same.
    package var canonical: ServiceHost {
        switch self {
        case .ipv6(0, let low) where low >> 32 == 0xffff: return .ipv4(UInt32(truncatingIfNeeded: low))
        case .name(""): return .none
        default: return self
        }
    }

    /// The host as text: dotted quad, RFC 5952, the name as stored, or nothing.
    package var text: String {
        switch self {
        case .none: return ""
        case .ipv4(let address):
            return "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
        case .ipv6(let high, let low): return Self.formatIPv6(high, low)
        case .name(let name): return name
        }
    }

    private static func parseIPv4(_ text: ArraySlice<UInt8>) -> UInt32? {
        var address: UInt32 = 0
        var parts = 0
        for part in text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard parts < 4, (1...3).contains(part.count), part.count == 1 || part.first != 0x30 else { return nil }
            var value: UInt32 = 0
            for byte in part {
                guard byte >= 0x30, byte <= 0x39 else { return nil }
                value = value * 10 + UInt32(byte - 0x30)
            }
            guard value <= 255 else { return nil }
            address = address << 8 | value
            parts += 1
        }
        return parts == 4 ? address : nil
    }

    private static func parseIPv6(_ text: [UInt8]) -> (UInt64, UInt64)? {
        var groups: [UInt16] = []
        var gap: Int?
        var rest = text[...]
        if rest.starts(with: [0x3a, 0x3a]) {
            gap = 0
            rest = rest.dropFirst(2)
        }
        while !rest.isEmpty {
            guard groups.count < 8 else { return nil }
            let part = rest.prefix { $0 != 0x3a }
            if part.contains(UInt8(ascii: ".")) {
                guard part.count == rest.count, groups.count <= 6, let tail = parseIPv4(part) else { return nil }
                groups += [UInt16(tail >> 16), UInt16(tail & 0xffff)]
                break
            }
            guard (1...4).contains(part.count), let group = hex(part) else { return nil }
            groups.append(group)
            rest = rest.dropFirst(part.count)
            if rest.isEmpty { break }
            rest = rest.dropFirst()
            if rest.first == 0x3a {
                guard gap == nil else { return nil }
                gap = groups.count
                rest = rest.dropFirst()
            } else if rest.isEmpty {
                return nil
            }
        }
        guard groups.count == 8 || (gap != nil && groups.count < 8) else { return nil }
        if groups.count == 8, gap != nil { return nil }
        if let gap { groups.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: gap) }
        let join = { (part: ArraySlice<UInt16>) in part.reduce(UInt64(0)) { $0 << 16 | UInt64($1) } }
        return (join(groups[..<4]), join(groups[4...]))
    }

    private static func hex(_ digits: ArraySlice<UInt8>) -> UInt16? {
        var value: UInt16 = 0
        for byte in digits {
            switch byte {
            case 0x30...0x39: value = value << 4 | UInt16(byte - 0x30)
            case 0x41...0x46: value = value << 4 | UInt16(byte - 0x41 + 10)
            case 0x61...0x66: value = value << 4 | UInt16(byte - 0x61 + 10)
            default: return nil
            }
        }
        return value
    }

    /// The text of RFC 5952 section 4: lower case, the longest run of two or more zero groups shortened.
    private static func formatIPv6(_ high: UInt64, _ low: UInt64) -> String {
        let groups = (0..<8).map { index in
            UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index % 4)))
        }
        var best = 0..<0
        var start = 0
        while start < 8 {
            guard groups[start] == 0 else {
                start += 1
                continue
            }
            let end = groups[start...].firstIndex { $0 != 0 } ?? 8
            if end - start > max(best.count, 1) { best = start..<end }
            start = end
        }
        let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
        if best.isEmpty { return text(groups[...]) }
        return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
    }
}
