import DNSWire
import NIOCore
import NIOPosix

/// Asks DNS servers over UDP, as much as finding seeds needs: what does not fit a datagram is left out.
struct DNSClient: Sendable {
    /// No server answered with something usable.
    struct NoAnswer: Error, CustomStringConvertible {
        let name: String
        let reason: String
        var description: String { "no DNS server answered for \(name): \(reason)" }
    }

    static let timeout: TimeAmount = .seconds(2)
    static let rounds = 2

    let servers: [SocketAddress]
    let eventLoop: any EventLoop

    /// SRV targets, least priority first, within one the greater weight.
    func services(_ name: String) async throws -> [(host: String, port: UInt16)] {
        guard !servers.isEmpty else { return [] }
        var found: [SRVData] = []
        for record in try await ask(name, .srv) { found.append(try SRVData(rdata: record.rdata)) }
        let sorted = found.sorted { ($0.priority, $1.weight) < ($1.priority, $0.weight) }
        // A target "." says that there is no such service (RFC 2782).
        return sorted.filter { !$0.target.isRoot }.map { ("\($0.target)", $0.port) }
    }

    func addresses(_ host: String) async throws -> [[UInt8]] {
        guard !servers.isEmpty else { return [] }
        var found: [[UInt8]] = []
        for type in [RRType.a, .aaaa] { found += try await ask(host, type).map(\.rdata) }
        return found
    }

    private func ask(_ text: String, _ type: RRType) async throws -> [ResourceRecord] {
        let question = Question(name: try DomainName(text), type: type)
        var reason = "none is configured"
        for _ in 0..<Self.rounds {
            for server in servers {
                do {
                    let answer = try await exchange(question, with: server)
                    switch answer.rcode {
                    case .noError, .nxDomain: return answer.answers.filter { $0.type == type }
                    default: reason = "\(server) says \(answer.rcode)"
                    }
                } catch {
                    reason = "\(server): \(error)"
                }
            }
        }
        throw NoAnswer(name: text, reason: reason)
    }

    private func exchange(_ question: Question, with server: SocketAddress) async throws -> Message {
        let promise = eventLoop.makePromise(of: Message.self)
        let timeout = eventLoop.scheduleTask(in: Self.timeout) { promise.fail(GossipNodeError.timedOut) }
        defer { timeout.cancel() }
        let id = UInt16.random(in: .min ... .max)
        let channel: any Channel
        do {
            // Connected, so that nobody else's answers come in.
            channel = try await DatagramBootstrap(group: eventLoop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handler = AnswerHandler(id: id, question: question, promise: promise)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                }
                .connect(to: server).get()
        } catch {
            promise.fail(error)
            throw error
        }
        let writer = ResponseWriter(
            limit: 512, id: id, flags: .recursionDesired, question: question, edns: EDNS(payloadSize: 1_232))
        let query = AddressedEnvelope(remoteAddress: server, data: ByteBuffer(bytes: writer.finish()))
        channel.writeAndFlush(query, promise: nil)
        let answer = await promise.futureResult.asResult()
        try? await channel.close()
        return try answer.get()
    }
}

extension EventLoopFuture where Value: Sendable {
    /// Its end, good or bad.
    fileprivate func asResult() async -> Result<Value, any Error> {
        do {
            return .success(try await get())
        } catch {
            return .failure(error)
        }
    }
}

/// Waits for the answer to one question.
private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let id: UInt16
    private let question: Question
    private let promise: EventLoopPromise<Message>

    init(id: UInt16, question: Question, promise: EventLoopPromise<Message>) {
        self.id = id
        self.question = question
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Somebody's guess, or garbage: the right answer may still come.
        guard let message = try? Message(reading: Array(unwrapInboundIn(data).data.readableBytesView)),
            message.id == id, message.flags.contains(.response), message.questions == [question]
        else { return }
        promise.succeed(message)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { promise.fail(error) }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(GossipNodeError.stopped) }
}
