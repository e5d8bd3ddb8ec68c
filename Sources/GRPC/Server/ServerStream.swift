import NIOCore
import NIOHTTP2

/// One call as the server sees it. Lives on the connection's event loop.
final class ServerStream: GRPCServerStream {
    /// Whose turn it is.
    enum Work {
        /// Its fields are being read.
        case beginning
        /// The request of a call with one answer is arriving, or has arrived.
        case collecting(GRPCMethod, GRPCCall)
        /// A task answers.
        case answering(Task<Void, Never>)
        case streaming(any GRPCStreamHandler)
        /// The last frame of the answer is written, perhaps not sent.
        case finished
    }

    /// What the bookkeeping of a call is taken to cost, in bytes.
    static let ownBytes = 512

    let id: HTTP2StreamID
    let answerType: String
    private weak var connection: ServerConnection?
    let eventLoop: any EventLoop

    var work = Work.beginning
    var reader: MessageReader
    /// The request of a call with one answer, once it is whole.
    var request: ByteBuffer?
    /// The client has said its last.
    var remoteEnded = false
    /// The end that was written, for the counters.
    var status: GRPCStatusCode?
    var headSent = false
    /// Set until `closed` was called.
    var handler: (any GRPCStreamHandler)?

    /// Bytes of the answer that wait for the client, and since when nothing of them went.
    var unsentBytes = 0
    var unsentSince = NIODeadline.distantPast
    var isBlocked = false
    /// Since when the rest of a message, or a request, has been missing.
    var receivingSince: NIODeadline?
    /// Bytes of the request that are counted as held.
    var heldRequestBytes = 0
    var deadline: Scheduled<Void>?

    init(
        id: HTTP2StreamID, answerType: String, reader: MessageReader, connection: ServerConnection,
        eventLoop: any EventLoop
    ) {
        self.id = id
        self.answerType = answerType
        self.reader = reader
        self.connection = connection
        self.eventLoop = eventLoop
    }

    var isFinished: Bool {
        if case .finished = work { true } else { false }
    }

    var isWritable: Bool {
        guard let connection, !isFinished else { return false }
        let isWritable = connection.mayTakeMore(of: self)
        if !isWritable { isBlocked = true }
        return isWritable
    }

    func send(_ message: ByteBuffer) { connection?.send(message, on: self) }

    func send(_ messages: [ByteBuffer]) { connection?.send(messages, on: self) }

    func flush() { connection?.flushSoon() }

    func finish(_ status: GRPCStatus) { connection?.finish(self, status) }
}
