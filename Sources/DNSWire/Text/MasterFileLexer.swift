/// One item of an entry of a zone file, escapes still in it.
public struct TextToken: Hashable, Sendable {
    /// The octets between the blanks, or between the quotes.
    public var octets: ArraySlice<UInt8>
    /// Whether it stood in quotes.
    public var isQuoted: Bool

    /// An item with its octets as they stand in the file.
    public init(octets: ArraySlice<UInt8>, isQuoted: Bool = false) {
        self.octets = octets
        self.isQuoted = isQuoted
    }

    /// The octets as text, for messages: unprintable ones replaced, cut at 80.
    public var text: String {
        let shown = octets.prefix(80).map { (0x20...0x7e).contains($0) ? $0 : 0x3f }
        return String(decoding: shown, as: UTF8.self) + (octets.count > 80 ? "…" : "")
    }
}

/// Splits a zone file into entries: blanks, comments, quotes, and parentheses over several lines (RFC 1035 §5.1).
///
/// Works on octets; a carriage return counts as a blank. O(length) over the whole file.
public struct MasterFileLexer: Sendable {
    /// Why a file cannot be split.
    public enum Failure: Error, Hashable, Sendable {
        /// A quote without its partner before the end of the line.
        case openQuote(line: Int)
        /// A parenthesis without its partner: the end of the file or a second `)` comes first.
        case unbalancedParenthesis(line: Int)
        /// An entry of more items than any record has.
        case tooManyItems(line: Int)
    }

    /// The most items one entry may have.
    public static let itemsMax = 16_384

    private let octets: [UInt8]
    private var at = 0
    private var nextLine = 1
    /// The line on which the last entry begins, from 1.
    public private(set) var line = 0
    /// Whether the last entry begins with a blank: its owner is that of the entry before.
    public private(set) var startsWithBlank = false

    /// Starts at the beginning of a file.
    public init(_ octets: [UInt8]) {
        self.octets = octets
    }

    /// Puts the items of the next entry that has any into `tokens`. Returns false at the end of the file.
    public mutating func next(into tokens: inout [TextToken]) throws(Failure) -> Bool {
        repeat {
            guard at < octets.count else { return false }
            tokens.removeAll(keepingCapacity: true)
            line = nextLine
            startsWithBlank = Self.isBlank(octets[at])
            try readEntry(into: &tokens)
        } while tokens.isEmpty
        return true
    }

    private mutating func readEntry(into tokens: inout [TextToken]) throws(Failure) {
        var depth = 0
        while at < octets.count {
            let octet = octets[at]
            switch octet {
            case Self.newline:
                at += 1
                nextLine += 1
                if depth == 0 { return }
            case 0x20, 0x09, 0x0d: at += 1
            case Self.semicolon: skipComment()
            case Self.open:
                depth += 1
                at += 1
            case Self.close:
                guard depth > 0 else { throw .unbalancedParenthesis(line: nextLine) }
                depth -= 1
                at += 1
            default:
                guard tokens.count < Self.itemsMax else { throw .tooManyItems(line: nextLine) }
                tokens.append(octet == Self.quote ? try quoted() : bare())
            }
        }
        guard depth == 0 else { throw .unbalancedParenthesis(line: line) }
    }

    private mutating func skipComment() {
        while at < octets.count, octets[at] != Self.newline { at += 1 }
    }

    private mutating func bare() -> TextToken {
        let start = at
        while at < octets.count {
            let octet = octets[at]
            if octet == Self.backslash, at + 1 < octets.count, octets[at + 1] != Self.newline {
                at += 2
                continue
            }
            if octet <= Self.semicolon, Self.endsBareItem(octet) { break }
            at += 1
        }
        return TextToken(octets: octets[start..<at])
    }

    private mutating func quoted() throws(Failure) -> TextToken {
        at += 1
        let start = at
        while at < octets.count, octets[at] != Self.newline {
            if octets[at] == Self.quote {
                at += 1
                return TextToken(octets: octets[start..<(at - 1)], isQuoted: true)
            }
            at += octets[at] == Self.backslash && at + 1 < octets.count && octets[at + 1] != Self.newline ? 2 : 1
        }
        throw .openQuote(line: nextLine)
    }

    private static func isBlank(_ octet: UInt8) -> Bool { octet == 0x20 || octet == 0x09 }

    private static func endsBareItem(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x20, 0x09, 0x0d, newline, quote, open, close, semicolon: true
        default: false
        }
    }

    private static let newline: UInt8 = 0x0a
    private static let quote: UInt8 = 0x22
    private static let open: UInt8 = 0x28
    private static let close: UInt8 = 0x29
    private static let semicolon: UInt8 = 0x3b
    private static let backslash: UInt8 = 0x5c
}
