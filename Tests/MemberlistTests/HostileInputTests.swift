import Memberlist
import RegdnsTestKit
import Testing

/// Inputs that end old peers or were made to end them; each must leave us with an error or with the good part.
@Suite struct HostileInputTests {
    static let codec = PacketCodec()
    static let clearPing: [UInt8] = Message.ping(Ping(sequence: 1, node: "b")).encoded

    struct PacketCase: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let error: GossipWireError
        init(_ name: String, _ bytes: [UInt8], _ error: GossipWireError) {
            (testDescription, self.bytes, self.error) = (name, bytes, error)
        }
    }

    static func lengthened(_ tag: UInt8, _ count: UInt32) -> [UInt8] {
        [tag] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) }
    }

    static let broken: [PacketCase] = [
        PacketCase("nothing", [], .empty),
        PacketCase("checksum around nothing", [0x0c, 0, 0, 0, 0], .empty),
        PacketCase("wrong checksum", [0x0c, 1, 2, 3, 4, 0x00], .badChecksum),
        PacketCase("label with nothing behind", [0xf4], .truncated(needed: 2)),
        PacketCase("empty label", [0xf4, 0, 0x00], .wrongLabel),
        PacketCase("label of others", [0xf4, 1, 0x61, 0x00], .wrongLabel),
    ]

    @Test("Whole packets are refused", arguments: broken)
    func refused(example: PacketCase) {
        #expect(throws: example.error) { try Self.codec.decode(example.bytes) }
    }

    static let dropped: [PacketCase] = [
        PacketCase("checksum too short to be one", [0x0c, 0, 0, 0], .unknownType(12)),
        PacketCase("checksum inside of a compound", [0x07, 1, 0, 5, 0x0c, 0, 0, 0, 0], .unknownType(12)),
        PacketCase("unknown type", [99, 1, 2], .unknownType(99)),
        PacketCase("stream message", [6, 0x80], .unknownType(6)),
        PacketCase("encrypted stream message", [10, 0, 0, 0, 1, 0], .unknownType(10)),
        PacketCase("no map", [0], .truncated(needed: 2)),
        PacketCase("number for a map", [0, 5], .notAMap(offset: 1)),
        PacketCase("map without its entries", [0, 0x81], .truncated(needed: 3)),
        PacketCase(
            "map of four thousand millions", [0] + lengthened(0xdf, .max), .tooMuch(.elements, limit: 4_096)),
        PacketCase(
            "array of four thousand millions", [0, 0x81, 0xa1, 0x78] + lengthened(0xdd, .max),
            .tooMuch(.elements, limit: 4_096)),
        PacketCase(
            "text of four thousand millions", [0, 0x81, 0xa4] + Array("Node".utf8) + lengthened(0xdb, .max),
            .truncated(needed: 12 + Int(UInt32.max))),
        PacketCase("doubled key", [3, 0x82] + fields(["Node", "Node"]), .duplicateField(.node)),
        PacketCase("key that is a number", [3, 0x81, 0x01, 0x01], .keyNotText(offset: 2)),
        PacketCase("key that is an array", [3, 0x81, 0x90, 0x01], .keyNotText(offset: 2)),
        PacketCase("number for a name", [3, 0x81, 0xa4] + Array("Node".utf8) + [7], .wrongKind(.node, offset: 7)),
        PacketCase(
            "name for a number", [0x0b, 0x81, 0xa5] + Array("SeqNo".utf8) + [0xa0], .wrongKind(.seqNo, offset: 8)),
        PacketCase(
            "number beyond 32 bits", [0x0b, 0x81, 0xa5] + Array("SeqNo".utf8) + [0xcf, 0, 0, 0, 1, 0, 0, 0, 0],
            .outOfRange(.seqNo, offset: 8)),
        PacketCase(
            "negative number", [0x0b, 0x81, 0xa5] + Array("SeqNo".utf8) + [0xff], .outOfRange(.seqNo, offset: 8)),
        PacketCase("extension", [0, 0x81, 0xa1, 0x78, 0xc7, 0, 0], .badTag(0xc7, offset: 4)),
        PacketCase("reserved tag", [0, 0xc1], .badTag(0xc1, offset: 1)),
        PacketCase(
            "a thousand arrays", [0, 0x81, 0xa1, 0x78] + [UInt8](repeating: 0x91, count: 1_000), .tooDeep(limit: 32)),
        PacketCase("compression of nothing", Compression.encode([]), .empty),
        PacketCase("compression without text", [9, 0x81, 0xa4] + Array("Algo".utf8) + [0], .badLZW(offset: 0)),
        PacketCase("unknown compression", [9, 0x81, 0xa4] + Array("Algo".utf8) + [1], .unknownCompression(1)),
        PacketCase(
            "bomb", Compression.encode([UInt8](repeating: 0, count: 70_000)), .tooMuch(.plainBytes, limit: 65_536)),
        PacketCase("compounds inside of compounds", nested(100), .tooDeep(limit: PacketCodec.maxDepth)),
    ]

    static func fields(_ names: [String]) -> [UInt8] {
        names.flatMap { [0xa0 | UInt8($0.utf8.count)] + Array($0.utf8) + [0xa1, 0x61] }
    }

    static func nested(_ depth: Int) -> [UInt8] {
        (0..<depth).reduce(clearPing) { inner, _ in (try? Compound.encode([inner])) ?? [] }
    }

    @Test("Messages are dropped", arguments: dropped)
    func droppedMessage(example: PacketCase) throws {
        let contents = try Self.codec.decode(example.bytes)
        #expect(contents.messages.isEmpty)
        #expect(contents.problems == [example.error])
    }

    @Test("Neighbours of a bad part are kept", arguments: dropped)
    func neighbours(example: PacketCase) throws {
        let packet = try Compound.encode([Self.clearPing, example.bytes, Self.clearPing])
        let contents = try Self.codec.decode(packet)
        #expect(contents.messages.count == 2 && contents.problems.count == 1)
    }

    @Test("Parts before a cut are kept", arguments: [1, 127, 128, 255])
    func lostParts(count: Int) throws {
        let part: [UInt8] = [0x0b, 0x80]
        let announced = [0x07, UInt8(count)] + [UInt8](repeating: 0, count: 0)
        let lengths = (0..<count).flatMap { _ in [0, UInt8(part.count)] as [UInt8] }
        let whole = announced + lengths + (0..<count).flatMap { _ in part }
        let all = try Self.codec.decode(whole)
        #expect(all.messages.count == count && all.lostParts == 0)
        let cut = try Self.codec.decode(Array(whole.dropLast()))
        #expect(cut.messages.count == count - 1 && cut.lostParts == 1)
        #expect(throws: GossipWireError.tooMuch(.parts, limit: 127)) {
            try Compound.encode([[UInt8]](repeating: part, count: 128))
        }
    }

    @Test("Nesting as deep as it is taken")
    func deepest() throws {
        #expect(try Self.codec.decode(Self.nested(PacketCodec.maxDepth)).messages.count == 1)
        #expect(try Self.codec.decode(Self.nested(PacketCodec.maxDepth + 1)).messages.isEmpty)
    }

    @Test("Compression inside of compression shares one limit")
    func sharedLimit() throws {
        let half = Compression.encode([8] + [UInt8](repeating: 0, count: 40_000))
        let contents = try Self.codec.decode(try Compound.encode([half, half]))
        #expect(contents.messages.count == 1 && contents.problems.count == 1)
    }

    @Test("More messages than taken")
    func manyMessages() throws {
        let inner = [UInt8]([0x07, 255]) + [UInt8](repeating: 0, count: 510)
        let nack: [UInt8] = [0x0b, 0x80]
        let full: [UInt8] =
            [0x07, 255] + (0..<255).flatMap { _ in [0, 2] as [UInt8] } + (0..<255).flatMap { _ in nack }
        let contents = try Self.codec.decode(try Compound.encode([full, full, full, full, full]))
        #expect(contents.messages.count == PacketCodec.maxMessages)
        #expect(contents.problems.last == .tooMuch(.messages, limit: PacketCodec.maxMessages))
        // Parts without a single octet are no messages.
        let empty = try Self.codec.decode(try Compound.encode([inner, inner, inner, inner, inner]))
        #expect(empty.messages.isEmpty && empty.problems.count == PacketCodec.maxMessages + 1)
    }

    // MARK: Versions

    @Test("Lists of versions that are not six long are none", arguments: [0, 1, 3, 5, 7])
    func versions(count: Int) throws {
        let alive = Message.alive(
            Alive(incarnation: 1, node: "c", address: [127, 0, 0, 1], port: 1, meta: nil, versions: .plain))
        let six: [UInt8] = [0xa6, 1, 5, 2, 0, 0, 0]
        let bytes =
            Array(alive.encoded.dropLast(six.count)) + [0xa0 | UInt8(count)] + six.dropFirst().prefix(count)
            + [UInt8](repeating: 0, count: max(0, count - 6))
        guard case .alive(let read) = try Self.codec.decode(bytes).messages.first else {
            Issue.record("no alive")
            return
        }
        #expect(read.versions == nil && read.node == "c")
    }

    // MARK: What real decoders tolerate

    struct Spelling: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        init(_ name: String, _ bytes: [UInt8]) { (testDescription, self.bytes) = (name, bytes) }
    }

    /// An alive of "c" with other spellings.
    static func alive(
        node: [UInt8] = [0xa1, 0x63], versions: [UInt8] = [0xa6, 1, 5, 2, 0, 0, 0], port: [UInt8] = [0xcd, 0x1f, 0x0a],
        address: [UInt8] = [0xa4, 127, 0, 0, 1], more: [UInt8] = [], count: UInt8 = 6
    ) -> [UInt8] {
        func key(_ name: String) -> [UInt8] { [0xa0 | UInt8(name.utf8.count)] + Array(name.utf8) }
        return [4, 0x80 | count] + more + key("Vsn") + versions + key("Port") + port + key("Node") + node
            + key("Meta") + [0xc0] + key("Incarnation") + [1] + key("Addr") + address
    }

    static let spellings = [
        Spelling("other order", alive()),
        Spelling("str8", alive(node: [0xd9, 1, 0x63])),
        Spelling("raw16", alive(node: [0xda, 0, 1, 0x63])),
        Spelling("raw32", alive(node: [0xdb, 0, 0, 0, 1, 0x63])),
        Spelling("bin8 for text", alive(node: [0xc4, 1, 0x63])),
        Spelling("bin16 for text", alive(node: [0xc5, 0, 1, 0x63])),
        Spelling("bin32 for text", alive(node: [0xc6, 0, 0, 0, 1, 0x63])),
        Spelling("versions as an array", alive(versions: [0x96, 1, 5, 2, 0, 0, 0xcc, 0])),
        Spelling("wide integer", alive(port: [0xcf, 0, 0, 0, 0, 0, 0, 0x1f, 0x0a])),
        Spelling("wide signed integer", alive(port: [0xd2, 0, 0, 0x1f, 0x0a])),
        Spelling(
            "IPv4 in IPv6", alive(address: [0xb0] + [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 127, 0, 0, 1])),
        Spelling(
            "unknown fields, nested",
            alive(
                more: [0xa2, 0x58, 0x59, 0x92, 0x81, 0xa1, 0x61, 0x93, 1, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xc3],
                count: 7)),
    ]

    @Test("Other spellings of one message", arguments: spellings)
    func tolerated(spelling: Spelling) throws {
        let contents = try Self.codec.decode(spelling.bytes)
        guard case .alive(let alive) = try #require(contents.messages.first) else {
            Issue.record("no alive")
            return
        }
        #expect(alive.node == "c" && alive.port == 7_946 && alive.versions == .plain && alive.incarnation == 1)
        #expect(GossipAddress(ip: alive.address ?? [], port: alive.port) == GossipAddress(127, 0, 0, 1, port: 7_946))
    }

    @Test("Missing fields are zero")
    func missing() throws {
        #expect(
            try Self.codec.decode([0, 0x80]).messages == [.ping(Ping(sequence: 0, node: ""))])
        #expect(try Self.codec.decode([3, 0xc0]).messages.count == 1)
    }
}
