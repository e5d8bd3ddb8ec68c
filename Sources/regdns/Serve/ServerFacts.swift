import DNSServer
import DNSWire
import EtcdAPI
import HTTPAdmin
import RegistryStore
import Replication

/// What the operations pages ask of the whole server: health, readiness, metrics, what is degraded.
struct ServerFacts: Sendable {
    let settings: ServeSettings
    let readiness: Readiness
    let registry: Registry
    let dns: DNSServerService
    let forwarder: Forwarder
    let etcd: EtcdDoor
    let zones: ZoneDirectory?
    let rate: QueryRate
    /// Nil when the truth is in this process.
    let cluster: ClusterService?
    /// Nil when nothing is kept over a restart.
    let data: DataService?
    /// Nil when this node is alone.
    let gossip: GossipService?

    /// Why the node is not ready; empty when it is.
    var notReady: [String] { readiness.notReady + [cluster?.notReady, gossip?.notReady].compactMap { $0 } }

    /// The closures that the HTTP door calls per request.
    func providers(http: HTTPCounters) -> OperationsDoor.Providers {
        var providers = OperationsDoor.Providers()
        providers.notReady = { notReady }
        providers.facts = { facts }
        providers.degradations = { degradations }
        providers.figures = { [(name: "queries_per_second", value: rate.perSecond)] }
        providers.metrics = [
            RegistryMetrics.provider(registry), { http.families() }, { ServerMetrics.dns(dns) },
            { ServerMetrics.forwarder(forwarder.counters) },
            { ServerMetrics.etcd(etcd.server?.counters ?? etcd.handler.counters) },
            { cluster?.metrics() ?? [] }, { data?.metrics() ?? [] },
            { gossip?.view.map(GossipMetrics.families) ?? [] },
            { gossip.map { ReplicationMetrics.families($0.replication.status) } ?? [] },
        ]
        return providers
    }

    private var facts: [(name: String, value: String)] {
        [
            (name: "store", value: settings.store.name), (name: "domain", value: settings.domain.textWithoutFinalDot),
            (name: "zones", value: "\(zones?.count ?? 0)"),
        ] + (gossip?.facts ?? [(name: "gossip", value: "off")]) + (data?.facts ?? [])
    }

    private var degradations: [OperationsDoor.Degradation] {
        var list = (zones?.problems ?? []).map { OperationsDoor.Degradation(what: "zones", why: $0) }
        list += forwarder.silentUpstreams.map { server in
            OperationsDoor.Degradation(what: "forwarding", why: "\(SocketEndpoint.text(of: server)) does not answer")
        }
        list += cluster?.degradations ?? []
        list += data?.degradations ?? []
        list += gossip?.degradations ?? []
        let skipped = registry.counts().skippedValues
        if skipped > 0 {
            list.append(.init(what: "values", why: "\(skipped) stored values are no services (GET /api/v1/skipped)"))
        }
        return list
    }
}
