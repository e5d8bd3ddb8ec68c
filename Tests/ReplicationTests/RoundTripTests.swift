import NIOCore
import Testing

@testable import Memberlist
@testable import Replication

@Suite("Round trips of pings by packet")
struct RoundTripTests {
    private let peer = GossipAddress(127, 0, 0, 1, port: 7_946)
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    /// A ping as the core has it sent: among other messages, encoded.
    private func packet(_ sequence: UInt32, to name: NodeName = "peer", at address: GossipAddress) -> OutgoingPacket {
        let ping = Ping(sequence: sequence, node: name).encoded
        return OutgoingPacket(
            address: address, node: name, messages: [ping, [MessageType.user.rawValue, 1, 2]], hasChecksum: false,
            room: 0)
    }

    @Test("From the ping to its ack; of two, the last one counts")
    func measured() {
        var trips = RoundTrips()
        trips.send(packet(1, at: peer), now: start)
        trips.send(packet(2, at: peer), now: start + .milliseconds(10))
        trips.receive([.ack(Ack(sequence: 2))], from: peer, now: start + .milliseconds(12))
        #expect(trips.last["peer"] == .milliseconds(2))
        trips.receive([.ack(Ack(sequence: 1))], from: peer, now: start + .milliseconds(15))
        #expect(trips.last["peer"] == .milliseconds(15))
    }

    @Test("Acks that nobody asked for, that come twice, or from another address say nothing")
    func foreign() {
        var trips = RoundTrips()
        trips.send(packet(1, at: peer), now: start)
        trips.receive([.ack(Ack(sequence: 9))], from: peer, now: start + .milliseconds(1))
        let other = GossipAddress(127, 0, 0, 2, port: 7_946)
        trips.receive([.ack(Ack(sequence: 1))], from: other, now: start + .milliseconds(1))
        #expect(trips.last.isEmpty)
        trips.receive([.ack(Ack(sequence: 1))], from: peer, now: start + .milliseconds(3))
        trips.receive([.ack(Ack(sequence: 1))], from: peer, now: start + .milliseconds(9))
        #expect(trips.last == ["peer": .milliseconds(3)])
    }

    @Test("Lost pings are forgotten at the bound, and so are those who are no members")
    func bounds() {
        var trips = RoundTrips()
        for sequence in 1...UInt32(RoundTrips.pingsMax + 1) { trips.send(packet(sequence, at: peer), now: start) }
        trips.receive([.ack(Ack(sequence: 1))], from: peer, now: start + .milliseconds(1))
        #expect(trips.last.isEmpty)
        trips.receive([.ack(Ack(sequence: 2))], from: peer, now: start + .milliseconds(1))
        #expect(trips.last.count == 1)
        trips.keep([])
        #expect(trips.last.isEmpty)
    }
}
