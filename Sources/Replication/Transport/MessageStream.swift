import Memberlist
import NIOCore

/// One stream, from either side: reads one message, writes one, and is closed; or goes on as the application's.
///
/// It ends at its deadline whatever the peer does. All on the event loop.
final class MessageStream: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What became of the reading.
    enum Outcome {
        case message(StreamMessage)
        case unreadable(GossipWireError)
        /// Closed by either side, or too late.
        case ended
    }

    private enum Phase {
        case reading
        /// The message is there; what else comes is thrown away.
        case answering
        /// The application's: all bytes go on to the next handler.
        case own
        case closed
    }

    let peer: GossipAddress
    private let loop: GossipLoop
    private var decoder: StreamDecoder
    private let isIncoming: Bool
    private var outcome: ((MessageStream, Outcome) -> Void)?
    private var phase = Phase.reading
    private var channel: (any Channel)?
    private var deadline: Scheduled<Void>?
    private var context: ChannelHandlerContext?
    private var held = 0
    private var isInputClosed = false
    private var isOutputClosed = false
    /// When the peer last sent something.
    private(set) var heard: Milliseconds

    /// - Parameter outcome: called once, on the event loop.
    init(
        _ loop: GossipLoop, peer: GossipAddress, isIncoming: Bool, outcome: @escaping (MessageStream, Outcome) -> Void
    ) {
        self.loop = loop
        self.peer = peer
        self.isIncoming = isIncoming
        self.outcome = outcome
        heard = loop.clock()
        decoder = StreamDecoder(side: isIncoming ? .dialler : .answerer, security: loop.security)
    }

    var isReading: Bool { phase == .reading }

    /// Adds itself to a channel's pipeline.
    func attach(to channel: any Channel, until time: Milliseconds) throws {
        self.channel = channel
        try channel.pipeline.syncOperations.addHandler(self)
        let wait = max(time - loop.clock(), 0)
        deadline = channel.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(wait)) { [weak self] in
            guard let self, self.phase != .own, self.phase != .closed else { return }
            self.loop.counters.streamsTimedOut += 1
            self.close()
        }
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch phase {
        case .reading: read(unwrapInboundIn(data))
        case .own: context.fireChannelRead(data)
        case .answering, .closed: break
        }
    }

    private func read(_ buffer: ByteBuffer) {
        heard = loop.clock()
        loop.counters.streamBytesIn += buffer.readableBytes
        guard hold(buffer.readableBytes) else {
            loop.counters.streamBytesBeyondLimit += 1
            return close()
        }
        do {
            guard let message = try decoder.append(buffer.readableBytesView) else { return }
            phase = .answering
            release()
            end(.message(message))
        } catch {
            phase = .answering
            release()
            end(.unreadable(error))
        }
    }

    private func hold(_ count: Int) -> Bool {
        let all = isIncoming ? loop.heldStreamBytes : loop.heldAnswerBytes
        guard all + count <= loop.settings.limits.streamBytes else { return false }
        add(count)
        return true
    }

    private func release() { add(-held) }

    private func add(_ count: Int) {
        if isIncoming { loop.heldStreamBytes += count } else { loop.heldAnswerBytes += count }
        held += count
    }

    private func end(_ result: Outcome) {
        let report = outcome
        outcome = nil
        report?(self, result)
    }

    // MARK: Writing

    /// Writes one message.
    func write(_ message: StreamMessage, promise: EventLoopPromise<Void>? = nil) throws(GossipWireError) {
        let bytes = try loop.streamEncoder.encode(
            message, side: isIncoming ? .answerer : .dialler, random: &loop.nonces)
        loop.counters.streamBytesOut += bytes.count
        guard let context else {
            promise?.fail(GossipNodeError.stopped)
            return
        }
        // From here, not from the pipeline's end, where the application's frames may be made.
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: promise)
    }

    /// Writes the message, and closes when the peer has read it, or at the deadline.
    func answerAndFinish(_ message: StreamMessage) {
        do {
            let promise = loop.eventLoop.makePromise(of: Void.self)
            promise.futureResult.assumeIsolated().whenComplete { [weak self] _ in self?.closeOutput() }
            try write(message, promise: promise)
        } catch {
            loop.counters.malformedStreams += 1
            close()
        }
    }

    // MARK: The end

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if phase != .own, let event = event as? ChannelEvent, event == .inputClosed { return inputClosed() }
        context.fireUserInboundEventTriggered(event)
    }

    /// Closes after the answer. All at once, and the octets that a peer sent too many would take the answer with them.
    private func closeOutput() {
        guard !isInputClosed else { return close() }
        isOutputClosed = true
        channel?.close(mode: .output, promise: nil)
    }

    /// A peer that closed its own half alone still reads the answer.
    private func inputClosed() {
        isInputClosed = true
        if phase == .reading || isOutputClosed { close() }
    }

    // MARK: The application's

    /// Stops looking at the bytes: all that follow the first message go to the channel's next handlers, as frames.
    func becomeOwn() throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        guard let channel, phase == .answering else { throw GossipNodeError.stopped }
        let limit = loop.settings.limits.frameBytes
        try channel.pipeline.syncOperations.addHandlers(
            ByteToMessageHandler(StreamFrameDecoder(limit: limit)),
            MessageToByteHandler(StreamFrameEncoder(limit: limit)))
        let frames = try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
            wrappingChannelSynchronously: channel,
            configuration: .init(backPressureStrategy: .init(lowWatermark: 1, highWatermark: 4)))
        phase = .own
        deadline?.cancel()
        loop.forget(self)
        if !decoder.rest.isEmpty {
            context?.fireChannelRead(wrapInboundOut(channel.allocator.buffer(bytes: decoder.rest)))
            context?.fireChannelReadComplete()
        }
        return frames
    }

    func channelInactive(context: ChannelHandlerContext) {
        if phase == .own { context.fireChannelInactive() }
        close()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if phase == .own { return context.fireErrorCaught(error) }
        close()
    }

    func close() {
        guard phase != .closed else { return }
        phase = .closed
        deadline?.cancel()
        release()
        channel?.close(promise: nil)
        loop.forget(self)
        end(.ended)
    }
}
