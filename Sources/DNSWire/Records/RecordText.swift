import Basics

/// Why the text of a record's data was refused: the field, what stood there, what may stand there.
public struct RecordTextError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The field's name, for instance `address` or `TXT string`.
    public var field: String
    /// What stood there, shortened.
    public var value: String
    /// What may stand there.
    public var expected: String

    /// An error in one field.
    public init(field: String, value: String, expected: String) {
        self.field = field
        self.value = value
        self.expected = expected
    }

    /// `<field>: "<value>": expected <…>`
    public var description: String { "\(field): \"\(value)\": expected \(expected)" }
}

/// RDATA as zone files write it, and back (RFC 1035 §5.1; RFC 3597 §5 for types without a form of their own).
///
/// Parsing and formatting are inverse to each other for RDATA that has the form of its type.
public enum RecordText {
    /// The most octets of RDATA.
    public static let lengthMax = 0xffff

    /// Reads the items after the type into RDATA without compression. Relative names end in `origin`.
    public static func parse(
        type: RRType, tokens: ArraySlice<TextToken>, origin: OwnerName
    ) throws(RecordTextError) -> [UInt8] {
        if let first = tokens.first, !first.isQuoted, first.octets.elementsEqual(genericMark) {
            return try parseGeneric(type: type, tokens: tokens.dropFirst())
        }
        guard let fields = RDATAForm.fields(of: type) else {
            throw RecordTextError(
                field: "\(type) data", value: tokens.first?.text ?? "", expected: "\\# <octets> <hexadecimal digits>")
        }
        var parser = RecordTextParser(type: type, tokens: tokens, origin: origin)
        for field in fields { try parser.read(field) }
        return try parser.finish()
    }

    /// Reads text such as `10 mail.example.`; see `parse(type:tokens:origin:)`.
    public static func parse(type: RRType, text: String, origin: OwnerName = .root) throws(RecordTextError) -> [UInt8] {
        var tokens: [TextToken] = []
        var lexer = MasterFileLexer(Array(text.utf8))
        do {
            _ = try lexer.next(into: &tokens)
        } catch {
            throw RecordTextError(field: "\(type) data", value: text, expected: "closed quotes and parentheses")
        }
        return try parse(type: type, tokens: tokens[...], origin: origin)
    }

    /// The text of RDATA, names absolute. Octets that have not the form of their type, or for which it has no text,
    /// are written by RFC 3597.
    public static func format(type: RRType, rdata: [UInt8]) -> String {
        guard let fields = RDATAForm.fields(of: type), RDATAForm.isSound(type: type, rdata: rdata) else {
            return formatGeneric(rdata)
        }
        let octets = rdata.span.octets
        var parts: [String] = []
        var at = 0
        for field in fields {
            // The form was checked above, so every field has its end.
            let end = RDATAForm.fieldEnd(field, in: octets, at: at, end: rdata.count, pointersAllowed: false) ?? at
            guard let text = RecordTextFormatter.format(field, rdata[at..<end]) else { return formatGeneric(rdata) }
            if !text.isEmpty { parts.append(text) }
            at = end
        }
        return parts.joined(separator: " ")
    }

    private static let genericMark = Array("\\#".utf8)

    private static func formatGeneric(_ rdata: [UInt8]) -> String {
        rdata.isEmpty ? "\\# 0" : "\\# \(rdata.count) " + HexText.upper(rdata[...])
    }

    private static func parseGeneric(
        type: RRType, tokens: ArraySlice<TextToken>
    ) throws(RecordTextError) -> [UInt8] {
        guard let first = tokens.first, let count = NumberText.decimal(first.octets, limit: UInt32(lengthMax)) else {
            throw RecordTextError(
                field: "RDATA length", value: tokens.first?.text ?? "", expected: "a number up to \(lengthMax)")
        }
        let digits = tokens.dropFirst().flatMap(\.octets)
        guard let rdata = HexText.decode(digits), rdata.count == Int(count) else {
            throw RecordTextError(
                field: "RDATA", value: TextToken(octets: digits[...]).text,
                expected: "\(count) octets as hexadecimal digits")
        }
        guard RDATAForm.isSound(type: type, rdata: rdata) else {
            throw RecordTextError(
                field: "RDATA", value: TextToken(octets: digits[...]).text,
                expected: "octets in the form of type \(type)")
        }
        return rdata
    }
}
