import Memberlist
import NIOCore
import NIOPosix

/// A connection that says what a test wants, whole or in pieces, and hears what comes.
struct RawPeer: Sendable {
    let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>

    static func connect(to address: GossipAddress) async throws -> RawPeer {
        let host = address.ip.map { "\($0)" }.joined(separator: ".")
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: host, port: Int(address.port)) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
                }
            }
        return RawPeer(channel: channel)
    }

    /// Sends the pieces, closes its own half if wanted, and returns all that came until the other side closed.
    func say(_ pieces: [[UInt8]], closing: Bool = false, pause: Duration? = nil) async throws -> [UInt8] {
        try await within(.seconds(15), "the other side's end") {
            try await channel.executeThenClose { inbound, outbound in
                for piece in pieces {
                    do {
                        try await outbound.write(ByteBuffer(bytes: piece))
                    } catch {
                        // It has closed; what it said before counts.
                        break
                    }
                    if let pause { try await Task.sleep(for: pause) }
                }
                if closing { outbound.finish() }
                var heard: [UInt8] = []
                do {
                    for try await buffer in inbound { heard += buffer.readableBytesView }
                } catch is IOError {
                    // A reset is an end too.
                }
                return heard
            }
        }
    }

    /// One question on a connection of its own.
    static func ask(
        _ address: GossipAddress, _ pieces: [[UInt8]], closing: Bool = false, pause: Duration? = nil
    ) async throws -> [UInt8] {
        try await connect(to: address).say(pieces, closing: closing, pause: pause)
    }
}
