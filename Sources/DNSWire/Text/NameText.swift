/// Names as dotted text with the escapes of RFC 1035 §5.1: `\.` for the character itself, `\065` for an octet.
enum NameText {
    /// Reads the escape whose backslash is at `at`. Returns the octet and the offset after the escape.
    @inline(__always)
    static func escape(in text: borrowing Span<UInt8>, at: Int) throws(WireError) -> (octet: UInt8, next: Int) {
        guard at + 1 < text.count else { throw .badEscape(offset: at) }
        let first = text[at + 1]
        guard isDigit(first) else { return (first, at + 2) }
        guard at + 3 < text.count, isDigit(text[at + 2]), isDigit(text[at + 3]) else { throw .badEscape(offset: at) }
        let value = Int(first - 0x30) * 100 + Int(text[at + 2] - 0x30) * 10 + Int(text[at + 3] - 0x30)
        guard value <= 255 else { throw .badEscape(offset: at) }
        return (UInt8(value), at + 4)
    }

    /// Appends the wire form of `text` to `wire`, without the closing zero when the text is relative (no dot at its
    /// end) and with it when it is absolute. `.` alone is the root. Letter case is kept.
    ///
    /// Returns true when the text is absolute. Offsets in errors count octets of the text.
    static func parse(_ text: borrowing Span<UInt8>, into wire: inout [UInt8]) throws(WireError) -> Bool {
        let start = wire.count
        if text.count == 1, text[0] == dot {
            wire.append(0)
            return true
        }
        guard text.count > 0 else { throw .emptyLabel(offset: 0) }
        var lengthAt = wire.count
        wire.append(0)
        var at = 0
        while at < text.count {
            var octet = text[at]
            if octet == dot {
                let length = wire.count - lengthAt - 1
                guard length > 0 else { throw .emptyLabel(offset: at) }
                wire[lengthAt] = UInt8(length)
                lengthAt = wire.count
                wire.append(0)
                at += 1
                continue
            }
            if octet == backslash {
                (octet, at) = try escape(in: text, at: at)
            } else {
                at += 1
            }
            guard wire.count - lengthAt <= NameBytes.labelMax else { throw .labelTooLong(offset: at - 1) }
            guard wire.count - start < NameBytes.lengthMax else { throw .nameTooLong(offset: at - 1) }
            wire.append(octet)
        }
        let length = wire.count - lengthAt - 1
        if length == 0 {
            // The text ended in a dot: the length octet just opened is the root's.
            guard wire.count - start <= NameBytes.lengthMax else { throw .nameTooLong(offset: at) }
            return true
        }
        wire[lengthAt] = UInt8(length)
        guard wire.count - start < NameBytes.lengthMax else { throw .nameTooLong(offset: at) }
        return false
    }

    /// Wire form of absolute text; text without a dot at its end means the same.
    static func wire(_ text: String) throws(WireError) -> [UInt8] {
        var wire: [UInt8] = []
        let octets = Array(text.utf8)
        wire.reserveCapacity(octets.count + 2)
        if try !parse(octets.span, into: &wire) { wire.append(0) }
        return wire
    }

    /// Dotted text with a dot at its end; `.` for the root.
    static func format(_ wire: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(wire.count)
        for label in NameLabels(wire: wire) {
            for octet in label { appendEscaped(octet, to: &text) }
            text.append(dot)
        }
        if text.isEmpty { text.append(dot) }
        return String(decoding: text, as: UTF8.self)
    }

    private static func appendEscaped(_ octet: UInt8, to text: inout [UInt8]) {
        switch octet {
        // . " $ ( ) ; @ and the backslash mean something in a zone file.
        case dot, 0x22, 0x24, 0x28, 0x29, 0x3b, 0x40, backslash: text += [backslash, octet]
        case 0x21...0x7e: text.append(octet)
        default: appendDecimalEscape(octet, to: &text)
        }
    }

    /// The octets of a character string, escapes resolved; nil when one is broken.
    static func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.contains(backslash) else { return Array(text) }
        var octets: [UInt8] = []
        let span = text.span
        var at = 0
        while at < span.count {
            if span[at] == backslash {
                guard let (octet, next) = try? escape(in: span, at: at) else { return nil }
                octets.append(octet)
                at = next
            } else {
                octets.append(span[at])
                at += 1
            }
        }
        return octets
    }

    /// The inside of a quoted character string.
    static func escapedString(_ octets: ArraySlice<UInt8>) -> String {
        var text: [UInt8] = []
        for octet in octets {
            switch octet {
            case 0x22, backslash: text += [backslash, octet]
            case 0x20...0x7e: text.append(octet)
            default: appendDecimalEscape(octet, to: &text)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// `\DDD`.
    private static func appendDecimalEscape(_ octet: UInt8, to text: inout [UInt8]) {
        text += [backslash, 0x30 + octet / 100, 0x30 + octet / 10 % 10, 0x30 + octet % 10]
    }

    @inline(__always)
    static func isDigit(_ octet: UInt8) -> Bool { octet &- 0x30 < 10 }

    private static let dot: UInt8 = 0x2e
    private static let backslash: UInt8 = 0x5c
}
