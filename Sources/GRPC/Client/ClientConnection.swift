import NIOCore
import NIOHPACK
import NIOHTTP2

/// One HTTP/2 connection of a client with its calls: stands right behind NIO's HTTP/2 handler and takes its frames.
/// Lives on the connection's event loop.
final class ClientConnection: ChannelDuplexHandler {
    typealias InboundIn = HTTP2Frame
    typealias OutboundIn = Never
    typealias OutboundOut = HTTP2Frame

    /// A call under way.
    private final class Call {
        let id: HTTP2StreamID
        let stream: GRPCClientStream
        var reader: MessageReader
        var hasHead = false
        var sendingFinished = false
        var deadline: Scheduled<Void>?
        /// The stream's window was used up to half and not given back, because the reader is behind.
        var owedWindow = 0

        init(id: HTTP2StreamID, stream: GRPCClientStream, reader: MessageReader) {
            self.id = id
            self.stream = stream
            self.reader = reader
        }
    }

    private static let connectionWindow = 16_777_216

    private let configuration: GRPCClientConfiguration
    private let began: EventLoopPromise<Void>
    private var context: ChannelHandlerContext?
    private var calls: [HTTP2StreamID: Call] = [:]
    private var ids: [ObjectIdentifier: HTTP2StreamID] = [:]
    private var nextID: Int32 = 1
    /// Why no more calls are taken.
    private var refusal: GRPCStatus?
    private var isReading = false
    private var isFlushScheduled = false
    private var hasStarted = false
    /// The server's first frame, its SETTINGS (RFC 9113 §3.4), has come.
    private var hasBegun = false
    private var hasFailed = false
    private var isShutDown = false
    private var alarm: Scheduled<Void>?
    private var lastRead = NIODeadline.distantPast
    private var pingSent: NIODeadline?

    /// - Parameter began: kept when the server speaks HTTP/2; fails, with a `GRPCStatus`, when the connection ends
    ///   before.
    init(_ configuration: GRPCClientConfiguration, began: EventLoopPromise<Void>) {
        self.configuration = configuration
        self.began = began
    }

    var isUsable: Bool { refusal == nil && context != nil }

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
        lastRead = context.eventLoop.now
        setAlarm(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        shutDown(GRPCStatus(.unavailable, hasBegun ? "connection closed by the server" : closedAtOnce))
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        shutDown(GRPCStatus(.unavailable, "connection closed"))
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !hasFailed && error is any NIOHTTP2Error { return }
        let reason =
            switch error {
            case _ where hasBegun: "connection failed: \(error)"
            case is any NIOHTTP2Error: "the server speaks no HTTP/2"
            case let error where ClientStatus.isReset(error): closedAtOnce
            default: "\(error)"
            }
        fail(GRPCStatus(.unavailable, reason))
    }

    /// What a server that wants TLS does without a word.
    private var closedAtOnce: String {
        "closed by the server before it spoke HTTP/2" + (configuration.scheme == "https" ? "" : "; does it want TLS?")
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode == .all { shutDown(GRPCStatus(.unavailable, "connection closed")) }
        context.close(mode: mode, promise: promise)
    }

    /// Gives the connection up.
    func fail(_ status: GRPCStatus) {
        shutDown(status)
        context?.close(promise: nil)
    }

    /// Ends all calls, and tells the owner; once.
    private func shutDown(_ status: GRPCStatus) {
        alarm?.cancel()
        alarm = nil
        let isFirst = !isShutDown
        isShutDown = true
        let reason = refusal ?? status
        refusal = reason
        if !hasBegun { began.fail(reason) }
        let calls = calls
        self.calls = [:]
        ids = [:]
        for call in calls.values {
            call.deadline?.cancel()
            call.stream.ended(reason)
        }
        if isFirst, hasBegun { configuration.onClose?(reason) }
    }

    // MARK: Keepalive

    private func setAlarm(_ context: ChannelHandlerContext) {
        guard let interval = configuration.keepaliveInterval, !isShutDown else { return }
        let now = context.eventLoop.now
        let wait =
            pingSent.map { $0 + TimeAmount(configuration.keepaliveDeadline) - now }
            ?? (lastRead + TimeAmount(interval) - now)
        // Without calls a silence counts for nothing, however long.
        let next = now + (wait > .zero ? wait : TimeAmount(interval))
        alarm = context.eventLoop.assumeIsolated().scheduleTask(deadline: next) { self.alarmRang(context) }
    }

