import NIOCore
import NIOPosix

/// Ports for programs that cannot be told to take any.
package enum FreePorts {
    /// Ports of 127.0.0.1 that were free a moment ago.
    package static func take(_ count: Int) async throws -> [Int] {
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        var channels: [any Channel] = []
        for _ in 0..<count { channels.append(try await bootstrap.bind(host: "127.0.0.1", port: 0).get()) }
        let ports = channels.compactMap { $0.localAddress?.port }
        for channel in channels { try await channel.close() }
        return ports
    }
}
