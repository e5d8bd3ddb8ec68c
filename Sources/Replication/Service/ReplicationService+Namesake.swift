package import Memberlist
import RegistryStore
import Synchronization

/// Another address that this node's name was said to be at.
package struct NameClaim: Hashable, Sendable {
    package let address: GossipAddress
    /// When it was heard, in monotonic milliseconds.
    package let at: Int64
}

/// Who answers at an address that claims this node's name.
package enum Namesake: Hashable, Sendable {
    /// Nobody by this name. The claim may be what others remember of this node, which was there before it came here.
    case nobody
    /// This very process, which is reached by more than one address.
    case itself
    /// Another process.
    case other
}

extension ReplicationService {
    package func nameIsClaimed(by address: GossipAddress) {
        claim.withLock { $0 = NameClaim(address: address, at: clock.monotonicMilliseconds()) }
    }

    /// The last claim to this node's name; nil when there was none.
    package var nameClaim: NameClaim? { claim.withLock { $0 } }

    /// Asks an address who is there. A node of our kind says by its origin which process it is; any other answers a
    /// ping by this name, or does not.
    ///
    /// - Parameter patience: milliseconds for all of it.
    package func namesake(at address: GossipAddress, on node: GossipNode, patience: Milliseconds) async -> Namesake {
        async let isAcked = node.answers(to: node.name, at: address, timeout: patience)
        do throws(SyncFailure) {
            let hello = try await sync.greet(address, timeout: patience)
            guard NodeName(hello.node) == node.name else { return .nobody }
            return hello.origin == registry.origin ? .itself : .other
        } catch {
            return await isAcked ? .other : .nobody
        }
    }
}
