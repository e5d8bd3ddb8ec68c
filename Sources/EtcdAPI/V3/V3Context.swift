import EtcdMessages
import GRPC
import RegistryStore
import Synchronization

/// What all v3 services share: the keys, who this node is, and how far clients have compacted.
final class V3Context: Sendable {
    let keyspace: Keyspace
    let configuration: EtcdV3Configuration
    let metrics = V3Metrics()
    /// The term in every header: a node is a cluster of its own that elected itself once.
    static let raftTerm: UInt64 = 2
    /// The revision of the store up to which clients have compacted. Kept apart from the feed: what a client compacts
    /// to can still be read and watched from, as in etcd, so the feed keeps that revision.
    private let clientCompaction = Atomic<Int64>(0)

    init(keyspace: Keyspace, configuration: EtcdV3Configuration) {
        self.keyspace = keyspace
        self.configuration = configuration
        memberID = Keyspace.identifier(of: "member " + keyspace.registry.node)
    }

    var registry: Registry { keyspace.registry }
    var namespace: Namespace { keyspace.namespace }
    /// The node as the only member of its cluster.
    let memberID: UInt64

    /// A header with a revision of the store.
    func header(_ revision: Int64) -> EtcdResponseHeader {
        var header = localHeader()
        header.revision = keyspace.index(of: revision)
        return header
    }

    /// A header with the revision of this moment.
    func header() -> EtcdResponseHeader { header(registry.revision) }

    /// A header without a revision, as etcd's answers about the cluster have.
    func localHeader() -> EtcdResponseHeader {
        var header = EtcdResponseHeader()
        header.clusterID = keyspace.clusterID
        header.memberID = memberID
        header.raftTerm = Self.raftTerm
        return header
    }

    // MARK: The past

    /// The revision of the store that a client means, for reading the past. Throws `compacted` for what clients have
    /// compacted and for numbers that this process never gave, and `futureRevision`. Whether the history is still
    /// there, the store says.
    func past(_ number: Int64) throws(GRPCStatus) -> Int64 {
        let revision = try known(number)
        if revision < clientCompaction.load(ordering: .relaxed) { throw .compacted }
        return revision
    }

    private func known(_ number: Int64) throws(GRPCStatus) -> Int64 {
        switch keyspace.numbers.meaning(of: number, current: registry.revision) {
        case .compacted: throw .compacted
        case .future: throw .futureRevision
        case .known(let revision): return revision
        }
    }

    /// The first revision of the store that can be watched from, when the feed has everything after `feedCompacted`.
    /// Revision 0 has no events, so that a store which has forgotten nothing can be watched from it.
    func firstWatchable(feedCompacted: Int64) -> Int64 {
        max(clientCompaction.load(ordering: .relaxed), feedCompacted == 0 ? 0 : feedCompacted &+ 1)
    }

    /// Compacts through what a client names, which itself stays readable. Throws `compacted` and `futureRevision`.
    func compact(through number: Int64) throws(GRPCStatus) {
        let revision = try known(number)
        let counts = registry.counts()
        let before = max(clientCompaction.load(ordering: .relaxed), counts.compactedRevision)
        if revision <= before { throw .compacted }
        do throws(RegistryError) {
            if revision &- 1 > counts.compactedRevision { try registry.compact(through: revision &- 1) }
        } catch {
            throw GRPCStatus(error)
        }
        clientCompaction.max(revision, ordering: .relaxed)
    }
}
