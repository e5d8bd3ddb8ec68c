import Glibc
import HummingbirdCore
package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// An address to listen on. Port 0 lets the kernel choose.
package struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// A listener that could not be opened: the setting to change, where, and why.
package struct HTTPListenError: Error, CustomStringConvertible {
    package let flag: String
    package let address: ListenAddress
    package let reason: String

    package var description: String { "\(flag) \(address): \(reason)" }

    init(address: ListenAddress, cause: any Error) {
        flag = "--http"
        self.address = address
        reason = Self.reason(cause)
    }

    private static func reason(_ cause: any Error) -> String {
        if cause is SocketAddressError.UnknownHost { return "the host name does not resolve" }
        guard let error = cause as? IOError else { return "\(cause)" }
        return switch error.errnoCode {
        case EADDRINUSE: "address already in use"
        case EADDRNOTAVAIL: "no interface of this host has the address"
        case EACCES: "not permitted; ports below 1024 need a privilege"
        default: "\(error)"
        }
    }
}

/// The HTTP listeners: admin API, operations and, by fallback, the etcd door.
///
/// `run` binds every address, calls `onBound` once with the real ports in the order given, serves until graceful
/// shutdown and then lets requests in flight finish. It throws `HTTPListenError` when an address cannot be had.
package struct AdminServer: Service {
    private let addresses: [ListenAddress]
    private let channel: AdminChannel
    private let eventLoopGroup: any EventLoopGroup
    private let logger: Logger
    private let onBound: @Sendable ([ListenAddress]) async -> Void

    package init(
        addresses: [ListenAddress], dispatcher: AdminDispatcher, limits: HTTPLimits = HTTPLimits(),
        counters: HTTPCounters, warnings: WarningLimiter,
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, logger: Logger,
        onBound: @escaping @Sendable ([ListenAddress]) async -> Void = { _ in }
    ) {
        self.addresses = addresses
        channel = AdminChannel(dispatcher: dispatcher, limits: limits, counters: counters, warnings: warnings)
        self.eventLoopGroup = eventLoopGroup
        self.logger = logger
        self.onBound = onBound
    }

    package func run() async throws {
        let bound = BoundAddresses(expected: addresses.count)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, address) in addresses.enumerated() {
                group.addTask { try await listen(address, index: index, bound: bound) }
            }
            // The first failure leaves the loop, which cancels the other listeners.
            while try await group.next() != nil {}
        }
    }

    private func listen(_ address: ListenAddress, index: Int, bound: BoundAddresses) async throws {
        var quiet = logger
        // Hummingbird announces each listener by itself; the composition root prints one line for all.
        quiet.logLevel = max(logger.logLevel, .warning)
        let server = Server(
            childChannelSetup: channel,
            configuration: ServerConfiguration(address: .hostname(address.host, port: address.port), backlog: 1024),
            onServerRunning: { listener in
                let port = listener.localAddress?.port ?? address.port
                let real = ListenAddress(host: address.host, port: port)
                if let all = bound.record(real, at: index) { await onBound(all) }
            },
            eventLoopGroup: eventLoopGroup,
            logger: quiet)
        do {
            try await server.run()
        } catch let error as CancellationError {
            throw error
        } catch {
            throw HTTPListenError(address: address, cause: error)
        }
    }
}

/// Collects the real addresses until all listeners have one.
private final class BoundAddresses: Sendable {
    private let addresses: Mutex<[ListenAddress?]>

    init(expected: Int) { addresses = Mutex([ListenAddress?](repeating: nil, count: expected)) }

    /// All addresses, given once: to the listener that was the last to be bound.
    func record(_ address: ListenAddress, at index: Int) -> [ListenAddress]? {
        addresses.withLock { addresses in
            guard index < addresses.count, addresses[index] == nil else { return nil }
            addresses[index] = address
            let known = addresses.compactMap { $0 }
            return known.count == addresses.count ? known : nil
        }
    }
}
