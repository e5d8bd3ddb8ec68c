package import Logging
package import Memberlist
package import NIOCore
import NIOPosix
import RegistryStore

/// What a node takes from outside: time, randomness, a thread, and where to log.
package struct GossipEnvironment: Sendable {
    /// Milliseconds that never go back.
    package var clock: @Sendable () -> Milliseconds = {
        Milliseconds(NIODeadline.now().uptimeNanoseconds / 1_000_000)
    }
    /// Milliseconds since 1970, asked for once.
    package var unixClock: @Sendable () -> Milliseconds = { SystemTime.unixMilliseconds() }
    /// For the protocol's choices. Nonces are always the system's.
    package var random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
    package var eventLoop: any EventLoop = MultiThreadedEventLoopGroup.singleton.any()
    package var logger = Logger(label: "regdns.gossip")

    package init() {}
}
