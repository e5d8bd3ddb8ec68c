import Memberlist
import NIOCore

// Packets: one datagram each way is one packet.

extension GossipLoop {
    private static let messageCost = 3

    func send(_ packet: OutgoingPacket) {
        guard let datagrams, let socket = datagrams.localAddress,
            let target = packet.address.socketAddress(isIPv6: socket.protocol == .inet6)
        else {
            counters.unsendablePackets += 1
            return
        }
        guard datagrams.isWritable else {
            counters.unsentPackets += 1
            return
        }
        let bytes: [UInt8]
        do {
            bytes = try packetCodec.encode(
                packet.messages + riders(of: packet), checksum: packet.hasChecksum, random: &nonces)
        } catch {
            counters.unsendablePackets += 1
            return
        }
        roundTrips.send(packet, now: .now())
        counters.packetsOut += 1
        counters.packetBytesOut += bytes.count
        let envelope = AddressedEnvelope(remoteAddress: target, data: datagrams.allocator.buffer(bytes: bytes))
        datagrams.write(envelope).assumeIsolated().whenFailure { [weak self] _ in self?.counters.socketErrors += 1 }
    }

    /// The application's messages that fit.
    private func riders(of packet: OutgoingPacket) -> [[UInt8]] {
        guard packet.room > Self.messageCost, packet.messages.count < 127 else { return [] }
        var room = packet.room
        var riders: [[UInt8]] = []
        for message in application.messages(for: packet.node, room: room) {
            guard message.count + Self.messageCost <= room, packet.messages.count + riders.count < 127 else {
                counters.unsendablePackets += 1
                continue
            }
            room -= message.count + Self.messageCost
            riders.append([MessageType.user.rawValue] + message)
        }
        return riders
    }

    func received(_ envelope: AddressedEnvelope<ByteBuffer>) {
        counters.packetsIn += 1
        counters.packetBytesIn += envelope.data.readableBytes
        guard let sender = GossipAddress(envelope.remoteAddress), admits(sender) else {
            counters.strangersPackets += 1
            return
        }
        let contents: PacketCodec.Contents
        do {
            contents = try packetCodec.decode(Array(envelope.data.readableBytesView))
        } catch {
            switch error {
            case .noKeyOpens, .unknownSealVersion, .sealTooShort, .badPadding, .plainRefused:
                counters.undecryptable += 1
            case .wrongLabel: counters.wrongLabel += 1
            default: counters.malformedPackets += 1
            }
            return
        }
        counters.malformedParts += contents.problems.count + contents.lostParts
        roundTrips.receive(contents.messages, from: sender, now: .now())
        if !contents.messages.isEmpty { give(.packet(contents.messages, from: sender)) }
    }
}

/// The end of the packet socket's pipeline.
final class PacketHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let loop: GossipLoop

    init(_ loop: GossipLoop) { self.loop = loop }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { loop.received(unwrapInboundIn(data)) }

    /// A refused packet of before; the socket lives on.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { loop.counters.socketErrors += 1 }
}
