import RegistryStore

/// A registration as bytes, exactly as it is: form 1.
///
/// Numbers are LEB128, signed ones zigzag; texts and byte strings have their length before them.
enum RegistrationBytes {
    private static let form: UInt8 = 1

    static func encode(_ registration: Registration) -> [UInt8] {
        var out = ByteSink()
        out.bytes.append(form)
        switch registration.host {
        case .none: out.bytes.append(0)
        case .ipv4(let address):
            out.bytes.append(1)
            out.number(UInt64(address))
        case .ipv6(let high, let low):
            out.bytes.append(2)
            out.number(high)
            out.number(low)
        case .name(let name):
            out.bytes.append(3)
            out.text(name)
        }
        for number in [registration.port, registration.priority, registration.weight, registration.targetStrip] {
            out.signed(number)
        }
        out.number(UInt64(registration.ttl))
        out.bytes.append((registration.mail ? 1 : 0) | (registration.instance == nil ? 0 : 2))
        out.text(registration.text)
        out.text(registration.group)
        guard let instance = registration.instance else { return out.bytes }
        for text in [
            instance.service, instance.id, instance.status, instance.endpointType, instance.endpoint, instance.origin,
        ] {
            out.text(text)
        }
        out.number(UInt64(instance.tags.count))
        for tag in instance.tags { out.text(tag) }
        out.optional(instance.metadata)
        out.optional(instance.extra)
        return out.bytes
    }

    /// Nil when the bytes are no registration.
    static func decode(_ bytes: [UInt8]) -> Registration? {
        var source = ByteSource(bytes)
        guard source.byte() == form, let registration = registration(&source), source.isAtEnd else { return nil }
        return registration
    }

    private static func registration(_ source: inout ByteSource) -> Registration? {
        guard let host = host(&source), let port = source.signed(), let priority = source.signed(),
            let weight = source.signed(), let strip = source.signed(),
            let ttl = source.number().flatMap({ UInt32(exactly: $0) }), let flags = source.byte(), flags < 4,
            let text = source.text(), let group = source.text()
        else { return nil }
        var instance: InstanceAttributes?
        if flags & 2 != 0 {
            guard let read = self.instance(&source) else { return nil }
            instance = read
        }
        return Registration(
            host: host, port: port, priority: priority, weight: weight, text: text, mail: flags & 1 != 0, ttl: ttl,
            targetStrip: strip, group: group, instance: instance)
    }

    private static func host(_ source: inout ByteSource) -> ServiceHost? {
        switch source.byte() {
        case 0: return ServiceHost.none
        case 1: return source.number().flatMap { UInt32(exactly: $0) }.map { .ipv4($0) }
        case 2:
            guard let high = source.number(), let low = source.number() else { return nil }
            return .ipv6(high, low)
        case 3: return source.text().map { .name($0) }
        default: return nil
        }
    }

    private static func instance(_ source: inout ByteSource) -> InstanceAttributes? {
        guard let service = source.text(), let id = source.text(), let status = source.text(),
            let endpointType = source.text(), let endpoint = source.text(), let origin = source.text(),
            let count = source.number(), count <= UInt64(source.left)
        else { return nil }
        var tags: [String] = []
        for _ in 0..<count {
            guard let tag = source.text() else { return nil }
            tags.append(tag)
        }
        guard let metadata = source.optional(), let extra = source.optional() else { return nil }
        return InstanceAttributes(
            service: service, id: id, tags: tags, status: status, endpointType: endpointType, endpoint: endpoint,
            metadata: metadata, extra: extra, origin: origin)
    }
}

/// Writes numbers, texts and byte strings one after the other.
struct ByteSink {
    var bytes: [UInt8] = []

    mutating func number(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    mutating func signed(_ value: Int) {
        let wide = Int64(value)
        number(UInt64(bitPattern: (wide << 1) ^ (wide >> 63)))
    }

    mutating func text(_ text: String) {
        number(UInt64(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    mutating func optional(_ string: [UInt8]?) {
        guard let string else { return bytes.append(0) }
        bytes.append(1)
        number(UInt64(string.count))
        bytes.append(contentsOf: string)
    }
}

/// Reads what `ByteSink` wrote; nil where there is something else.
struct ByteSource {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var left: Int { bytes.count - offset }
    var isAtEnd: Bool { offset == bytes.count }

    mutating func byte() -> UInt8? {
        guard offset < bytes.count else { return nil }
        defer { offset += 1 }
        return bytes[offset]
    }

    mutating func number() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: 0 as UInt64, through: 63, by: 7) {
            guard let byte = byte() else { return nil }
            if shift == 63, byte > 1 { return nil }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }

    mutating func signed() -> Int? {
        number().flatMap { Int(exactly: Int64(bitPattern: ($0 >> 1)) ^ -Int64(bitPattern: $0 & 1)) }
    }

    mutating func string() -> [UInt8]? {
        guard let count = number(), count <= UInt64(left) else { return nil }
        defer { offset += Int(count) }
        return Array(bytes[offset..<offset + Int(count)])
    }

    mutating func text() -> String? { string().flatMap { String(validating: $0, as: UTF8.self) } }

    /// The outer nil is a fault.
    mutating func optional() -> [UInt8]?? {
        switch byte() {
        case 0: return .some(nil)
        case 1: return string().map { .some($0) }
        default: return nil
        }
    }
}
