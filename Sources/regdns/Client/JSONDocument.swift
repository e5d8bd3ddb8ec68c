import RegistryStore

/// Reading and building of JSON by member names, on the registry's own JSON code.
extension JSONValue {
    /// The member of an object; nil for other values and when it is absent or null.
    subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self, let member = members.first(where: { $0.0 == name }) else { return nil }
        if case .null = member.1 { return nil }
        return member.1
    }

    var text: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    /// A number's digits as they stand in the document.
    var digits: String? {
        if case .number(let digits) = self { return digits }
        return nil
    }

    var integer: Int? { digits.flatMap(Int.init) }

    var elements: [JSONValue] {
        if case .array(let elements) = self { return elements }
        return []
    }

    var isTrue: Bool {
        if case .bool(true) = self { return true }
        return false
    }

    /// Members in the order of the document.
    var members: [(name: String, value: JSONValue)] {
        if case .object(let members) = self { return members.map { (name: $0.0, value: $0.1) } }
        return []
    }

    static func texts(_ texts: [String]) -> JSONValue { .array(texts.map(JSONValue.string)) }

    static func integer(_ number: Int) -> JSONValue { .number(String(number)) }

    /// The document as one line.
    var line: String { String(decoding: serialized(), as: UTF8.self) }
}
