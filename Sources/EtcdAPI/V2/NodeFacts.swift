import HTTPTypes
import RegistryStore

/// An address of this node.
package struct EtcdAddress: Sendable, Hashable {
    /// An IP address without brackets, or a host name.
    package let host: String
    package let port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Whether it stands for every address of the node, and so leads nowhere by itself.
    var isWildcard: Bool { host == "0.0.0.0" || host == "::" || host.isEmpty }

    var url: String { "http://" + (host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)") }
}

/// `/v2/machines`, `/v2/members`, `/v2/stats` and `/v2/auth`: this node as a cluster of its own.
///
/// Members are one: this node. A client that were told of a peer would carry over indices that mean nothing there.
/// Membership is gossip's and users are the configuration's, so that all changes are refused.
struct NodeFacts: Sendable {
    let keyspace: Keyspace
    let etcdAddresses: @Sendable () -> [EtcdAddress]
    private let start: Moment
    private let memberID: String

    init(keyspace: Keyspace, etcdAddresses: @escaping @Sendable () -> [EtcdAddress]) {
        self.keyspace = keyspace
        self.etcdAddresses = etcdAddresses
        start = keyspace.clock.now
        memberID = String(Keyspace.identifier(of: "member " + keyspace.registry.node), radix: 16)
    }

    /// The answer for a clean path; nil when it is none of these routes.
    func answer(_ path: String, method: String, arrival: EtcdAddress?, counts: EtcdCounters) -> EtcdAnswer? {
        switch path {
        case "/v2/machines":
            guard method == "GET" || method == "HEAD" else { return .methodNotAllowed("GET,HEAD") }
            let urls = clientURLs(arrival).joined(separator: ", ")
            return EtcdAnswer(status: 200, contentType: .text, body: Array(urls.utf8))
        case "/v2/members", "/v2/members/": return members(method, "", arrival)
        case let path where path.hasPrefix("/v2/members/"):
            return members(method, String(path.dropFirst("/v2/members/".count)), arrival)
        case "/v2/stats/self": return stats(method, selfStats(counts))
        case "/v2/stats/store": return stats(method, storeStats())
        case "/v2/stats/leader": return stats(method, "{\"leader\":\"\(memberID)\",\"followers\":{}}")
        case "/v2/auth/enable":
            return auth(method, changes: ["PUT", "DELETE"], "{\"enabled\":false}\n")
        case "/v2/auth/users", "/v2/auth/users/": return auth(method, changes: [], "{\"users\":null}\n")
        case "/v2/auth/roles", "/v2/auth/roles/":
            return auth(method, changes: [], "{\"roles\":[\(Self.rootRole)]}\n")
        case "/v2/auth/roles/root" where method == "GET": return json(200, Array("\(Self.rootRole)\n".utf8))
        case let path where path.hasPrefix("/v2/auth/users/"):
            return authItem(method, "User", String(path.dropFirst("/v2/auth/users/".count)))
        case let path where path.hasPrefix("/v2/auth/roles/"):
            return authItem(method, "Role", String(path.dropFirst("/v2/auth/roles/".count)))
        default: return nil
        }
    }

    // MARK: Members

    /// URLs that reach the etcd door of this node from where the client is: the address it has reached already, or
    /// from another listener that of the etcd port.
    private func clientURLs(_ arrival: EtcdAddress?) -> [String] {
        let addresses = etcdAddresses()
        guard let arrival else { return addresses.filter { !$0.isWildcard }.map(\.url) }
        if addresses.isEmpty || addresses.contains(where: { $0.port == arrival.port }) { return [arrival.url] }
        var urls: [String] = []
        for address in addresses {
            let reachable = address.isWildcard ? EtcdAddress(host: arrival.host, port: address.port) : address
            if !urls.contains(reachable.url) { urls.append(reachable.url) }
        }
        return urls
    }

    private func members(_ method: String, _ name: String, _ arrival: EtcdAddress?) -> EtcdAnswer {
        guard ["GET", "POST", "DELETE", "PUT"].contains(method) else {
            return .methodNotAllowed("GET,POST,DELETE,PUT")
        }
        guard method == "GET" else {
            return json(
                403, Self.message("regdns: members are those of the gossip cluster; --join adds this node to one"))
        }
        var member = GoJSON()
        member.raw("{\"id\":\"\(memberID)\",\"name\":")
        member.string(keyspace.registry.node)
        member.raw(",\"peerURLs\":[],\"clientURLs\":[")
        for (place, url) in clientURLs(arrival).enumerated() {
            if place > 0 { member.raw(",") }
            member.string(url)
        }
        member.raw("]}")
        switch name {
        case "": return json(200, Array("{\"members\":[".utf8) + member.bytes + Array("]}\n".utf8))
        case "leader": return json(200, member.bytes + [0x0A])
        default: return json(404, Self.message("Not found"))
        }
    }

    // MARK: Statistics

    private func stats(_ method: String, _ text: @autoclosure () -> String) -> EtcdAnswer {
        guard method == "GET" else { return .methodNotAllowed("GET") }
        return EtcdAnswer(status: 200, contentType: .json, body: Array(text().utf8))
    }

    private func selfStats(_ counts: EtcdCounters) -> String {
        var name = GoJSON()
        name.string(keyspace.registry.node)
        let started = CivilTime(unixMilliseconds: start.unix).rfc3339
        let up = keyspace.clock.monotonicMilliseconds() &- start.monotonic
        let leader = "{\"leader\":\"\(memberID)\",\"uptime\":\"\(Self.goDuration(up))\",\"startTime\":\"\(started)\"}"
        return "{\"name\":\(String(decoding: name.bytes, as: UTF8.self)),\"id\":\"\(memberID)\","
            + "\"state\":\"StateLeader\",\"startTime\":\"\(started)\",\"leaderInfo\":\(leader),"
            + "\"recvAppendRequestCnt\":0,\"sendAppendRequestCnt\":0}"
    }

    private func storeStats() -> String {
        let operations: [(String, KeyspaceEvent.Action)] = [
            ("gets", .get), ("sets", .set), ("delete", .delete), ("update", .update), ("create", .create),
            ("compareAndSwap", .compareAndSwap), ("compareAndDelete", .compareAndDelete),
        ]
        var members = operations.map { name, action in
            let outcomes = keyspace.statistics[action]
            return "\"\(name)Success\":\(outcomes.succeeded),\"\(name)Fail\":\(outcomes.failed)"
        }
        let history = keyspace.history.counts
        members += ["\"expireCount\":\(history.expirations)", "\"watchers\":\(history.watches)"]
        return "{" + members.joined(separator: ",") + "}"
    }

    /// As Go writes durations: `1h2m3.5s`.
    static func goDuration(_ milliseconds: Int64) -> String {
        let (seconds, rest) = max(0, milliseconds).quotientAndRemainder(dividingBy: 1000)
        let (minutes, hours) = (seconds / 60 % 60, seconds / 3600)
        var fraction = ""
        if rest > 0 {
            let digits = String(rest + 1000).dropFirst()
            fraction = "." + String(digits.reversed().drop { $0 == "0" }.reversed())
        }
        let end = "\(seconds % 60)\(fraction)s"
        return hours > 0 ? "\(hours)h\(minutes)m\(end)" : minutes > 0 ? "\(minutes)m\(end)" : end
    }

    // MARK: Users

    /// The role that is always there.
    private static let rootRole =
        "{\"role\":\"root\",\"permissions\":{\"kv\":{\"read\":[\"/*\"],\"write\":[\"/*\"]}}}"

    private func auth(_ method: String, changes: [String], _ text: String) -> EtcdAnswer {
        if changes.contains(method) { return .authRefused(keyspace) }
        guard method == "GET" else { return .methodNotAllowed((["GET"] + changes).joined(separator: ",")) }
        return json(200, Array(text.utf8))
    }

    private func authItem(_ method: String, _ kind: String, _ name: String) -> EtcdAnswer {
        switch method {
        case "GET": json(404, Self.message("auth: \(kind) \(name) does not exist."))
        case "PUT", "DELETE": .authRefused(keyspace)
        default: .methodNotAllowed("GET,PUT,DELETE")
        }
    }

    private func json(_ status: Int, _ body: [UInt8]) -> EtcdAnswer {
        EtcdAnswer(
            status: status, contentType: .json, fields: [(.etcdClusterID, keyspace.clusterText)], body: body)
    }

    private static func message(_ text: String) -> [UInt8] {
        var json = GoJSON()
        json.raw("{\"message\":")
        json.string(text)
        json.raw("}")
        return json.bytes
    }
}

extension EtcdAnswer {
    /// Users and roles are those of the configuration.
    fileprivate static func authRefused(_ keyspace: Keyspace) -> EtcdAnswer {
        let error = V2Error(.unauthorized, cause: "regdns: users come from its configuration", index: 0)
        return EtcdAnswer(
            status: 403, contentType: .json, fields: [(.etcdClusterID, keyspace.clusterText)], body: error.json)
    }
}
