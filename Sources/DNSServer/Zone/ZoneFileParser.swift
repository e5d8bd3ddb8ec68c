package import DNSWire

/// Reads zone files in master format (RFC 1035 §5, RFC 2308 §4, RFC 3597 §5) into zones.
///
/// Understands `$ORIGIN`, `$TTL`, `@`, relative names, blank owners, units in times, TTL and class in either order,
/// parentheses, quotes, comments, escapes, unknown types. `$INCLUDE` and `$GENERATE` are refused. The first problem
/// ends the reading; a zone is whole or not at all. O(length).
package struct ZoneFileParser {
    /// The largest file, in octets.
    package static let fileOctetsMax = 256 << 20
    /// The most records in a file.
    package static let recordsMax = 4_000_000
    /// The most warnings that are kept of a file.
    package static let warningsMax = 100
    /// TTLs have 31 bits (RFC 2181 §8).
    static let ttlMax: UInt32 = 0x7fff_ffff

    let file: String
    var contents = ZoneFileContents()
    private var origin: OwnerName
    private var defaultTTL: UInt32?
    private var lastTTL: UInt32?
    private var lastOwner: Int?
    private var line = 0

    private init(file: String, origin: OwnerName) {
        self.file = file
        self.origin = origin
    }

    /// Reads one file whose bytes are `octets`; `file` is its name for messages.
    ///
    /// Until a `$ORIGIN`, names are relative to `origin` or, without one, to the file's own name:
    /// `zones/example.test.zone` holds `example.test`.
    package static func parse(
        _ octets: [UInt8], file: String, origin: OwnerName? = nil
    ) throws(ZoneFileProblem) -> Zone {
        guard octets.count <= fileOctetsMax else {
            throw ZoneFileProblem(
                file: file, line: 1, field: "file", value: "\(octets.count) octets",
                expected: "at most \(fileOctetsMax)")
        }
        var parser = ZoneFileParser(file: file, origin: origin ?? Self.origin(ofFile: file))
        parser.contents = ZoneFileContents(fileOctets: octets.count)
        var lexer = MasterFileLexer(octets)
        var tokens: [TextToken] = []
        while try parser.next(&lexer, into: &tokens) {
            parser.line = lexer.line
            try parser.readEntry(tokens, startsWithBlank: lexer.startsWithBlank)
        }
        return try parser.finish()
    }

    /// The name a file is called after, without its folder and `.zone`; the root when that is no name.
    static func origin(ofFile file: String) -> OwnerName {
        let name = file.split(separator: "/").last.map(String.init) ?? ""
        let base = name.hasSuffix(".zone") ? String(name.dropLast(5)) : name
        return (try? OwnerName(base)) ?? .root
    }

    /// A problem on the given line, or in the entry that is being read.
    func problem(_ field: String, _ value: String, _ expected: String, line: Int? = nil) -> ZoneFileProblem {
        ZoneFileProblem(file: file, line: line ?? self.line, field: field, value: value, expected: expected)
    }

    private func next(
        _ lexer: inout MasterFileLexer, into tokens: inout [TextToken]
    ) throws(ZoneFileProblem) -> Bool {
        do {
            return try lexer.next(into: &tokens)
        } catch {
            switch error {
            case .openQuote(let line): throw problem("entry", "\"", "a closing quote on the same line", line: line)
            case .unbalancedParenthesis(let line): throw problem("entry", "(", "parentheses in pairs", line: line)
            case .tooManyItems(let line):
                throw problem("entry", "", "at most \(MasterFileLexer.itemsMax) items", line: line)
            }
        }
    }

    private mutating func readEntry(_ tokens: [TextToken], startsWithBlank: Bool) throws(ZoneFileProblem) {
        guard let first = tokens.first else { return }
        if !startsWithBlank, !first.isQuoted, first.octets.first == UInt8(ascii: "$") {
            return try readControl(tokens)
        }
        var rest = tokens[...]
        var owner = lastOwner
        if !startsWithBlank {
            owner = try ownerIndex(first)
            rest = rest.dropFirst()
        }
        guard let owner else { throw problem("owner", "", "a name: no entry comes before this one") }
        lastOwner = owner
        let ttl = try readTTLAndClass(&rest)
        guard let typeToken = rest.popFirst() else { throw problem("type", "", "a record type") }
        guard !typeToken.isQuoted, let type = RRType(octets: typeToken.octets) else {
            throw problem("type", typeToken.text, "a record type, a TTL or class IN")
        }
        guard !type.isMeta else { throw problem("type", typeToken.text, "a type that zones hold") }
        let rdata: [UInt8]
        do {
            rdata = try RecordText.parse(type: type, tokens: rest, origin: origin)
        } catch {
            throw problem(error.field, error.value, error.expected)
        }
        try add(owner: owner, type: type, ttl: ttl, rdata: rdata)
    }

    /// The number of the owner; entries of one owner mostly follow each other.
    private mutating func ownerIndex(_ token: TextToken) throws(ZoneFileProblem) -> Int {
        let name = try readName(token, field: "owner")
        if let lastOwner, contents.owners[lastOwner].name == name { return lastOwner }
        return contents.index(of: name)
    }

    private func readName(_ token: TextToken, field: String) throws(ZoneFileProblem) -> OwnerName {
        do {
            return try token.ownerName(origin: origin)
        } catch {
            throw problem(field, token.text, "a domain name (\(error))")
        }
    }

    /// Takes a TTL and a class, either first, both optional, from the front of `tokens`.
    private func readTTLAndClass(_ tokens: inout ArraySlice<TextToken>) throws(ZoneFileProblem) -> UInt32? {
        var ttl: UInt32?
        var hasClass = false
        while let token = tokens.first, !token.isQuoted, let first = token.octets.first {
            if ttl == nil, first &- 0x30 < 10 {
                guard let seconds = NumberText.seconds(token.octets, limit: Self.ttlMax) else {
                    throw problem("TTL", token.text, "seconds up to \(Self.ttlMax), or a time such as 1h30m")
                }
                ttl = seconds
            } else if !hasClass, let rrClass = RRClass(octets: token.octets) {
                guard rrClass == .in else { throw problem("class", token.text, "IN") }
                hasClass = true
            } else {
                break
            }
            tokens.removeFirst()
        }
        return ttl
    }

    private mutating func readControl(_ tokens: [TextToken]) throws(ZoneFileProblem) {
        let name = tokens[0].text.uppercased()
        switch name {
        case "$ORIGIN":
            guard tokens.count == 2 else { throw problem(name, tokens.last?.text ?? "", "one domain name") }
            origin = try readName(tokens[1], field: name)
        case "$TTL":
            guard tokens.count == 2, let ttl = NumberText.seconds(tokens[1].octets, limit: Self.ttlMax) else {
                throw problem(name, tokens.last?.text ?? "", "seconds up to \(Self.ttlMax), or a time such as 1h30m")
            }
            defaultTTL = ttl
        case "$INCLUDE", "$GENERATE":
            throw problem("control entry", name, "$ORIGIN or $TTL; \(name) is not supported, write the records out")
        default:
            throw problem("control entry", name, "$ORIGIN or $TTL")
        }
    }

    private mutating func add(
        owner: Int, type: RRType, ttl: UInt32?, rdata: [UInt8]
    ) throws(ZoneFileProblem) {
        guard contents.recordCount < Self.recordsMax else {
            throw problem("file", "\(contents.recordCount + 1) records", "at most \(Self.recordsMax)")
        }
        var ttl = ttl ?? defaultTTL ?? lastTTL
        var soa: SOAData?
        if type == .soa {
            guard contents.soa == nil else { throw problem("type", "SOA", "one SOA record in a zone") }
            soa = try? SOAData(rdata: rdata)
            ttl = ttl ?? soa.map { min($0.minimum, Self.ttlMax) }
        }
        guard let ttl else { throw problem("TTL", "", "a TTL here, or a $TTL before") }
        lastTTL = ttl
        if let soa {
            contents.soa = (contents.owners[owner].name, Zone.SOA(soa, ttl: ttl))
        } else {
            contents.add(owner: owner, type: type, ttl: ttl, rdata: rdata, line: line)
        }
    }
}
