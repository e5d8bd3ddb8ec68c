import EtcdMessages
import GRPC
import HTTPTypes
import NIOCore
import NIOPosix
import SwiftProtobuf

/// etcd's JSON gateway: the v3 services as `POST /v3/…`, bytes as base64, 64-bit numbers as text, fields named as in
/// etcd's messages. `/v3beta/…` is the same, as in etcd 3.4.
struct V3Gateway: Sendable {
    /// How a route answers: the body as JSON, or lines that come one by one.
    private enum Route: Sendable {
        case whole(@Sendable ([UInt8]) throws(GRPCStatus) -> [UInt8])
        case watch
    }

    private static let prefixes = ["/v3/", "/v3beta/"]
    let v3: EtcdV3
    private var routes: [String: Route] = [:]

    init(_ v3: EtcdV3) {
        self.v3 = v3
        let (kv, lease, node) = (v3.kv, v3.lease, v3.node)
        add("kv/range", kv.range)
        add("kv/put", sized: kv.put)
        add("kv/deleterange", sized: kv.deleteRange)
        add("kv/txn", sized: kv.txn)
        add("kv/compaction", kv.compact)
        add("lease/grant", lease.grant)
        for prefix in ["lease/", "kv/lease/"] {
            add(prefix + "revoke", lease.revoke)
            add(prefix + "timetolive", lease.timeToLive)
            add(prefix + "leases", lease.leases)
        }
        // A stream of which a client over HTTP can send one message.
        add("lease/keepalive", lease.keepAlive, asResult: true)
        add("cluster/member/list", node.memberList)
        add("maintenance/status", node.status)
        add("maintenance/alarm", node.alarm)
        add("auth/authenticate", node.authenticate)
        add("auth/status", node.authStatus)
        routes["watch"] = .watch
        for (paths, status) in NodeServices.refusedPaths {
            for path in paths { routes[path] = .whole { _ throws(GRPCStatus) in throw status } }
        }
    }

    private mutating func add<Request: Message, Response: Message>(
        _ path: String, _ body: @escaping @Sendable (Request) throws(GRPCStatus) -> Response, asResult: Bool = false
    ) {
        routes[path] = .whole { json throws(GRPCStatus) in
            let answer = try GatewayJSON.write(try body(try GatewayJSON.read(json)))
            return asResult ? GatewayJSON.result(answer) : answer
        }
    }

    private mutating func add<Request: Message, Response: Message>(
        _ path: String, sized body: @escaping @Sendable (Request, Int) throws(GRPCStatus) -> Response
    ) {
        routes[path] = .whole { json throws(GRPCStatus) in
            let request: Request = try GatewayJSON.read(json)
            return try GatewayJSON.write(try body(request, try Messages.write(request).readableBytes))
        }
    }

    /// Whether a path is the gateway's to answer.
    static func serves(_ path: [UInt8]) -> Bool { prefixes.contains { path.starts(with: $0.utf8) } }

    func answer(_ path: String, method: String, body: [UInt8]) -> EtcdAnswer {
        let name = Self.prefixes.first { path.hasPrefix($0) }.map { String(path.dropFirst($0.count)) } ?? ""
        guard let route = routes[name] else { return .gatewayText(404, "Not Found") }
        guard method == "POST" else { return .gatewayText(405, "Method Not Allowed") }
        do throws(GRPCStatus) {
            var answer = EtcdAnswer(status: 200, contentType: .json)
            switch route {
            case .whole(let run): answer.body = try run(body)
            case .watch:
                let request: EtcdWatchRequest = try GatewayJSON.read(body)
                answer.events = GatewayWatch.start(try Messages.write(request), v3)
            }
            return answer
        } catch {
            return EtcdAnswer(
                status: error.gatewayStatus, contentType: .json, body: GatewayJSON.error(error))
        }
    }
}

/// Messages as the gateway reads and writes them.
enum GatewayJSON {
    static func read<Content: Message>(_ json: [UInt8]) throws(GRPCStatus) -> Content {
        // No body is an empty message.
        guard !json.isEmpty else { return Content() }
        var options = JSONDecodingOptions()
        options.ignoreUnknownFields = true
        do {
            return try Content(jsonUTF8Bytes: json, options: options)
        } catch {
            throw GRPCStatus(.invalidArgument, "regdns: the body is no such message: \(error)")
        }
    }

    static func write(_ message: some Message) throws(GRPCStatus) -> [UInt8] {
        var options = JSONEncodingOptions()
        options.preserveProtoFieldNames = true
        do {
            return try message.jsonUTF8Bytes(options: options)
        } catch {
            throw GRPCStatus(.internalError, "regdns: the answer is no JSON: \(error)")
        }
    }

    /// One message of a stream: a line.
    static func result(_ message: [UInt8]) -> [UInt8] { Array("{\"result\":".utf8) + message + Array("}\n".utf8) }

    static func error(_ status: GRPCStatus) -> [UInt8] {
        var json = GoJSON()
        json.raw("{\"error\":")
        json.string(status.message)
        json.raw(",\"message\":")
        json.string(status.message)
        json.raw(",\"code\":\(status.code.rawValue)}")
        return json.bytes
    }
}

extension GRPCStatus {
    /// The HTTP status that etcd 3.4's gateway (grpc-gateway 1.9) gives.
    var gatewayStatus: Int {
        switch code {
        case .ok: 200
        case .cancelled: 408
        case .invalidArgument, .outOfRange: 400
        case .deadlineExceeded: 504
        case .notFound: 404
        case .alreadyExists, .aborted: 409
        case .permissionDenied: 403
        case .unauthenticated: 401
        case .resourceExhausted: 429
        case .failedPrecondition: 412
        case .unimplemented: 501
        case .unavailable: 503
        case .unknown, .internalError, .dataLoss: 500
        }
    }
}

extension EtcdAnswer {
    fileprivate static func gatewayText(_ status: Int, _ text: String) -> EtcdAnswer { .plain(status, text) }
}
