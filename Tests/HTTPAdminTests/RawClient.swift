import NIOCore
import NIOPosix

/// A client that sends octets and reads octets: what comes back is compared as text.
struct RawClient {
    /// Connects, sends, and reads until the server closes or `isComplete` says that enough came.
    static func exchange(
        port: Int, _ requests: [String], halfClose: Bool = false,
        isComplete: @Sendable (String) -> Bool = { _ in false }
    ) async throws -> String {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            var text = ""
            do {
                for request in requests { try await outbound.write(ByteBuffer(string: request)) }
                if halfClose { outbound.finish() }
                for try await buffer in inbound {
                    text += String(buffer: buffer)
                    if isComplete(text) { break }
                }
            } catch is ChannelError {
                // The server closed while we were sending; what came before counts.
            } catch let error as IOError where error.errnoCode == 104 || error.errnoCode == 32 {
                // The same, as reset or broken pipe.
            }
            return text
        }
    }
}
