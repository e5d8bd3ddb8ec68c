import Basics

/// Reads the items of one record into RDATA, field by field.
struct RecordTextParser {
    private let type: RRType
    private let origin: OwnerName
    private var tokens: ArraySlice<TextToken>
    private var rdata: [UInt8] = []

    init(type: RRType, tokens: ArraySlice<TextToken>, origin: OwnerName) {
        self.type = type
        self.origin = origin
        self.tokens = tokens
    }

    mutating func finish() throws(RecordTextError) -> [UInt8] {
        if let rest = tokens.first {
            throw RecordTextError(field: "\(type) data", value: rest.text, expected: "nothing more")
        }
        guard rdata.count <= RecordText.lengthMax else {
            throw RecordTextError(
                field: "\(type) data", value: "\(rdata.count) octets", expected: "at most \(RecordText.lengthMax)")
        }
        return rdata
    }

    mutating func read(_ field: RDATAField) throws(RecordTextError) {
        switch field {
        case .octet: rdata.append(UInt8(truncatingIfNeeded: try number(limit: 0xff)))
        case .uint16: rdata.append(bigEndian: UInt16(truncatingIfNeeded: try number(limit: 0xffff)))
        case .uint32: rdata.append(bigEndian: try number(limit: .max))
        case .period: rdata.append(bigEndian: try convert("a time such as 3600 or 1h") { NumberText.seconds($0) })
        case .time: rdata.append(bigEndian: try convert("a time as YYYYMMDDHHmmSS") { TimeText.decode($0) })
        case .type: rdata.append(bigEndian: try readType().rawValue)
        case .ipv4: rdata.append(bigEndian: try convert("an IPv4 address") { IPAddressText.ipv4($0) })
        case .ipv6:
            let address = try convert("an IPv6 address") { IPAddressText.ipv6($0) }
            for half in [address.high, address.low] {
                rdata.append(bigEndian: UInt32(half >> 32))
                rdata.append(bigEndian: UInt32(truncatingIfNeeded: half))
            }
        case .name, .compressedName: try readName()
        case .characterString: try readString()
        case .tag:
            guard let first = tokens.first, !first.octets.isEmpty else { throw missing("a tag") }
            try readString()
        case .characterStrings:
            try readString()
            while !tokens.isEmpty { try readString() }
        case .quotedRest: rdata.append(contentsOf: try unescaped(next("a quoted string"), limit: RecordText.lengthMax))
        case .hexRest: rdata.append(contentsOf: try rest("hexadecimal digits", HexText.decode))
        case .base64Rest: rdata.append(contentsOf: try rest("base 64", Base64Text.decode))
        case .typeBitmap: try readTypeBitmap()
        case .serviceParameters: try readServiceParameters()
        }
    }

    private func missing(_ expected: String) -> RecordTextError {
        RecordTextError(field: "\(type) data", value: "", expected: expected)
    }

    private func refused(_ token: TextToken, expected: String) -> RecordTextError {
        RecordTextError(field: "\(type) data", value: token.text, expected: expected)
    }

    private mutating func next(_ expected: @autoclosure () -> String) throws(RecordTextError) -> TextToken {
        guard let token = tokens.popFirst() else { throw missing(expected()) }
        return token
    }

    private mutating func convert<Value>(
        _ expected: @autoclosure () -> String, _ read: (ArraySlice<UInt8>) -> Value?
    ) throws(RecordTextError) -> Value {
        let token = try next(expected())
        guard !token.isQuoted, let value = read(token.octets) else { throw refused(token, expected: expected()) }
        return value
    }

    private mutating func number(limit: UInt32) throws(RecordTextError) -> UInt32 {
        try convert("a number up to \(limit)") { NumberText.decimal($0, limit: limit) }
    }

    private mutating func readType() throws(RecordTextError) -> RRType {
        try convert("a record type") { RRType(octets: $0) }
    }

    private mutating func readName() throws(RecordTextError) {
        let token = try next("a domain name")
        do {
            try token.appendName(origin: origin, to: &rdata)
        } catch {
            throw refused(token, expected: "a domain name (\(error))")
        }
    }

    private mutating func readString() throws(RecordTextError) {
        let octets = try unescaped(next("a character string"), limit: 255)
        rdata.append(UInt8(octets.count))
        rdata.append(contentsOf: octets)
    }

    private func unescaped(_ token: TextToken, limit: Int) throws(RecordTextError) -> [UInt8] {
        guard let octets = NameText.unescaped(token.octets) else {
            throw refused(token, expected: "characters and \\DDD up to \\255")
        }
        guard octets.count <= limit else { throw refused(token, expected: "at most \(limit) octets") }
        return octets
    }

    private mutating func rest(
        _ expected: String, _ decode: ([UInt8]) -> [UInt8]?
    ) throws(RecordTextError) -> [UInt8] {
        let text = tokens.flatMap(\.octets)
        guard !text.isEmpty, let octets = decode(text) else {
            throw refused(TextToken(octets: text[...]), expected: expected)
        }
        tokens = []
        return octets
    }

    private mutating func readServiceParameters() throws(RecordTextError) {
        do {
            rdata.append(contentsOf: try ServiceParameters.encode(tokens))
            tokens = []
        } catch {
            throw refused(error.item, expected: error.expected)
        }
    }

    private mutating func readTypeBitmap() throws(RecordTextError) {
        var types: [RRType] = []
        while !tokens.isEmpty { types.append(try readType()) }
        rdata.append(contentsOf: TypeBitmap.encode(types))
    }
}

extension TextToken {
    /// The name as the key of an index; `@` is the origin, relative text ends in it.
    public func ownerName(origin: OwnerName) throws(WireError) -> OwnerName {
        var wire: [UInt8] = []
        wire.reserveCapacity(octets.count + origin.wire.count + 1)
        try appendName(origin: origin, to: &wire)
        NameBytes.fold(&wire)
        return OwnerName(trusted: wire)
    }

    /// Appends the wire form of the name: `@` is the origin, relative text ends in it. Letter case is kept.
    public func appendName(origin: some WireName, to wire: inout [UInt8]) throws(WireError) {
        if octets.count == 1, octets.first == 0x40, !isQuoted {
            wire.append(contentsOf: origin.wire)
            return
        }
        let start = wire.count
        if try !NameText.parse(octets.span, into: &wire) {
            guard wire.count - start + origin.wire.count <= NameBytes.lengthMax else {
                throw .nameTooLong(offset: octets.count)
            }
            wire.append(contentsOf: origin.wire)
        }
    }
}
