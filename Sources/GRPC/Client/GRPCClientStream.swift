package import NIOCore
import NIOHPACK
import Synchronization

/// What a call begins with.
struct ClientCallHead: Sendable {
    let fields: HPACKHeaders
    let timeout: Duration?

    init(path: String, metadata: [(String, String)], timeout: Duration?, configuration: GRPCClientConfiguration) {
        var fields = HPACKHeaders([
            (":method", "POST"), (":scheme", configuration.scheme), (":path", path),
            (":authority", configuration.authority ?? ""), ("content-type", CallFields.contentType),
            ("te", "trailers"), ("user-agent", configuration.userAgent),
        ])
        if let timeout {
            fields.add(name: "grpc-timeout", value: CallTimeout.text(timeout), indexing: .nonIndexable)
        }
        for (name, value) in metadata { fields.add(name: name, value: value) }
        self.fields = fields
        self.timeout = timeout
    }
}

/// The client's side of a call. Messages are read by one task at a time, and sent by one.
///
/// What the server sends waits here up to the stream's flow-control window; then the server waits.
package final class GRPCClientStream: Sendable {
    private struct State {
        var messages = CircularBuffer<ByteBuffer>()
        var waitingBytes = 0
        var end: GRPCStatus?
        var reader: CheckedContinuation<Void, Never>?
        /// Bytes sent that flow control holds back.
        var unsentBytes = 0
        var sender: CheckedContinuation<Void, Never>?
    }

    private let connection: NIOLoopBound<ClientConnection>
    private let eventLoop: any EventLoop
    private let head: ClientCallHead
    private let window: Int
    private let unsentBytesHigh: Int
    private let state = Mutex(State())

    init(
        connection: NIOLoopBound<ClientConnection>, eventLoop: any EventLoop, head: ClientCallHead,
        configuration: GRPCClientConfiguration
    ) {
        self.connection = connection
        self.eventLoop = eventLoop
        self.head = head
        window = configuration.streamWindow
        unsentBytesHigh = configuration.unsentBytesHigh
    }

    func start(first: ByteBuffer?, isLast: Bool) {
        if let first { state.withLock { $0.unsentBytes += MessageFraming.prefixBytes + first.readableBytes } }
        onLoop { stream, connection in
            connection.begin(stream, stream.head, first: first, isLast: isLast)
        }
    }

    private func onLoop(_ body: @escaping @Sendable (GRPCClientStream, ClientConnection) -> Void) {
        eventLoop.execute { body(self, self.connection.value) }
    }

    // MARK: For who makes the call

    /// Sends a message; waits while the server does not take what was sent before.
    ///
    /// - Throws: the status, when the call has ended; `Cancelled`, and the call is, when the task is.
    package func send(_ message: ByteBuffer) async throws(GRPCStatus) {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    guard state.end == nil, state.unsentBytes >= unsentBytesHigh, state.sender == nil else {
                        return true
                    }
                    state.sender = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            cancel()
        }
        try state.withLock { state throws(GRPCStatus) in
            if let end = state.end { throw end == .ok ? GRPCStatus(.unavailable, "the call has ended") : end }
            state.unsentBytes += MessageFraming.prefixBytes + message.readableBytes
        }
        onLoop { stream, connection in connection.send(message, on: stream) }
    }

    /// Tells the server that no more messages come.
    package func finishSending() { onLoop { stream, connection in connection.finishSending(on: stream) } }

    /// The next message; nil when the call has ended well. Messages that came before the end are given first.
    ///
    /// - Throws: the call's status when it is not `OK`; `Cancelled`, and the call is, when the task is.
    package func next() async throws(GRPCStatus) -> ByteBuffer? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    guard state.messages.isEmpty, state.end == nil, state.reader == nil else { return true }
                    state.reader = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            cancel()
        }
        let (message, refill) = try state.withLock { state throws(GRPCStatus) -> (ByteBuffer?, Bool) in
            guard let message = state.messages.popFirst() else {
                if let end = state.end, end != .ok { throw end }
                return (nil, false)
            }
            let before = state.waitingBytes
            state.waitingBytes -= message.readableBytes
            return (message, before >= window / 2 && state.waitingBytes < window / 2)
        }
        if refill { onLoop { stream, connection in connection.refill(stream) } }
        return message
    }

    /// Ends the call; harmless when it has ended.
    package func cancel() { onLoop { stream, connection in connection.end(stream, .cancelledHere) } }

    // MARK: For the connection

    var hasEnded: Bool { state.withLock { $0.end != nil } }

    /// False when the reader is so far behind that the server must wait.
    var takesMore: Bool { state.withLock { $0.waitingBytes < window / 2 } }

    func received(_ message: ByteBuffer) {
        let reader = state.withLock { state in
            state.messages.append(message)
            state.waitingBytes += message.readableBytes
            return state.reader.take()
        }
        reader?.resume()
    }

    func sent(_ bytes: Int) {
        let sender = state.withLock { state in
            state.unsentBytes -= bytes
            return state.unsentBytes < unsentBytesHigh ? state.sender.take() : nil
        }
        sender?.resume()
    }

    func ended(_ status: GRPCStatus) {
        let (reader, sender) = state.withLock { state in
            if state.end == nil { state.end = status }
            return (state.reader.take(), state.sender.take())
        }
        reader?.resume()
        sender?.resume()
    }
}

extension GRPCClientStream: AsyncSequence {
    package struct AsyncIterator: AsyncIteratorProtocol {
        let stream: GRPCClientStream

        package mutating func next() async throws(GRPCStatus) -> ByteBuffer? { try await stream.next() }

        package mutating func next(isolation actor: isolated (any Actor)?) async throws(GRPCStatus) -> ByteBuffer? {
            try await stream.next()
        }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self) }
}
