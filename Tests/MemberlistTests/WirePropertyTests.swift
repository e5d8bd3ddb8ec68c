import Memberlist
import RegdnsTestKit
import Testing

/// The codec against random and mutated input. REGDNS_SEED repeats a run, REGDNS_EFFORT makes more rounds.
@Suite struct WirePropertyTests {
    // MARK: Makers

    static func name(_ random: inout SeededRandom) -> NodeName { NodeName(octets: random.octets(upTo: 40)) }

    static func source(_ random: inout SeededRandom) -> PingSource {
        random.oneIn(3)
            ? PingSource()
            : PingSource(
                address: random.bytes(random.oneIn(2) ? 4 : 16), port: UInt16(random.below(65_535) + 1),
                node: NodeName(octets: random.bytes(3)))
    }

    static func accusation(_ random: inout SeededRandom) -> Accusation {
        Accusation(incarnation: number(&random), node: name(&random), from: name(&random))
    }

    /// Numbers of every length.
    static func number(_ random: inout SeededRandom) -> UInt32 {
        UInt32(truncatingIfNeeded: random.next()) >> UInt32(random.below(32))
    }

    static func versions(_ random: inout SeededRandom) -> ProtocolVersions? {
        ProtocolVersions(octets: random.bytes(6))
    }

    static func message(_ random: inout SeededRandom) -> Message {
        switch random.below(8) {
        case 0: .ping(Ping(sequence: number(&random), node: name(&random), source: source(&random)))
        case 1:
            .indirectPing(
                IndirectPing(
                    sequence: number(&random), target: random.bytes(4), port: UInt16(random.below(65_536)),
                    node: name(&random), wantsNack: random.oneIn(2), source: source(&random)))
        case 2: .ack(Ack(sequence: number(&random), payload: random.oneIn(2) ? nil : random.octets(upTo: 300)))
        case 3: .nack(Nack(sequence: number(&random)))
        case 4: .suspect(accusation(&random))
        case 5: .dead(accusation(&random))
        case 6:
            .alive(
                Alive(
                    incarnation: number(&random), node: name(&random), address: random.octets(upTo: 16),
                    port: UInt16(random.below(65_536)), meta: random.oneIn(3) ? nil : random.octets(upTo: 512),
                    versions: versions(&random)))
        default: .user(random.octets(upTo: 600))
        }
    }

    static func pushPull(_ random: inout SeededRandom) -> PushPull {
        PushPull(
            join: random.oneIn(2),
            nodes: (0..<random.below(40)).map { _ in
                PushPullNode(
                    incarnation: number(&random), name: name(&random), address: random.octets(upTo: 16),
                    port: UInt16(random.below(65_536)), meta: random.oneIn(3) ? nil : random.octets(upTo: 512),
                    state: NodeState.allCases.randomElement(using: &random), versions: versions(&random))
            },
            userState: random.octets(upTo: 2_000))
    }

    static func streamMessage(_ random: inout SeededRandom) -> StreamMessage {
        switch random.below(6) {
        case 0: .ping(Ping(sequence: number(&random), node: name(&random), source: source(&random)))
        case 1: .ack(Ack(sequence: number(&random)))
        case 2: .user(random.octets(upTo: 3_000))
        case 3: .error(random.octets(upTo: 100))
        case 4: .own(type: 208, body: random.octets(upTo: 3_000))
        default: .pushPull(pushPull(&random))
        }
    }

