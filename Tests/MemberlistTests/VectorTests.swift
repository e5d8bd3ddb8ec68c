import Foundation
import Memberlist
import RegdnsTestKit
import Testing

/// Bytes that memberlist 0.2.2, the newest memberlist, and serf sent: read as they are meant, written as they were.
@Suite struct VectorTests {
    @Test func theFileIsThere() {
        #expect(Vector.all.count == 36)
    }

    // MARK: Packets

    @Test(arguments: Vector.all.filter { !$0.isStream })
    func packetsAreRead(vector: Vector) throws {
        let contents = try PacketCodec(security: vector.security()).decode(vector.bytes)
        #expect(contents.messages == (try Self.messages(vector.message())))
        #expect(contents.problems.isEmpty && contents.lostParts == 0)
    }

    @Test(arguments: Vector.all.filter { !$0.isStream })
    func packetsAreWrittenAsTheyWere(vector: Vector) throws {
        var bytes = try Self.encode(vector.message())
        if vector.decoded["crc"] != nil { bytes = Checksum.encode(bytes) }
        #expect(bytes == vector.plainBytes())
    }

    @Test(arguments: Vector.all.filter { !$0.isStream }, Sealing.Version.allCases)
    func packetsSurviveTheCodec(vector: Vector, version: Sealing.Version) throws {
        var random = SeededRandom(seed: 7)
        var security = try vector.security()
        security.sealVersion = version
        let messages = try Self.messages(vector.message())
        for compresses in [false, true] {
            let codec = PacketCodec(security: security, compresses: compresses)
            let bytes = try codec.encode(messages.map(\.encoded), checksum: compresses, random: &random)
            #expect(try codec.decode(bytes).messages == messages)
            if vector.encryption != nil {
                #expect(throws: GossipWireError.self) {
                    let other = try #require(GossipKey(octets: [UInt8](repeating: 9, count: 16)))
                    let stranger = try #require(GossipSecurity(keys: KeyRing([other]), label: vector.label))
                    return try PacketCodec(security: stranger).decode(bytes)
                }
            }
        }
    }

    /// The messages of a decoded packet without its wrappers.
    static func messages(_ json: [String: Any]) throws -> [Message] {
        let type = try #require(MessageType(rawValue: VectorBody(fields: json).number("type")))
        switch type {
        case .compound: return try #require(json["parts"] as? [[String: Any]]).flatMap(messages)
        case .compress: return try messages(try #require(json["inner"] as? [String: Any]))
        case .user: return [.user(octets(try #require(json["payload_hex"] as? String)))]
        default: return [try VectorBody(fields: #require(json["body"] as? [String: Any])).message(type: type)]
        }
    }

    /// The bytes of a decoded message, wrapper by wrapper.
    static func encode(_ json: [String: Any]) throws -> [UInt8] {
        let type = try #require(MessageType(rawValue: VectorBody(fields: json).number("type")))
        switch type {
        case .compound: return try Compound.encode(#require(json["parts"] as? [[String: Any]]).map(encode))
        case .compress: return Compression.encode(try encode(#require(json["inner"] as? [String: Any])))
        default: return try #require(messages(json).first).encoded
        }
    }

    // MARK: Streams

    @Test(arguments: Vector.all.filter(\.isStream), [1, 7, 100_000])
    func streamsAreReadInPieces(vector: Vector, piece: Int) throws {
        var decoder = StreamDecoder(side: vector.side, security: try vector.security())
        var messages: [StreamMessage] = []
        for start in stride(from: 0, to: vector.bytes.count, by: piece) {
            if let message = try decoder.append(vector.bytes[start..<min(start + piece, vector.bytes.count)]) {
                messages.append(message)
                #expect(start + piece >= vector.bytes.count, "nothing may be left over")
            }
        }
        #expect(messages == [try Self.streamMessage(vector)])
        #expect(decoder.isDone && decoder.buffered == 0)
        #expect(try decoder.append([0, 1, 2]) == nil)
    }

    @Test(arguments: Vector.all.filter(\.isStream))
    func streamsAreWrittenAsTheyWere(vector: Vector) throws {
        var bytes = try Self.streamMessage(vector).encoded
        if vector.decoded["compress"] != nil { bytes = Compression.encode(bytes) }
        #expect(bytes == vector.plainBytes())
    }

    @Test(arguments: Vector.all.filter(\.isStream), Sealing.Version.allCases)
    func streamsSurviveTheCodec(vector: Vector, version: Sealing.Version) throws {
        var random = SeededRandom(seed: 7)
        var security = try vector.security()
        security.sealVersion = version
        let message = try Self.streamMessage(vector)
        for (side, compresses) in [(StreamSide.dialler, true), (.answerer, false)] {
            let encoder = StreamEncoder(security: security, compresses: compresses)
            let bytes = try encoder.encode(message, side: side, random: &random)
            var decoder = StreamDecoder(side: side, security: security)
            #expect(try decoder.append(bytes) == message)
        }
    }

    static func streamMessage(_ vector: Vector) throws -> StreamMessage {
        let json = try vector.message()
        let body = VectorBody(fields: json["body"] as? [String: Any] ?? [:])
        switch MessageType(rawValue: try VectorBody(fields: json).number("type")) {
        case .ping: return .ping(try body.ping())
        case .ack: return .ack(try body.ack())
        case .error: return .error(Array(try #require(body.fields["Error"] as? String).utf8))
        case .user: return .user(octets(try #require(json["payload_hex"] as? String)))
        case .pushPull:
            let header = try #require(json["header"] as? [String: Any])
            return .pushPull(
                PushPull(
                    join: try #require(header["Join"] as? Bool),
                    nodes: try #require(json["nodes"] as? [[String: Any]]).map { try VectorBody(fields: $0).node() },
                    userState: octets(try #require(json["user_state_hex"] as? String))))
        default:
            Issue.record("no stream message")
            return .user([])
        }
    }
}
