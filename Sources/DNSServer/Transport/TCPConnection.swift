import NIOCore
import RegistryStore

/// One TCP client: splits the stream into messages, answers whole reads with one write.
///
/// SAFETY: runs on its event loop only, as the engine and its scratch do; the scratch holds 65,535 octets and 128 of
/// slack; a query is copied with 64 octets of slack before it is parsed.
@safe
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
        let length = query.readableBytes
        var padded = query.getBytes(at: query.readerIndex, length: length) ?? []
        padded.append(contentsOf: repeatElement(0, count: 64))
        // SAFETY: `padded` has 64 octets of slack; the scratch has the capacity given.
        let result = unsafe padded.withUnsafeBytes { bytes in
            guard let base = unsafe bytes.baseAddress else { return 0 }
            return unsafe engine.value.answer(
                base, length: length, out: engine.scratch.pointer, capacity: EngineBox.scratchSize, transport: .tcp)
        }
        if result > 0 {
            answers.writeInteger(UInt16(truncatingIfNeeded: result))
            unsafe answers.writeBytes(UnsafeRawBufferPointer(start: engine.scratch.pointer, count: result))
            return
        }
        guard result < 0, let deferral = engine.value.deferral else { return }
        underWay += 1
        padded.removeLast(64)
        let loop = context.eventLoop
        let bound = NIOLoopBound((self, context), eventLoop: loop)
        let deliver: @Sendable ([UInt8]) -> Void = { bytes in
            loop.execute { bound.value.0.deliver(bytes, bound.value.1) }
        }
        deferred.submit(
            DeferredQuery(bytes: padded, deferral: deferral, transport: .tcp, path: .tcp(client, deliver)))
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

    /// Stops reading while answers or deferred questions pile up, so that a client that never reads holds little memory.
    private func steerReading(_ context: ChannelHandlerContext) {
        let wanted = context.channel.isWritable && underWay < limits.deferred
        guard wanted != isReading else { return }
        isReading = wanted
        context.channel.setOption(.autoRead, value: wanted).whenFailure { _ in context.close(promise: nil) }
    }

    private func closeWhenDone(_ context: ChannelHandlerContext) {
        guard inputClosed, underWay == 0 else { return }
        // Whole messages that are left wait for the client to read; a part of one never becomes whole.
        if let length = pending.getInteger(at: pending.readerIndex, as: UInt16.self), pending.readableBytes >= 2 + Int(length) {
            return
        }
        context.close(mode: .output, promise: nil)
    }

    private func restartDeadline(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: limits.idle) {
            bound.value.0.counters.timedOut.add(1, ordering: .relaxed)
            bound.value.1.close(promise: nil)
        }
    }
}
