import Logging
package import NIOCore
import NIOPosix
import RegistryStore
import Synchronization

/// Limits of DNS over TCP (RFC 7766 section 6).
package struct TCPLimits: Sendable {
    /// Connections at once; more are closed on accept.
    package var connections = 4096
    /// A connection that completed no query for so long is closed, however many octets dripped in.
    package var idle: TimeAmount = .seconds(10)
    /// Deferred questions a connection may have under way; more are not read yet.
    package var deferred = 64

    package init() {}
}

/// Counters of the TCP side.
package final class TCPCounters: Sendable {
    let open = Atomic<Int>(0)
    let accepted = Atomic<UInt64>(0)
    let refused = Atomic<UInt64>(0)
    let timedOut = Atomic<UInt64>(0)
}

/// DNS over TCP: listens, and answers all frames of one read with one write.
final class TCPServer: Sendable {
    let counters = TCPCounters()
    private let engines: [ObjectIdentifier: NIOLoopBound<EngineBox>]
    private let group: MultiThreadedEventLoopGroup
    private let deferred: DeferredAnswers
    private let totals: EngineTotals
    private let clock: RegistryClock
    private let limits: TCPLimits

    /// `makeEngine` gives every event loop an engine of its own.
    init(
        group: MultiThreadedEventLoopGroup, deferred: DeferredAnswers, totals: EngineTotals, clock: RegistryClock,
        limits: TCPLimits, makeEngine: @escaping @Sendable () throws -> EngineBox
    ) async throws {
        self.group = group
        self.deferred = deferred
        self.totals = totals
        self.clock = clock
        self.limits = limits
        var engines: [ObjectIdentifier: NIOLoopBound<EngineBox>] = [:]
        for loop in group.makeIterator() {
            engines[ObjectIdentifier(loop)] = try await loop.submit { NIOLoopBound(try makeEngine(), eventLoop: loop) }
                .get()
        }
        self.engines = engines
    }

    /// - Parameter onlyIPv6: as for `DatagramSocket.bind`.
    func bind(_ address: SocketAddress, onlyIPv6: Bool) async throws -> any Channel {
        var bootstrap = ServerBootstrap(group: group)
        if case .v6 = address {
            bootstrap = bootstrap.serverChannelOption(
                ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only), value: onlyIPv6 ? 1 : 0)
        }
        return
            try await bootstrap
            .serverChannelOption(.backlog, value: 511)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in self.accept(channel) }
            .bind(to: address).get()
    }

    private func accept(_ channel: any Channel) -> EventLoopFuture<Void> {
        guard counters.open.add(1, ordering: .relaxed).newValue <= limits.connections,
            let engine = engines[ObjectIdentifier(channel.eventLoop)]
        else {
            counters.open.subtract(1, ordering: .relaxed)
            counters.refused.add(1, ordering: .relaxed)
            return channel.close()
        }
        counters.accepted.add(1, ordering: .relaxed)
        channel.closeFuture.whenComplete { _ in self.counters.open.subtract(1, ordering: .relaxed) }
        return channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(
                TCPConnection(
                    engine: engine.value, deferred: deferred, totals: totals, clock: clock, limits: limits,
                    counters: counters, client: ClientAddress(channel.remoteAddress)))
        }
    }
}
