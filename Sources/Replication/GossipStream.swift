package import Memberlist
package import NIOCore

/// A stream of the application's own type between two nodes: each side's first message as gossip streams have them
/// (labelled, sealed), then frames both ways, which the application protects itself.
///
/// It is usable as long as the function runs that got it, and closed afterwards.
package struct GossipStream: Sendable {
    package let peer: GossipAddress
    /// The other side's first message: the request, or the answer to ours.
    package let first: [UInt8]
    /// Ends when the peer closes. Reading slowly slows the peer down.
    package let frames: NIOAsyncChannelInboundStream<ByteBuffer>
    /// Each write is a frame of at most `TransportLimits.frameBytes`; it waits for a slow peer.
    package let writer: NIOAsyncChannelOutboundWriter<ByteBuffer>
    let message: NIOLoopBound<MessageStream>
    let eventLoop: any EventLoop

    /// The side that was dialled answers the first message, before any frame of its own.
    package func answer(_ body: [UInt8]) async throws(GossipNodeError) {
        let message = message
        do {
            try await eventLoop.flatSubmit { () -> EventLoopFuture<Void> in
                let promise = message.eventLoop.makePromise(of: Void.self)
                do throws(GossipWireError) {
                    try message.value.write(.own(type: GossipNode.streamType, body: body), promise: promise)
                } catch {
                    promise.fail(GossipNodeError.message(error))
                }
                return promise.futureResult
            }.get()
        } catch let error as GossipNodeError {
            throw error
        } catch {
            throw .unreachable(peer, reason: "\(error)")
        }
    }
}
