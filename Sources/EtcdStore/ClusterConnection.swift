import EtcdMessages
import GRPC
import NIOCore
import SwiftProtobuf
import Synchronization

/// The one connection to the cluster that the follower makes and everything else uses too, with the token of its calls.
final class ClusterConnection: Sendable {
    private struct State {
        var client: GRPCClient?
        var token: String?
        /// Why there is no connection.
        var problem = "not connected yet"
    }

    private let configuration: EtcdStoreConfiguration
    private let state = Mutex(State())

    init(_ configuration: EtcdStoreConfiguration) { self.configuration = configuration }

    var isConnected: Bool { state.withLock { $0.client != nil } }

    // MARK: Life

    /// Connects to an endpoint and authenticates.
    func connect(to endpoint: EtcdStoreConfiguration.Endpoint) async throws(GRPCStatus) {
        let client = try await GRPCClient.connect(
            host: endpoint.host, port: endpoint.port, configuration: configuration.client(for: endpoint))
        do throws(GRPCStatus) {
            try await authenticate(client)
        } catch {
            await client.close()
            throw GRPCStatus(error.code, "\(endpoint): \(error.message)")
        }
        let old = state.withLock { state in
            let old = state.client
            state.client = client
            return old
        }
        await old?.close()
    }

    /// Gives the connection up: nobody finds it any more. The caller closes it, and calls under way end with
    /// `Unavailable`.
    func release(_ problem: String) -> GRPCClient? {
        state.withLock { state in
            state.problem = problem
            return state.client.take()
        }
    }

    func forgetToken() { state.withLock { $0.token = nil } }

    private func authenticate(_ client: GRPCClient) async throws(GRPCStatus) {
        guard let credentials = configuration.credentials else { return }
        var request = EtcdAuthenticateRequest()
        request.name = credentials.user
        request.password = credentials.password
        let answer: EtcdAuthenticateResponse
        do throws(GRPCStatus) {
            answer = try await Self.call(
                client, "/etcdserverpb.Auth/Authenticate", request, metadata: [], timeout: configuration.writeDeadline)
        } catch {
            // The cluster does not ask who calls; as etcdctl, go on without a token.
            if error.code == .failedPrecondition { return forgetToken() }
            throw error
        }
        state.withLock { $0.token = answer.token }
    }

    // MARK: Calls

    /// Fields of a call. With `hasleader` a member without one refuses at once instead of staying silent.
    private func metadata(needsLeader: Bool = true) -> [(String, String)] {
        let token = state.withLock { $0.token }
        return (needsLeader ? [("hasleader", "true")] : []) + (token.map { [("token", $0)] } ?? [])
    }

    private func client() throws(GRPCStatus) -> GRPCClient {
        let (client, problem) = state.withLock { ($0.client, $0.problem) }
        guard let client else { throw GRPCStatus(.unavailable, "no connection to the etcd cluster: \(problem)") }
        return client
    }

    /// Makes a call; authenticates again, once, when the token is not taken any more: then nothing was done yet.
    ///
    /// - Parameter needsLeader: false for what a member may answer alone.
    func call<Request: Message & Sendable, Answer: Message & Sendable>(
        _ path: String, _ request: Request, timeout: Duration, needsLeader: Bool = true
    ) async throws(GRPCStatus) -> Answer {
        let client = try client()
        do throws(GRPCStatus) {
            return try await Self.call(
                client, path, request, metadata: metadata(needsLeader: needsLeader), timeout: timeout)
        } catch {
            guard configuration.credentials != nil, FollowerCore.isAboutAuthentication(error) else { throw error }
            forgetToken()
            try await authenticate(client)
            return try await Self.call(
                client, path, request, metadata: metadata(needsLeader: needsLeader), timeout: timeout)
        }
    }

    /// Opens a call with messages both ways.
    func stream(_ path: String) throws(GRPCStatus) -> GRPCClientStream {
        try client().stream(path, metadata: metadata())
    }

    private static func call<Request: Message & Sendable, Answer: Message & Sendable>(
        _ client: GRPCClient, _ path: String, _ request: Request, metadata: [(String, String)], timeout: Duration
    ) async throws(GRPCStatus) -> Answer {
        let answer = try await client.unary(path, try bytes(of: request), metadata: metadata, timeout: timeout)
        return try message(in: answer)
    }

    static func bytes(of message: some Message) throws(GRPCStatus) -> ByteBuffer {
        do {
            let bytes: [UInt8] = try message.serializedBytes()
            return ByteBuffer(bytes: bytes)
        } catch {
            throw GRPCStatus(.internalError, "a message cannot be written: \(error)")
        }
    }

    static func message<Answer: Message>(
        in buffer: ByteBuffer, as type: Answer.Type = Answer.self
    ) throws(GRPCStatus) -> Answer {
        do {
            return try Answer(serializedBytes: Array(buffer.readableBytesView))
        } catch {
            throw GRPCStatus(.internalError, "the cluster sent no \(Answer.protoMessageName): \(error)")
        }
    }
}

extension GRPCClientStream {
    func send(_ message: some Message) async throws(GRPCStatus) {
        try await send(try ClusterConnection.bytes(of: message))
    }
}
