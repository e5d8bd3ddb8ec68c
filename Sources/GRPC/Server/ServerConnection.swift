import NIOCore
import NIOHPACK
import NIOHTTP2

/// One HTTP/2 connection with all its calls: stands right behind NIO's HTTP/2 handler and takes its frames, without a
/// channel for each stream. Lives on the connection's event loop.
///
/// What comes in one read is answered with one write: NIO's handler flushes when the read is complete.
final class ServerConnection: ChannelDuplexHandler {
    typealias InboundIn = HTTP2Frame
    typealias OutboundIn = Never
    typealias OutboundOut = HTTP2Frame

    enum Phase {
        case serving
        /// GOAWAY is sent, the calls under way go on.
        case draining
        /// The last frame is written.
        case ended
    }

    /// Flow-control windows given to clients, in bytes.
    static let streamWindow = 262_144
    static let connectionWindow = 1_048_576
    /// DATA frames below this that complete nothing are tiny.
    static let tinyBytes = 64
    /// Unsent bytes of all calls above which their handlers are asked to wait.
    static let connectionUnsentHigh = 4_194_304

    let server: GRPCServer
    var configuration: GRPCServerConfiguration { server.configuration }
    var metrics: GRPCMetrics { server.metrics }
    let peer: String
    private let farewell: (any Channel) -> Void

    var context: ChannelHandlerContext?
    var phase = Phase.serving
    var streams: [HTTP2StreamID: ServerStream] = [:]
    var held: HeldHere
    var unsentBytes = 0
    /// Some handler waits because of what other calls have not sent.
    var isBlockedAsAWhole = false
    private var lastStreamID = HTTP2StreamID(0)
    private var budget: ControlBudget

    /// Within the frames of one read.
    private var isReading = false
    private var isFlushScheduled = false
    private var hasStarted = false
    /// NIO's handler has sent GOAWAY with an error.
    private var hasFailed = false
    private var isReadHeldBack = false

    // What must not be done where it is found out, in the middle of a write.
    /// Calls whose request is whole while the end of their stream may follow in the same read.
    var ready: [ServerStream] = []
    private var ended: [ServerStream] = []
    private var unblocked: [ServerStream] = []
    private var closed: [any GRPCStreamHandler] = []

    // Deadlines; see `ServerConnection+Deadlines`.
    var lastRead: NIODeadline
    var pingSent: NIODeadline?
    var unwritableSince: NIODeadline?
    var check: Scheduled<Void>?

