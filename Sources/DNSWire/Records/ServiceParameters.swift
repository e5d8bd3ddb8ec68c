/// The parameters of SVCB and HTTPS records: key, length, value, keys strictly rising (RFC 9460 §2.2).
enum ServiceParameters {
    /// The keys with a name and a form of their own (RFC 9460 §14.3.2).
    private enum Key: UInt16, CaseIterable {
        case mandatory = 0
        case alpn = 1
        case noDefaultALPN = 2
        case port = 3
        case ipv4hint = 4
        case ech = 5
        case ipv6hint = 6

        var name: String { self == .noDefaultALPN ? "no-default-alpn" : String(describing: self) }
    }

    /// Whether the octets from `at` to `end` are parameters in order. Values may have any form: unknown ones must pass.
    static func isSound(in message: RawSpan, at: Int, end: Int) -> Bool {
        var here = at
        var previous = -1
        while here < end {
            guard here &+ 4 <= end else { return false }
            let key = Int(message.uint16(at: here))
            let next = here &+ 4 &+ Int(message.uint16(at: here &+ 2))
            guard key > previous, next <= end else { return false }
            previous = key
            here = next
        }
        return true
    }

    // MARK: - From text

    /// Why parameters were refused: the item and what may stand there.
    struct Refusal: Error {
        var item: TextToken
        var expected: String
    }

    /// Reads `alpn=h2,h3 port=443 key7=x` and the like into parameters in their order.
    static func encode(_ tokens: ArraySlice<TextToken>) throws(Refusal) -> [UInt8] {
        var values: [UInt16: [UInt8]] = [:]
        var left = tokens
        while let token = left.popFirst() {
            guard !token.isQuoted else { throw Refusal(item: token, expected: "key=value") }
            let equals = token.octets.firstIndex(of: UInt8(ascii: "="))
            var text = equals.map { token.octets[($0 + 1)...] }
            // The value may be in quotes, which begin a new item.
            if let bare = text, bare.isEmpty, let quoted = left.first, quoted.isQuoted {
                text = quoted.octets
                left = left.dropFirst()
            }
            guard let key = key(token.octets[..<(equals ?? token.octets.endIndex)]) else {
                throw Refusal(item: token, expected: "a parameter's name, or key0 to key65534")
            }
            guard let value = value(of: key, text), value.count <= 0xffff else {
                throw Refusal(item: token, expected: "a value in the form of \(name(of: key))")
            }
            guard values.updateValue(value, forKey: key) == nil else {
                throw Refusal(item: token, expected: "each parameter once")
            }
        }
        var octets: [UInt8] = []
        for (key, value) in values.sorted(by: { $0.key < $1.key }) {
            octets.append(bigEndian: key)
            octets.append(bigEndian: UInt16(value.count))
            octets += value
        }
        return octets
    }

    private static func key(_ text: ArraySlice<UInt8>) -> UInt16? {
        if let known = Key.allCases.first(where: { text.elementsEqual($0.name.utf8) }) { return known.rawValue }
        guard text.starts(with: "key".utf8) else { return nil }
        return NumberText.decimal(text.dropFirst(3), limit: 65_534).map { UInt16($0) }
    }

    /// The value's octets, or nil when the text has not the form of its key.
    private static func value(of key: UInt16, _ text: ArraySlice<UInt8>?) -> [UInt8]? {
        guard let known = Key(rawValue: key) else {
            guard let text else { return [] }
            return NameText.unescaped(text)
        }
        guard known != .noDefaultALPN else { return text == nil ? [] : nil }
        guard let text, let plain = NameText.unescaped(text), !plain.isEmpty else { return nil }
        let items = listItems(plain)
        var octets: [UInt8] = []
        switch known {
        case .noDefaultALPN: break
        case .mandatory:
            let keys = items.compactMap { self.key($0[...]) }
            guard keys.count == items.count, Set(keys).count == keys.count, !keys.contains(0) else { return nil }
            for key in keys.sorted() { octets.append(bigEndian: key) }
        case .alpn:
            for item in items {
                guard (1...255).contains(item.count) else { return nil }
                octets.append(UInt8(item.count))
                octets += item
            }
        case .port:
            guard let port = NumberText.decimal(plain[...], limit: 0xffff) else { return nil }
            octets.append(bigEndian: UInt16(port))
        case .ipv4hint:
            for item in items {
                guard let address = IPAddressText.ipv4(item) else { return nil }
                octets.append(bigEndian: address)
            }
        case .ipv6hint:
            for item in items {
                guard let address = IPAddressText.ipv6(item) else { return nil }
                octets += RDATA.aaaa(address.high, address.low)
            }
        case .ech: return Base64Text.decode(plain)
        }
        return octets
    }

