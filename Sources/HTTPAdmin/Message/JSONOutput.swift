package import HTTPTypes
import RegistryStore

/// Writes JSON objects and arrays front to back without building a tree: lists of instances can be long.
///
/// The caller keeps members and values in order; commas are set here.
package struct JSONOutput {
    private var writer = JSONWriter()
    /// Whether the next value or name needs a comma before it.
    private var needsComma = false

    package init() {}

    package var bytes: [UInt8] { writer.bytes }

    package mutating func beginObject() { open("{") }
    package mutating func endObject() { close("}") }
    package mutating func beginArray() { open("[") }
    package mutating func endArray() { close("]") }

    /// A member's name; its value must follow.
    package mutating func name(_ name: String) {
        separate()
        writer.string(name)
        writer.raw(":")
        needsComma = false
    }

    package mutating func string(_ value: String) {
        separate()
        writer.string(value)
    }

    package mutating func integer(_ value: Int64) {
        separate()
        writer.raw(String(value))
    }

    package mutating func bool(_ value: Bool) {
        separate()
        writer.raw(value ? "true" : "false")
    }

    package mutating func null() {
        separate()
        writer.raw("null")
    }

    /// A finite number; anything else is `null`, as JSON has no word for it.
    package mutating func number(_ value: Double) {
        separate()
        if let whole = Int64(exactly: value) {
            writer.raw(String(whole))
        } else {
            writer.raw(value.isFinite ? String(value) : "null")
        }
    }

    /// A value that is JSON already.
    package mutating func raw(_ value: [UInt8]) {
        separate()
        writer.raw(value)
    }

    package mutating func member(_ name: String, _ value: String) {
        self.name(name)
        string(value)
    }

    package mutating func member(_ name: String, _ value: Int64) {
        self.name(name)
        integer(value)
    }

    /// An array of strings as a member.
    package mutating func member(_ name: String, _ values: some Sequence<String>) {
        self.name(name)
        beginArray()
        for value in values { string(value) }
        endArray()
    }

    private mutating func separate() {
        if needsComma { writer.raw(",") }
        needsComma = true
    }

    private mutating func open(_ bracket: String) {
        separate()
        writer.raw(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: String) {
        writer.raw(bracket)
        needsComma = true
    }
}

extension HTTPAnswer {
    package static let jsonType = "application/json; charset=utf-8"

    package static func json(_ status: HTTPResponse.Status, _ json: JSONOutput) -> HTTPAnswer {
        HTTPAnswer(status: status, headers: [.contentType: jsonType], body: .bytes(json.bytes))
    }

    /// A JSON object written by a closure.
    package static func json(
        _ status: HTTPResponse.Status, _ members: (inout JSONOutput) -> Void
    ) -> HTTPAnswer {
        var json = JSONOutput()
        json.beginObject()
        members(&json)
        json.endObject()
        return .json(status, json)
    }
}
