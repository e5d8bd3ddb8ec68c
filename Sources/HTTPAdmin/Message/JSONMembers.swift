import RegistryStore

/// The members of a JSON object, read as Go's encoding/json reads a struct: names without regard to case, the last of
/// equal names counts, null leaves a field unset, unknown members are ignored, types must match exactly.
struct JSONMembers {
    private struct Member {
        let name: String
        let value: JSONValue
        /// Where its text lies in the body; empty below the top level, where nobody asks.
        let text: Range<Int>
    }

    private let members: [Member]
    private let body: [UInt8]
    /// Prefix of member names in errors.
    private let path: String
    private let failure: APIError

    /// - Parameter failure: the refusal for anything that does not decode; what and where is added as its detail.
    init(parsing body: [UInt8], failure: APIError) throws(APIError) {
        self.body = body
        self.failure = failure
        path = ""
        do throws(JSONError) {
            members = try Self.read(body)
        } catch {
            throw failure.with(detail: "body \(error)")
        }
    }

    private init(_ members: [(String, JSONValue)], path: String, failure: APIError) {
        self.members = members.map { Member(name: $0.0, value: $0.1, text: 0..<0) }
        self.path = path
        self.failure = failure
        body = []
    }

    private static func read(_ body: [UInt8]) throws(JSONError) -> [Member] {
        var reader = JSONReader(body)
        var members: [Member] = []
        if reader.peek() == UInt8(ascii: "n") {
            // Go leaves the struct as it is when the whole body is null.
            _ = try reader.readValue()
        } else {
            try reader.readObject { (name, reader) throws(JSONError) in
                _ = reader.peek()
                let start = reader.offset
                let value = try reader.readValue()
                members.append(Member(name: name, value: value, text: start..<reader.offset))
            }
        }
        try reader.finish()
        return members
    }

    func string(_ name: String) throws(APIError) -> String? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw mismatch(name, value, expected: "a string") }
        return text
    }

    func strings(_ name: String) throws(APIError) -> [String]? {
        guard let value = value(name) else { return nil }
        guard case .array(let elements) = value else { throw mismatch(name, value, expected: "an array of strings") }
        var strings: [String] = []
        for element in elements {
            switch element {
            case .string(let text): strings.append(text)
            case .null: strings.append("")
            default: throw mismatch(name, element, expected: "strings only")
            }
        }
        return strings
    }

    /// A whole number written without fraction, exponent or sign of zero, as Go wants it for its integer types.
    func integer(_ name: String, in range: ClosedRange<Int64>) throws(APIError) -> Int64? {
        guard let value = value(name) else { return nil }
        let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
        guard case .number(let text) = value, text != "-0", let number = Int64(text), range.contains(number) else {
            throw mismatch(name, value, expected: expected)
        }
        return number
    }

    func bool(_ name: String) throws(APIError) -> Bool? {
        guard let value = value(name) else { return nil }
        guard case .bool(let truth) = value else { throw mismatch(name, value, expected: "true or false") }
        return truth
    }

    /// A text that no error repeats; nil for anything else.
    func secret(_ name: String) -> String? { value(name)?.stringValue }

    func object(_ name: String) throws(APIError) -> JSONMembers? {
        guard let value = value(name) else { return nil }
        guard case .object(let members) = value else { throw mismatch(name, value, expected: "an object") }
        return JSONMembers(members, path: "\(path)\(name).", failure: failure)
    }

    /// The text of a member of the body as it was sent, `null` included, as Go keeps a `json.RawMessage`.
    func raw(_ name: String) -> [UInt8]? {
        members.last { JSONText.matches($0.name, field: name) }.map { Array(body[$0.text]) }
    }

    private func value(_ name: String) -> JSONValue? {
        members.last { $0.value != .null && JSONText.matches($0.name, field: name) }?.value
    }

    private func mismatch(_ name: String, _ value: JSONValue, expected: String) -> APIError {
        let shown = String(decoding: value.serialized().prefix(60), as: UTF8.self)
        return failure.with(detail: "\(path)\(name): expected \(expected), got \(shown)")
    }
}
