/// Takes one side's octets of a stream as they come, in pieces of any size, and finds the one message that they hold.
/// Octets behind it are not looked at, but kept behind an own message, whose stream may go on.
package struct StreamDecoder: Sendable {
    private let security: GossipSecurity
    private let limits: StreamLimits
    private var phase: Phase
    private var input: [UInt8] = []
    /// As long as `input` is shorter, another look is of no use.
    private var needed = 1
    private var collector: PushPullCollector?
    /// Where an own message ends in `input`.
    private var end: Int?
    /// What came behind an own message (`StreamMessage.own`), once it is there.
    package private(set) var rest: [UInt8] = []

    private enum Phase {
        case label
        case first
        case message
        case done
    }

    /// - Parameter side: who wrote the octets. Only the dialling side writes a label.
    package init(side: StreamSide, security: GossipSecurity = GossipSecurity(), limits: StreamLimits = StreamLimits()) {
        self.security = security
        self.limits = limits
        phase = side == .dialler ? .label : .first
    }

    /// How many octets wait for the rest of their message.
    package var buffered: Int { input.count }

    /// Whether the message has come; nothing is taken after it.
    package var isDone: Bool { phase == .done }

    /// - Returns: the message once it is whole, nil while more is needed.
    /// - Throws: when it can become none any more. The decoder is of no use then.
    package mutating func append(_ bytes: some Collection<UInt8>) throws(GossipWireError) -> StreamMessage? {
        guard phase != .done else { return nil }
        guard bytes.count <= limits.streamBytes - input.count else {
            throw .tooMuch(.streamBytes, limit: limits.streamBytes)
        }
        input += bytes
        while input.count >= needed, phase != .done {
            do {
                if let message = try advance() {
                    phase = .done
                    if case .own = message { rest = Array(input.dropFirst(end ?? input.count)) }
                    input = []
                    return message
                }
            } catch .truncated(let count) {
                guard count <= limits.streamBytes else {
                    throw .tooMuch(.streamBytes, limit: limits.streamBytes)
                }
                needed = max(count, input.count + 1)
            }
        }
        return nil
    }

    /// One step further; `truncated` when the step needs more octets.
    private mutating func advance() throws(GossipWireError) -> StreamMessage? {
        switch phase {
        case .label:
            // One octet says whether there is a label header at all.
            input = Array(try security.stripLabel(input[...]))
            phase = .first
            needed = 1
            return nil
        case .first:
            return try first()
        case .message:
            return try plainMessage(input, whole: false)
        case .done:
            return nil
        }
    }

    private mutating func first() throws(GossipWireError) -> StreamMessage? {
        switch input.first {
        case MessageType.encrypt.rawValue:
            guard !security.keys.isEmpty else { throw .sealedWithoutKeys }
            return try wholeMessage(try unseal())
        case nil:
            throw .truncated(needed: 1)
        default:
            guard security.keys.isEmpty || !security.verifiesIncoming else { throw .plainRefused }
            phase = .message
            return nil
        }
    }

    /// Opens the sealed message, which must be whole.
    private mutating func unseal() throws(GossipWireError) -> [UInt8] {
        let head = input.prefix(5)
        guard let length = UInt32(bigEndianOctets: head.dropFirst()) else { throw .truncated(needed: 5) }
        guard length <= StreamLimits.sealedBytes else {
            throw .tooMuch(.sealedBytes, limit: StreamLimits.sealedBytes)
        }
        let sealed = input.dropFirst(5).prefix(Int(length))
        guard sealed.count == Int(length) else { throw .truncated(needed: 5 + Int(length)) }
        end = 5 + Int(length)
        return try Sealing.open(sealed, keys: security.keys, data: head + security.label).plain
    }

    private mutating func wholeMessage(_ plain: [UInt8]) throws(GossipWireError) -> StreamMessage {
        guard !plain.isEmpty else { throw .empty }
        do {
            collector = nil
            return try plainMessage(plain, whole: true)
        } catch .truncated {
            // Nothing can follow what was sealed or compressed.
            throw .cutShort
        }
    }

    /// - Parameter whole: whether `bytes` are all there will be, for they came out of a seal or of compression.
    private mutating func plainMessage(_ bytes: [UInt8], whole: Bool) throws(GossipWireError) -> StreamMessage {
        guard let type = bytes.first else { throw .truncated(needed: 1) }
        var reader = MessagePackReader(bytes, at: 1)
        switch MessageType(rawValue: type) {
        case .compress:
            let plain = try Compression.decode(&reader, limit: limits.plainBytes)
            guard plain.first != MessageType.compress.rawValue else { throw .unknownType(type) }
            if !whole { end = reader.offset }
            return try wholeMessage(plain)
        case .ping: return .ping(try Ping(reading: &reader))
        case .ack: return .ack(try Ack(reading: &reader))
        case .error: return .error(try errorText(&reader))
        case .user: return .user(try userBytes(&reader))
        case .pushPull:
            var state = collector ?? PushPullCollector()
            // One owner only, or each piece would copy the nodes of all pieces before.
            collector = nil
            defer { collector = whole ? nil : state }
            return .pushPull(try state.collect(bytes, limits))
        default:
            guard limits.ownTypes.contains(type) else { throw .unknownType(type) }
            let body = try ownBody(bytes)
            if !whole { end = 5 + body.count }
            return .own(type: type, body: body)
        }
    }

    private func errorText(_ reader: inout MessagePackReader) throws(GossipWireError) -> [UInt8] {
        var text: [UInt8] = []
        try reader.fields { (field, reader) throws(GossipWireError) in
            if field == .error { text = try reader.text(field) } else { try reader.skip() }
        }
        return text
    }

    private func userBytes(_ reader: inout MessagePackReader) throws(GossipWireError) -> [UInt8] {
        var count = 0
        try reader.fields { (field, reader) throws(GossipWireError) in
            if field == .userMsgLen { count = try reader.number(field) } else { try reader.skip() }
        }
        guard (0...limits.userBytes).contains(count) else { throw .tooMuch(.userBytes, limit: limits.userBytes) }
        return try reader.rawBytes(count)
    }

    private func ownBody(_ bytes: [UInt8]) throws(GossipWireError) -> [UInt8] {
        guard let count = UInt32(bigEndianOctets: bytes.dropFirst().prefix(4)) else { throw .truncated(needed: 5) }
        guard count <= limits.userBytes else { throw .tooMuch(.userBytes, limit: limits.userBytes) }
        guard bytes.count >= 5 + Int(count) else { throw .truncated(needed: 5 + Int(count)) }
        return Array(bytes[5..<5 + Int(count)])
    }
}