    init(server: GRPCServer, channel: any Channel, farewell: @escaping (any Channel) -> Void) {
        self.server = server
        self.farewell = farewell
        peer = channel.remoteAddress.map { "\($0.ipAddress ?? "?"):\($0.port ?? 0)" } ?? ""
        let now = channel.eventLoop.now
        lastRead = now
        held = HeldHere(shared: server.held, bound: server.configuration.connectionHeldBytesMax)
        budget = ControlBudget(
            bound: server.configuration.controlFramesMax, perSecond: server.configuration.controlFramesPerSecond,
            now: now)
    }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { start(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    private func start(_ context: ChannelHandlerContext) {
        guard !hasStarted else { return }
        hasStarted = true
        write(.windowUpdate(windowSizeIncrement: Self.connectionWindow - 65_535), on: .rootStream)
        context.flush()
        startChecking(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
        self.context = nil
    }

    /// Ends everything that lives here, once.
    private func end() {
        phase = .ended
        check?.cancel()
        check = nil
        for stream in streams.values { close(stream) }
        streams = [:]
        held.letGoOfAll()
        ready = []
        ended = []
        unblocked = []
        callClosed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if hasFailed {
            sayFarewell()
        } else if error is any NIOHTTP2Error {
            // Of one stream: it is reset, and others go on.
        } else {
            context.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as NIOHTTP2WindowUpdatedEvent:
            windowUpdated(event)
        case let event as StreamClosedEvent:
            if let stream = streams.removeValue(forKey: event.streamID) { close(stream) }
            if !closed.isEmpty || phase == .draining { flushSoon() }
        case is NIOHTTP2StreamCreatedEvent:
            break
        case is ChannelShouldQuiesceEvent:
            drain()
        default:
            if event as? ChannelEvent == .inputClosed { return context.close(promise: nil) }
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// No more calls; those with one answer go on, the others are told to go elsewhere.
    private func drain() {
        guard phase == .serving else { return }
        phase = .draining
        write(.goAway(lastStreamID: lastStreamID, errorCode: .noError, opaqueData: nil), on: .rootStream)
        for stream in Array(streams.values) {
            if case .streaming = stream.work { finish(stream, configuration.drainStatus) }
        }
        flushNow()
    }

    /// Ends the connection with a reason, at once.
    func goAway(_ code: HTTP2ErrorCode, _ reason: String) {
        guard phase != .ended else { return }
        write(
            .goAway(lastStreamID: lastStreamID, errorCode: code, opaqueData: ByteBuffer(string: reason)),
            on: .rootStream)
        context?.flush()
        sayFarewell()
    }

    private func sayFarewell() {
        guard phase != .ended, let context else { return }
        end()
        farewell(context.channel)
    }

    // MARK: Reading

    /// Nothing is read from a client that does not read: its requests would only pile up answers.
    func read(context: ChannelHandlerContext) {
        if context.channel.isWritable { context.read() } else { isReadHeldBack = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            unwritableSince = nil
            settle()
            if isReadHeldBack {
                isReadHeldBack = false
                context.read()
            }
        } else {
            unwritableSince = context.eventLoop.now
        }
        context.fireChannelWritabilityChanged()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard phase != .ended else { return }
        if !isReading {
            isReading = true
            lastRead = context.eventLoop.now
            pingSent = nil
        }
        let frame = unwrapInboundIn(data)
        switch frame.payload {
        case .headers(let headers):
            receive(headers.headers, isEnd: headers.endStream, on: frame.streamID)
        case .data(let data):
            receive(data, on: frame.streamID)
        case .ping(_, ack: true):
            break
        case .ping:
            // The text has gRPC clients ping less often.
            spend("too_many_pings")
        case .settings, .priority, .windowUpdate:
            spend("too many control frames")
        case .rstStream, .goAway, .pushPromise, .alternativeService, .origin:
            break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if !ready.isEmpty {
            for stream in ready { answer(stream) }
            ready.removeAll(keepingCapacity: true)
            context.flush()
        }
        isReading = false
        settle()
        context.fireChannelReadComplete()
    }

    private func spend(_ reason: String) {
        guard let context, !budget.spend(now: context.eventLoop.now) else { return }
        goAway(.enhanceYourCalm, reason)
    }

    private func receive(_ fields: HPACKHeaders, isEnd: Bool, on id: HTTP2StreamID) {
        if let stream = streams[id] {
            if isEnd { requestEnded(stream) }
        } else if phase == .serving {
            lastStreamID = max(lastStreamID, id)
            begin(fields, isEnd: isEnd, id: id)
        } else {
            write(.rstStream(.refusedStream), on: id)
        }
    }

    private func receive(_ data: HTTP2Frame.FramePayload.Data, on id: HTTP2StreamID) {
        guard let stream = streams[id], case .byteBuffer(let bytes) = data.data else { return }
        if bytes.readableBytes < Self.tinyBytes, !data.endStream, !stream.isFinished {
            // Small messages are paid back by their answers; pieces of one are not.
            let completes = stream.reader.bufferedBytes == 0 && bytes.readableBytes >= MessageFraming.prefixBytes
            if !completes { spend("too many small frames") }
            guard phase != .ended else { return }
        }
        receive(bytes, on: stream)
        if data.endStream { requestEnded(stream) }
    }

    /// Gives the client back what was read of its windows, half a window at a time.
    private func windowUpdated(_ event: NIOHTTP2WindowUpdatedEvent) {
        guard phase != .ended, let size = event.inboundWindowSize else { return }
        let target: Int
        if event.streamID == .rootStream {
            target = Self.connectionWindow
        } else {
            guard let stream = streams[event.streamID], !stream.remoteEnded, !stream.isFinished else { return }
            target = Self.streamWindow
        }
        guard size < target / 2 else { return }
        write(.windowUpdate(windowSizeIncrement: target - size), on: event.streamID)
    }

    // MARK: Writing

    func write(_ payload: HTTP2Frame.FramePayload, on id: HTTP2StreamID) {
        context?.write(wrapOutboundOut(HTTP2Frame(streamID: id, payload: payload)), promise: nil)
    }

    /// Has what was written go out after this turn of the event loop, together with what else is written in it.
    func flushSoon() {
        guard !isReading, !isFlushScheduled, let context else { return }
        isFlushScheduled = true
        context.eventLoop.assumeIsolated().execute {
            self.isFlushScheduled = false
            self.flushNow()
        }
    }

    func flushNow() {
        context?.flush()
        settle()
    }

    /// Does what was found out in the middle of writes.
    private func settle() {
        guard phase != .ended else { return }
        if isBlockedAsAWhole, unsentBytes <= Self.connectionUnsentHigh / 2 {
            isBlockedAsAWhole = false
            unblocked += streams.values.filter { $0.isBlocked && $0.unsentBytes <= configuration.unsentBytesLow }
        }
        while !(ended.isEmpty && unblocked.isEmpty && closed.isEmpty) {
            let ended = ended
            let unblocked = unblocked
            self.ended = []
            self.unblocked = []
            for stream in ended where streams[stream.id] === stream && !stream.remoteEnded {
                // The answer is complete and the client still sends: it need not (RFC 9113 §8.1).
                write(.rstStream(.noError), on: stream.id)
            }
            for stream in unblocked where stream.isBlocked && !stream.isFinished {
                stream.isBlocked = false
                stream.handler?.becameWritable()
            }
            callClosed()
            context?.flush()
        }
        if phase == .draining && streams.isEmpty { sayFarewell() }
    }

    private func callClosed() {
        while !closed.isEmpty {
            let handlers = closed
            closed = []
            for handler in handlers { handler.closed() }
        }
    }

    /// Forgets a stream that HTTP/2 has closed.
    private func close(_ stream: ServerStream) {
        stream.deadline?.cancel()
        if case .answering(let task) = stream.work { task.cancel() }
        stream.work = .finished
        unsentBytes -= stream.unsentBytes
        held.letGo(ServerStream.ownBytes + stream.unsentBytes + stream.heldRequestBytes)
        stream.unsentBytes = 0
        stream.heldRequestBytes = 0
        stream.reader.drop()
        stream.request = nil
        if let handler = stream.handler {
            stream.handler = nil
            closed.append(handler)
        }
        let status = stream.status ?? .cancelled
        metrics.count { counters in
            counters.callsOpen -= 1
            counters.calls[status, default: 0] += 1
        }
    }
}

extension ServerConnection: NIOHTTP2FrameDelegate {
    /// Hears of every frame as it leaves flow control for the socket; must not write.
    func wroteFrame(_ frame: HTTP2Frame) {
        switch frame.payload {
        case .data(let data):
            budget.sentFrame()
            guard let stream = streams[frame.streamID], let context else { return }
            let count = data.data.readableBytes
            stream.unsentBytes -= count
            stream.unsentSince = context.eventLoop.now
            unsentBytes -= count
            held.letGo(count)
            if stream.isBlocked, stream.unsentBytes <= configuration.unsentBytesLow { unblocked.append(stream) }
        case .headers(let headers):
            budget.sentFrame()
            if headers.endStream, let stream = streams[frame.streamID], !stream.remoteEnded { ended.append(stream) }
        case .goAway(_, let code, _):
            guard code != .noError, phase != .ended, !hasFailed else { return }
            hasFailed = true
            metrics.count { counters in
                if code == .enhanceYourCalm {
                    counters.connectionsFlooding += 1
                } else {
                    counters.connectionsMalformed += 1
                }
            }
        case .rstStream(let code):
            if code != .noError { metrics.count { $0.streamsReset += 1 } }
        default:
            break
        }
    }
}
