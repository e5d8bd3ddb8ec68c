package import GRPC
import HTTPTypes
package import Logging
package import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle

/// The etcd port: listens on its addresses and serves the handler over HTTP/1.1, gRPC calls over HTTP/2.
///
/// `bind` opens the listeners, `run` answers until it is cancelled or told to go down; then it takes no more
/// connections, ends the idle ones at once and the others after their answer, within the drain deadline. Connections
/// are handled on NIO's event loops and requests answered there, but those that wait by child tasks of `run`: at most
/// one per connection.
package final class EtcdServer: Service {
    /// The addresses listened on, with the real ports.
    package let addresses: [EtcdServerConfiguration.Address]

    private let configuration: EtcdServerConfiguration
    private let handler: EtcdHTTPHandler
    private let grpc: GRPCServer
    private let listeners: [any Channel]
    private let connections: ConnectionSet
    private let dispatcher: EtcdDispatcher
    private let logger: Logger

    private init(
        configuration: EtcdServerConfiguration, handler: EtcdHTTPHandler, grpc: GRPCServer, listeners: [any Channel],
        connections: ConnectionSet, dispatcher: EtcdDispatcher, logger: Logger
    ) {
        self.configuration = configuration
        self.handler = handler
        self.grpc = grpc
        self.listeners = listeners
        self.connections = connections
        self.dispatcher = dispatcher
        self.logger = logger
        self.addresses = zip(listeners, configuration.addresses).map { listener, asked in
            EtcdServerConfiguration.Address(
                host: listener.localAddress?.ipAddress ?? asked.host, port: listener.localAddress?.port ?? asked.port)
        }
    }

    /// Opens the listeners; connections wait in them until `run`.
    ///
    /// - Parameter routes: the gRPC calls; without any, each is answered `Unimplemented`.
    /// - Throws: when an address cannot be had; none is listened on then.
    package static func bind(
        configuration: EtcdServerConfiguration, handler: EtcdHTTPHandler, routes: GRPCRoutes = GRPCRoutes(),
        logger: Logger, eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) async throws(EtcdServerError) -> EtcdServer {
        let connections = ConnectionSet(bound: configuration.connectionsMax)
        let dispatcher = EtcdDispatcher(handler: handler)
        let held = HeldBytes(bound: configuration.heldBytesMax)
        let grpc = GRPCServer(routes: routes, configuration: configuration.grpc, held: held)
        let factory = ConnectionFactory(
            configuration: configuration, metrics: handler.metrics, connections: connections, held: held, grpc: grpc
        ) { job in dispatcher.submit(job) }
        let bootstrap = ServerBootstrap(group: eventLoopGroup)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try factory.configure(channel) }
            }
        var listeners: [any Channel] = []
        for address in configuration.addresses {
            do {
                listeners.append(try await bootstrap.bind(host: address.host, port: address.port).get())
            } catch {
                for listener in listeners { try? await listener.close() }
                throw .cannotListen(address, reason: reason(of: error))
            }
        }
        return EtcdServer(
            configuration: configuration, handler: handler, grpc: grpc, listeners: listeners, connections: connections,
            dispatcher: dispatcher, logger: logger)
    }

    private static func reason(of error: any Error) -> String {
        switch (error as? IOError)?.errnoCode {
        case EADDRINUSE: "address already in use"
        case EACCES: "permission denied"
        case EADDRNOTAVAIL: "this machine has no such address"
        default: "\(error)"
        }
    }

    /// What the door has done so far.
    package var counters: EtcdCounters {
        var counters = handler.counters
        counters.connectionsOpen = connections.count
        counters.grpc = grpc.metrics.snapshot
        return counters
    }

    package func run() async throws {
        dispatcher.start()
        await withTaskCancellationOrGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                for await work in dispatcher.work { group.addTask { await work() } }
            }
        } onCancelOrGracefulShutdown: {
            self.drain()
        }
        await close()
    }

    /// Closes listeners and connections without waiting for answers; for a server that is not run, or no longer.
    package func close() async {
        dispatcher.finish()
        for listener in listeners { try? await listener.close() }
        connections.closeAll()
    }

    private func drain() {
        for listener in listeners { listener.close(promise: nil) }
        let dispatcher = dispatcher
        connections.drain { dispatcher.finish() }
        let connections = connections
        listeners.first?.eventLoop.scheduleTask(in: TimeAmount(configuration.drainDeadline)) { connections.closeAll() }
    }
}

/// Sets up the connections of a server.
struct ConnectionFactory: Sendable {
    let configuration: EtcdServerConfiguration
    let metrics: EtcdMetrics
    let connections: ConnectionSet
    let held: HeldBytes
    let grpc: GRPCServer
    let submit: @Sendable (EtcdJob) -> Void

    /// The handlers of a connection whose protocol is not known yet.
    func configure(_ channel: any Channel) throws {
        guard connections.admit(channel) else {
            metrics.count { $0.connectionsOverLimit += 1 }
            channel.close(promise: nil)
            return
        }
        metrics.count { $0.connectionsAccepted += 1 }
        let connectionGuard = ConnectionGuard(configuration: configuration, metrics: metrics)
        let sniffer = ProtocolSniffer { found, channel in
            switch found {
            case .http1: try configureHTTP1(channel, connectionGuard)
            case .http2: try configureHTTP2(channel, connectionGuard)
            }
        }
        try channel.pipeline.syncOperations.addHandlers(connectionGuard, sniffer)
    }

    private func configureHTTP1(_ channel: any Channel, _ connectionGuard: ConnectionGuard) throws {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = configuration.headerFieldBytesMax
        limits.maxHeaderListSize = configuration.headerBytesMax
        try channel.pipeline.syncOperations.configureHTTPServerPipeline(
            withErrorHandling: false, withEncoderConfiguration: .init(), withDecoderLimitConfiguration: limits)
        try channel.pipeline.syncOperations.addHandler(
            HTTP1Connection(connectionGuard: connectionGuard, held: held, metrics: metrics, submit: submit))
        connectionGuard.enter(.receiving)
    }

    /// The calls keep deadlines of their own; the guard's part is the end.
    private func configureHTTP2(_ channel: any Channel, _ connectionGuard: ConnectionGuard) throws {
        metrics.count { $0.http2Connections += 1 }
        connectionGuard.enter(.answering)
        try grpc.configure(channel) { _ in connectionGuard.linger() }
    }
}
