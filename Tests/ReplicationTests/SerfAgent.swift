import Foundation
import Memberlist
import RegdnsTestKit
import Replication

/// A real serf agent on loopback; killed when the test lets go of it.
final class SerfAgent: Sendable {
    static let program = "/usr/bin/serf"
    private static let environment = ["PATH": "/usr/bin:/bin", "HOME": "/nonexistent"]

    let name: String
    let address: GossipAddress
    private let rpc: String
    let process: ChildProcess

    /// A member as `serf members` shows it.
    struct Seen: Decodable, Sendable {
        let name: String
        let addr: String
        let status: String
        let tags: [String: String]
    }

    private struct Members: Decodable {
        let members: [Seen]
    }

    init(_ name: String, key: GossipKey?, join: GossipAddress? = nil) async throws {
        let ports = try await FreePorts.take(2)
        self.name = name
        address = GossipAddress(127, 0, 0, 1, port: UInt16(ports[0]))
        rpc = "-rpc-addr=127.0.0.1:\(ports[1])"
        var flags = ["agent", "-node=\(name)", "-bind=\(address)", rpc, "-tag", "kind=agent"]
        if let key { flags.append("-encrypt=\(key.base64)") }
        if let join { flags.append("-join=\(join)") }
        process = try await ChildProcess(Self.program, flags, environment: Self.environment)
        _ = try await process.output.line(containing: "Serf agent running", within: .seconds(15))
    }

    deinit { process.signal(SIGKILL) }

    /// Runs one of its commands against it.
    @discardableResult
    func run(_ command: String, _ arguments: String...) async throws -> ChildProcess.Ended {
        try await ChildProcess(
            Self.program, [command, rpc] + arguments, environment: Self.environment
        ).end()
    }

    func members() async throws -> [Seen] {
        let ended = try await run("members", "-format=json")
        return try JSONDecoder().decode(Members.self, from: Data(ended.output.utf8)).members
    }

    /// Asks it until its view is as wanted.
    func wait(
        _ what: String, within patience: Duration = .seconds(50), until isThere: @escaping @Sendable ([Seen]) -> Bool
    ) async throws {
        do {
            try await ReplicationTests.within(patience, "\(name): \(what)") { [self] in
                while !isThere(try await members()) { try await Task.sleep(for: .milliseconds(150)) }
            }
        } catch {
            let seen = try await members().map { "\($0.name) \($0.status) \($0.tags)" }
            throw Waited(description: "\(error); members: \(seen)")
        }
    }

    func wait(for name: String, toBe status: String) async throws {
        try await wait("\(name) is \(status)") { seen in seen.contains { $0.name == name && $0.status == status } }
    }
}
