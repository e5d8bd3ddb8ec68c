/// SkyDNS's service value, a JSON object, and the further fields that registrations of the HTTP dialects add to it.
///
/// Reading follows Go's `encoding/json` into SkyDNS's struct: names match without regard to letter case, unknown
/// fields are ignored, `null` leaves the default, a wrong type makes the whole value unreadable. The further fields are
/// unknown to SkyDNS, so a wrong type among them only makes the value a plain one, without `instance`.
package enum SkyDNSMessage {
    /// The `origin` of values that an etcd client wrote with a `service` field of its own.
    package static let etcdOrigin = "etcd"

    /// Reads a value. Throws the place and what was expected there.
    package static func decode(_ bytes: [UInt8]) throws(JSONError) -> Registration {
        try SkyDNSValue(bytes).registration
    }

    /// Writes a registration so that `decode` gives it back; SkyDNS's own fields first, in its order, defaults left
    /// out.
    package static func encode(_ registration: Registration) -> [UInt8] {
        var object = JSONObjectWriter()
        object.text("host", registration.host.canonical.text)
        object.number("port", registration.port)
        object.number("priority", registration.priority)
        object.number("weight", registration.weight)
        object.text("text", registration.text)
        if registration.mail { object.raw("mail", Array("true".utf8)) }
        object.number("ttl", Int(registration.ttl))
        object.number("targetstrip", registration.targetStrip)
        object.text("group", registration.group)
        if let instance = registration.instance {
            object.string("service", instance.service)
            object.text("id", instance.id)
            if !instance.tags.isEmpty {
                object.raw("tags", JSONValue.array(instance.tags.map { .string($0) }).serialized())
            }
            object.string("status", instance.status)
            object.string("type", instance.endpointType)
            if !ByteOrder.same(instance.endpoint, defaultEndpoint(registration.host, registration.port)) {
                object.string("endpoint", instance.endpoint)
            }
            if let metadata = instance.metadata { object.raw("metadata", metadata) }
            if let extra = instance.extra { object.raw("extra", extra) }
            object.string("origin", instance.origin)
        }
        return object.finish()
    }

    /// A value that says the same to SkyDNS and CoreDNS under one more key, and that regdns reads past: it names the
    /// key that it stands for.
    package static func encodeAlias(of key: [UInt8], _ registration: Registration) -> [UInt8] {
        var plain = registration
        plain.instance = nil
        var value = encode(plain)
        var writer = JSONWriter()
        writer.raw(value.count > 2 ? ",\"alias_of\":" : "\"alias_of\":")
        writer.string(String(decoding: key, as: UTF8.self))
        writer.raw("}")
        value.removeLast()
        return value + writer.bytes
    }

    /// The key that a value stands for; nil when it is no alias.
    package static func aliasedKey(_ bytes: [UInt8]) -> [UInt8]? {
        (try? SkyDNSValue(bytes))?.aliasOf.map { Array($0.utf8) }
    }

    /// The endpoint text of a value that has none of its own: `host:port`, or `host` alone when the port is 0.
    package static func defaultEndpoint(_ host: ServiceHost, _ port: Int) -> String {
        let text = host.canonical.text
        guard port != 0 else { return text }
        if case .ipv6 = host.canonical { return "[\(text)]:\(port)" }
        return "\(text):\(port)"
    }
}

/// A value while it is read.
struct SkyDNSValue {
    private(set) var registration = Registration(host: .none)
    /// Set when the value is an alias of another key (`--store etcd` writes them for CoreDNS): to be ignored. Empty
    /// when it does not say of which.
    private(set) var aliasOf: String?
    private var instance = InstanceFields()

    init(_ bytes: [UInt8]) throws(JSONError) {
        var reader = JSONReader(bytes)
        if reader.peek() == UInt8(ascii: "n") {
            // Go reads a bare null as "leave all as it is".
            _ = try reader.readValue()
        } else {
            var value = self
            try reader.readObject { (name, reader) throws(JSONError) in try value.read(name, &reader) }
            self = value
        }
        try reader.finish()
        registration.instance = instance.attributes(of: registration)
    }

    private enum Field: String, CaseIterable {
        case host, port, priority, weight, text, mail, ttl, targetstrip, group
    }

