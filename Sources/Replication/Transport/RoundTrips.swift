import Memberlist
import NIOCore

/// How long members take to answer pings by packet. The core counts milliseconds, which is too coarse for one network.
struct RoundTrips {
    /// Pings whose answer is awaited; the oldest goes, for it is lost.
    static let pingsMax = 64

    private struct Sent {
        let sequence: UInt32
        let address: GossipAddress
        let node: NodeName
        let at: NIODeadline
    }

    private var sent: [Sent] = []
    /// The last one of each member.
    private(set) var last: [NodeName: TimeAmount] = [:]

    /// Reads nothing but pings.
    private static let codec = PacketCodec(compresses: false)

    mutating func send(_ packet: OutgoingPacket, now: NIODeadline) {
        for message in packet.messages where message.first == MessageType.ping.rawValue {
            guard case .ping(let ping)? = try? Self.codec.decode(message).messages.first else { continue }
            if sent.count >= Self.pingsMax { sent.removeFirst() }
            sent.append(Sent(sequence: ping.sequence, address: packet.address, node: ping.node, at: now))
        }
    }

    /// An ack that comes from elsewhere is another one's, who was asked to ping.
    mutating func receive(_ messages: [Message], from sender: GossipAddress, now: NIODeadline) {
        for case .ack(let ack) in messages {
            guard let place = sent.firstIndex(where: { $0.sequence == ack.sequence && $0.address == sender }) else {
                continue
            }
            let ping = sent.remove(at: place)
            last[ping.node] = now - ping.at
        }
    }

    /// Forgets those who are no members.
    mutating func keep(_ members: [Member]) {
        guard last.count > members.count else { return }
        let names = Set(members.map(\.name))
        last = last.filter { names.contains($0.key) }
    }
}
