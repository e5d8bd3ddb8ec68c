// Bodies of messages, written as Go writes them: fields in the order of their names.

extension PingSource {
    fileprivate var fieldCount: Int { (address.isEmpty ? 0 : 1) + (node.octets.isEmpty ? 0 : 1) + (port == 0 ? 0 : 1) }

    fileprivate func write(into writer: inout MessagePackWriter) {
        if !address.isEmpty { writer.field(.sourceAddr, bytes: address) }
        if !node.octets.isEmpty { writer.field(.sourceNode, text: node.octets) }
        if port != 0 { writer.field(.sourcePort, number: port) }
    }
}

extension Ping {
    var encoded: [UInt8] {
        var writer = MessagePackWriter(type: MessageType.ping.rawValue)
        writer.map(2 + source.fieldCount)
        writer.field(.node, text: node.octets)
        writer.field(.seqNo, number: sequence)
        source.write(into: &writer)
        return writer.bytes
    }
}

extension IndirectPing {
    fileprivate var encoded: [UInt8] {
        var writer = MessagePackWriter(type: MessageType.indirectPing.rawValue)
        writer.map(5 + source.fieldCount)
        writer.field(.nack, bool: wantsNack)
        writer.field(.node, text: node.octets)
        writer.field(.port, number: port)
        writer.field(.seqNo, number: sequence)
        source.write(into: &writer)
        writer.field(.target, bytes: target)
        return writer.bytes
    }
}

extension Ack {
    var encoded: [UInt8] {
        var writer = MessagePackWriter(type: MessageType.ack.rawValue)
        writer.map(2)
        writer.field(.payload, bytes: payload)
        writer.field(.seqNo, number: sequence)
        return writer.bytes
    }
}

extension Nack {
    fileprivate var encoded: [UInt8] {
        var writer = MessagePackWriter(type: MessageType.nack.rawValue)
        writer.map(1)
        writer.field(.seqNo, number: sequence)
        return writer.bytes
    }
}

extension Accusation {
    fileprivate func encoded(_ type: MessageType) -> [UInt8] {
        var writer = MessagePackWriter(type: type.rawValue)
        writer.map(3)
        writer.field(.from, text: from.octets)
        writer.field(.incarnation, number: incarnation)
        writer.field(.node, text: node.octets)
        return writer.bytes
    }
}

extension Alive {
    fileprivate var encoded: [UInt8] {
        var writer = MessagePackWriter(type: MessageType.alive.rawValue)
        writer.map(6)
        writer.field(.addr, bytes: address)
        writer.field(.incarnation, number: incarnation)
        writer.field(.meta, bytes: meta)
        writer.field(.node, text: node.octets)
        writer.field(.port, number: port)
        writer.field(.vsn, bytes: versions?.octets)
        return writer.bytes
    }
}

extension PushPullNode {
    fileprivate func write(into writer: inout MessagePackWriter) {
        writer.map(7)
        writer.field(.addr, bytes: address)
        writer.field(.incarnation, number: incarnation)
        writer.field(.meta, bytes: meta)
        writer.field(.name, text: name.octets)
        writer.field(.port, number: port)
        writer.field(.state, number: (state ?? .dead).rawValue)
        writer.field(.vsn, bytes: versions?.octets)
    }
}

extension Message {
    /// The message with its type in front. An alive without versions must not be sent: it would block every later join.
    package var encoded: [UInt8] {
        switch self {
        case .ping(let ping): ping.encoded
        case .indirectPing(let ping): ping.encoded
        case .ack(let ack): ack.encoded
        case .nack(let nack): nack.encoded
        case .suspect(let accusation): accusation.encoded(.suspect)
        case .alive(let alive): alive.encoded
        case .dead(let accusation): accusation.encoded(.dead)
        case .user(let bytes): [MessageType.user.rawValue] + bytes
        }
    }
}

extension PushPull {
    var encoded: [UInt8] {
        var writer = MessagePackWriter(type: MessageType.pushPull.rawValue)
        writer.map(3)
        writer.field(.join, bool: join)
        writer.field(.nodes, number: UInt64(nodes.count))
        writer.field(.userStateLen, number: UInt64(userState.count))
        for node in nodes { node.write(into: &writer) }
        writer.raw(userState)
        return writer.bytes
    }
}

extension StreamMessage {
    /// The message with its type in front, without wrappers.
    package var encoded: [UInt8] {
        switch self {
        case .ping(let ping): return ping.encoded
        case .ack(let ack): return ack.encoded
        case .pushPull(let state): return state.encoded
        case .user(let bytes):
            var writer = MessagePackWriter(type: MessageType.user.rawValue)
            writer.map(1)
            writer.field(.userMsgLen, number: UInt64(bytes.count))
            writer.raw(bytes)
            return writer.bytes
        case .error(let reason):
            var writer = MessagePackWriter(type: MessageType.error.rawValue)
            writer.map(1)
            writer.field(.error, text: reason)
            return writer.bytes
        case .own(let type, let body):
            return [type] + UInt32(clamping: body.count).bigEndianOctets + body
        }
    }
}
