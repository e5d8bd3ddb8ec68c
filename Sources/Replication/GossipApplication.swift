package import Memberlist

/// What rides on the gossip: the application's part of packets, of push/pulls, and streams of its own type.
///
/// All but `serve` is called on the node's event loop, between two steps of the core, and must not block.
package protocol GossipApplication: Sendable {
    /// A user message of another node: gossiped, sent to this node alone, or ridden along. Copies come as they come.
    ///
    /// - Returns: whether it is gossiped on. A node's own copies do not reach everybody in a cluster of more than four;
    ///   what is new should go on, and nothing else, or it never ends.
    func receive(_ message: [UInt8], from sender: GossipAddress) -> Bool
    /// A peer's part of a push/pull.
    func receive(state: [UInt8], isJoin: Bool)
    /// Messages that ride on a packet that goes out anyway.
    ///
    /// - Parameter room: octets; each message costs its own and three more. What does not fit is left out and counted.
    func messages(for member: NodeName?, room: Int) -> [[UInt8]]
    /// Another address claims this node's name; again whenever somebody says so.
    func nameIsClaimed(by address: GossipAddress)
    /// Another node's stream of type 208, whose first message is `stream.first`. The stream is closed on return.
    func serve(_ stream: GossipStream) async throws
}

extension GossipApplication {
    package func receive(_ message: [UInt8], from sender: GossipAddress) -> Bool { false }
    package func receive(state: [UInt8], isJoin: Bool) {}
    package func messages(for member: NodeName?, room: Int) -> [[UInt8]] { [] }
    package func nameIsClaimed(by address: GossipAddress) {}
    package func serve(_ stream: GossipStream) async throws {}
}

/// Membership alone.
package struct NoApplication: GossipApplication {
    package init() {}
}
