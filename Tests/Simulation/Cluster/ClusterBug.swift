import Memberlist
import RegdnsTestKit
package import RegistryStore
import Replication

/// A rule that a run breaks on purpose, to show that the checks would see it.
package enum ClusterBug: String, CaseIterable, Sendable {
    /// A restarted process keeps its origin and counts from 1 again.
    case originReused
}

/// Reaches into registries where nothing else can; set by tests.
package struct ClusterHooks: Sendable {
    package var made: @Sendable (Registry, ClusterBug?) -> Void

    /// Takes what happens, line by line; nil when nobody reads it.
    package var tell: (@Sendable (String) -> Void)?

    package init(
        made: @escaping @Sendable (Registry, ClusterBug?) -> Void = { _, _ in },
        tell: (@Sendable (String) -> Void)? = nil
    ) {
        self.made = made
        self.tell = tell
    }
}

/// The planted bug at work.
struct ClusterPlanted {
    func origin(for node: ClusterNode, _ bug: ClusterBug?, fresh: UInt64) -> UInt64 {
        bug == .originReused ? UInt64(node.number) + 1 << 40 : max(fresh, 1)
    }

    func change(_ settings: inout ReplicatorSettings, _ bug: ClusterBug?) {}

    func peers(_ names: [String], of node: ClusterNode, _ bug: ClusterBug?) -> [String] { names }

    func outgoing(
        _ bytes: [UInt8], from node: ClusterNode, _ bug: ClusterBug?, _ random: inout SeededRandom
    ) -> [[UInt8]] { [bytes] }

    func incoming(_ bytes: [UInt8], at node: ClusterNode, _ world: ClusterWorld) -> [[UInt8]] { [bytes] }

    func page(_ page: SyncPage, from node: ClusterNode, _ bug: ClusterBug?) -> SyncPage { page }

    func joinedEarly(_ node: ClusterNode, _ source: ClusterNode, _ bug: ClusterBug?, _ hooks: ClusterHooks) {}
}
