import NIOCore

/// Tells an HTTP/2 client in its own words to use HTTP/1.1: the server's preface, then GOAWAY with the error
/// HTTP_1_1_REQUIRED (RFC 9113 §6.8, §7) and a text, then the end of the connection.
final class HTTP2Refusal: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    static let reason = "regdns: gRPC is not served on this port yet; the etcd v2 keys API is, over HTTP/1.1"

    private let connectionGuard: ConnectionGuard

    init(connectionGuard: ConnectionGuard) { self.connectionGuard = connectionGuard }

    /// An empty SETTINGS frame and the GOAWAY frame.
    static var frames: ByteBuffer {
        let text = Array(reason.utf8)
        var frames = ByteBuffer()
        frames.writeBytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
        frames.writeBytes([0, 0, UInt8(8 + text.count), 7, 0, 0, 0, 0, 0])
        frames.writeInteger(UInt32(0))
        frames.writeInteger(UInt32(0xD))
        frames.writeBytes(text)
        return frames
    }

    func handlerAdded(context: ChannelHandlerContext) {
        connectionGuard.enter(.sending)
        let connectionGuard = connectionGuard
        context.writeAndFlush(wrapOutboundOut(Self.frames)).assumeIsolated().whenComplete { _ in
            connectionGuard.linger()
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // The frames that came with the preface; the guard drops the rest.
    }
}
