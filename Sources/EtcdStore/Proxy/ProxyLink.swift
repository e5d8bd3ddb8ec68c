import GRPC
import RegistryStore
import Synchronization

/// The connection to the cluster that the calls of clients share. Apart from the follower's: what clients do, and a
/// member that still answers some of their calls, is nothing to the copy.
///
/// It goes to the member that the follower is content with, else to any that takes connections, and moves when the
/// follower has found a better one: who is left with a member outside the quorum would wait for nothing.
final class ProxyLink: Sendable {
    private enum Phase {
        /// A try that callers wait for.
        case connecting([Promise<Result<GRPCClient, GRPCStatus>>])
        case connected(GRPCClient, epoch: Int)
        /// The last try failed. Callers hear so at once, while it is tried again.
        case away(GRPCStatus)
    }

    private struct State {
        var phase = Phase.away(GRPCStatus(.unavailable, "etcdserver: the etcd cluster is not connected yet"))
        var epoch = 0
    }

    private typealias Endpoint = EtcdStoreConfiguration.Endpoint

    private let endpoints: [Endpoint]
    private let configuration: EtcdStoreConfiguration
    private let preferred: @Sendable () -> String?
    private let counters: StoreCounters
    private let state = Mutex(State())
    /// Rung when the connection may be lost, and regularly.
    private let bell: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation

    /// A try over all members.
    private static let tryTime: Duration = .seconds(3)
    private static let pause: Duration = .milliseconds(250)
    /// So many looks, one each `pause`, must the follower be elsewhere before the calls under way are given up.
    private static let looksBeforeMove = 4
    /// A slow reader of a stream holds so much here, in bytes; then the cluster waits.
    private static let streamWindow = 131_072

    /// - Parameter preferred: the member that the follower is content with, as its description; nil without one.
    init(
        _ configuration: EtcdStoreConfiguration, counters: StoreCounters, preferred: @escaping @Sendable () -> String?
    ) {
        endpoints = configuration.endpoints.shuffled()
        var own = configuration
        own.client.streamWindow = Self.streamWindow
        self.configuration = own
        self.counters = counters
        self.preferred = preferred
        (bell, ring) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: For callers

    /// The connection. Waits, for at most 3 s, only while it is not known whether there can be one.
    ///
    /// - Throws: `Unavailable`.
    func client() async throws(GRPCStatus) -> GRPCClient {
        let promise = Promise<Result<GRPCClient, GRPCStatus>>()
        let known: Result<GRPCClient, GRPCStatus>? = state.withLock { state in
            switch state.phase {
            case .connected(let client, _): return .success(client)
            case .away(let status): return .failure(status)
            case .connecting(let waiting):
                state.phase = .connecting(waiting + [promise])
                return nil
            }
        }
        if let known { return try known.get() }
        return try await promise.wait().get()
    }

    /// Looks whether a connection still takes calls: a server that is going takes no new ones on the old connection.
    func suspect(_ client: GRPCClient) async {
        if await !client.isUsable() { lose { current, _ in current === client } }
    }

    /// Gives up the connection when it is the one that is meant; its other calls may end by themselves.
    private func lose(where isMeant: (GRPCClient, Int) -> Bool) {
        let isLost = state.withLock { state in
            guard case .connected(let client, let epoch) = state.phase, isMeant(client, epoch) else { return false }
            state.phase = .connecting([])
            return true
        }
        if isLost { ring.yield() }
    }

    // MARK: Life

    /// Keeps the connection until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.ringRegularly() }
            state.withLock { $0.phase = .connecting([]) }
            var looks = 0
            var endpoint: String?
            for await _ in bell {
                if let client = currentClient { await suspect(client) }
                if currentClient == nil {
                    endpoint = await connect()
                    looks = 0
                } else if let better = preferred(), better != endpoint {
                    looks += 1
                    if looks >= Self.looksBeforeMove { await leave() }
                } else {
                    looks = 0
                }
            }
            await leave()
            settle(.failure(GRPCStatus(.unavailable, "etcdserver: server stopped")))
            group.cancelAll()
        }
    }

    private func ringRegularly() async {
        repeat { ring.yield() } while (try? await Task.sleep(for: Self.pause)) != nil
        ring.finish()
    }

    private var currentClient: GRPCClient? {
        state.withLock { state in
            guard case .connected(let client, _) = state.phase else { return nil }
            return client
        }
    }

    /// Closes the connection: calls under way end with `Unavailable`, and their clients come again.
    private func leave() async {
        guard let client = currentClient else { return }
        lose { current, _ in current === client }
        await client.close()
    }

    /// Tries the members in turn; returns which one took the connection.
    private func connect() async -> String? {
        let end = ContinuousClock.now + Self.tryTime
        let preferred = preferred()
        let order = endpoints.filter { $0.description == preferred } + endpoints.filter { $0.description != preferred }
        var problem = "no member was reached in time"
        for endpoint in order {
            let left = end - ContinuousClock.now
            guard left > .zero, !Task.isCancelled else { break }
            do throws(GRPCStatus) {
                let client = try await connect(to: endpoint, within: left)
                counters.proxyConnects.count()
                settle(.success(client))
                return endpoint.description
            } catch {
                problem = error.message
            }
        }
        settle(.failure(GRPCStatus(.unavailable, "etcdserver: the etcd cluster cannot be reached: \(problem)")))
        return nil
    }

    private func connect(to endpoint: Endpoint, within time: Duration) async throws(GRPCStatus) -> GRPCClient {
        let epoch = state.withLock { state in
            state.epoch += 1
            return state.epoch
        }
        var client = configuration.client(for: endpoint)
        client.connectTimeout = min(client.connectTimeout, time)
        client.onClose = { [weak self] _ in self?.lose { _, current in current == epoch } }
        return try await GRPCClient.connect(host: endpoint.host, port: endpoint.port, configuration: client)
    }

    private func settle(_ result: Result<GRPCClient, GRPCStatus>) {
        let waiting = state.withLock { state in
            var waiting: [Promise<Result<GRPCClient, GRPCStatus>>] = []
            if case .connecting(let promises) = state.phase { waiting = promises }
            switch result {
            case .success(let client): state.phase = .connected(client, epoch: state.epoch)
            case .failure(let status): state.phase = .away(status)
            }
            return waiting
        }
        for promise in waiting { promise.fulfil(result) }
    }
}
