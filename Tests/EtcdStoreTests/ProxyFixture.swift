import EtcdAPI
import Foundation
import GRPC
import HTTPTypes
import Logging
import NIOCore
import RegistryStore
import SwiftProtobuf
import Testing

@testable import EtcdStore

/// An etcd port in front of a cluster, with the store that follows the same cluster.
final class ProxyFixture: Sendable {
    let fixture: StoreFixture
    let handler: EtcdHTTPHandler
    let server: EtcdServer
    private let task: Task<Void, any Error>
    /// Ends directories as the server does.
    private let directories: Task<Void, Never>
    private let wide: Task<Void, Never>

    init(
        _ endpoints: [EtcdStoreConfiguration.Endpoint], credentials: EtcdStoreConfiguration.Credentials? = nil,
        wideKeysMax: Int = 10_000, wideIdleMilliseconds: Int64 = 600_000,
        adjust: @escaping @Sendable (inout EtcdStoreConfiguration) -> Void = { _ in }
    ) async throws {
        fixture = try StoreFixture(endpoints, credentials: credentials) {
            $0.places = Keyspace.places(below: $0.prefix)
            adjust(&$0)
        }
        let store = fixture.store
        let keyspace = Keyspace(registry: fixture.registry, writer: store, numbers: .clusters)
        directories = Task {
            while (try? await Task.sleep(for: .milliseconds(20))) != nil {
                _ = await keyspace.expireDirectories(through: store)
            }
        }
        let registry = fixture.registry
        let wide = WideKeyspace(
            besides: Array(StoreFixture.prefix.utf8), clock: .system, idleMilliseconds: wideIdleMilliseconds,
            revision: { registry.revision }
        ) {
            var configuration = EtcdStoreConfiguration(endpoints: endpoints, prefix: Array("/".utf8))
            configuration.places = WideKeyspace.places(besides: Array(StoreFixture.prefix.utf8))
            configuration.keysMax = wideKeysMax
            configuration.passesCallsOn = false
            adjust(&configuration)
            var limits = RegistryLimits()
            limits.maxEntries = wideKeysMax
            let copy = Registry(layout: registry.layout, node: "n", origin: 2, limits: limits, isMirror: true)
            var logger = Logger(label: "wide")
            logger.logLevel = .critical
            let store = EtcdStore(configuration, registry: copy, logger: logger)
            return WideKeyspace.Source(
                keyspace: Keyspace(
                    registry: copy, writer: store, leftToOthers: Array(StoreFixture.prefix.utf8), numbers: .clusters),
                writer: store,
                run: { await store.run() }, hasContent: { store.status.hasContent },
                isOverLimit: { store.isOverLimit },
                show: { _ = await store.waitForRevision($0, milliseconds: 1_000) })
        }
        self.wide = Task { await wide.run() }
        handler = EtcdHTTPHandler(keyspace: keyspace, proxy: fixture.store.proxyRoutes, wide: wide)
        let server = try await EtcdServer.bind(
            configuration: EtcdServerConfiguration(addresses: [.init(host: "127.0.0.1", port: 0)]), handler: handler,
            routes: handler.routes, logger: Logger(label: "test"))
        self.server = server
        task = Task { try await server.run() }
    }

    deinit {
        task.cancel()
        directories.cancel()
        wide.cancel()
    }

    func stop() async {
        directories.cancel()
        await directories.value
        wide.cancel()
        await wide.value
        task.cancel()
        _ = await task.result
        await fixture.stop()
    }

    /// A gRPC client of the port.
    func client(_ change: (inout GRPCClientConfiguration) -> Void = { _ in }) async throws -> GRPCClient {
        var configuration = GRPCClientConfiguration()
        // A loaded machine is no error here.
        configuration.connectTimeout = .seconds(20)
        change(&configuration)
        return try await GRPCClient.connect(
            host: "127.0.0.1", port: server.addresses[0].port, configuration: configuration)
    }

    struct Answer {
        let status: Int
        let fields: HTTPFields
        let text: String

        /// A member of the answer's JSON, by names down the tree.
        func value(_ path: String...) -> String? {
            var value: Any? = try? JSONSerialization.jsonObject(with: Data(text.utf8))
            for name in path { value = (value as? [String: Any])?[name] }
            return value.map { "\($0)" }
        }
    }

    /// Asks over HTTP/1.1; a body for `/v2` is a form.
    func http(_ method: HTTPRequest.Method, _ path: String, _ body: String = "") async throws -> Answer {
        let reply = await begin(method, path, body)
        var text = ""
        switch reply.body {
        case .bytes(let bytes): text = String(decoding: bytes, as: UTF8.self)
        case .events(let events): while let line = await events.next() { text += String(decoding: line, as: UTF8.self) }
        }
        return Answer(status: reply.head.status.code, fields: reply.head.headerFields, text: text)
    }

    /// The same without waiting for events.
    func begin(_ method: HTTPRequest.Method, _ path: String, _ body: String = "") async -> EtcdReply {
        var request = HTTPRequest(method: method, scheme: "http", authority: "test", path: path)
        if path.hasPrefix("/v2") { request.headerFields[.contentType] = "application/x-www-form-urlencoded" }
        return await handler.reply(to: request, body: Array(body.utf8), arrival: nil)
    }
}

extension GRPCClient {
    func call<Answer: Message>(
        _ path: String, _ request: some Message, as type: Answer.Type = Answer.self,
        metadata: [(String, String)] = [], timeout: Duration = .seconds(10)
    ) async throws -> Answer {
        let bytes = try await unary(
            "/etcdserverpb.\(path)", ClusterConnection.bytes(of: request), metadata: metadata, timeout: timeout)
        return try ClusterConnection.message(in: bytes)
    }

    /// How a call ends that must not end well.
    func failure(_ path: String, _ request: some Message, timeout: Duration = .seconds(10)) async throws -> GRPCStatus {
        do {
            _ = try await unary("/etcdserverpb.\(path)", ClusterConnection.bytes(of: request), timeout: timeout)
        } catch {
            return error
        }
        Issue.record("\(path) was answered")
        return .ok
    }
}
