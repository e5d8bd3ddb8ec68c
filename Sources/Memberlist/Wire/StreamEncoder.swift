/// A message of a stream with its wrappers: label, seal, compression, message.
package struct StreamEncoder: Sendable {
    package var security: GossipSecurity
    /// Whether messages are compressed; if so, all of them, even those that grow by it.
    package var compresses: Bool

    package init(security: GossipSecurity = GossipSecurity(), compresses: Bool = true) {
        self.security = security
        self.compresses = compresses
    }

    /// - Parameter side: only the dialling side writes the label; both sides seal with it.
    package func encode(
        _ message: StreamMessage, side: StreamSide, random: inout some RandomNumberGenerator
    ) throws(GossipWireError) -> [UInt8] {
        var bytes = message.encoded
        if compresses { bytes = Compression.encode(bytes) }
        if let key = security.sealingKey { bytes = try seal(bytes, key, &random) }
        return (side == .dialler ? security.labelHeader : []) + bytes
    }

    private func seal(
        _ bytes: [UInt8], _ key: GossipKey, _ random: inout some RandomNumberGenerator
    ) throws(GossipWireError) -> [UInt8] {
        let count = Sealing.sealedCount(bytes.count, security.sealVersion)
        guard count <= StreamLimits.sealedBytes else { throw .tooMuch(.sealedBytes, limit: StreamLimits.sealedBytes) }
        let head = [MessageType.encrypt.rawValue] + UInt32(count).bigEndianOctets
        return head
            + (try Sealing.seal(
                bytes, key: key, version: security.sealVersion, data: head + security.label, random: &random))
    }
}

/// Who wrote what is read or written.
package enum StreamSide: Sendable {
    case dialler
    case answerer
}

/// How much of a stream is taken.
package struct StreamLimits: Hashable, Sendable {
    /// The most octets behind type 10 and its length (memberlist's limit).
    package static let sealedBytes = 20_971_520

    /// Members in one push/pull. Newest memberlist takes 1,048,576; each costs some hundred octets of memory here.
    package var nodes = 65_536
    package var userStateBytes = 20_971_520
    package var userBytes = 20_971_520
    /// What a compressed stream may become (newest memberlist's limit).
    package var plainBytes = 41_943_040
    /// All of a plain stream's message.
    package var streamBytes = 41_943_040
    /// First octets of own stream messages: from the far end of the list, never one that memberlist has.
    package var ownTypes: Set<UInt8> = [208]

    package init() {}
}
