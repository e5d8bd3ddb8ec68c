// Bodies of messages, read. Fields that are left out are zero, as in Go.

extension PingSource {
    /// Takes the field if it is one of the source's.
    fileprivate mutating func take(
        _ field: Field, _ reader: inout MessagePackReader
    ) throws(GossipWireError) -> Bool {
        switch field {
        case .sourceAddr: address = try reader.bytes(field) ?? []
        case .sourcePort: port = try reader.number(field)
        case .sourceNode: node = NodeName(octets: try reader.text(field))
        default: return false
        }
        return true
    }
}

extension Ping {
    init(reading reader: inout MessagePackReader) throws(GossipWireError) {
        var ping = Ping(sequence: 0, node: "")
        try reader.fields { (field, reader) throws(GossipWireError) in
            switch field {
            case .seqNo: ping.sequence = try reader.number(field)
            case .node: ping.node = NodeName(octets: try reader.text(field))
            default: if try !ping.source.take(field, &reader) { try reader.skip() }
            }
        }
        self = ping
    }
}

extension IndirectPing {
    init(reading reader: inout MessagePackReader) throws(GossipWireError) {
        var ping = IndirectPing(sequence: 0, target: [], port: 0, node: "", wantsNack: false)
        try reader.fields { (field, reader) throws(GossipWireError) in
            switch field {
            case .seqNo: ping.sequence = try reader.number(field)
            case .target: ping.target = try reader.bytes(field) ?? []
            case .port: ping.port = try reader.number(field)
            case .node: ping.node = NodeName(octets: try reader.text(field))
            case .nack: ping.wantsNack = try reader.bool(field)
            default: if try !ping.source.take(field, &reader) { try reader.skip() }
            }
        }
        self = ping
    }
}

extension Ack {
    init(reading reader: inout MessagePackReader) throws(GossipWireError) {
        var ack = Ack(sequence: 0)
        try reader.fields { (field, reader) throws(GossipWireError) in
            switch field {
            case .seqNo: ack.sequence = try reader.number(field)
            case .payload: ack.payload = try reader.bytes(field)
            default: try reader.skip()
            }
        }
        self = ack
    }
}

extension Nack {
    init(reading reader: inout MessagePackReader) throws(GossipWireError) {
        var nack = Nack(sequence: 0)
        try reader.fields { (field, reader) throws(GossipWireError) in
            if field == .seqNo { nack.sequence = try reader.number(field) } else { try reader.skip() }
        }
        self = nack
    }
}

extension Accusation {
    init(reading reader: inout MessagePackReader) throws(GossipWireError) {
        var accusation = Accusation(incarnation: 0, node: "", from: "")
        try reader.fields { (field, reader) throws(GossipWireError) in
            switch field {
            case .incarnation: accusation.incarnation = try reader.number(field)
            case .node: accusation.node = NodeName(octets: try reader.text(field))
            case .from: accusation.from = NodeName(octets: try reader.text(field))
            default: try reader.skip()
            }
        }
        self = accusation
    }
}

extension Alive {
    init(reading reader: inout MessagePackReader) throws(GossipWireError) {
        var alive = Alive(incarnation: 0, node: "", address: nil, port: 0, meta: nil, versions: nil)
        try reader.fields { (field, reader) throws(GossipWireError) in
            switch field {
            case .incarnation: alive.incarnation = try reader.number(field)
            case .node: alive.node = NodeName(octets: try reader.text(field))
            case .addr: alive.address = try reader.bytes(field)
            case .port: alive.port = try reader.number(field)
            case .meta: alive.meta = try reader.bytes(field)
            case .vsn: alive.versions = ProtocolVersions(octets: try reader.bytes(field))
            default: try reader.skip()
            }
        }
        self = alive
    }
}

extension PushPullNode {
    init(reading reader: inout MessagePackReader) throws(GossipWireError) {
        var node = PushPullNode(
            incarnation: 0, name: "", address: nil, port: 0, meta: nil, state: .alive, versions: nil)
        try reader.fields { (field, reader) throws(GossipWireError) in
            switch field {
            case .incarnation: node.incarnation = try reader.number(field)
            case .name: node.name = NodeName(octets: try reader.text(field))
            case .addr: node.address = try reader.bytes(field)
            case .port: node.port = try reader.number(field)
            case .meta: node.meta = try reader.bytes(field)
            case .state:
                let state: Int64 = try reader.number(field)
                node.state = UInt8(exactly: state).flatMap(NodeState.init)
            case .vsn: node.versions = ProtocolVersions(octets: try reader.bytes(field))
            default: try reader.skip()
            }
        }
        self = node
    }
}

extension Message {
    /// One message without wrappers. What stands behind its map is ignored, as Go does.
    ///
    /// - Throws: `unknownType` also for types that are no messages of packets.
    package init(reading bytes: [UInt8]) throws(GossipWireError) {
        guard let first = bytes.first else { throw .empty }
        var reader = MessagePackReader(bytes, at: 1)
        switch MessageType(rawValue: first) {
        case .ping: self = .ping(try Ping(reading: &reader))
        case .indirectPing: self = .indirectPing(try IndirectPing(reading: &reader))
        case .ack: self = .ack(try Ack(reading: &reader))
        case .nack: self = .nack(try Nack(reading: &reader))
        case .suspect: self = .suspect(try Accusation(reading: &reader))
        case .alive: self = .alive(try Alive(reading: &reader))
        case .dead: self = .dead(try Accusation(reading: &reader))
        case .user: self = .user(Array(bytes.dropFirst()))
        default: throw .unknownType(first)
        }
    }
}