    private func alarmRang(_ context: ChannelHandlerContext) {
        guard let interval = configuration.keepaliveInterval, !isShutDown else { return }
        let now = context.eventLoop.now
        if let pingSent {
            if now >= pingSent + TimeAmount(configuration.keepaliveDeadline) {
                return fail(
                    GRPCStatus(.unavailable, "keepalive: no answer within \(configuration.keepaliveDeadline)"))
            }
        } else if now >= lastRead + TimeAmount(interval), !calls.isEmpty || configuration.keepaliveWithoutCalls {
            pingSent = now
            write(.ping(HTTP2PingData(withInteger: 1), ack: false), on: .rootStream)
            context.flush()
        }
        setAlarm(context)
    }

    // MARK: Sending

    func begin(_ stream: GRPCClientStream, _ head: ClientCallHead, first: ByteBuffer?, isLast: Bool) {
        guard let context else { return stream.ended(refusal ?? GRPCStatus(.unavailable, "connection closed")) }
        if let refusal { return stream.ended(refusal) }
        guard !ids.keys.contains(ObjectIdentifier(stream)), !stream.hasEnded else { return }
        guard calls.count < configuration.callsMax else {
            return stream.ended(GRPCStatus(.resourceExhausted, "\(calls.count) calls are under way on a connection"))
        }
        let id = HTTP2StreamID(nextID)
        // After 2^30 calls the connection is worn out.
        let (next, overflow) = nextID.addingReportingOverflow(2)
        if overflow { refusal = GRPCStatus(.unavailable, "connection has used up its streams") } else { nextID = next }
        let call = Call(
            id: id, stream: stream, reader: MessageReader(bytesMax: configuration.messageBytesMax, encoding: nil))
        if let timeout = head.timeout {
            call.deadline = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(timeout)) {
                self.end(stream, .deadlinePassed)
            }
        }
        calls[id] = call
        ids[ObjectIdentifier(stream)] = id
        write(.headers(.init(headers: head.fields)), on: id)
        if let first { send(first, isLast: isLast, on: call) }
        flushSoon()
    }

    private func call(of stream: GRPCClientStream) -> Call? {
        ids[ObjectIdentifier(stream)].flatMap { calls[$0] }
    }

    func send(_ message: ByteBuffer, on stream: GRPCClientStream) {
        guard let call = call(of: stream), !call.sendingFinished else { return }
        send(message, isLast: false, on: call)
        flushSoon()
    }

    private func send(_ message: ByteBuffer, isLast: Bool, on call: Call) {
        guard let context else { return }
        let (first, rest) = MessageFraming.frames(of: message, allocator: context.channel.allocator)
        write(.data(.init(data: .byteBuffer(first), endStream: isLast && rest == nil)), on: call.id)
        if let rest { write(.data(.init(data: .byteBuffer(rest), endStream: isLast)), on: call.id) }
        call.sendingFinished = isLast
    }

    func finishSending(on stream: GRPCClientStream) {
        guard let call = call(of: stream), !call.sendingFinished else { return }
        call.sendingFinished = true
        write(.data(.init(data: .byteBuffer(ByteBuffer()), endStream: true)), on: call.id)
        flushSoon()
    }

    /// Ends a call from this side.
    func end(_ stream: GRPCClientStream, _ status: GRPCStatus) {
        stream.ended(status)
        guard let call = call(of: stream) else { return }
        forget(call)
        write(.rstStream(.cancel), on: call.id)
        flushSoon()
    }

    private func forget(_ call: Call) {
        call.deadline?.cancel()
        calls[call.id] = nil
        ids[ObjectIdentifier(call.stream)] = nil
        if calls.isEmpty, refusal != nil, !isShutDown { context?.eventLoop.assumeIsolated().execute { self.leave() } }
    }

    /// The server has sent GOAWAY, and the last call is over.
    private func leave() {
        guard calls.isEmpty, !isShutDown else { return }
        fail(refusal ?? GRPCStatus(.unavailable, "connection closed"))
    }

    private func write(_ payload: HTTP2Frame.FramePayload, on id: HTTP2StreamID) {
        context?.write(wrapOutboundOut(HTTP2Frame(streamID: id, payload: payload)), promise: nil)
    }

    private func flushSoon() {
        guard !isReading, !isFlushScheduled, let context else { return }
        isFlushScheduled = true
        context.eventLoop.assumeIsolated().execute {
            self.isFlushScheduled = false
            self.context?.flush()
        }
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if !isReading {
            isReading = true
            lastRead = context.eventLoop.now
            pingSent = nil
        }
        let frame = unwrapInboundIn(data)
        switch frame.payload {
        case .headers(let headers):
            if let call = calls[frame.streamID] { receive(headers.headers, isEnd: headers.endStream, on: call) }
        case .data(let data):
            if let call = calls[frame.streamID] { receive(data, on: call) }
        case .settings(.settings):
            guard !hasBegun, !isShutDown else { return }
            hasBegun = true
            began.succeed()
        case .goAway(_, let code, let text):
            let reason = text.map { " \(String(buffer: $0))" } ?? ""
            refusal = refusal ?? GRPCStatus(.unavailable, "the server closes the connection: \(code)\(reason)")
            if calls.isEmpty { context.eventLoop.assumeIsolated().execute { self.leave() } }
        default:
            break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        context.flush()
        context.fireChannelReadComplete()
    }

    private func receive(_ fields: HPACKHeaders, isEnd: Bool, on call: Call) {
        if !call.hasHead {
            call.hasHead = true
            let http = fields.first(name: ":status") ?? ""
            // An interim answer (RFC 9110 §15.2) is not the head.
            if http.utf8.count == 3, http.hasPrefix("1") {
                call.hasHead = false
                return
            }
            let type = fields.first(name: "content-type")
            if fields.first(name: "grpc-status") == nil, http != "200" || CallFields.answerType(to: type) == nil {
                return refuse(call, ClientStatus.of(http: http, contentType: type))
            }
        }
        guard isEnd else { return }
        let status = ClientStatus.of(trailers: fields)
        let isCut = status == .ok && call.reader.bufferedBytes > 0
        conclude(call, isCut ? GRPCStatus(.internalError, "the answer ended within a message") : status)
    }

    private func receive(_ data: HTTP2Frame.FramePayload.Data, on call: Call) {
        guard case .byteBuffer(let bytes) = data.data else { return }
        call.reader.append(bytes)
        do {
            while let message = try call.reader.next() { call.stream.received(message) }
        } catch {
            return refuse(call, error)
        }
        if data.endStream {
            conclude(call, GRPCStatus(.internalError, "the server ended the call without a status"))
        }
    }

    /// Ends a call whose answer is none.
    private func refuse(_ call: Call, _ status: GRPCStatus) { conclude(call, status, reset: .cancel) }

    /// - Parameter reset: what the server is told; by default only that it need not read on, when there is more.
    private func conclude(_ call: Call, _ status: GRPCStatus, reset: HTTP2ErrorCode? = nil) {
        forget(call)
        call.stream.ended(status)
        if let code = reset ?? (call.sendingFinished ? nil : .noError) { write(.rstStream(code), on: call.id) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as NIOHTTP2WindowUpdatedEvent:
            windowUpdated(event)
        case let event as StreamClosedEvent:
            if let call = calls[event.streamID] {
                forget(call)
                let isUnseen = event.reason == .cancel && refusal != nil
                call.stream.ended(isUnseen ? refusal ?? .cancelledHere : ClientStatus.of(reset: event.reason))
            }
        case is NIOHTTP2StreamCreatedEvent:
            break
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// Gives the server back what was read of its windows; a stream's only as far as its reader follows.
    private func windowUpdated(_ event: NIOHTTP2WindowUpdatedEvent) {
        guard !isShutDown, let size = event.inboundWindowSize else { return }
        if event.streamID == .rootStream {
            guard size < Self.connectionWindow / 2 else { return }
            write(.windowUpdate(windowSizeIncrement: Self.connectionWindow - size), on: .rootStream)
        } else if let call = calls[event.streamID], size < configuration.streamWindow / 2 {
            call.owedWindow = configuration.streamWindow - size
            giveWindow(to: call)
        }
    }

    /// The reader of a stream has caught up.
    func refill(_ stream: GRPCClientStream) {
        guard let call = call(of: stream) else { return }
        giveWindow(to: call)
        flushSoon()
    }

    private func giveWindow(to call: Call) {
        guard call.owedWindow > 0, call.stream.takesMore else { return }
        write(.windowUpdate(windowSizeIncrement: call.owedWindow), on: call.id)
        call.owedWindow = 0
    }
}

extension ClientConnection: NIOHTTP2FrameDelegate {
    /// Hears of every frame as it leaves flow control for the socket; must not write.
    func wroteFrame(_ frame: HTTP2Frame) {
        switch frame.payload {
        case .data(let data): calls[frame.streamID]?.stream.sent(data.data.readableBytes)
        case .goAway(_, let code, _): if code != .noError { hasFailed = true }
        default: break
        }
    }
}
