import HTTPTypes
package import RegistryStore

/// What the server tells about itself, without a token: alive, ready, uptime, metrics; and with one, its status.
package struct OperationsDoor: Sendable {
    /// How the binary was made; shown by `/uptime` and `/api/v1/status`.
    package struct Build: Sendable {
        package var version: String
        package var revision: String
        package var date: String
        package var compiler: String

        package init(version: String, revision: String = "", date: String = "", compiler: String = "") {
            self.version = version
            self.revision = revision
            self.date = date
            self.compiler = compiler
        }
    }

    /// Something that works less well than it should.
    package struct Degradation: Sendable {
        package var what: String
        package var why: String

        package init(what: String, why: String) {
            self.what = what
            self.why = why
        }
    }

    /// Questions only the composition root can answer. Closures are called per request, from any thread.
    package struct Providers: Sendable {
        /// Why the node is not ready; empty when it is.
        package var notReady: @Sendable () -> [String] = { [] }
        /// Facts for `/healthz`, in order: `store`, `sync`, ….
        package var facts: @Sendable () -> [(name: String, value: String)] = { [] }
        package var degradations: @Sendable () -> [Degradation] = { [] }
        /// Figures for `/api/v1/status` beside the store's own, in order: queries per second, members, ….
        package var figures: @Sendable () -> [(name: String, value: Double)] = { [] }
        /// Averages of the load over 1, 5 and 15 minutes.
        package var loadAverages: @Sendable () -> [Double] = { LoadAverage.read() }
        package var metrics: [MetricProvider] = []
        package init() {}
    }

    private let registry: Registry
    private let build: Build
    private let providers: Providers
    private let clock: RegistryClock
    private let startedAt: Int64

    package init(registry: Registry, build: Build, providers: Providers, clock: RegistryClock = .system) {
        self.registry = registry
        self.build = build
        self.providers = providers
        self.clock = clock
        startedAt = clock.monotonicMilliseconds()
    }

    package func addRoutes(to routes: inout RouteTable<Operation>) {
        func add(_ pattern: String, _ name: String, head: Bool, _ answer: @escaping @Sendable () -> HTTPAnswer) {
            let operation = Operation(name, access: .open) { _ in answer() }
            routes.add(.get, pattern, operation)
            // Balancers probe with HEAD; Amalgam8's own two paths refuse it, as the original does.
            if head { routes.add(.head, pattern, operation) }
        }
        add("/", "Root", head: false) { HTTPAnswer(status: .ok) }
        add("/uptime", "Uptime", head: false) { uptime() }
        add("/healthz", "Health", head: true) { health() }
        add("/readyz", "Ready", head: true) { readiness() }
        add("/metrics", "Metrics", head: true) { metrics() }
        routes.add(.get, "/api/v1/status", Operation("Status", access: .tenant) { _ in status() })
    }

    /// Amalgam8's own health page (contract section 7).
    private func uptime() -> HTTPAnswer {
        let loads = providers.loadAverages()
        return .json(.ok) { json in
            json.name("UPTIME")
            json.beginObject()
            json.name("healthy")
            json.bool(true)
            json.name("properties")
            json.beginObject()
            json.member("uptime", GoText.duration(milliseconds: uptimeMilliseconds))
            for (index, name) in ["load_1m", "load_5m", "load_15m"].enumerated() {
                json.name(name)
                json.number(index < loads.count ? loads[index] : 0)
            }
            json.member("build_version", build.version)
            json.member("build_revision", build.revision)
            json.member("build_date", build.date)
            // The name is the original's; ours is another compiler.
            json.member("build_goversion", build.compiler)
            json.endObject()
            json.endObject()
        }
    }

    /// 200 as long as the process answers at all; what it runs on is told for people.
    private func health() -> HTTPAnswer {
        .json(.ok) { json in
            json.member("status", "alive")
            json.member("node", registry.node)
            for fact in providers.facts() { json.member(fact.name, fact.value) }
        }
    }

    private func readiness() -> HTTPAnswer {
        let reasons = providers.notReady()
        return .json(reasons.isEmpty ? .ok : .serviceUnavailable) { json in
            json.name("ready")
            json.bool(reasons.isEmpty)
            json.member("reasons", reasons)
            let degradations = providers.degradations()
            if !degradations.isEmpty { json.member("degraded", degradations.map { "\($0.what): \($0.why)" }) }
        }
    }

    private func metrics() -> HTTPAnswer {
        let families = providers.metrics.flatMap { $0() }
        return HTTPAnswer(
            status: .ok, headers: [.contentType: MetricText.contentType], body: .bytes(MetricText.render(families)))
    }

    /// Everything the CLI's `status` shows on one screen.
    private func status() -> HTTPAnswer {
        let reasons = providers.notReady()
        let degradations = providers.degradations()
        return .json(.ok) { json in
            json.member("node", registry.node)
            json.member("version", build.version)
            json.name("ready")
            json.bool(reasons.isEmpty)
            json.member("not_ready", reasons)
            json.member("uptime_seconds", uptimeMilliseconds / 1000)
            json.member("revision", registry.revision)
            json.name("facts")
            json.beginObject()
            for fact in providers.facts() { json.member(fact.name, fact.value) }
            json.endObject()
            json.name("counts")
            json.beginObject()
            for (name, value) in RegistryMetrics.figures(registry.counts()) { json.member(name, Int64(value)) }
            json.endObject()
            json.name("figures")
            json.beginObject()
            for figure in providers.figures() {
                json.name(figure.name)
                json.number(figure.value)
            }
            json.endObject()
            json.name("degraded")
            json.beginArray()
            for degradation in degradations {
                json.beginObject()
                json.member("what", degradation.what)
                json.member("why", degradation.why)
                json.endObject()
            }
            json.endArray()
        }
    }

    private var uptimeMilliseconds: Int64 { clock.monotonicMilliseconds() - startedAt }
}
