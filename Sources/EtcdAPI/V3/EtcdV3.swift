import EtcdMessages
package import GRPC
import NIOCore
import RegistryStore
import SwiftProtobuf

/// etcd's v3 services over the registry: what the gRPC server and the JSON gateway of the etcd port answer by.
///
/// The services are plain values with one synchronous function for each method; `routes` mounts them on gRPC. Calls
/// are answered on the connection's event loop. Watches are served by one `WatchHub` for each event loop.
package struct EtcdV3: Sendable {
    let context: V3Context
    let kv: KVService
    let lease: LeaseService
    let node: NodeServices
    let watch: WatchService

    /// - Parameters:
    ///   - keyspace: the keys to serve, those that the v2 API serves too.
    ///   - etcdAddresses: where the etcd port listens, for the list of members; may be empty.
    package init(
        keyspace: Keyspace, configuration: EtcdV3Configuration = .init(),
        etcdAddresses: @escaping @Sendable () -> [EtcdAddress] = { [] }
    ) {
        context = V3Context(keyspace: keyspace, configuration: configuration)
        kv = KVService(context: context)
        lease = LeaseService(context: context)
        node = NodeServices(context: context, etcdAddresses: etcdAddresses)
        watch = WatchService(context: context)
    }

    /// What the services have done so far.
    package var counters: EtcdV3Counters { context.metrics.snapshot }

    /// All methods, those that are refused included.
    package var routes: GRPCRoutes {
        var routes = GRPCRoutes()
        let (kv, lease, node, watch, context) = (kv, lease, node, watch, context)
        routes.add(service: "etcdserverpb.KV", "Range", kv.rangeMethod)
        routes.add(service: "etcdserverpb.KV", "Put", kv.putMethod)
        routes.add(service: "etcdserverpb.KV", "DeleteRange", kv.deleteRangeMethod)
        routes.add(service: "etcdserverpb.KV", "Txn", kv.txnMethod)
        routes.add(service: "etcdserverpb.KV", "Compact", .plain(kv.compact))
        routes.add(service: "etcdserverpb.Lease", "LeaseGrant", .plain(lease.grant))
        routes.add(service: "etcdserverpb.Lease", "LeaseRevoke", .plain(lease.revoke))
        routes.add(service: "etcdserverpb.Lease", "LeaseTimeToLive", .plain(lease.timeToLive))
        routes.add(service: "etcdserverpb.Lease", "LeaseLeases", .plain(lease.leases))
        routes.add(
            service: "etcdserverpb.Lease", "LeaseKeepAlive",
            .streaming { stream, _ throws(GRPCStatus) in
                KeepAliveStream(stream: stream, service: lease)
            })
        routes.add(
            service: "etcdserverpb.Watch", "Watch",
            .streaming { stream, _ throws(GRPCStatus) in
                WatchStream(stream: stream, hub: watch.hub(on: stream.eventLoop), context: context)
            })
        routes.add(service: "etcdserverpb.Cluster", "MemberList", .plain(node.memberList))
        routes.add(service: "etcdserverpb.Maintenance", "Status", .plain(node.status))
        routes.add(service: "etcdserverpb.Maintenance", "Alarm", .plain(node.alarm))
        routes.add(service: "etcdserverpb.Auth", "Authenticate", .plain(node.authenticate))
        routes.add(service: "etcdserverpb.Auth", "AuthStatus", .plain(node.authStatus))
        routes.add(service: "grpc.health.v1.Health", "Check", .plain(node.health))
        for (service, methods, status) in NodeServices.refused {
            for method in methods {
                routes.add(service: service, method, .immediate { _, _ throws(GRPCStatus) in throw status })
            }
        }
        return routes
    }
}

extension GRPCMethod {
    /// A method over messages.
    fileprivate static func plain<Request: Message, Response: Message>(
        _ body: @escaping @Sendable (Request) throws(GRPCStatus) -> Response
    ) -> GRPCMethod {
        .immediate { buffer, _ throws(GRPCStatus) in try Messages.write(try body(try Messages.read(buffer))) }
    }
}

/// Messages from and to bytes.
enum Messages {
    /// Throws what Go's gRPC answers to bytes that are no such message.
    static func read<Content: Message>(_ buffer: ByteBuffer) throws(GRPCStatus) -> Content {
        do {
            return try Content(serializedBytes: Array(buffer.readableBytesView))
        } catch {
            throw GRPCStatus(.internalError, "grpc: error unmarshalling request: \(error)")
        }
    }

    static func write(_ message: some Message) throws(GRPCStatus) -> ByteBuffer {
        do {
            let bytes: [UInt8] = try message.serializedBytes()
            return ByteBuffer(bytes: bytes)
        } catch {
            throw GRPCStatus(.internalError, "grpc: error while marshaling: \(error)")
        }
    }
}
