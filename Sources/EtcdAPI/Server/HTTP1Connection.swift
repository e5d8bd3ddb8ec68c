import GRPC
import HTTPTypes
import NIOCore
import NIOHTTP1
import RegistryStore

/// One HTTP/1.1 connection: collects a request, has it answered, sends the answer, and waits for the next.
///
/// Stands behind NIO's decoder, encoder and pipelining handler, which holds a further request back until the answer to
/// the one before has ended. Small answers to requests that were read together are sent together, ahead of what the
/// client takes; it must have taken them all before a request read later is answered. Lives on the connection's event
/// loop.
final class HTTP1Connection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case idle
        case receiving(HTTPRequestHead)
        case answering(HTTPRequestHead)
        /// A whole answer is on its way, and it is not the last.
        case sending
        /// Within an answer that comes piece by piece.
        case streaming(HTTPRequestHead)
        /// The last answer is on its way or out.
        case finished
    }

    /// Bytes of an answer that are sent under one deadline.
    static let pieceBytes = 262_144
    /// Bytes of answers that are written before they are sent together; a system call for each would cost more than
    /// the rest of a small answer. One that does not fit is sent by itself, and the next request waits for it.
    static let aheadBytes = 65_536
    /// What a head counts for among them.
    private static let headBytes = 512

    private let connectionGuard: ConnectionGuard
    private let held: HeldBytes
    private let metrics: EtcdMetrics
    private let submit: @Sendable (EtcdJob) -> Void
    private var state = State.idle
    /// What has come of the body. Not part of the state: taken out of an enumeration, every append would copy it.
    private var body: [UInt8] = []
    private var heldHere = 0
    private var inputClosed = false
    /// Of the answers that have ended for the pipeline and that the client has not taken: their bytes, and those of
    /// `heldHere` among them.
    private var ahead = (bytes: 0, held: 0)
    /// The answers ahead are flushed, and requests wait until the client has taken them.
    private var isHeldUp = false
    /// The request that waits for it.
    private var waiting: EtcdJob?
    /// More of what was read from the socket may come before `channelReadComplete`.
    private var isReading = false
    /// Within the loop of `endAnswer`, and whether it has another round to go.
    private var isEnding = false
    private var owesEnd = false
    private var owesFlush = false
    private var date = HTTPDateField()
    /// This connection for other threads; nil once it has ended.
    private var bound: NIOLoopBound<(HTTP1Connection, ChannelHandlerContext)>?
    /// The address of this node that the client has reached.
    private var arrival: EtcdAddress?
    /// Ends what makes the pieces of the answer under way, or the wait for one.
    private var whenGone: (@Sendable () -> Void)?

    /// - Parameter submit: has a job answered; its reply may come at once, or later from any thread.
    init(
        connectionGuard: ConnectionGuard, held: HeldBytes, metrics: EtcdMetrics,
        submit: @escaping @Sendable (EtcdJob) -> Void
    ) {
        self.connectionGuard = connectionGuard
        self.held = held
        self.metrics = metrics
        self.submit = submit
    }

    func handlerAdded(context: ChannelHandlerContext) {
        connectionGuard.whenQuiescing = { [weak self] in self?.whenGone?() }
        bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        arrival = context.localAddress.flatMap { address in
            address.ipAddress.map { EtcdAddress(host: $0, port: address.port ?? 0) }
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        release(heldHere)
        whenGone?()
        whenGone = nil
        waiting = nil
        bound = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isReading = true
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .idle):
            receive(head, context: context)
        case (.body(let bytes), .receiving):
            guard body.count + bytes.readableBytes <= EtcdHTTPHandler.bodyBytesMax else {
                return refuseBody(context: context)
            }
            guard held.reserve(bytes.readableBytes) else { return refuseMemory(context: context) }
            heldHere += bytes.readableBytes
            body.append(contentsOf: bytes.readableBytesView)
        case (.end, .receiving(let head)):
            dispatch(head, context: context)
        default:
            // Parts of a request that was answered before its end.
            break
        }
    }

    private func receive(_ head: HTTPRequestHead, context: ChannelHandlerContext) {
        // A request that came together with the one before starts its time when it is let in.
        if connectionGuard.phase == .idle { connectionGuard.enter(.receiving) }
        if head.version != .http1_0 && !head.headers.contains(name: "Host") {
            return refuse(400, "400 Bad Request: missing required Host header", context: context)
        }
        let expectations = head.headers[canonicalForm: "Expect"]
        if expectations.contains(where: { $0.lowercased() != "100-continue" }) {
            return refuse(417, "417 Expectation Failed", context: context)
        }
        // What no UInt64 holds is a length, too, and too large.
        let length = head.headers.first(name: "Content-Length").map { UInt64($0) ?? .max } ?? 0
        guard length <= EtcdHTTPHandler.bodyBytesMax else { return refuseBody(context: context) }
        state = .receiving(head)
        if !expectations.isEmpty && head.version != .http1_0 {
            context.writeAndFlush(
                wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: .continue))), promise: nil)
        }
    }

    // MARK: Answers

    private func dispatch(_ head: HTTPRequestHead, context: ChannelHandlerContext) {
        state = .answering(head)
        let body = body
        self.body = []
        guard let request = HTTPRequest(head), let bound else {
            return refuse(400, "400 Bad Request", context: context)
        }
        let job = EtcdJob(request: request, body: body, arrival: arrival, connection: bound)
        if isHeldUp {
            waiting = job
        } else {
            connectionGuard.enter(.answering)
            submit(job)
        }
    }

    /// Notes what ends the wait for the answer to the request under way, when the client goes or the server ends.
    func wait(context: ChannelHandlerContext, whenGone: @escaping @Sendable () -> Void) {
        guard case .answering = state, context.channel.isActive, !inputClosed else { return whenGone() }
        self.whenGone = whenGone
    }

    /// Takes a whole answer to the request under way.
    func answered(_ response: HTTPResponse, body: [UInt8], context: ChannelHandlerContext) {
        guard case .answering(let head) = state, context.channel.isActive else { return }
        whenGone = nil
        // A HEAD gets the length and no more.
        let body = head.method == .HEAD ? [] : body
        // The request is done with.
        release(heldHere - ahead.held)
        guard held.reserve(body.count) else { return refuseMemory(context: context) }
        heldHere += body.count
        let keepAlive = head.isKeepAlive && !inputClosed
        if keepAlive, ahead.bytes + Self.headBytes + body.count <= Self.aheadBytes {
            return sendAhead(response, body: body, version: head.version, context: context)
        }
        state = keepAlive ? .sending : .finished
        send(response, body: body, version: head.version, keepAlive: keepAlive, context: context)
    }

    /// Writes a small answer and lets the next request in.
    private func sendAhead(
        _ response: HTTPResponse, body: [UInt8], version: HTTPVersion, context: ChannelHandlerContext
    ) {
        let bytes = Self.headBytes + body.count
        ahead = (ahead.bytes + bytes, ahead.held + body.count)
        var written = context.write(
            wrapOutboundOut(.head(responseHead(response, version: version, keepAlive: true))))
        if !body.isEmpty {
            written = context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))))
        }
        written.assumeIsolated().whenSuccess { self.taken(bytes, held: body.count, context: context) }
        state = .idle
        connectionGuard.enter(.idle)
        endAnswer(context: context)
    }

    /// The client has one of the answers ahead.
    private func taken(_ bytes: Int, held: Int, context: ChannelHandlerContext) {
        ahead = (ahead.bytes - bytes, ahead.held - held)
        release(held)
        guard ahead.bytes == 0, isHeldUp else { return }
        isHeldUp = false
        switch state {
        case .idle where inputClosed, .receiving where inputClosed: return context.close(promise: nil)
        case .idle: connectionGuard.enter(.idle)
        case .receiving: connectionGuard.enter(.receiving)
        case .answering: connectionGuard.enter(.answering)
        // What is sent now has a deadline of its own.
        case .sending, .streaming, .finished: break
        }
        connectionGuard.isSendingAhead = false
        if let job = waiting, context.channel.isActive {
            waiting = nil
            submit(job)
        }
    }

    /// Sends what is written ahead; a client that does not take it at once is waited for.
    private func flushAhead(context: ChannelHandlerContext) {
        guard owesFlush else { return }
        owesFlush = false
        context.flush()
        guard ahead.bytes > 0, !isHeldUp else { return }
        isHeldUp = true
        connectionGuard.isSendingAhead = true
        connectionGuard.enter(.sending)
    }

    /// Tells the pipeline that the answer has ended, which lets the next request in, within this call if it is there.
    ///
    /// The answer to that one ends here, too, once the call inside has returned: a client may have sent thousands of
    /// requests at once, and calls within calls would fill the stack.
    private func endAnswer(context: ChannelHandlerContext) {
        owesEnd = true
        owesFlush = true
        guard !isEnding else { return }
        let isWithinRead = isReading
        isEnding = true
        while owesEnd {
            owesEnd = false
            context.write(wrapOutboundOut(.end(nil)), promise: nil)
        }
        isEnding = false
        isReading = isWithinRead
        if !isReading { flushAhead(context: context) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // The pipeline says so as well of each request that it lets in.
        if !isEnding {
            isReading = false
            flushAhead(context: context)
        }
        context.fireChannelReadComplete()
    }

    /// Sends a part of an answer that comes piece by piece.
    ///
    /// - Parameter done: told once the client has the part; false when it will never have it.
    func stream(_ part: EtcdJob.Part, context: ChannelHandlerContext, done: @escaping (Bool) -> Void) {
        switch (part, state) {
        case (.head(let response, let whenGone), .answering(let head)) where context.channel.isActive && !inputClosed:
            state = .streaming(head)
            self.whenGone = whenGone
            // HTTP/1.0 has no chunks: the end of the connection is the end of the body.
            let keepAlive = head.isKeepAlive && head.version != .http1_0
            let parts = responseHead(response, version: head.version, keepAlive: keepAlive)
            write(.head(parts), bytes: 0, context: context, done: done)
        case (.piece(let bytes), .streaming) where context.channel.isActive:
            guard held.reserve(bytes.count) else {
                metrics.count { $0.memoryOverLimit += 1 }
                context.close(promise: nil)
                return done(false)
            }
            heldHere += bytes.count
            write(.body(.byteBuffer(ByteBuffer(bytes: bytes))), bytes: bytes.count, context: context, done: done)
        case (.end, .streaming(let head)):
            whenGone = nil
            sent(keepAlive: head.isKeepAlive && head.version != .http1_0, context: context)
            done(true)
        case (.head(_, let whenGone), _):
            // The client has gone before its wait began: nobody reads an answer, and nothing else would end this.
            whenGone()
            context.close(promise: nil)
            done(false)
        default:
            done(false)
        }
    }

    private func write(
        _ part: HTTPServerResponsePart, bytes: Int, context: ChannelHandlerContext, done: @escaping (Bool) -> Void
    ) {
        connectionGuard.enter(.sending)
        context.writeAndFlush(wrapOutboundOut(part)).assumeIsolated().whenComplete { result in
            self.release(bytes)
            guard case .success = result else { return done(false) }
            if case .streaming = self.state { self.connectionGuard.enter(.answering) }
            done(true)
        }
    }

    private func send(
        _ response: HTTPResponse, body: [UInt8], version: HTTPVersion, keepAlive: Bool, context: ChannelHandlerContext
    ) {
        let head = responseHead(response, version: version, keepAlive: keepAlive)
        connectionGuard.enter(.sending)
        var written = context.write(wrapOutboundOut(.head(head)))
        var rest = ByteBuffer(bytes: body)
        while let piece = rest.readSlice(length: min(Self.pieceBytes, rest.readableBytes)), piece.readableBytes > 0 {
            let connectionGuard = connectionGuard
            written.assumeIsolated().whenSuccess { connectionGuard.enter(.sending) }
            written = context.write(wrapOutboundOut(.body(.byteBuffer(piece))))
        }
        written.assumeIsolated().whenComplete { _ in self.sent(keepAlive: keepAlive, context: context) }
        context.flush()
    }

    private func responseHead(_ response: HTTPResponse, version: HTTPVersion, keepAlive: Bool) -> HTTPResponseHead {
        var head = HTTPResponseHead(version: version, status: HTTPResponseStatus(statusCode: response.status.code))
        head.headers.reserveCapacity(response.headerFields.count + 2)
        for field in response.headerFields { head.headers.add(name: field.name.rawName, value: field.value) }
        head.headers.add(
            name: "Date", value: date.value(unixMilliseconds: RegistryClock.system.unixMilliseconds()))
        if !keepAlive {
            head.headers.add(name: "Connection", value: "close")
        } else if version == .http1_0 {
            head.headers.add(name: "Connection", value: "keep-alive")
        }
        return head
    }

    /// The client has the answer. Its end is told to the pipeline only now: with it the next request is let in, and a
    /// client that asks on without reading would have the server hold answer upon answer.
    private func sent(keepAlive: Bool, context: ChannelHandlerContext) {
        release(heldHere)
        guard context.channel.isActive else { return }
        if keepAlive && !inputClosed {
            state = .idle
            connectionGuard.enter(.idle)
            endAnswer(context: context)
        } else {
            state = .finished
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            connectionGuard.linger()
        }
    }

    private func release(_ bytes: Int) {
        // Nothing is left of it where the connection has ended meanwhile.
        let released = min(bytes, heldHere)
        held.release(released)
        heldHere -= released
    }

    // MARK: Refusals, each the last answer of its connection

    private func refuse(_ status: Int, _ text: String, context: ChannelHandlerContext) {
        metrics.count { counters in
            if status == 431 { counters.headersOverLimit += 1 } else { counters.malformedRequests += 1 }
        }
        refuse(.refusal(status, text), context: context)
    }

    private func refuseBody(context: ChannelHandlerContext) {
        metrics.count { $0.bodiesOverLimit += 1 }
        let error = V2Error(.tooLarge, cause: "body: more than \(EtcdHTTPHandler.bodyBytesMax) bytes")
        refuse(EtcdAnswer(status: error.httpStatus, contentType: .json, body: error.json), context: context)
    }

    private func refuseMemory(context: ChannelHandlerContext) {
        metrics.count { $0.memoryOverLimit += 1 }
        let error = V2Error(.overloaded, cause: "memory for requests and answers in flight is used up")
        var answer = EtcdAnswer(status: error.httpStatus, contentType: .json, body: error.json)
        answer.fields.append((.retryAfter, "1"))
        refuse(answer, context: context)
    }

    private func refuse(_ answer: EtcdAnswer, context: ChannelHandlerContext) {
        state = .finished
        body = []
        let (response, body) = answer.response
        send(response, body: body, version: .http1_1, keepAlive: false, context: context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError else { return context.close(promise: nil) }
        switch state {
        case .idle, .receiving:
            if error == .headerOverflow {
                refuse(431, "431 Request Header Fields Too Large", context: context)
            } else {
                refuse(400, "400 Bad Request", context: context)
            }
        case .answering, .sending, .streaming, .finished:
            break
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event as? ChannelEvent == .inputClosed else { return context.fireUserInboundEventTriggered(event) }
        inputClosed = true
        flushAhead(context: context)
        switch state {
        case .idle, .receiving: if ahead.bytes == 0 { context.close(promise: nil) }
        case .streaming, .answering: whenGone?()
        case .sending, .finished: break
        }
    }
}
