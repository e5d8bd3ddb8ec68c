import Memberlist
import RegdnsTestKit
import Testing

/// Streams that lie about their lengths, and keys and labels that do not fit.
@Suite struct HostileStreamTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let error: GossipWireError
        init(_ name: String, _ bytes: [UInt8], _ error: GossipWireError) {
            (testDescription, self.bytes, self.error) = (name, bytes, error)
        }
    }

    /// The head of a push/pull with numbers of any form.
    static func header(nodes: [UInt8], userState: [UInt8]) -> [UInt8] {
        [6, 0x83, 0xa4] + Array("Join".utf8) + [0xc2, 0xa5] + Array("Nodes".utf8) + nodes + [0xac]
            + Array("UserStateLen".utf8) + userState
    }

    static let zero: [UInt8] = [0]
    static let huge: [UInt8] = [0xce, 0xff, 0xff, 0xff, 0xff]
    static let enormous: [UInt8] = [0xcf] + [UInt8](repeating: 0xff, count: 8)
    static let negative: [UInt8] = [0xff]

    static let cases: [Case] = [
        Case("huge number of nodes", header(nodes: huge, userState: zero), .tooMuch(.nodes, limit: 65_536)),
        Case("enormous number of nodes", header(nodes: enormous, userState: zero), .outOfRange(.nodes, offset: 14)),
        Case("negative number of nodes", header(nodes: negative, userState: zero), .tooMuch(.nodes, limit: 65_536)),
        Case(
            "huge user state", header(nodes: zero, userState: huge), .tooMuch(.userStateBytes, limit: 20_971_520)),
        Case(
            "negative user state", header(nodes: zero, userState: negative),
            .tooMuch(.userStateBytes, limit: 20_971_520)),
        Case("node that is a number", header(nodes: [1], userState: zero) + [7], .notAMap(offset: 29)),
        Case("unknown type", [99], .unknownType(99)),
        Case("packet type", [4, 0x80], .unknownType(4)),
        Case("sealed without keys", [10, 0, 0, 0, 30], .sealedWithoutKeys),
        Case(
            "user message, negative", [8, 0x81, 0xaa] + Array("UserMsgLen".utf8) + [0xff],
            .tooMuch(.userBytes, limit: 20_971_520)),
        Case("own type, huge", [208, 0xff, 0xff, 0xff, 0xff], .tooMuch(.userBytes, limit: 20_971_520)),
        Case("compression in compression", Compression.encode(Compression.encode([0, 0x80])), .unknownType(9)),
        Case("compression of nothing", Compression.encode([]), .empty),
        Case("compression of half a message", Compression.encode([6, 0x81]), .cutShort),
        Case("label nobody expects", [0xf4, 1, 0x61], .wrongLabel),
        Case("broken LZW", [9, 0x81, 0xa3] + Array("Buf".utf8) + [0xa1, 0], .badLZW(offset: 1)),
        Case("thousand arrays", [0, 0x81, 0xa1, 0x78] + [UInt8](repeating: 0x91, count: 1_000), .tooDeep(limit: 32)),
        Case(
            "five thousand unknown values",
            [0, 0xde, 0x0b, 0xb8] + (0..<3_000).flatMap { _ in [0xa1, 0x78, 0] as [UInt8] },
            .tooMuch(.elements, limit: 4_096)),
    ]

    @Test(arguments: cases, [1, 4_096])
    func refused(example: Case, piece: Int) throws {
        var decoder = StreamDecoder(side: .dialler)
        #expect(throws: example.error) {
            for start in stride(from: 0, to: example.bytes.count, by: piece) {
                _ = try decoder.append(example.bytes[start..<min(start + piece, example.bytes.count)])
            }
        }
    }

    @Test("An announced length costs nothing before its octets come")
    func announced() throws {
        var decoder = StreamDecoder(side: .dialler)
        let bytes = Self.header(nodes: [0xcd, 0xff, 0xff], userState: [0xce, 0, 0xff, 0xff, 0xff])
        #expect(try decoder.append(bytes) == nil)
        #expect(decoder.buffered == bytes.count)
    }

    @Test("A stream's bomb ends at its limit")
    func bomb() throws {
        let bytes = Compression.encode([UInt8](repeating: 0, count: 1_000_001))
        #expect(bytes.count < 4_000 && StreamLimits().plainBytes == 40 << 20)
        var limits = StreamLimits()
        limits.plainBytes = 1_000_000
        var decoder = StreamDecoder(side: .dialler, limits: limits)
        #expect(throws: GossipWireError.tooMuch(.plainBytes, limit: 1_000_000)) { try decoder.append(bytes) }
    }

    @Test("More octets than a message may have")
    func tooLong() throws {
        var limits = StreamLimits()
        limits.streamBytes = 100
        var decoder = StreamDecoder(side: .dialler, limits: limits)
        #expect(try decoder.append(Self.header(nodes: [100], userState: [0])) == nil)
        #expect(throws: GossipWireError.tooMuch(.streamBytes, limit: 100)) {
            try decoder.append([UInt8](repeating: 0, count: 100))
        }
        var user = StreamDecoder(side: .dialler, limits: limits)
        #expect(throws: GossipWireError.tooMuch(.streamBytes, limit: 100)) {
            try user.append([8, 0x81, 0xaa] + Array("UserMsgLen".utf8) + [101])
        }
    }

    // MARK: Keys

    static let keys = [16, 24, 32].compactMap { GossipKey(octets: [UInt8](repeating: UInt8($0), count: $0)) }

    func security(_ keys: [GossipKey], label: String = "", verifies: Bool = true, seals: Bool = true) throws
        -> GossipSecurity
    {
        try #require(
            GossipSecurity(
                keys: KeyRing(keys), label: Array(label.utf8), verifiesIncoming: verifies, sealsOutgoing: seals))
    }

    @Test("Every key of the ring opens, others do not", arguments: keys.indices)
    func ring(index: Int) throws {
        var random = SeededRandom(seed: 3)
        let sealed = try PacketCodec(security: security([Self.keys[index]])).encode(
            [HostileInputTests.clearPing], checksum: false, random: &random)
        #expect(try PacketCodec(security: security(Self.keys)).decode(sealed).messages.count == 1)
        let others = Self.keys.filter { $0 != Self.keys[index] }
        #expect(throws: GossipWireError.noKeyOpens) { try PacketCodec(security: security(others)).decode(sealed) }
    }

    @Test("The three steps that turn encryption on")
    func turningOn() throws {
        var random = SeededRandom(seed: 3)
        let off = try security([])
        let installed = try security(Self.keys, verifies: false, seals: false)
        let sending = try security(Self.keys, verifies: false)
        let on = try security(Self.keys)
        let pairs =
            [(off, installed, true), (installed, off, true), (installed, sending, true)]
            + [(sending, installed, true), (sending, on, true), (on, sending, true), (installed, on, false)]
        let ping = StreamMessage.ping(Ping(sequence: 1, node: "b"))
        for (sender, receiver, understood) in pairs {
            let packet = try PacketCodec(security: sender).encode(
                [HostileInputTests.clearPing], checksum: true, random: &random)
            let contents = try? PacketCodec(security: receiver).decode(packet)
            #expect((contents?.messages.count == 1) == understood)
            let stream = try StreamEncoder(security: sender).encode(ping, side: .dialler, random: &random)
            var decoder = StreamDecoder(side: .dialler, security: receiver)
            #expect(((try? decoder.append(stream)) == ping) == understood)
        }
    }

    @Test("A plain stream at a node that wants sealed ones")
    func plainRefused() throws {
        var decoder = StreamDecoder(side: .dialler, security: try security(Self.keys))
        #expect(throws: GossipWireError.plainRefused) { try decoder.append([6]) }
    }

    @Test("Seals that are none")
    func seals() throws {
        let codec = PacketCodec(security: try security(Self.keys))
        #expect(throws: GossipWireError.unknownSealVersion(2)) {
            try codec.decode([2] + [UInt8](repeating: 0, count: 40))
        }
        #expect(throws: GossipWireError.sealTooShort) { try codec.decode([1] + [UInt8](repeating: 0, count: 27)) }
        #expect(throws: GossipWireError.noKeyOpens) { try codec.decode([1] + [UInt8](repeating: 0, count: 28)) }
        var decoder = StreamDecoder(side: .dialler, security: codec.security)
        #expect(throws: GossipWireError.tooMuch(.sealedBytes, limit: StreamLimits.sealedBytes)) {
            try decoder.append([10, 0x01, 0x40, 0x00, 0x01])
        }
        var empty = StreamDecoder(side: .dialler, security: codec.security)
        #expect(throws: GossipWireError.empty) { try empty.append([10, 0, 0, 0, 0]) }
    }

    @Test(
        "Padding that is none",
        arguments: [(0, false), (1, true), (2, true), (16, true), (17, false), (200, false)] as [(UInt8, Bool)])
    func padding(last: UInt8, isPadding: Bool) throws {
        var random = SeededRandom(seed: 3)
        let text = [UInt8](repeating: 1, count: 250) + [last]
        var sealed = try Sealing.seal(text, key: Self.keys[0], version: .plain, data: [], random: &random)
        // Nothing authenticates the version.
        sealed[0] = Sealing.Version.padded.rawValue
        if isPadding {
            let opened = try Sealing.open(sealed[...], keys: KeyRing(Self.keys), data: [])
            #expect(opened.plain.count == 251 - Int(last) && opened.version == .padded)
        } else {
            #expect(throws: GossipWireError.badPadding) {
                try Sealing.open(sealed[...], keys: KeyRing(Self.keys), data: []).plain
            }
        }
    }

    @Test("Many pieces of a large view cost no more than their octets")
    func manyPieces() throws {
        var random = SeededRandom(seed: 1)
        let node = CoreBench.node("n", 1)
        let view = StreamMessage.pushPull(PushPull(join: false, nodes: [PushPullNode](repeating: node, count: 20_000)))
        let bytes = try StreamEncoder(compresses: false).encode(view, side: .answerer, random: &random)
        var decoder = StreamDecoder(side: .answerer)
        var message: StreamMessage?
        for start in stride(from: 0, to: bytes.count, by: 100) {
            if let whole = try decoder.append(bytes[start..<min(start + 100, bytes.count)]) { message = whole }
        }
        #expect(message == view)
    }

    @Test("Every bit of a sealed packet counts")
    func tampered() throws {
        var random = SeededRandom(seed: 5)
        let codec = PacketCodec(security: try security([Self.keys[0]], label: "lab"))
        let sealed = try codec.encode([HostileInputTests.clearPing], checksum: false, random: &random)
        for place in sealed.indices {
            var bytes = sealed
            bytes[place] ^= 1 << UInt8(random.below(8))
            #expect(throws: GossipWireError.self) { try codec.decode(bytes) }
        }
    }

    @Test("Labels")
    func labels() throws {
        var random = SeededRandom(seed: 5)
        let ping = HostileInputTests.clearPing
        let labelled = try PacketCodec(security: security(Self.keys, label: "a"))
            .encode([ping], checksum: false, random: &random)
        for label in ["", "b", "aa"] {
            #expect(throws: GossipWireError.self) {
                try PacketCodec(security: security(Self.keys, label: label)).decode(labelled)
            }
        }
        var skipping = try security(Self.keys, label: "a")
        skipping.skipsInboundLabelCheck = true
        let codec = PacketCodec(security: skipping)
        #expect(throws: GossipWireError.wrongLabel) { try codec.decode(labelled) }
        #expect(try codec.decode(Array(labelled.dropFirst(3))).messages.count == 1)
        #expect(GossipSecurity(label: [UInt8](repeating: 0x61, count: 256)) == nil)
        #expect(try PacketCodec(security: security(Self.keys, label: "a")).security.packetOverhead == 3 + 29)
    }

    @Test("The key ring")
    func keyRing() throws {
        var ring = KeyRing([Self.keys[0]])
        #expect(throws: KeyRingError.isPrimary) { try ring.remove(Self.keys[0]) }
        #expect(throws: KeyRingError.unknownKey) { try ring.use(Self.keys[1]) }
        try ring.install(Self.keys[1])
        try ring.install(Self.keys[1])
        #expect(ring.keys.count == 2 && ring.primary == Self.keys[0])
        try ring.use(Self.keys[1])
        #expect(ring.primary == Self.keys[1])
        try ring.remove(Self.keys[0])
        #expect(ring.keys == [Self.keys[1]])
        #expect(throws: KeyRingError.unknownKey) { try ring.remove(Self.keys[0]) }
        for number in 0..<KeyRing.maxKeys - 1 {
            try ring.install(try #require(GossipKey(octets: [UInt8](repeating: UInt8(100 + number), count: 16))))
        }
        #expect(throws: KeyRingError.full(limit: KeyRing.maxKeys)) { try ring.install(Self.keys[0]) }
        #expect([0, 15, 17, 31, 33].allSatisfy { GossipKey(octets: [UInt8](repeating: 0, count: $0)) == nil })
    }
}
