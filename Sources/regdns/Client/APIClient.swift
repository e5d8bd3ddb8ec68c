import NIOHTTP1
import RegistryStore

/// An instance as the admin API shows it.
struct InstanceRecord: Sendable {
    let id: String
    let service: String
    let endpointType: String
    let endpoint: String
    let status: String
    let tags: [String]
    /// Seconds the registration lives without renewal; nil when it stays.
    let leaseSeconds: Int64?
    /// Seconds an answer may be cached; nil when the server's default counts.
    let answerTTL: Int64?
    let lastHeartbeat: String
    /// Why the DNS is silent about it; nil when it answers or the server did not say.
    let silence: String?
    /// The document it was read from.
    let json: JSONValue

    init?(_ json: JSONValue) {
        guard let id = json.member("id")?.stringValue else { return nil }
        self.id = id
        self.json = json
        service = json.member("service_name")?.stringValue ?? ""
        endpointType = json.member("endpoint")?.member("type")?.stringValue ?? ""
        endpoint = json.member("endpoint")?.member("value")?.stringValue ?? ""
        status = json.member("status")?.stringValue ?? ""
        tags = json.member("tags")?.arrayValue?.compactMap(\.stringValue) ?? []
        leaseSeconds = json.member("ttl")?.int64Value
        answerTTL = json.member("ttl_answer")?.int64Value
        lastHeartbeat = json.member("last_heartbeat")?.stringValue ?? ""
        silence = json.member("dns_reason")?.stringValue
    }

    /// The fields that the verbs ask for.
    static let fields =
        "service_name,ttl,status,metadata,last_heartbeat,tags,priority,weight,text,ttl_answer,dns,dns_reason"
}

/// The admin API of a server, as the verbs use it.
struct APIClient: Sendable {
    let http: HTTPClient

    /// Instances by filter. Every status is listed.
    func instances(
        service: String? = nil, tags: [String] = [], status: String? = nil
    ) async throws(UserError) -> [InstanceRecord] {
        var query = ["fields=\(InstanceRecord.fields)"]
        if let service { query.append("service_name=\(PercentEncoding.part(service))") }
        if !tags.isEmpty { query.append("tags=" + tags.map(PercentEncoding.part).joined(separator: ",")) }
        // Without a filter the list would hide those that are not up.
        query.append("status=\(PercentEncoding.part(status ?? "ALL"))")
        let json = try document(await http.send(.GET, "/api/v1/instances?" + query.joined(separator: "&")))
        return json.member("instances")?.arrayValue?.compactMap(InstanceRecord.init) ?? []
    }

    /// Registers; returns the id and the lease that the server gave, in seconds.
    func register(_ body: JSONValue) async throws(UserError) -> (id: String, leaseSeconds: Int64?) {
        let reply = try await http.send(.POST, "/api/v1/instances", json: body.serialized())
        let json = try document(reply)
        guard let id = json.member("id")?.stringValue else { throw unexpected(reply, "has no id") }
        return (id, json.member("ttl")?.int64Value)
    }

    /// What the server says to a heartbeat.
    enum Heartbeat: Sendable {
        case renewed
        /// The registration is gone; it must be made again.
        case gone
    }

    func heartbeat(_ id: String) async throws(UserError) -> Heartbeat {
        let reply = try await http.send(.PUT, "/api/v1/instances/\(PercentEncoding.part(id))/heartbeat")
        if reply.status == 410 || reply.status == 404 { return .gone }
        _ = try accepted(reply)
        return .renewed
    }

    /// Deregisters; false when there was nothing.
    func deregister(_ id: String) async throws(UserError) -> Bool {
        let reply = try await http.send(.DELETE, "/api/v1/instances/\(PercentEncoding.part(id))")
        if reply.status == 410 || reply.status == 404 { return false }
        _ = try accepted(reply)
        return true
    }

    /// The server's own account of itself.
    func status() async throws(UserError) -> JSONValue { try document(await http.send(.GET, "/api/v1/status")) }

    /// The members of its cluster.
    func members() async throws(UserError) -> [JSONValue] {
        let reply = try await http.send(.GET, "/api/v1/cluster/members")
        guard let members = try document(reply).member("members")?.arrayValue else {
            throw unexpected(reply, "has no members")
        }
        return members
    }

    // MARK: Replies

    private func document(_ reply: HTTPReply) throws(UserError) -> JSONValue {
        let reply = try accepted(reply)
        do {
            return try JSONValue.parse(reply.body)
        } catch {
            throw unexpected(reply, "is no JSON")
        }
    }

    private func accepted(_ reply: HTTPReply) throws(UserError) -> HTTPReply {
        guard reply.status >= 300 else { return reply }
        let json = try? JSONValue.parse(reply.body)
        let words = json?.member("Error")?.stringValue ?? "status \(reply.status)"
        let detail = reply.headers.first(name: "Error-Detail").map { " (\($0))" } ?? ""
        let remedy =
            switch reply.status {
            case 401: "give a valid --token or --namespace"
            case 409: "'regdns status' shows what it runs with"
            case 404, 410: "'regdns list' shows what is registered"
            case 500...: "look into the server's log, 'regdns status' may say more"
            default: "correct the request"
            }
        throw UserError(.refused, what: "server \(http.server)", why: words + detail, remedy: remedy)
    }

    private func unexpected(_ reply: HTTPReply, _ why: String) -> UserError {
        UserError(
            .refused, what: "server \(http.server)", why: "its answer (status \(reply.status)) \(why)",
            remedy: "check that --server names the HTTP listener of a regdns server")
    }
}
