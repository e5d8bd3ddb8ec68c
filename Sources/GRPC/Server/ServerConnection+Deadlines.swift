import NIOCore
import NIOHTTP2

/// What is looked at every few seconds, for all calls at once: a timer for each would cost more than most calls.
extension ServerConnection {
    func startChecking(_ context: ChannelHandlerContext) {
        check = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(configuration.checkInterval)) {
            self.checkDeadlines()
            if self.phase != .ended { self.startChecking(context) }
        }
    }

    private func checkDeadlines() {
        guard let context, phase != .ended else { return }
        let now = context.eventLoop.now
        if let since = unwritableSince, now - since > TimeAmount(configuration.sendingDeadline) {
            metrics.count { $0.deadlinesUnread += 1 }
            return context.close(promise: nil)
        }
        if streams.isEmpty {
            guard now - lastRead > TimeAmount(configuration.idleDeadline) else { return }
            metrics.count { $0.deadlinesIdle += 1 }
            return goAway(.noError, "idle")
        }
        for stream in Array(streams.values) { checkDeadlines(of: stream, now: now) }
        checkKeepalive(context, now: now)
        flushNow()
    }

    private func checkDeadlines(of stream: ServerStream, now: NIODeadline) {
        if let since = stream.receivingSince, now - since > TimeAmount(configuration.receivingDeadline) {
            metrics.count { $0.deadlinesReceiving += 1 }
            finish(stream, GRPCStatus(.deadlineExceeded, "the request did not arrive in time"))
        }
        // Bytes that wait for the connection's turn wait for this client all the same.
        if stream.unsentBytes > 0, now - stream.unsentSince > TimeAmount(configuration.sendingDeadline) {
            metrics.count { $0.deadlinesSending += 1 }
            stream.status = .resourceExhausted
            reset(stream, .enhanceYourCalm)
        }
    }

    /// Clients with calls under way that have gone without a word are found by a ping.
    private func checkKeepalive(_ context: ChannelHandlerContext, now: NIODeadline) {
        if let pingSent {
            guard now - pingSent > TimeAmount(configuration.keepaliveDeadline) else { return }
            metrics.count { $0.deadlinesKeepalive += 1 }
            context.close(promise: nil)
        } else if now - lastRead > TimeAmount(configuration.keepaliveInterval) {
            pingSent = now
            write(.ping(HTTP2PingData(withInteger: 1), ack: false), on: .rootStream)
        }
    }
}
