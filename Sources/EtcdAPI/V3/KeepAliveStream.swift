import EtcdMessages
import GRPC
import NIOCore

/// One call of `Lease/LeaseKeepAlive`: each request is answered at once, in order.
final class KeepAliveStream: GRPCStreamHandler {
    private let stream: any GRPCServerStream
    private let service: LeaseService
    private var unread = UnreadAnswers()

    init(stream: any GRPCServerStream, service: LeaseService) {
        self.stream = stream
        self.service = service
    }

    func received(_ message: ByteBuffer) {
        do throws(GRPCStatus) {
            let answer = try Messages.write(try service.keepAlive(try Messages.read(message)))
            guard unread.admit(stream, service.context) else { return }
            stream.send(answer)
            stream.flush()
        } catch {
            stream.finish(error)
        }
    }

    func endOfRequests() { stream.finish(.ok) }
    func becameWritable() { unread.reset() }
    func closed() {}
}

/// Counts answers that wait for a client that asks and does not read.
struct UnreadAnswers {
    private var count = 0

    /// Whether one more may be sent; ends the stream when not.
    mutating func admit(_ stream: any GRPCServerStream, _ context: V3Context) -> Bool {
        if stream.isWritable {
            count = 0
            return true
        }
        count += 1
        guard count > context.configuration.unreadAnswersMax else { return true }
        // Said once; what comes until the stream is gone is dropped.
        if count == context.configuration.unreadAnswersMax + 1 {
            context.metrics.count { $0.streamsUnread += 1 }
            stream.finish(GRPCStatus(.resourceExhausted, "regdns: the answers are not read"))
        }
        return false
    }

    mutating func reset() { count = 0 }
}
