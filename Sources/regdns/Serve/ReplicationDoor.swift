import HTTPAdmin
import RegistryStore
import Replication

/// The replication as the cluster door, health and metrics see it.
struct ReplicationDoor: ReplicationControl {
    let service: ReplicationService
    let node: GossipNode
    let clock: RegistryClock

    func sync() async throws(ClusterError) -> ClusterSync {
        let digest = service.registry.digest()
        let status = service.status
        var sync = ClusterSync(
            phase: status.phase.rawValue, origin: service.registry.origin, contextHash: digest.summary.context,
            entriesHash: digest.summary.entries,
            origins: digest.origins.map {
                .init(origin: $0.origin, head: $0.head, floor: $0.floor, gaps: $0.missing, hash: $0.hash)
            })
        let unix = clock.unixMilliseconds()
        sync.peers = status.peers.map { name in
            ClusterSync.Peer(
                name: name, agreedUnixMilliseconds: status.agreements[name].map { unix - max(status.now - $0, 0) })
        }
        sync.queues = [(name: "announcements", length: status.queued.count)]
        return sync
    }

    func verify() async throws(ClusterError) -> ClusterVerification {
        let rows = await service.compare().map { row in
            let verdict: ClusterVerification.Row.Verdict =
                switch row.verdict {
                case .equal: .equal
                case .behind: .behind
                case .diverged: .diverged
                case .silent: .silent
                }
            return ClusterVerification.Row(
                name: row.name, verdict: verdict, contextHash: row.summary?.context, entriesHash: row.summary?.entries)
        }
        let summary = service.registry.summary()
        return ClusterVerification(contextHash: summary.context, entriesHash: summary.entries, members: rows)
    }

    func preserves() async throws(ClusterError) -> Bool { service.status.preservation != nil }

    func preserve(_ isOn: Bool) async throws(ClusterError) {
        service.preserve(isOn ? Preservation() : nil, on: node)
    }
}

extension ReplicationStatus {
    /// What is wrong although the node answers.
    var degradations: [OperationsDoor.Degradation] {
        var list: [OperationsDoor.Degradation] = []
        func add(_ why: String) { list.append(.init(what: "replication", why: why)) }
        switch clock {
        case .fine: break
        case .warn(let offset): add("this node's clock is \(Self.text(offset)) the others'")
        case .fence(let fence):
            add("this node's clock is \(Self.text(fence.offsetMilliseconds)) the others': writes are refused")
        }
        if preserves { add("too many leases were over at once: they are kept for now (preservation)") }
        if counters.divergences > counters.repairs {
            add("a peer knew of the same operations and showed other entries")
        }
        return list
    }

    /// - Parameter offset: the others' clocks minus this node's, in milliseconds.
    private static func text(_ offset: Int64) -> String {
        "\(Double(offset.magnitude) / 1_000) s \(offset > 0 ? "behind" : "ahead of")"
    }

    var facts: [(name: String, value: String)] {
        [
            (name: "replication", value: phase.rawValue),
            (name: "preservation", value: preservation == nil ? "off" : preserves ? "keeping leases" : "on"),
        ]
    }
}