    private mutating func read(_ name: String, _ reader: inout JSONReader) throws(JSONError) {
        let isNull = reader.peek() == UInt8(ascii: "n")
        let start = reader.offset
        guard let field = Field.allCases.first(where: { JSONText.matches(name, field: $0.rawValue) }) else {
            if JSONText.matches(name, field: "alias_of"), !isNull {
                aliasOf = try reader.readValue().stringValue ?? ""
            } else {
                try instance.read(name, &reader)
            }
            return
        }
        let value = try reader.readValue()
        if isNull { return }
        switch field {
        case .host: registration.host = ServiceHost(text: try Self.expect(value.stringValue, "a string", field, start))
        case .port: registration.port = try Self.whole(value, field, start)
        case .priority: registration.priority = try Self.whole(value, field, start)
        case .weight: registration.weight = try Self.whole(value, field, start)
        case .text: registration.text = try Self.expect(value.stringValue, "a string", field, start)
        case .mail: registration.mail = try Self.expect(value.boolValue, "true or false", field, start)
        case .ttl: registration.ttl = try Self.expect(value.uint32Value, "a whole number of 32 bits", field, start)
        case .targetstrip: registration.targetStrip = try Self.whole(value, field, start)
        case .group: registration.group = try Self.expect(value.stringValue, "a string", field, start)
        }
    }

    private static func whole(_ value: JSONValue, _ field: Field, _ offset: Int) throws(JSONError) -> Int {
        Int(try expect(value.int64Value, "a whole number", field, offset))
    }

    private static func expect<T>(
        _ value: T?, _ expected: String, _ field: Field, _ offset: Int
    ) throws(JSONError) -> T {
        guard let value else { throw JSONError(offset: offset, expected: "\(expected) for \(field.rawValue)") }
        return value
    }
}

/// The fields that registry dialects add to a SkyDNS value.
private struct InstanceFields {
    private var texts: [Field: String] = [:]
    private var tags: [String] = []
    private var metadata: [UInt8]?
    private var extra: [UInt8]?
    /// A field had a wrong type: the value is a plain one.
    private var isBroken = false

    private enum Field: String, CaseIterable {
        case service, id, status, type, endpoint, origin
    }

    mutating func read(_ name: String, _ reader: inout JSONReader) throws(JSONError) {
        if JSONText.matches(name, field: "metadata") {
            metadata = try reader.readCompact()
        } else if JSONText.matches(name, field: "extra") {
            let first = reader.peek()
            let value = try reader.readCompact()
            if first == UInt8(ascii: "n") { return }
            if first == UInt8(ascii: "{") { extra = value } else { isBroken = true }
        } else if JSONText.matches(name, field: "tags") {
            let value = try reader.readValue()
            if case .null = value { return }
            let texts = value.arrayValue?.map(\.stringValue) ?? [nil]
            tags = texts.compactMap { $0 }
            isBroken = isBroken || tags.count != texts.count
        } else {
            let value = try reader.readValue()
            guard let field = Field.allCases.first(where: { JSONText.matches(name, field: $0.rawValue) }) else {
                return
            }
            if case .null = value { return }
            if let text = value.stringValue { texts[field] = text } else { isBroken = true }
        }
    }

    func attributes(of registration: Registration) -> InstanceAttributes? {
        guard !isBroken, let service = texts[.service], !service.isEmpty, !service.utf8.contains(0) else { return nil }
        return InstanceAttributes(
            service: service, id: texts[.id] ?? "", tags: tags, status: texts[.status] ?? "UP",
            endpointType: texts[.type] ?? "tcp",
            endpoint: texts[.endpoint] ?? SkyDNSMessage.defaultEndpoint(registration.host, registration.port),
            metadata: metadata, extra: extra, origin: texts[.origin] ?? SkyDNSMessage.etcdOrigin)
    }
}

/// Writes one flat JSON object.
private struct JSONObjectWriter {
    private var writer = JSONWriter()
    private var isEmpty = true

    private mutating func name(_ name: String) {
        writer.raw(isEmpty ? "{" : ",")
        isEmpty = false
        writer.string(name)
        writer.raw(":")
    }

    /// A string member, left out when empty.
    mutating func text(_ name: String, _ value: String) {
        if !value.isEmpty { string(name, value) }
    }

    mutating func string(_ name: String, _ value: String) {
        self.name(name)
        writer.string(value)
    }

    /// A number member, left out when 0.
    mutating func number(_ name: String, _ value: Int) {
        if value != 0 { raw(name, Array(String(value).utf8)) }
    }

    mutating func raw(_ name: String, _ json: [UInt8]) {
        self.name(name)
        writer.raw(json)
    }

    consuming func finish() -> [UInt8] {
        writer.raw(isEmpty ? "{}" : "}")
        return writer.bytes
    }
}
