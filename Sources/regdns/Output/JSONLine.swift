import RegistryStore

/// Building and printing of JSON, on the registry's own JSON code.
extension JSONValue {
    static func integer(_ number: Int) -> JSONValue { .number(String(number)) }

    static func texts(_ texts: [String]) -> JSONValue { .array(texts.map(JSONValue.string)) }

    /// The document as one line.
    var line: String { String(decoding: serialized(), as: UTF8.self) }
}
