import Logging
import Memberlist
package import RegistryStore

/// What a peer has, beside this node.
package struct PeerComparison: Sendable {
    package enum Verdict: Hashable, Sendable {
        case equal
        /// One of the two lacks operations, which a sync will bring.
        case behind
        /// Both know of the same operations and show different entries.
        case diverged
        case silent
    }

    package let name: String
    package let verdict: Verdict
    /// Nil when the peer did not answer.
    package let summary: ReplicaSummary?
}

extension ReplicationService {
    /// Asks all peers what they have, by streams, at most `peersAtOnce` at a time, and compares. By name.
    package func compare() async -> [PeerComparison] {
        await withTaskGroup(of: PeerComparison.self) { group in
            var rows: [PeerComparison] = []
            for (number, peer) in peerAddresses.enumerated() {
                if number >= Self.peersAtOnce, let row = await group.next() { rows.append(row) }
                group.addTask { await self.compare(with: peer.name, at: peer.address) }
            }
            for await row in group { rows.append(row) }
            return rows.sorted { precedes($0.name, $1.name) }
        }
    }

    private static let peersAtOnce = 8

    private func compare(with name: String, at address: GossipAddress) async -> PeerComparison {
        let digest: DigestFrame
        do throws(SyncFailure) {
            digest = try await sync.greet(address).digest
        } catch {
            logger.info("a member did not say what it has", metadata: ["peer": "\(name)", "reason": "\(error)"])
            return PeerComparison(name: name, verdict: .silent, summary: nil)
        }
        let theirs = ReplicaDigest(summary: digest.summary, origins: digest.origins ?? [])
        let own = registry.digest()
        let verdict: PeerComparison.Verdict =
            if own.summary == theirs.summary { .equal } else if registry.compare(with: theirs) == .diverged {
                .diverged
            } else { .behind }
        return PeerComparison(name: name, verdict: verdict, summary: theirs.summary)
    }
}
