/// Packets to messages and back: label, seal, checksum, compression, compound, message.
package struct PacketCodec: Sendable {
    /// Wrappers inside of each other. Peers make two.
    package static let maxDepth = 8
    /// Messages in one packet, dropped ones included.
    package static let maxMessages = 1_024

    package var security: GossipSecurity
    /// Whether packets are compressed that become shorter by it. Compressed ones are always read.
    package var compresses: Bool

    package init(security: GossipSecurity = GossipSecurity(), compresses: Bool = true) {
        self.security = security
        self.compresses = compresses
    }

    // MARK: Reading

    /// What was in a packet.
    package struct Contents: Hashable, Sendable {
        package var messages: [Message] = []
        /// Why parts of it were dropped; the other parts are good.
        package var problems: [GossipWireError] = []
        /// Parts that a compound announced and did not hold.
        package var lostParts = 0
    }

    /// - Throws: what concerns the whole packet: label, seal, checksum. Broken parts are in `problems`.
    package func decode(_ bytes: [UInt8]) throws(GossipWireError) -> Contents {
        let plain = try open(try security.stripLabel(bytes[...]))
        let message = try Checksum.decode(plain) ?? plain
        guard !message.isEmpty else { throw .empty }
        return unwrap(message)
    }

    private func open(_ bytes: ArraySlice<UInt8>) throws(GossipWireError) -> [UInt8] {
        guard !bytes.isEmpty else { throw .empty }
        guard !security.keys.isEmpty else { return Array(bytes) }
        do {
            return try Sealing.open(bytes, keys: security.keys, data: security.label).plain
        } catch {
            guard !security.verifiesIncoming else { throw error }
            return Array(bytes)
        }
    }

    /// Takes off compound and compression, which nest in any order. What is still wrapped waits in a list, so that
    /// nothing recurses.
    private func unwrap(_ message: [UInt8]) -> Contents {
        var contents = Contents()
        var plainLeft = Compression.packetLimit
        // Last one first.
        var waiting = [(bytes: message, depth: 0)]
        while let (bytes, depth) = waiting.popLast() {
            guard contents.messages.count + contents.problems.count < Self.maxMessages else {
                contents.problems.append(.tooMuch(.messages, limit: Self.maxMessages))
                break
            }
            do {
                for part in try layer(bytes, depth, &plainLeft, &contents).reversed() {
                    waiting.append((part, depth + 1))
                }
            } catch {
                contents.problems.append(error)
            }
        }
        return contents
    }

    /// What is inside of one wrapper; nothing when it was a message, which is noted.
    private func layer(
        _ bytes: [UInt8], _ depth: Int, _ plainLeft: inout Int, _ contents: inout Contents
    ) throws(GossipWireError) -> [[UInt8]] {
        switch bytes.first.flatMap(MessageType.init) {
        case .compound:
            guard depth < Self.maxDepth else { throw .tooDeep(limit: Self.maxDepth) }
            let (parts, lost) = try Compound.decode(bytes.dropFirst())
            contents.lostParts += lost
            return parts.map(Array.init)
        case .compress:
            guard depth < Self.maxDepth else { throw .tooDeep(limit: Self.maxDepth) }
            var reader = MessagePackReader(bytes, at: 1)
            let plain = try Compression.decode(&reader, limit: plainLeft)
            plainLeft -= plain.count
            return [plain]
        default:
            contents.messages.append(try Message(reading: bytes))
            return []
        }
    }

    // MARK: Writing

    /// One packet of encoded messages: at least one, at most `Compound.maxPartsWritten`.
    ///
    /// - Parameter checksum: whether the receiver is known to understand one (protocol 5).
    package func encode(
        _ messages: [[UInt8]], checksum: Bool, random: inout some RandomNumberGenerator
    ) throws(GossipWireError) -> [UInt8] {
        guard let first = messages.first else { throw .empty }
        var bytes = messages.count == 1 ? first : try Compound.encode(messages)
        if compresses {
            let compressed = Compression.encode(bytes)
            if compressed.count < bytes.count { bytes = compressed }
        }
        if checksum { bytes = Checksum.encode(bytes) }
        if let key = security.sealingKey {
            bytes = try Sealing.seal(
                bytes, key: key, version: security.sealVersion, data: security.label, random: &random)
        }
        return security.labelHeader + bytes
    }
}
