import HTTPTypes
import NIOCore
import NIOHTTP1

/// A request to be answered, and the connection that the answer goes to.
struct EtcdJob: Sendable {
    let request: HTTPRequest
    let body: [UInt8]
    /// The address of this node that the connection came in on.
    let arrival: EtcdAddress?
    let connection: NIOLoopBound<(HTTP1Connection, ChannelHandlerContext)>

    enum Part: Sendable {
        /// What is told when the client goes away before the end.
        case head(HTTPResponse, whenGone: @Sendable () -> Void)
        case piece([UInt8])
        case end
    }

    /// Has the request answered; gives the rest of the work for an answer that has to be waited for, or that comes
    /// piece by piece, else nil.
    func answer(by handler: EtcdHTTPHandler) -> (@Sendable () async -> Void)? {
        switch handler.begin(request, body: body, arrival: arrival) {
        case .now(let answer): return send(answer)
        case .later(let wait): return { await send(await wait())?() }
        case .whileThere(let wait): return { await send(await whileThere(wait))?() }
        }
    }

    private func whileThere(_ wait: @escaping @Sendable () async -> EtcdReply) async -> EtcdReply {
        let task = Task { await wait() }
        connection.eventLoop.execute {
            let (connection, context) = connection.value
            connection.wait(context: context, whenGone: { task.cancel() })
        }
        return await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
    }

    private func send(_ answer: EtcdReply) -> (@Sendable () async -> Void)? {
        switch answer.body {
        case .bytes(let bytes):
            reply(answer.head, bytes)
            return nil
        case .events(let events):
            return { await send(events, after: answer.head) }
        }
    }

    private func send(_ events: EtcdEvents, after head: HTTPResponse) async {
        guard await stream(.head(head, whenGone: { events.cancel() })) else { return events.cancel() }
        while let piece = await events.next() {
            guard await stream(.piece(piece)) else { return events.cancel() }
        }
        _ = await stream(.end)
    }

    /// Gives the connection a whole answer, from any thread, at most once; on the connection's own it is written when
    /// the call returns.
    func reply(_ response: HTTPResponse, _ body: [UInt8]) {
        guard connection.eventLoop.inEventLoop else {
            return connection.eventLoop.execute { reply(response, body) }
        }
        let (connection, context) = connection.value
        connection.answered(response, body: body, context: context)
    }

    /// Gives the connection a part of an answer that comes piece by piece, one after the other; false when the client
    /// will not have it.
    private func stream(_ part: Part) async -> Bool {
        await withCheckedContinuation { done in
            connection.eventLoop.execute {
                let (connection, context) = connection.value
                connection.stream(part, context: context) { done.resume(returning: $0) }
            }
        }
    }
}

extension HTTPRequest {
    /// NIO's head as `HTTPTypes` has it; nil when its target is not text.
    init?(_ head: HTTPRequestHead) {
        // A target with bytes that are no UTF-8 arrives with U+FFFD in their place: the key asked for is lost.
        guard let method = HTTPRequest.Method(head.method.rawValue), !head.uri.unicodeScalars.contains("\u{FFFD}")
        else { return nil }
        var fields = HTTPFields()
        fields.reserveCapacity(head.headers.count)
        for (name, value) in head.headers {
            guard let name = HTTPField.Name(name) else { continue }
            fields.append(HTTPField(name: name, value: value))
        }
        self.init(
            method: method, scheme: "http", authority: head.headers.first(name: "Host"), path: head.uri,
            headerFields: fields)
    }
}
