import DNSWire
import NIOCore
import NIOPosix

/// How one try at one server ended.
enum ExchangeOutcome: Sendable {
    case answer(Message)
    /// Ask again over TCP: the answer was cut, or too many packets were not ours.
    case needsTCP
    /// Ask again without EDNS.
    case withoutEDNS
    /// Nothing came in time.
    case silence
    /// The network said no, or the server closed the connection.
    case unreachable
}

/// Asks one server once, over a socket of its own whose port the kernel chooses at random (RFC 5452 §9.2).
struct UpstreamExchange: Sendable {
    /// Packets that are no answer to the query; after so many the socket is under attack, and TCP is used instead.
    static let unsuitableMax = 16
    /// The largest datagram taken; the OPT record asks for 1,232 octets at most.
    private static let datagramMax = 4096

    let group: any EventLoopGroup
    /// Called for every packet that is ignored, on an event loop.
    let noteUnsuitable: @Sendable () -> Void

    /// Sends `query` and waits for its answer until `deadline`. Cancellation has no effect: the wait is short.
    func ask(
        _ query: UpstreamQuery, at server: SocketAddress, over transport: ForwardTransport, until deadline: NIODeadline
    ) async -> ExchangeOutcome {
        let loop = group.next()
        let promise = loop.makePromise(of: ExchangeOutcome.self)
        let note = noteUnsuitable
        let connected: EventLoopFuture<any Channel>
        switch transport {
        case .udp:
            // Connected: the kernel drops what does not come from the server, and reports ICMP errors.
            connected = DatagramBootstrap(group: loop)
                .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.datagramMax))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handler = ReplyHandler(query, deadline: deadline, promise: promise, note: note)
                        try channel.pipeline.syncOperations.addHandlers([DatagramPayload(), handler])
                    }
                }
                .connect(to: server)
        case .tcp:
            connected = ClientBootstrap(group: loop)
                .connectTimeout(max(.milliseconds(1), deadline - .now()))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handler = ReplyHandler(query, deadline: deadline, promise: promise, note: note)
                        let frames = ByteToMessageHandler(MessageFrameDecoder())
                        try channel.pipeline.syncOperations.addHandlers([frames, MessageFrameEncoder(), handler])
                    }
                }
                .connect(to: server)
        }
        connected.whenFailure { error in
            promise.succeed(error is ChannelError ? .silence : .unreachable)
        }
        return (try? await promise.futureResult.get()) ?? .unreachable
    }
}

/// Takes the payload out of datagrams of a connected socket.
private final class DatagramPayload: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias InboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.fireChannelRead(wrapInboundOut(unwrapInboundIn(data).data))
    }
}

/// Sends the query when the channel is up and waits for the message that answers it. Lives on one event loop.
private final class ReplyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let query: UpstreamQuery
    private let deadline: NIODeadline
    private let promise: EventLoopPromise<ExchangeOutcome>
    private let note: @Sendable () -> Void
    private var unsuitable = 0
    private var timer: Scheduled<Void>?
    private var isDone = false

    init(
        _ query: UpstreamQuery, deadline: NIODeadline, promise: EventLoopPromise<ExchangeOutcome>,
        note: @escaping @Sendable () -> Void
    ) {
        self.query = query
        self.deadline = deadline
        self.promise = promise
        self.note = note
    }

    func handlerAdded(context: ChannelHandlerContext) {
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.finish(.silence)
            context.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        finish(.unreachable)
    }

    func channelActive(context: ChannelHandlerContext) {
        let message = context.channel.allocator.buffer(bytes: query.octets)
        context.writeAndFlush(wrapOutboundOut(message)).assumeIsolated().whenFailure { _ in
            self.finish(.unreachable)
            context.close(promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return }
        switch query.judge(Array(unwrapInboundIn(data).readableBytesView)) {
        case .answer(let message): finish(.answer(message))
        case .truncated: finish(.needsTCP)
        case .withoutEDNS: finish(.withoutEDNS)
        case .unsuitable:
            note()
            unsuitable += 1
            guard unsuitable >= UpstreamExchange.unsuitableMax else { return }
            finish(.needsTCP)
        }
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        finish(.unreachable)
        context.close(promise: nil)
    }

    private func finish(_ outcome: ExchangeOutcome) {
        guard !isDone else { return }
        isDone = true
        timer?.cancel()
        promise.succeed(outcome)
    }
}
