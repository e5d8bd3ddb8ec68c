import Foundation
import Memberlist
import RegdnsTestKit
import Testing

/// The captured messages of Tests/Conformance/gossip/vectors.json: bytes of real peers, and what they mean.
struct Vector: CustomTestStringConvertible, @unchecked Sendable {
    let name: String
    let isStream: Bool
    let bytes: [UInt8]
    let keys: [GossipKey]
    let label: [UInt8]
    /// Who wrote it: only the answer of a labelled stream has its label beside.
    let side: StreamSide
    // SAFETY: `decoded` is plain JSON, read once and never changed.
    let decoded: [String: Any]

    var testDescription: String { name }

    static let all: [Vector] = {
        guard
            let data = try? Data(contentsOf: TestFiles.tests.appending(path: "Conformance/gossip/vectors.json")),
            let file = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
            let vectors = file["vectors"] as? [[String: Any]]
        else { return [] }
        return vectors.compactMap(Vector.init)
    }()

    private init?(_ json: [String: Any]) {
        guard let name = json["name"] as? String, let hex = json["hex"] as? String,
            let decoded = json["decoded"] as? [String: Any]
        else { return nil }
        self.name = name
        self.decoded = decoded
        isStream = json["transport"] as? String == "tcp"
        bytes = octets(hex)
        keys = (json["keys"] as? [String] ?? []).compactMap { GossipKey(octets: octets($0)) }
        let answered = json["stream_label"] as? String
        label = Array((answered ?? decoded["label"] as? String ?? "").utf8)
        side = answered == nil ? .dialler : .answerer
    }

    func security() throws -> GossipSecurity { try #require(GossipSecurity(keys: KeyRing(keys), label: label)) }

    var encryption: [String: Any]? { decoded["encryption"] as? [String: Any] }
    func message() throws -> [String: Any] { try #require(decoded["message"] as? [String: Any]) }

    /// The bytes inside of label and seal.
    func plainBytes() -> [UInt8] { (encryption?["plain_hex"] as? String).map { octets($0) } ?? bytes }
}

/// What is no hexadecimal text gives none.
func octets(_ hex: String) -> [UInt8] { (try? octets(hex: hex)) ?? [] }

/// A map's values of a vector, as the types of the messages.
struct VectorBody {
    let fields: [String: Any]

    func number<Value: FixedWidthInteger>(_ name: String) throws -> Value {
        try #require((fields[name] as? NSNumber).flatMap { Value(exactly: $0.int64Value) }, "\(name)")
    }

    func bytes(_ name: String) -> [UInt8]? {
        ((fields[name] as? [String: Any])?["hex"] as? String).map { octets($0) }
    }

    func name(_ name: String) -> NodeName { NodeName(fields[name] as? String ?? "") }

    var versions: ProtocolVersions? {
        ProtocolVersions(octets: (fields["Vsn"] as? [NSNumber])?.compactMap { UInt8(exactly: $0.int64Value) })
    }

    func source() throws -> PingSource {
        PingSource(
            address: bytes("SourceAddr") ?? [], port: fields["SourcePort"] == nil ? 0 : try number("SourcePort"),
            node: name("SourceNode"))
    }

    func ping() throws -> Ping { Ping(sequence: try number("SeqNo"), node: name("Node"), source: try source()) }
    func ack() throws -> Ack { Ack(sequence: try number("SeqNo"), payload: bytes("Payload")) }

    func accusation() throws -> Accusation {
        Accusation(incarnation: try number("Incarnation"), node: name("Node"), from: name("From"))
    }

    func node() throws -> PushPullNode {
        let state = try #require(fields["State"] as? [String: Any])
        return PushPullNode(
            incarnation: try number("Incarnation"), name: name("Name"), address: bytes("Addr"),
            port: try number("Port"), meta: bytes("Meta"),
            state: NodeState(rawValue: try VectorBody(fields: state).number("value")), versions: versions)
    }

    func message(type: MessageType) throws -> Message {
        switch type {
        case .ping: return .ping(try ping())
        case .indirectPing:
            return .indirectPing(
                IndirectPing(
                    sequence: try number("SeqNo"), target: bytes("Target") ?? [], port: try number("Port"),
                    node: name("Node"), wantsNack: try #require(fields["Nack"] as? Bool), source: try source()))
        case .ack: return .ack(try ack())
        case .nack: return .nack(Nack(sequence: try number("SeqNo")))
        case .suspect: return .suspect(try accusation())
        case .dead: return .dead(try accusation())
        case .alive:
            return .alive(
                Alive(
                    incarnation: try number("Incarnation"), node: name("Node"), address: bytes("Addr"),
                    port: try number("Port"), meta: bytes("Meta"), versions: versions))
        default:
            Issue.record("no packet message: \(type)")
            return .user([])
        }
    }
}
