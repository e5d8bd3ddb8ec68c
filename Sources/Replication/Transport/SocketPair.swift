import FoundationEssentials
import Memberlist
import NIOCore
import NIOPosix

/// The two sockets of a node, for packets and for streams, on one number.
struct SocketPair {
    let datagrams: any Channel
    let listener: any Channel
    let address: GossipAddress

    /// How often another number is tried when port 0 is asked for and streams have the number of the packets taken.
    private static let attempts = 16
    /// As memberlist asks for; the system may give less.
    private static let receiveBuffer: ChannelOptions.Types.SocketOption.Value = 2_097_152
    private static let backlog: ChannelOptions.Types.BacklogOption.Value = 256
    /// The longest datagram, and more than IP carries.
    private static let datagramBytes = 65_536

    /// - Parameter accept: called on the event loop for each connection; closes it by throwing. Nothing is read before
    ///   `open`.
    static func bind(
        _ wanted: GossipAddress, on eventLoop: any EventLoop, unsentBytes: Int,
        accept: @escaping @Sendable (any Channel) throws -> Void
    ) async throws(GossipNodeError) -> SocketPair {
        for attempt in 1...attempts {
            let datagrams: any Channel
            do {
                datagrams = try await bindDatagrams(wanted, on: eventLoop, unsentBytes: unsentBytes)
            } catch {
                throw .cannotBind(wanted, reason: Self.reason(error))
            }
            let port = datagrams.localAddress?.port.flatMap(UInt16.init(exactly:)) ?? wanted.port
            let address = wanted.with(port: port)
            do {
                let listener = try await bindListener(address, on: eventLoop, accept: accept)
                return SocketPair(datagrams: datagrams, listener: listener, address: address)
            } catch {
                datagrams.close(promise: nil)
                guard wanted.port == 0, attempt < attempts else {
                    throw .cannotBind(address, reason: Self.reason(error))
                }
            }
        }
        throw .cannotBind(wanted, reason: "no number is free for both packets and streams")
    }

    private static func bindDatagrams(
        _ address: GossipAddress, on eventLoop: any EventLoop, unsentBytes: Int
    ) async throws -> any Channel {
        guard let target = address.socketAddress else { throw GossipNodeError.cannotBind(address, reason: "family") }
        return try await DatagramBootstrap(group: eventLoop)
            .channelOption(.autoRead, value: false)
            .channelOption(.socketOption(.so_rcvbuf), value: receiveBuffer)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: datagramBytes))
            .channelOption(
                .writeBufferWaterMark,
                value: ChannelOptions.Types.WriteBufferWaterMark(low: unsentBytes / 2, high: unsentBytes)
            )
            .bind(to: target).get()
    }

    private static func bindListener(
        _ address: GossipAddress, on eventLoop: any EventLoop, accept: @escaping @Sendable (any Channel) throws -> Void
    ) async throws -> any Channel {
        guard let target = address.socketAddress else { throw GossipNodeError.cannotBind(address, reason: "family") }
        return try await ServerBootstrap(group: eventLoop)
            .serverChannelOption(.autoRead, value: false)
            .serverChannelOption(.backlog, value: backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in channel.eventLoop.makeCompletedFuture { try accept(channel) } }
            .bind(to: target).get()
    }

    private static func reason(_ error: any Error) -> String {
        guard let error = error as? IOError else { return "\(error)" }
        return switch POSIXErrorCode(rawValue: error.errnoCode) {
        case .EADDRINUSE: "address already in use"
        case .EADDRNOTAVAIL: "no interface of this host has the address"
        case .EACCES: "not permitted; ports below 1024 need a privilege"
        default: "\(error)"
        }
    }
}
