import NIOCore

/// First handler of a connection: ends it when its client is too slow, and lets it end without losing the answer.
///
/// The phases are told by the handlers behind it; each has one deadline for the whole of it, which single bytes do
/// not move. Lives on the connection's event loop.
final class ConnectionGuard: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// What the connection is doing, with the deadline it has for it.
    enum Phase {
        /// Its protocol is not known yet.
        case undecided
        /// Between two requests.
        case idle
        /// Within a request.
        case receiving
        /// The server's turn: no deadline.
        case answering
        /// The client is to take the next piece of the answer.
        case sending
        /// The last answer is out; what still comes in is dropped, up to a bound.
        case lingering
    }

    private let configuration: EtcdServerConfiguration
    private let metrics: EtcdMetrics
    private(set) var phase = Phase.undecided
    private var context: ChannelHandlerContext?
    private var deadline: NIODeadline?
    private var alarm: (at: NIODeadline, task: Scheduled<Void>)?
    private var lingerBytesLeft = 4_194_304
    /// Told when the server goes down, before the handlers behind are: ends an answer that would not end by itself.
    var whenQuiescing: (() -> Void)?
    /// Whether the client has yet to take answers that have ended for the handlers behind: they would take the
    /// connection for idle and close it, so that they are told only then that the server goes down.
    var isSendingAhead = false {
        didSet {
            guard !isSendingAhead, isQuiescing else { return }
            isQuiescing = false
            context?.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
    }
    private var isQuiescing = false

    init(configuration: EtcdServerConfiguration, metrics: EtcdMetrics) {
        self.configuration = configuration
        self.metrics = metrics
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        enter(.undecided)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        alarm?.task.cancel()
        alarm = nil
        deadline = nil
        whenQuiescing = nil
        self.context = nil
    }

    /// Starts a phase and its deadline, which replaces the one before.
    func enter(_ phase: Phase) {
        self.phase = phase
        guard let context, let time = time(for: phase) else {
            deadline = nil
            return
        }
        let deadline = context.eventLoop.now + TimeAmount(time)
        self.deadline = deadline
        // An alarm that comes earlier sets itself anew: most phases end long before their deadline.
        if alarm.map({ $0.at > deadline }) ?? true { setAlarm(deadline, on: context.eventLoop) }
    }

    private func time(for phase: Phase) -> Duration? {
        switch phase {
        case .undecided: configuration.undecidedDeadline
        case .idle: configuration.idleDeadline
        case .receiving: configuration.receivingDeadline
        case .answering: nil
        case .sending: configuration.sendingDeadline
        case .lingering: configuration.lingerDeadline
        }
    }

    private func setAlarm(_ deadline: NIODeadline, on eventLoop: any EventLoop) {
        alarm?.task.cancel()
        alarm = (deadline, eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.alarmRang() })
    }

    private func alarmRang() {
        alarm = nil
        guard let deadline, let context else { return }
        guard context.eventLoop.now >= deadline else { return setAlarm(deadline, on: context.eventLoop) }
        metrics.count { counters in
            switch phase {
            case .undecided: counters.deadlinesUndecided += 1
            case .idle: counters.deadlinesIdle += 1
            case .receiving: counters.deadlinesReceiving += 1
            case .sending: counters.deadlinesSending += 1
            case .answering, .lingering: break
            }
        }
        context.close(promise: nil)
    }

    /// Ends the connection from this side; call once the last answer is flushed.
    ///
    /// A plain close with unread input would make the kernel reset the connection, and the client might never see why.
    func linger() {
        guard let context, phase != .lingering else { return }
        enter(.lingering)
        context.close(mode: .output, promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch phase {
        case .lingering:
            lingerBytesLeft -= unwrapInboundIn(data).readableBytes
            if lingerBytesLeft < 0 { context.close(promise: nil) }
        case .idle:
            enter(.receiving)
            context.fireChannelRead(data)
        case .undecided, .receiving, .answering, .sending:
            context.fireChannelRead(data)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            whenQuiescing?()
            isQuiescing = isSendingAhead
            if isQuiescing { return }
        }
        if phase == .lingering, event as? ChannelEvent == .inputClosed {
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}
