import NIOCore
import RegistryStore
import Synchronization

/// One TCP client: splits the stream into messages, answers whole reads with one write. On its event loop only.
final class TCPConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let engine: EngineBox
    private let deferred: DeferredAnswers
    private let totals: EngineTotals
    private let clock: RegistryClock
    private let limits: TCPLimits
    private let counters: TCPCounters
    private let client: ClientAddress
    private var pending = ByteBuffer()
    private var underWay = 0
    private var inputClosed = false
    private var isReading = true
    private var deadline: Scheduled<Void>?

    /// Answers of one write at most; then what was written must leave first.
    private static let writeMax = 1 << 18

    init(
        engine: EngineBox, deferred: DeferredAnswers, totals: EngineTotals, clock: RegistryClock, limits: TCPLimits,
        counters: TCPCounters, client: ClientAddress
    ) {
        self.engine = engine
        self.deferred = deferred
        self.totals = totals
        self.clock = clock
        self.limits = limits
        self.counters = counters
        self.client = client
    }

    func channelActive(context: ChannelHandlerContext) {
        restartDeadline(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        pending.writeBuffer(&buffer)
        process(context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { process(context) }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            inputClosed = true
            closeWhenDone(context)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// Answers the complete messages that are there, as far as the client reads its answers.
    private func process(_ context: ChannelHandlerContext) {
        var answers = context.channel.allocator.buffer(capacity: 512)
        var served = false
        engine.value.enter(now: clock.monotonicMilliseconds(), unixSeconds: clock.unixMilliseconds() / 1000)
        while context.channel.isWritable, underWay < limits.deferred, answers.readableBytes < Self.writeMax,
            let length = pending.getInteger(at: pending.readerIndex, as: UInt16.self)
        {
            if length < 12 {
                engine.value.leave()
                context.close(promise: nil)
                return
            }
            guard pending.readableBytes >= 2 + Int(length) else { break }
            pending.moveReaderIndex(forwardBy: 2)
            guard let query = pending.readSlice(length: Int(length)) else { break }
            served = true
            answer(query, into: &answers, context)
        }
        engine.value.leave()
        engine.flush(to: totals)
        pending.discardReadBytes()
        if served { restartDeadline(context) }
        if answers.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(answers), promise: nil) }
        steerReading(context)
        closeWhenDone(context)
    }

    private func answer(_ query: ByteBuffer, into answers: inout ByteBuffer, _ context: ChannelHandlerContext) {
        let bytes = query.getBytes(at: query.readerIndex, length: query.readableBytes) ?? []
        let result = engine.answer(bytes, transport: .tcp)
        if result > 0 {
            answers.writeInteger(UInt16(truncatingIfNeeded: result))
            // SAFETY: the bytes are copied before the closure returns.
            unsafe engine.withAnswer(result) { answer in _ = unsafe answers.writeBytes(answer) }
            return
        }
        guard result < 0, let deferral = engine.value.deferral else { return }
        underWay += 1
        let loop = context.eventLoop
        let connection = NIOLoopBound(self, eventLoop: loop)
        let place = NIOLoopBound(context, eventLoop: loop)
        let deliver: @Sendable ([UInt8]) -> Void = { bytes in
            loop.execute { connection.value.deliver(bytes, place.value) }
        }
        deferred.submit(
            DeferredQuery(bytes: bytes, deferral: deferral, transport: .tcp, path: .tcp(client, deliver)))
    }

    /// An answer that came later; empty when none is given.
    private func deliver(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        underWay -= 1
        if context.channel.isActive && !bytes.isEmpty && bytes.count <= 65_535 {
            var buffer = context.channel.allocator.buffer(capacity: bytes.count + 2)
            buffer.writeInteger(UInt16(bytes.count))
            buffer.writeBytes(bytes)
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        }
        process(context)
    }

    /// Stops reading while answers or deferred questions pile up, so that a client that never reads holds little
    /// memory.
    private func steerReading(_ context: ChannelHandlerContext) {
        let wanted = context.channel.isWritable && underWay < limits.deferred
        guard wanted != isReading else { return }
        isReading = wanted
        let channel = context.channel
        channel.setOption(.autoRead, value: wanted).whenFailure { _ in channel.close(promise: nil) }
    }

    private func closeWhenDone(_ context: ChannelHandlerContext) {
        guard inputClosed, underWay == 0 else { return }
        // Whole messages that are left wait for the client to read; a part of one never becomes whole.
        if let length = pending.getInteger(at: pending.readerIndex, as: UInt16.self),
            pending.readableBytes >= 2 + Int(length)
        {
            return
        }
        context.close(mode: .output, promise: nil)
    }

    private func restartDeadline(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        let channel = context.channel
        let counters = counters
        deadline = context.eventLoop.scheduleTask(in: limits.idle) {
            counters.timedOut.add(1, ordering: .relaxed)
            channel.close(promise: nil)
        }
    }
}
