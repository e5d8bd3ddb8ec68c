import NIOCore

/// Decides by a connection's first bytes whether it speaks HTTP/2 with prior knowledge or HTTP/1.1, and sets up the
/// pipeline for it (contract section 1).
///
/// Holds at most the 24 bytes of the HTTP/2 preface (RFC 9113 §3.4): one byte that differs decides for HTTP/1.1. What
/// was read goes to the handlers behind it. `ConnectionGuard` holds the deadline. Under TLS, ALPN will decide before
/// this handler is needed, and where it is absent this handler does.
final class ProtocolSniffer: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    enum Found { case http1, http2 }

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private var held = ByteBuffer()
    private var isDecided = false
    private let configure: (Found, any Channel) throws -> Void

    /// - Parameter configure: adds the handlers of a protocol at the end of the pipeline; called once, on the event
    ///   loop.
    init(configure: @escaping (Found, any Channel) throws -> Void) { self.configure = configure }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDecided else { return context.fireChannelRead(data) }
        var bytes = unwrapInboundIn(data)
        held.writeBuffer(&bytes)
        let compared = min(held.readableBytes, Self.preface.count)
        if !held.readableBytesView.prefix(compared).elementsEqual(Self.preface.prefix(compared)) {
            decide(.http1, context: context)
        } else if compared == Self.preface.count {
            decide(.http2, context: context)
        }
    }

    private func decide(_ found: Found, context: ChannelHandlerContext) {
        isDecided = true
        do {
            try configure(found, context.channel)
        } catch {
            return context.close(promise: nil)
        }
        context.fireChannelRead(wrapInboundOut(held))
        held = ByteBuffer()
        context.fireChannelReadComplete()
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if !isDecided, event is ChannelShouldQuiesceEvent || event as? ChannelEvent == .inputClosed {
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}
