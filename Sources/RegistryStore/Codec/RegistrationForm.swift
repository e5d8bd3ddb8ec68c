/// How a registration is written as bytes, every field as it is. Both forms are read by other versions of this program,
/// so neither may change; a field that is added needs a new one.
package enum RegistrationForm: Sendable {
    /// Form 1 of a kept row.
    case row
    /// Version 1 of a frame between nodes.
    case frame

    fileprivate enum Part {
        case flags, host, numbers, texts
        // Of the instance, where there is one.
        case names, tags, state, origin, documents
    }

    /// Flags come before what they tell of.
    fileprivate var order: [Part] { self == .row ? Self.rowOrder : Self.frameOrder }

    private static let rowOrder: [Part] = [
        .host, .numbers, .flags, .texts, .names, .state, .origin, .tags, .documents,
    ]
    private static let frameOrder: [Part] = [
        .flags, .host, .numbers, .texts, .names, .tags, .state, .documents, .origin,
    ]
}

private struct Flags: OptionSet {
    let rawValue: UInt8

    static let mail = Flags(rawValue: 1)
    static let instance = Flags(rawValue: 2)
    // In frames. Rows have an octet before each of the two.
    static let metadata = Flags(rawValue: 4)
    static let extra = Flags(rawValue: 8)

    init(rawValue: UInt8) { self.rawValue = rawValue }

    init(_ registration: Registration, _ form: RegistrationForm) {
        self = registration.mail ? .mail : []
        if registration.instance != nil { insert(.instance) }
        guard form == .frame else { return }
        if registration.instance?.metadata != nil { insert(.metadata) }
        if registration.instance?.extra != nil { insert(.extra) }
    }
}

extension ByteWriter {
    package mutating func registration(_ registration: Registration, as form: RegistrationForm) {
        for part in form.order {
            switch part {
            case .flags: byte(Flags(registration, form).rawValue)
            case .host: host(registration.host, form)
            case .numbers:
                signed(registration.port)
                signed(registration.priority)
                signed(registration.weight)
                signed(registration.targetStrip)
                varint(UInt64(registration.ttl))
            case .texts:
                text(registration.text)
                text(registration.group)
            case .names, .tags, .state, .origin, .documents:
                if let instance = registration.instance { self.part(part, of: instance, form) }
            }
        }
    }

    private mutating func part(
        _ part: RegistrationForm.Part, of instance: InstanceAttributes, _ form: RegistrationForm
    ) {
        switch part {
        case .names:
            text(instance.service)
            text(instance.id)
        case .tags:
            varint(instance.tags.count)
            for tag in instance.tags { text(tag) }
        case .state:
            text(instance.status)
            text(instance.endpointType)
            text(instance.endpoint)
        case .origin: text(instance.origin)
        case .documents:
            document(instance.metadata, form)
            document(instance.extra, form)
        case .flags, .host, .numbers, .texts: break
        }
    }

    private mutating func document(_ document: [UInt8]?, _ form: RegistrationForm) {
        if form == .row { byte(document == nil ? 0 : 1) }
        if let document { string(document) }
    }

    private mutating func host(_ host: ServiceHost, _ form: RegistrationForm) {
        switch (host, form) {
        case (.none, _): byte(0)
        case (.ipv4(let address), .row):
            byte(1)
            varint(UInt64(address))
        case (.ipv4(let address), .frame):
            byte(1)
            for shift in stride(from: 24, through: 0, by: -8) { byte(UInt8(truncatingIfNeeded: address >> shift)) }
        case (.ipv6(let high, let low), .row):
            byte(2)
            varint(high)
            varint(low)
        case (.ipv6(let high, let low), .frame):
            byte(2)
            fixed64(high)
            fixed64(low)
        case (.name(let name), _):
            byte(3)
            text(name)
        }
    }
}

extension ByteReader {
    package mutating func registration(as form: RegistrationForm) throws(ByteError) -> Registration {
        var registration = Registration(host: .none)
        var flags: Flags = []
        var (service, id, status, endpointType, endpoint, origin) = ("", "", "", "", "", "")
        var tags: [String] = []
        var metadata: [UInt8]?
        var extra: [UInt8]?
        for part in form.order {
            switch part {
            case .flags: flags = try registrationFlags(form)
            case .host: registration.host = try host(form)
            case .numbers:
                registration.port = try signed()
                registration.priority = try signed()
                registration.weight = try signed()
                registration.targetStrip = try signed()
                registration.ttl = UInt32(try int(.registration, max: Int64(UInt32.max)))
            case .texts:
                registration.text = try text()
                registration.group = try text()
            case _ where !flags.contains(.instance): continue
            case .names: (service, id) = (try text(), try text())
            case .tags: for _ in 0..<(try count()) { tags.append(try text()) }
            case .state: (status, endpointType, endpoint) = (try text(), try text(), try text())
            case .origin: origin = try text()
            case .documents:
                metadata = try document(isThere: flags.contains(.metadata), form)
                extra = try document(isThere: flags.contains(.extra), form)
            }
        }
        registration.mail = flags.contains(.mail)
        guard flags.contains(.instance) else { return registration }
        registration.instance = InstanceAttributes(
            service: service, id: id, tags: tags, status: status, endpointType: endpointType, endpoint: endpoint,
            metadata: metadata, extra: extra, origin: origin)
        return registration
    }

    private mutating func registrationFlags(_ form: RegistrationForm) throws(ByteError) -> Flags {
        let flags = Flags(rawValue: try byte())
        let known: Flags =
            form == .frame && flags.contains(.instance) ? [.mail, .instance, .metadata, .extra] : [.mail, .instance]
        guard flags.isSubset(of: known) else { throw malformed(.registration) }
        return flags
    }

    private mutating func document(isThere: Bool, _ form: RegistrationForm) throws(ByteError) -> [UInt8]? {
        guard form == .row else { return isThere ? try string() : nil }
        switch try byte() {
        case 0: return nil
        case 1: return try string()
        default: throw malformed(.registration)
        }
    }

    private mutating func host(_ form: RegistrationForm) throws(ByteError) -> ServiceHost {
        switch (try byte(), form) {
        case (0, _): return .none
        case (1, .row): return .ipv4(UInt32(try int(.registration, max: Int64(UInt32.max))))
        case (1, .frame): return .ipv4(try raw(4).reduce(0) { $0 << 8 | UInt32($1) })
        case (2, .row): return .ipv6(try varint(), try varint())
        case (2, .frame): return .ipv6(try fixed64(), try fixed64())
        case (3, _): return .name(try text())
        default: throw malformed(.registration)
        }
    }
}
