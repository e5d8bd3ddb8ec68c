import EtcdAPI
import HTTPAdmin
import HTTPTypes
import Synchronization

extension EtcdHTTPHandler {
    /// The etcd door on the HTTP listener.
    func answer(_ request: HTTPRequest, _ call: HTTPCall) async -> HTTPAnswer {
        let arrival = call.localAddress.map { EtcdAddress(host: $0.host, port: $0.port) }
        let reply = await reply(to: request, body: call.body, arrival: arrival)
        let body: HTTPAnswer.Body =
            switch reply.body {
            case .bytes(let bytes): .bytes(bytes)
            case .events(let events):
                // The listener cancels this task when the client goes away, which ends the watch.
                .stream { send in
                    defer { events.cancel() }
                    while let piece = await events.next() { try await send(piece) }
                }
            }
        return HTTPAnswer(status: reply.head.status, headers: reply.head.headerFields, body: body)
    }
}

/// Where the etcd port listens, once it does.
final class ListeningAddresses: Sendable {
    private let state = Mutex<[EtcdAddress]>([])

    var addresses: [EtcdAddress] { state.withLock { $0 } }

    func set(_ addresses: [EtcdAddress]) { state.withLock { $0 = addresses } }
}