    static func security(_ random: inout SeededRandom) throws -> GossipSecurity {
        let keys = (0..<random.below(3)).compactMap { _ in
            GossipKey(octets: random.bytes([16, 24, 32][random.below(3)]))
        }
        return try #require(
            GossipSecurity(
                keys: KeyRing(keys), label: random.oneIn(2) ? [] : random.octets(upTo: 20),
                sealVersion: random.oneIn(3) ? .padded : .plain))
    }

    // MARK: Round trips

    @Test func packetsAreReadAsTheyWereWritten() throws {
        var random = SeededRandom(test: #function)
        for round in 0..<600 * SeededRandom.effort {
            let codec = PacketCodec(security: try Self.security(&random), compresses: random.oneIn(2))
            let messages = (0..<1 + random.below(random.oneIn(10) ? 127 : 6)).map { _ in Self.message(&random) }
            let parts = messages.map(\.encoded)
            guard parts.reduce(0, { $0 + $1.count }) < 60_000 else { continue }
            let bytes = try codec.encode(parts, checksum: random.oneIn(2), random: &random)
            let contents = try codec.decode(bytes)
            #expect(contents.messages == messages, "seed \(random.seed), \(round)")
            #expect(contents.problems.isEmpty && contents.lostParts == 0, "seed \(random.seed), \(round)")
        }
    }

    @Test func streamsAreReadAsTheyWereWritten() throws {
        var random = SeededRandom(test: #function)
        for round in 0..<200 * SeededRandom.effort {
            let security = try Self.security(&random)
            let message = Self.streamMessage(&random)
            let side = random.oneIn(2) ? StreamSide.dialler : .answerer
            let encoder = StreamEncoder(security: security, compresses: random.oneIn(2))
            let bytes = try encoder.encode(message, side: side, random: &random)
            #expect(
                try Self.read(bytes, side, security, &random) == message, "seed \(random.seed), \(round)")
        }
    }

    @Test func whatFollowsAnOwnMessageIsKept() throws {
        var random = SeededRandom(test: #function)
        for round in 0..<100 * SeededRandom.effort {
            let security = try Self.security(&random)
            let encoder = StreamEncoder(security: security, compresses: random.oneIn(2))
            let message = StreamMessage.own(type: 208, body: random.octets(upTo: 2_000))
            let bytes = try encoder.encode(message, side: .dialler, random: &random)
            let next = random.octets(upTo: 100)
            let split = random.below(bytes.count)
            var decoder = StreamDecoder(side: .dialler, security: security)
            #expect(try decoder.append(bytes[..<split]) == nil, "seed \(random.seed), \(round)")
            #expect(try decoder.append(bytes[split...] + next) == message, "seed \(random.seed), \(round)")
            #expect(decoder.rest == next, "seed \(random.seed), \(round)")
        }
    }

    /// Reads a stream in pieces of random sizes.
    static func read(
        _ bytes: [UInt8], _ side: StreamSide, _ security: GossipSecurity, _ random: inout SeededRandom
    ) throws -> StreamMessage? {
        var decoder = StreamDecoder(side: side, security: security)
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(1 + random.below(random.oneIn(3) ? 20 : 4_000))
            rest = rest.dropFirst(piece.count)
            if let message = try decoder.append(piece) { return message }
        }
        return nil
    }

    @Test func compressedTextIsReadBack() throws {
        var random = SeededRandom(test: #function)
        for round in 0..<100 * SeededRandom.effort {
            let symbols = [1, 2, 7, 60, 256][random.below(5)]
            let plain = (0..<random.below(9_000)).map { _ in UInt8(truncatingIfNeeded: random.below(symbols)) }
            #expect(
                try LZW.decode(LZW.encode(plain), limit: plain.count) == plain, "seed \(random.seed), \(round)")
        }
    }

    // MARK: Hostile

    /// Changes, drops, doubles or inserts octets.
    static func mutate(_ bytes: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<1 + random.below(4) where !bytes.isEmpty {
            let place = random.below(bytes.count)
            switch random.below(5) {
            case 0: bytes[place] ^= 1 << UInt8(random.below(8))
            case 1:
                bytes[place] = [0, 0x7f, 0x80, 0xc0, 0xc1, 0xdb, 0xdd, 0xdf, 0xff].randomElement(using: &random) ?? 0
            case 2: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.below(8)))
            case 3: bytes.insert(contentsOf: random.octets(upTo: 8), at: place)
            default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 16)], at: place)
            }
        }
        return bytes
    }

    @Test func mutatedPacketsEndInAnErrorOrInMessages() throws {
        var random = SeededRandom(test: #function)
        let codec = PacketCodec()
        let plain = Vector.all.filter { !$0.isStream }.map { vector in
            let bytes = vector.plainBytes()
            return bytes.first == MessageType.checksum.rawValue ? Array(bytes.dropFirst(Checksum.overhead)) : bytes
        }
        for round in 0..<5_000 * SeededRandom.effort {
            let bytes = Self.mutate(plain[random.below(plain.count)], &random)
            guard let contents = try? codec.decode(bytes) else { continue }
            #expect(contents.messages.count <= PacketCodec.maxMessages, "seed \(random.seed), \(round)")
            // What was understood is understood again.
            for message in contents.messages {
                #expect(try Message(reading: message.encoded) == message, "seed \(random.seed), \(round)")
            }
        }
    }

    @Test func mutatedStreamsDoNotDependOnTheirPieces() throws {
        var random = SeededRandom(test: #function)
        let plain = Vector.all.filter(\.isStream).map { $0.plainBytes() }
        for round in 0..<1_000 * SeededRandom.effort {
            let bytes = Self.mutate(plain[random.below(plain.count)], &random)
            let whole = Result { try Self.outcome(bytes, piece: bytes.count) }
            let pieces = Result { try Self.outcome(bytes, piece: 1 + random.below(9)) }
            switch (whole, pieces) {
            case (.success(let left), .success(let right)): #expect(left == right, "seed \(random.seed), \(round)")
            case (.failure, .failure): break
            default: Issue.record("seed \(random.seed), \(round): \(whole) and \(pieces)")
            }
        }
    }

    static func outcome(_ bytes: [UInt8], piece: Int) throws -> StreamMessage? {
        var decoder = StreamDecoder(side: .dialler)
        for start in stride(from: 0, to: bytes.count, by: max(piece, 1)) {
            if let message = try decoder.append(bytes[start..<min(start + piece, bytes.count)]) { return message }
        }
        return nil
    }

    @Test func randomBytesEndInAnErrorOrInMessages() throws {
        var random = SeededRandom(test: #function)
        let types: [UInt8] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 208, 244]
        let sealed = PacketCodec(security: try #require(GossipSecurity(keys: KeyRing(HostileStreamTests.keys))))
        for _ in 0..<5_000 * SeededRandom.effort {
            let bytes = [types[random.below(types.count)]] + random.octets(upTo: 200)
            _ = try? PacketCodec().decode(bytes)
            _ = try? sealed.decode(bytes)
            _ = try? Self.outcome(bytes, piece: 50)
            _ = try? LZW.decode(bytes, limit: 10_000)
        }
    }
}
