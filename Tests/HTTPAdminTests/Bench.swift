import DNSWire
import HTTPTypes
import Logging
import RegdnsTestKit
import RegistryStore
import Testing

@testable import HTTPAdmin

/// A store on a virtual clock with the doors before it, called without sockets.
struct Bench {
    let clock = VirtualClock()
    let registry: Registry
    let counters = HTTPCounters()
    let dispatcher: AdminDispatcher

    init(
        limits: RegistryLimits = RegistryLimits(), leases: LeasePolicy = LeasePolicy(),
        feed: EventFeed.Settings = EventFeed.Settings(),
        operations: OperationsDoor.Providers = OperationsDoor.Providers(), writer: (any RegistryWriter)? = nil,
        cluster: any ClusterControl = NoCluster()
    ) throws {
        let domain = try OwnerName("skydns.local")
        registry = Registry(
            layout: KeyLayout(prefix: "skydns", domain: domain), node: "n1", origin: 1, limits: limits,
            clock: clock.registryClock)
        var routes = RouteTable<Operation>()
        Amalgam8Door(
            registry: registry, writer: writer ?? registry, leases: leases,
            feed: EventFeed(registry: registry, counters: counters, settings: feed)
        ).addRoutes(to: &routes)
        OperationsDoor(
            registry: registry, build: OperationsDoor.Build(version: "1.2.3", revision: "abc"), providers: operations,
            clock: clock.registryClock
        ).addRoutes(to: &routes)
        var settings = ClusterDoor.Settings()
        settings.feed = feed
        ClusterDoor(control: cluster, counters: counters, settings: settings).addRoutes(to: &routes)
        dispatcher = AdminDispatcher(
            routes: routes, authenticator: OpenAuthenticator(), fallback: nil, counters: counters,
            clock: clock.registryClock, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Asks by method and target, with a JSON body when there is one.
    func ask(
        _ method: HTTPRequest.Method, _ target: String, _ body: String? = nil, headers: HTTPFields = [:]
    ) async -> HTTPAnswer {
        var headers = headers
        if body != nil, headers[.contentType] == nil { headers[.contentType] = "application/json" }
        let (authority, path, query) = HTTPCall.splitTarget(target)
        return await dispatcher.respond(
            to: HTTPCall(
                method: method, path: path, query: query, headers: headers, authority: authority ?? "regdns:8080",
                body: Array((body ?? "").utf8)))
    }

    /// Registers and gives the id.
    func register(_ service: String, _ value: String, _ more: String = "") async throws -> String {
        let answer = await ask(.post, "/api/v1/instances", Self.body(service, value, more))
        try #require(answer.status == .created, "\(answer.text)")
        return try #require(JSONValue.parse(answer.bytes).member("id")?.stringValue)
    }

    /// A registration's body; `more` starts with a comma.
    static func body(_ service: String, _ value: String, _ more: String = "") -> String {
        #"{"service_name":"\#(service)","endpoint":{"type":"tcp","value":"\#(value)"}\#(more)}"#
    }

    /// Ids of a listing, sorted.
    func ids(_ query: String = "") async throws -> [String] {
        let answer = await ask(.get, "/api/v1/instances" + query)
        try #require(answer.status == .ok, "\(answer.text)")
        let list = try JSONValue.parse(answer.bytes).member("instances")?.arrayValue ?? []
        return list.compactMap { $0.member("id")?.stringValue }.sorted()
    }

    /// Puts a value as an etcd door would.
    func put(_ key: String, _ value: String, lease: LeaseRequest = .permanent) throws {
        try registry.apply([
            .put(namespace: .default, key: Array(key.utf8), value: .bytes(Array(value.utf8)), lease: lease)
        ])
    }
}