    /// Splits at commas; a backslash takes the next octet as it is (RFC 9460 appendix A.1).
    private static func listItems(_ octets: [UInt8]) -> [[UInt8]] {
        var items: [[UInt8]] = [[]]
        var isEscaped = false
        for octet in octets {
            if !isEscaped, octet == UInt8(ascii: "\\") {
                isEscaped = true
            } else if !isEscaped, octet == UInt8(ascii: ",") {
                items.append([])
            } else {
                items[items.count - 1].append(octet)
                isEscaped = false
            }
        }
        return items
    }

    // MARK: - To text

    /// The text of parameters that are sound; nil when a value has not the form of its key.
    static func decode(_ octets: ArraySlice<UInt8>) -> String? {
        var parts: [String] = []
        var left = octets
        while left.count >= 4 {
            let at = left.startIndex
            let key = UInt16(left[at]) << 8 | UInt16(left[at + 1])
            let count = Int(left[at + 2]) << 8 | Int(left[at + 3])
            let value = Array(left.dropFirst(4).prefix(count))
            guard let text = text(of: key, value) else { return nil }
            // Only text that is read back as the same octets will do.
            guard self.value(of: key, text.map { Array($0.utf8)[...] }) == value else { return nil }
            parts.append(name(of: key) + (text.map { "=\"\($0)\"" } ?? ""))
            left = left.dropFirst(4 + count)
        }
        return parts.joined(separator: " ")
    }

    private static func name(of key: UInt16) -> String { Key(rawValue: key)?.name ?? "key\(key)" }

    /// The value as the inside of a quoted string; nil inside for a key that stands alone.
    private static func text(of key: UInt16, _ value: [UInt8]) -> String?? {
        guard let known = Key(rawValue: key) else {
            return .some(value.isEmpty ? nil : NameText.escapedString(value[...]))
        }
        func groups(_ size: Int) -> [ArraySlice<UInt8>] {
            stride(from: 0, to: value.count, by: size).map { value[$0..<min($0 + size, value.count)] }
        }
        func number(_ octets: ArraySlice<UInt8>) -> UInt64 { octets.reduce(0) { $0 << 8 | UInt64($1) } }
        switch known {
        case .noDefaultALPN: return .some(nil)
        case .mandatory:
            return groups(2).map { name(of: UInt16(truncatingIfNeeded: number($0))) }.joined(separator: ",")
        case .port: return String(number(value[...].prefix(2)))
        case .ipv4hint:
            return groups(4).map { IPAddressText.format(ipv4: UInt32(truncatingIfNeeded: number($0))) }
                .joined(separator: ",")
        case .ipv6hint:
            return groups(16).map { IPAddressText.format(ipv6: (number($0.prefix(8)), number($0.dropFirst(8)))) }
                .joined(separator: ",")
        case .ech: return Base64Text.encode(value[...])
        case .alpn:
            var items: [String] = []
            var left = value[...]
            while let count = left.popFirst() {
                let item = left.prefix(Int(count)).flatMap { octet -> [UInt8] in
                    octet == UInt8(ascii: ",") || octet == UInt8(ascii: "\\") ? [UInt8(ascii: "\\"), octet] : [octet]
                }
                items.append(NameText.escapedString(item[...]))
                left = left.dropFirst(Int(count))
            }
            return items.joined(separator: ",")
        }
    }
}
