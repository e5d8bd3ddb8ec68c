import DNSServer
import EtcdStore
import HTTPAdmin
import Logging
import ServiceLifecycle

/// The etcd cluster behind this node, as the other parts of the server see it.
struct ClusterService: Service, ReadinessGate {
    let store: EtcdStore
    /// Nil when nothing of it is encrypted.
    private let tls: StoreTLS?
    private let view: DNSView
    private let logger: Logger

    init(store: EtcdStore, tls: StoreTLS?, view: DNSView, logger: Logger) {
        self.store = store
        self.tls = tls
        self.view = view
        self.logger = logger
        view.setHasContent(false)
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await store.run() }
                await waitForContent()
                view.setHasContent(store.status.hasContent)
            }
        }
    }

    /// Returns when the cluster was read once, or the server is told to stop.
    func waitForContent() async {
        while !store.status.hasContent {
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return }
        }
    }

    /// As `waitForContent`, but not longer than a resolver's patience: names of other domains must be answered even
    /// when the store is away at the start.
    func waitShortlyForContent() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await waitForContent() }
            group.addTask { try? await Task.sleep(for: .seconds(2)) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Why the node has nothing to answer from; nil when it has.
    var notReady: String? {
        let status = store.status
        if status.hasContent { return nil }
        return "store: \(status.phase) \(status.endpoint)" + (status.problem.map { ": \($0)" } ?? "")
    }

    func waitUntilReady() async { await waitForContent() }

    /// Reads the files of TLS again, for the connections that come.
    func reloadCertificates() { tls?.reload(logger) }

    /// What is wrong although the node answers: it does so from what it last heard.
    var degradations: [OperationsDoor.Degradation] {
        var list: [OperationsDoor.Degradation] = []
        let status = store.status
        if status.hasContent, let seconds = status.staleSeconds {
            let why = status.problem.map { ": \($0)" } ?? ""
            list.append(
                .init(what: "store", why: "not followed for \(Int(seconds)) s, answers are as of then\(why)"))
        }
        if let problem = tls?.problem { list.append(.init(what: "certificates", why: problem)) }
        return list
    }

    func metrics() -> [MetricFamily] {
        let status = store.status
        var families = [
            MetricFamily(
                "regdns_store_stale_seconds", .gauge,
                help: "For how long the store has not been followed; 0 while it is.",
                value: Int(status.staleSeconds ?? 0)),
            MetricFamily(
                "regdns_store_revision", .gauge, help: "The store's revision that this node has come to.",
                value: Int(clamping: status.revision)),
            MetricFamily(
                "regdns_store_lease_questions_waiting", .gauge, help: "Leases whose lengths are still to be asked for.",
                value: status.leaseQuestionsWaiting),
        ]
        families += store.counters.values.map { counter in
            MetricFamily(
                "regdns_store_\(counter.name)_total", .counter, help: "Of the external store: \(counter.name).",
                value: counter.value)
        }
        return families
    }
}
