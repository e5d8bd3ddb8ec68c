import NIOCore
import NIOHTTP1

/// Keeps one connection within its time limits and closes it at the right moment; lives on the event loop.
///
/// It sees whole heads, not octets: a client that drips its head has until `headTimeout` whatever it sends.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let limits: HTTPLimits
    private let counters: HTTPCounters
    private let signal: CloseSignal

    /// Requests whose head was read and whose answer is not complete.
    private var inFlight = 0
    /// Between a head and the end of its body.
    private var isReading = false
    /// Between the head of an answer and its end.
    private var isAnswering = false
    private var hasServedRequest = false
    /// Set once nothing more may be written by others.
    private var isClosing = false
    private var isDraining = false

    /// When each kind of waiting began; nil while it does not apply.
    private var idleSince: NIODeadline?
    private var bodySince: NIODeadline?
    private var unreadSince: NIODeadline?
    private var lingerSince: NIODeadline?
    private var drainSince: NIODeadline?
    private var timer: Scheduled<Void>?
    private var timerDue: NIODeadline?

    init(limits: HTTPLimits, counters: HTTPCounters, signal: CloseSignal) {
        self.limits = limits
        self.counters = counters
        self.signal = signal
    }

    // MARK: Life of the connection

    func handlerAdded(context: ChannelHandlerContext) {
        idleSince = .now()
        arm(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        signal.fire()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        signal.fire()
        context.fireErrorCaught(error)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent:
            isDraining = true
            signal.fire()
            if inFlight == 0 {
                shut(context)
            } else {
                drainSince = .now()
                arm(context)
            }
        case ChannelEvent.inputClosed:
            signal.fire()
            context.fireUserInboundEventTriggered(event)
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if case .output = mode {
            lingerSince = .now()
            arm(context)
        }
        context.close(mode: mode, promise: promise)
    }

    // MARK: Requests and answers

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            inFlight += 1
            isReading = true
            bodySince = .now()
            idleSince = nil
        case .body: break
        case .end:
            isReading = false
            bodySince = nil
        }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Most requests come whole in one read, so the timer is only touched when one did not.
        if isReading { arm(context) }
        context.fireChannelReadComplete()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !isClosing else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        switch unwrapOutboundIn(data) {
        case .head(var head) where head.status.code >= 200:
            isAnswering = true
            if isDraining { head.headers.replaceOrAdd(name: "Connection", value: "close") }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .end:
            isAnswering = false
            hasServedRequest = true
            inFlight = max(0, inFlight - 1)
            guard inFlight == 0, isDraining else {
                context.write(data, promise: promise)
                if inFlight == 0 {
                    idleSince = .now()
                    arm(context)
                }
                return
            }
            // Closing at once would throw away what the socket has not taken yet.
            let written = promise ?? context.eventLoop.makePromise(of: Void.self)
            written.futureResult.assumeIsolated().whenComplete { _ in self.shut(context) }
            context.writeAndFlush(data, promise: written)
        default:
            context.write(data, promise: promise)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        unreadSince = context.channel.isWritable ? nil : .now()
        if unreadSince != nil { arm(context) }
        context.fireChannelWritabilityChanged()
    }

    // MARK: Time

    private enum Limit {
        case head
        case idle
        case body
        case unread
        case linger
        case drain
    }

    private func nextLimit() -> (Limit, NIODeadline)? {
        var first: (Limit, NIODeadline)?
        func consider(_ limit: Limit, _ since: NIODeadline?, _ length: Duration) {
            guard let since else { return }
            let due = since + TimeAmount(length)
            if let known = first, known.1 <= due { return }
            first = (limit, due)
        }
        consider(
            hasServedRequest ? .idle : .head, inFlight == 0 ? idleSince : nil,
            hasServedRequest ? limits.idleTimeout : limits.headTimeout)
        consider(.body, bodySince, limits.bodyTimeout)
        consider(.unread, unreadSince, limits.writeTimeout)
        consider(.linger, lingerSince, limits.lingerTimeout)
        consider(.drain, drainSince, limits.drainTimeout)
        return first
    }

    /// Makes sure that the timer fires no later than the next limit.
    private func arm(_ context: ChannelHandlerContext) {
        guard !isClosing, let (_, due) = nextLimit() else { return }
        if let timerDue, timerDue <= due { return }
        timer?.cancel()
        timerDue = due
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: due) { self.timerFired(context) }
    }

    private func timerFired(_ context: ChannelHandlerContext) {
        timer = nil
        timerDue = nil
        guard !isClosing, let (limit, due) = nextLimit() else { return }
        guard due <= .now() else {
            arm(context)
            return
        }
        switch limit {
        case .head: counters.count(.headTimeout)
        case .idle: counters.count(.idleTimeout)
        case .unread: counters.count(.writeTimeout)
        case .linger, .drain: break
        case .body:
            counters.count(.bodyTimeout)
            if inFlight == 1, !isAnswering { writeTimeoutAnswer(context) }
        }
        shut(context)
    }

    private func writeTimeoutAnswer(_ context: ChannelHandlerContext) {
        let body = ByteBuffer(string: #"{"Error":"Request body did not arrive in time"}"#)
        let headers = HTTPHeaders([
            ("Content-Type", "application/json; charset=utf-8"), ("Content-Length", "\(body.readableBytes)"),
            ("Connection", "close"),
        ])
        let head = HTTPResponseHead(version: .http1_1, status: .requestTimeout, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func shut(_ context: ChannelHandlerContext) {
        isClosing = true
        signal.fire()
        context.close(promise: nil)
    }
}
