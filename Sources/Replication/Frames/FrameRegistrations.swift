import RegistryStore

// Registrations, every field as it is stored.

extension FrameWriter {
    private static let mail: UInt8 = 1
    private static let instance: UInt8 = 2
    private static let metadata: UInt8 = 4
    private static let extra: UInt8 = 8

    mutating func registration(_ registration: Registration) {
        let instance = registration.instance
        var flags: UInt8 = registration.mail ? Self.mail : 0
        if instance != nil { flags |= Self.instance }
        if instance?.metadata != nil { flags |= Self.metadata }
        if instance?.extra != nil { flags |= Self.extra }
        byte(flags)
        host(registration.host)
        signed(registration.port)
        signed(registration.priority)
        signed(registration.weight)
        signed(registration.targetStrip)
        varint(UInt64(registration.ttl))
        text(registration.text)
        text(registration.group)
        guard let instance else { return }
        text(instance.service)
        text(instance.id)
        varint(instance.tags.count)
        for tag in instance.tags { text(tag) }
        text(instance.status)
        text(instance.endpointType)
        text(instance.endpoint)
        if let metadata = instance.metadata { string(metadata) }
        if let extra = instance.extra { string(extra) }
        text(instance.origin)
    }

    private mutating func host(_ host: ServiceHost) {
        switch host {
        case .none: byte(0)
        case .ipv4(let address):
            byte(1)
            for shift in stride(from: UInt32(24), through: 8, by: -8) { byte(UInt8(address >> shift & 0xff)) }
            byte(UInt8(address & 0xff))
        case .ipv6(let high, let low):
            byte(2)
            fixed64(high)
            fixed64(low)
        case .name(let name):
            byte(3)
            text(name)
        }
    }
}

extension FrameReader {
    mutating func registration() throws(FrameError) -> Registration {
        let flags = try byte()
        let hasInstance = flags & 2 != 0
        guard flags < 16, hasInstance || flags < 4 else { throw malformed(.registration) }
        var registration = Registration(host: try host())
        registration.mail = flags & 1 != 0
        registration.port = try signed()
        registration.priority = try signed()
        registration.weight = try signed()
        registration.targetStrip = try signed()
        registration.ttl = UInt32(try int(.registration, max: Int64(UInt32.max)))
        registration.text = try text()
        registration.group = try text()
        if hasInstance {
            registration.instance = try instance(hasMetadata: flags & 4 != 0, hasExtra: flags & 8 != 0)
        }
        return registration
    }

    private mutating func instance(hasMetadata: Bool, hasExtra: Bool) throws(FrameError) -> InstanceAttributes {
        let service = try text()
        let id = try text()
        var tags: [String] = []
        for _ in 0..<(try count()) { tags.append(try text()) }
        let status = try text()
        let endpointType = try text()
        let endpoint = try text()
        let metadata = hasMetadata ? try string() : nil
        let extra = hasExtra ? try string() : nil
        return InstanceAttributes(
            service: service, id: id, tags: tags, status: status, endpointType: endpointType, endpoint: endpoint,
            metadata: metadata, extra: extra, origin: try text())
    }

    private mutating func host() throws(FrameError) -> ServiceHost {
        switch try byte() {
        case 0: return .none
        case 1:
            var address: UInt32 = 0
            for byte in try raw(4) { address = address << 8 | UInt32(byte) }
            return .ipv4(address)
        case 2: return .ipv6(try fixed64(), try fixed64())
        case 3: return .name(try text())
        default: throw malformed(.registration)
        }
    }
}
