import HTTPTypes
import RegistryStore

/// `/api/v1/cluster/…`: who is in the cluster, how far they agree, and what operators do about it.
///
/// Only the namespace `default` may ask: the cluster is no tenant's. Without gossip every path answers 409.
package struct ClusterDoor: Sendable {
    package struct Settings: Sendable {
        /// Addresses of one join.
        package var addresses = 64
        /// Octets of a body.
        package var bodyBytes = 16_384
        package var feed = EventFeed.Settings()
        package init() {}
    }

    private let control: any ClusterControl
    private let counters: HTTPCounters
    private let settings: Settings

    package init(control: any ClusterControl, counters: HTTPCounters, settings: Settings = Settings()) {
        self.control = control
        self.counters = counters
        self.settings = settings
    }

    package func addRoutes(to routes: inout RouteTable<Operation>) {
        func add(
            _ method: HTTPRequest.Method, _ path: String, _ name: String,
            _ handle: @escaping @Sendable (Invocation) async throws(APIError) -> HTTPAnswer
        ) {
            let operation = Operation("Cluster\(name)", access: .tenant) { invocation throws(APIError) in
                try check(invocation)
                return try await handle(invocation)
            }
            routes.add(method, "/api/v1/cluster/" + path, operation)
        }
        add(.get, "members", "Members") { _ throws(APIError) in try await members() }
        add(.get, "sync", "Sync") { _ throws(APIError) in try await sync() }
        add(.post, "join", "Join") { invocation throws(APIError) in try await join(invocation.call) }
        add(.post, "leave", "Leave") { _ throws(APIError) in try await leave() }
        add(.post, "force-leave/{node}", "ForceLeave") { invocation throws(APIError) in
            try await forceLeave(invocation.parameters[0])
        }
        add(.get, "keys", "Keys") { _ throws(APIError) in try await keys() }
        add(.post, "keys/install", "KeysInstall") { invocation throws(APIError) in
            try await change(.install(key(of: invocation.call)))
        }
        add(.post, "keys/use", "KeysUse") { invocation throws(APIError) in
            try await change(.use(key(of: invocation.call)))
        }
        add(.post, "keys/remove", "KeysRemove") { invocation throws(APIError) in
            try await change(.remove(key(of: invocation.call)))
        }
        add(.post, "keys/rotate", "KeysRotate") { _ throws(APIError) in try await rotate() }
        add(.get, "preserve", "Preserves") { _ throws(APIError) in try await preserves() }
        add(.put, "preserve", "Preserve") { invocation throws(APIError) in try await preserve(invocation.call) }
        add(.post, "verify", "Verify") { _ throws(APIError) in try await verify() }
        add(.get, "events", "Events") { _ throws(APIError) in try await events() }
    }

    private func check(_ invocation: Invocation) throws(APIError) {
        guard invocation.namespace == .default else {
            throw APIError(
                .forbidden, "The cluster is no tenant's", detail: "only the namespace default may ask for it")
        }
        guard invocation.call.body.count <= settings.bodyBytes else {
            throw APIError(
                .contentTooLarge, "Malformed request",
                detail: "body: \(invocation.call.body.count) octets, expected at most \(settings.bodyBytes)")
        }
    }

    // MARK: Members

    private func members() async throws(APIError) -> HTTPAnswer {
        let members = try await ask { control throws(ClusterError) in try await control.members() }
        return .json(.ok) { json in
            json.name("members")
            json.beginArray()
            for member in members {
                json.beginObject()
                member.write(into: &json)
                json.endObject()
            }
            json.endArray()
        }
    }

    private func join(_ call: HTTPCall) async throws(APIError) -> HTTPAnswer {
        let body = try JSONMembers(parsing: call.body, failure: Self.malformed)
        let addresses = try body.strings("addresses") ?? []
        guard (1...settings.addresses).contains(addresses.count) else {
            throw Self.malformed.with(
                detail: "addresses: \(addresses.count) of them, expected 1 to \(settings.addresses) of HOST:PORT")
        }
        let end = try await ask { control throws(ClusterError) in try await control.join(addresses) }
        return .json(end.joined.isEmpty ? .badGateway : .ok) { json in
            if end.joined.isEmpty {
                let still = end.isMember ? "" : "; this node stays out of its cluster"
                json.member("Error", "Nobody answered at these addresses" + still)
            }
            json.member("dialled", Int64(end.dialled))
            json.member("joined", end.joined)
        }
    }

    private func leave() async throws(APIError) -> HTTPAnswer {
        try await ask { control throws(ClusterError) in try await control.leave() }
        return Self.done
    }

    private func forceLeave(_ name: String) async throws(APIError) -> HTTPAnswer {
        try await ask { control throws(ClusterError) in try await control.forceLeave(name) }
        return Self.done
    }

    private func events() async throws(APIError) -> HTTPAnswer {
        let place = try StreamPlace(counters, bound: settings.feed.streams)
        let events = try await ask { control throws(ClusterError) in try await control.events() }
        let heartbeat = settings.feed.heartbeat
        return HTTPAnswer(
            status: .ok, headers: EventText.headers,
            body: .stream { send in
                // After this event nothing is missed; who wants the state lists the members now.
                try await send(EventText.event("ready", id: nil) { _ in })
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { for await event in events { try await send(Self.text(event)) } }
                    group.addTask {
                        while true {
                            try await Task.sleep(for: heartbeat)
                            try await send(EventText.heartbeat)
                        }
                    }
                    defer { group.cancelAll() }
                    try await group.next()
                }
                _ = place
            })
    }

    private static func text(_ event: ClusterEvent) -> [UInt8] {
        EventText.event(event.name, id: nil) { json in
            json.member("node", event.node)
            if !event.detail.isEmpty { json.member("detail", event.detail) }
            guard let member = event.member else { return }
            json.name("member")
            json.beginObject()
            member.write(into: &json)
            json.endObject()
        }
    }

    // MARK: Keys

    private func keys() async throws(APIError) -> HTTPAnswer {
        let keys = try await ask { control throws(ClusterError) in try await control.keys() }
        return .json(.ok) { json in
            json.name("encrypted")
            json.bool(!keys.keys.isEmpty)
            json.member("epoch", Int64(keys.epoch))
            json.name("kept")
            json.bool(keys.loss == nil)
            if let loss = keys.loss { json.member("warning", loss) }
            json.name("keys")
            json.beginArray()
            for key in keys.keys {
                json.beginObject()
                json.member("kind", key.kind.rawValue)
                json.member("fingerprint", key.fingerprint)
                json.name("primary")
                json.bool(key.isPrimary)
                json.endObject()
            }
            json.endArray()
        }
    }

    private func key(of call: HTTPCall) throws(APIError) -> [UInt8] {
        let body = try JSONMembers(parsing: call.body, failure: Self.malformed)
        // The text itself is never repeated.
        guard let text = body.secret("key"), let key = Base64Text.decode(text), [16, 24, 32].contains(key.count)
        else { throw Self.malformed.with(detail: "key: expected 16, 24 or 32 octets in base64") }
        return key
    }

    private func change(_ change: ClusterKeyChange) async throws(APIError) -> HTTPAnswer {
        try await ask { control throws(ClusterError) in try await control.changeKeys(change) }
        return try await keys()
    }

    private func rotate() async throws(APIError) -> HTTPAnswer {
        let epoch = try await ask { control throws(ClusterError) in try await control.rotateKeys() }
        return .json(.ok) { $0.member("epoch", Int64(epoch)) }
    }

    // MARK: Data

    private func sync() async throws(APIError) -> HTTPAnswer {
        let sync = try await ask { control throws(ClusterError) in try await control.sync() }
        return .json(.ok) { sync.write(into: &$0) }
    }

    private func verify() async throws(APIError) -> HTTPAnswer {
        let result = try await ask { control throws(ClusterError) in try await control.verify() }
        return .json(.ok) { result.write(into: &$0) }
    }

    private func preserves() async throws(APIError) -> HTTPAnswer {
        let isOn = try await ask { control throws(ClusterError) in try await control.preserves() }
        return .json(.ok) { json in
            json.name("on")
            json.bool(isOn)
        }
    }

    private func preserve(_ call: HTTPCall) async throws(APIError) -> HTTPAnswer {
        let body = try JSONMembers(parsing: call.body, failure: Self.malformed)
        guard let isOn = try body.bool("on") else {
            throw Self.malformed.with(detail: "on: expected true or false, got nothing")
        }
        try await ask { control throws(ClusterError) in try await control.preserve(isOn) }
        return try await preserves()
    }

    // MARK: Errors

    private static let malformed = APIError(.badRequest, "Malformed request")
    private static let done = HTTPAnswer.json(.ok) { _ in }

    private func ask<Value: Sendable>(
        _ question: @Sendable (any ClusterControl) async throws(ClusterError) -> Value
    ) async throws(APIError) -> Value {
        do throws(ClusterError) {
            return try await question(control)
        } catch {
            throw APIError(error)
        }
    }
}

extension APIError {
    /// The one place where the cluster's refusals become statuses.
    init(_ error: ClusterError) {
        switch error {
        case .off:
            self.init(
                .conflict, "This node has no cluster: start it with --gossip IP:PORT", detail: "gossip is off")
        case .left:
            self.init(
                .conflict, "This node has left its cluster: POST /api/v1/cluster/join brings it back",
                detail: "the node has left")
        case .refused(let why): self.init(.conflict, "The cluster refuses", detail: why)
        case .unknownMember(let name):
            self.init(.notFound, "There is no such member", detail: "node: no member is called \"\(name)\"")
        case .invalid(let field, let value, let expected):
            let shown = value.map { "\"\($0.prefix(60))\", " } ?? ""
            self.init(.badRequest, "Malformed request", detail: "\(field): \(shown)expected \(expected)")
        case .unavailable(let why): self.init(.serviceUnavailable, "The cluster is not available", detail: why)
        }
    }
}
