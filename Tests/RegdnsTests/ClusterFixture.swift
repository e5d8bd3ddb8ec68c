import Foundation
import NIOHTTP1
import RegdnsTestKit
import RegistryStore
import Testing

@testable import regdns

/// A condition that did not come true in time.
struct NotInTime: Error, CustomStringConvertible {
    let description: String
}

/// Asks until the answer is there. Processes tell nobody when they are done, so they are asked again.
func eventually<Value>(
    _ what: String, within patience: Duration = .seconds(30), _ look: () async throws -> Value?
) async throws -> Value {
    let deadline = ContinuousClock.now + patience
    repeat {
        if let value = try await look() { return value }
        try await Task.sleep(for: .milliseconds(100))
    } while ContinuousClock.now < deadline
    throw NotInTime(description: "\(what): not within \(patience)")
}

/// One node of a cluster of real processes.
struct ClusterNode: Sendable {
    let name: String
    let server: RunningServer

    var gossip: String { server.addresses["gossip"] ?? "" }

    /// Starts a node that joins the others; deaths are seen within seconds.
    init(
        _ name: String, join others: [ClusterNode] = [], _ flags: [String] = [], environment: [String: String] = [:]
    ) async throws {
        self.name = name
        let seeds = others.isEmpty ? [] : ["--join", others.map(\.gossip).joined(separator: ",")]
        server = try await RunningServer(
            ["--node", name, "--gossip", "127.0.0.1:0", "--gossip-profile", "fast"] + seeds + flags,
            environment: environment)
    }

    /// Starts nodes n1, n2, …, each joining the first.
    static func cluster(
        _ count: Int, _ flags: [String] = [], environment: [String: String] = [:]
    ) async throws -> [ClusterNode] {
        var nodes: [ClusterNode] = []
        for number in 1...count {
            nodes.append(
                try await ClusterNode("n\(number)", join: Array(nodes.prefix(1)), flags, environment: environment))
        }
        for node in nodes { try await node.sees(nodes.map { ($0.name, "alive") }) }
        return nodes
    }

    // MARK: Asking

    func ask(_ method: HTTPMethod, _ path: String, _ body: String? = nil) async throws -> HTTPReply {
        let client = HTTPClient(server: try ServerURL(server.http), token: nil)
        return try await client.send(method, "/api/v1/cluster/" + path, json: body.map { Array($0.utf8) })
    }

    func json(_ method: HTTPMethod, _ path: String, _ body: String? = nil) async throws -> JSONValue {
        try JSONValue.parse(try await ask(method, path, body).body)
    }

    func members() async throws -> [JSONValue] {
        try await json(.GET, "members").member("members")?.arrayValue ?? []
    }

    /// Waits until exactly these members are known, in these states.
    func sees(_ expected: [(name: String, state: String)], within patience: Duration = .seconds(30)) async throws {
        let wanted = expected.map { "\($0.name) \($0.state)" }.sorted()
        var last: [String] = []
        do {
            _ = try await eventually("\(name) sees \(wanted)", within: patience) { () -> Bool? in
                last = try await members().map { member in
                    "\(member.member("name")?.stringValue ?? "") \(member.member("state")?.stringValue ?? "")"
                }.sorted()
                return last == wanted ? true : nil
            }
        } catch let error as NotInTime {
            throw NotInTime(description: "\(error); it saw \(last)")
        }
    }

    /// Repeats a POST until it is done: members hear of each other's keys by gossip.
    func insist(_ path: String, _ body: String) async throws {
        _ = try await eventually("\(name): \(path)") { () -> Bool? in
            try await ask(.POST, path, body).status == 200 ? true : nil
        }
    }

    func metrics() async throws -> String {
        let reply = try await HTTPClient(server: try ServerURL(server.http), token: nil).send(.GET, "/metrics")
        return String(decoding: reply.body, as: UTF8.self)
    }

    func status() async throws -> String { try await server.run("status", "--output", "table").output }
}
