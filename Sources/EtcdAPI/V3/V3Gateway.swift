import EtcdMessages
import GRPC
import HTTPTypes
import NIOCore
import NIOPosix
import SwiftProtobuf

/// etcd's JSON gateway: the v3 services as `POST /v3/…`, bytes as base64, 64-bit numbers as text, fields named as in
/// etcd's messages. `/v3beta/…` is the same, as in etcd 3.4.
///
/// It makes messages of the JSON and calls the methods of gRPC with them, whoever answers those.
struct V3Gateway: Sendable {
    /// A method, and what its messages are as JSON.
    private struct Route: Sendable {
        let path: String
        let method: GRPCMethod
        let read: @Sendable ([UInt8]) throws(GRPCStatus) -> ByteBuffer
        let write: @Sendable (ByteBuffer) throws(GRPCStatus) -> [UInt8]
        /// Whether the answer may be as far away as somebody else's unlocking.
        let waits: Bool
    }

    private static let prefixes = ["/v3/", "/v3beta/"]
    private let methods: [String: GRPCMethod]
    private var routes: [String: Route] = [:]

    /// - Parameter grpc: what answers, or refuses.
    init(_ grpc: GRPCRoutes) {
        methods = grpc.methods
        addKeys()
        addCluster()
        addUsers()
        addLocks()
    }

    private mutating func addKeys() {
        add("kv/range", "KV/Range", EtcdRangeRequest.self, EtcdRangeResponse.self)
        add("kv/put", "KV/Put", EtcdPutRequest.self, EtcdPutResponse.self)
        add("kv/deleterange", "KV/DeleteRange", EtcdDeleteRangeRequest.self, EtcdDeleteRangeResponse.self)
        add("kv/txn", "KV/Txn", EtcdTxnRequest.self, EtcdTxnResponse.self)
        add("kv/compaction", "KV/Compact", EtcdCompactionRequest.self, EtcdCompactionResponse.self)
        add("lease/grant", "Lease/LeaseGrant", EtcdLeaseGrantRequest.self, EtcdLeaseGrantResponse.self)
        for prefix in ["lease/", "kv/lease/"] {
            add(prefix + "revoke", "Lease/LeaseRevoke", EtcdLeaseRevokeRequest.self, EtcdLeaseRevokeResponse.self)
            add(
                prefix + "timetolive", "Lease/LeaseTimeToLive", EtcdLeaseTimeToLiveRequest.self,
                EtcdLeaseTimeToLiveResponse.self)
            add(prefix + "leases", "Lease/LeaseLeases", EtcdLeaseLeasesRequest.self, EtcdLeaseLeasesResponse.self)
        }
        add(
            "lease/keepalive", "Lease/LeaseKeepAlive", EtcdLeaseKeepAliveRequest.self, EtcdLeaseKeepAliveResponse.self)
        add("watch", "Watch/Watch", EtcdWatchRequest.self, EtcdWatchResponse.self)
    }

    private mutating func addCluster() {
        add("cluster/member/list", "Cluster/MemberList", EtcdMemberListRequest.self, EtcdMemberListResponse.self)
        add("cluster/member/add", "Cluster/MemberAdd", EtcdMemberAddRequest.self, EtcdMemberAddResponse.self)
        for name in ["Remove", "Update", "Promote"] {
            add(
                "cluster/member/\(name.lowercased())", "Cluster/Member\(name)", EtcdMemberRequest.self,
                EtcdMemberListResponse.self)
        }
        add("maintenance/status", "Maintenance/Status", EtcdStatusRequest.self, EtcdStatusResponse.self)
        add("maintenance/alarm", "Maintenance/Alarm", EtcdAlarmRequest.self, EtcdAlarmResponse.self)
        add("maintenance/defragment", "Maintenance/Defragment", EtcdEmptyRequest.self, EtcdHeaderResponse.self)
        add("maintenance/hash", "Maintenance/Hash", EtcdEmptyRequest.self, EtcdHashResponse.self)
        add("maintenance/snapshot", "Maintenance/Snapshot", EtcdEmptyRequest.self, EtcdSnapshotResponse.self)
        add(
            "maintenance/transfer-leadership", "Maintenance/MoveLeader", EtcdMoveLeaderRequest.self,
            EtcdHeaderResponse.self)
    }

    private mutating func addUsers() {
        add("auth/authenticate", "Auth/Authenticate", EtcdAuthenticateRequest.self, EtcdAuthenticateResponse.self)
        add("auth/status", "Auth/AuthStatus", EtcdAuthStatusRequest.self, EtcdAuthStatusResponse.self)
        add("auth/enable", "Auth/AuthEnable", EtcdEmptyRequest.self, EtcdHeaderResponse.self)
        add("auth/disable", "Auth/AuthDisable", EtcdEmptyRequest.self, EtcdHeaderResponse.self)
        add("auth/user/add", "Auth/UserAdd", EtcdUserAddRequest.self, EtcdHeaderResponse.self)
        add("auth/user/get", "Auth/UserGet", EtcdNameRequest.self, EtcdRolesResponse.self)
        add("auth/user/list", "Auth/UserList", EtcdEmptyRequest.self, EtcdUsersResponse.self)
        add("auth/user/delete", "Auth/UserDelete", EtcdNameRequest.self, EtcdHeaderResponse.self)
        add(
            "auth/user/changepw", "Auth/UserChangePassword", EtcdUserChangePasswordRequest.self,
            EtcdHeaderResponse.self)
        add("auth/user/grant", "Auth/UserGrantRole", EtcdUserGrantRoleRequest.self, EtcdHeaderResponse.self)
        add("auth/user/revoke", "Auth/UserRevokeRole", EtcdUserRevokeRoleRequest.self, EtcdHeaderResponse.self)
        add("auth/role/add", "Auth/RoleAdd", EtcdNameRequest.self, EtcdHeaderResponse.self)
        add("auth/role/get", "Auth/RoleGet", EtcdRoleRequest.self, EtcdRoleGetResponse.self)
        add("auth/role/list", "Auth/RoleList", EtcdEmptyRequest.self, EtcdRolesResponse.self)
        add("auth/role/delete", "Auth/RoleDelete", EtcdRoleRequest.self, EtcdHeaderResponse.self)
        add(
            "auth/role/grant", "Auth/RoleGrantPermission", EtcdRoleGrantPermissionRequest.self,
            EtcdHeaderResponse.self)
        add(
            "auth/role/revoke", "Auth/RoleRevokePermission", EtcdRoleRevokePermissionRequest.self,
            EtcdHeaderResponse.self)
    }

    private mutating func addLocks() {
        let (lock, election) = ("v3lockpb.Lock", "v3electionpb.Election")
        add("lock/lock", "Lock", of: lock, EtcdLockRequest.self, EtcdLockResponse.self, waits: true)
        add("lock/unlock", "Unlock", of: lock, EtcdKeyRequest.self, EtcdHeaderResponse.self)
        add(
            "election/campaign", "Campaign", of: election, EtcdCampaignRequest.self, EtcdCampaignResponse.self,
            waits: true)
        add("election/proclaim", "Proclaim", of: election, EtcdProclaimRequest.self, EtcdHeaderResponse.self)
        add("election/leader", "Leader", of: election, EtcdLeaderRequest.self, EtcdLeaderResponse.self)
        add("election/observe", "Observe", of: election, EtcdLeaderRequest.self, EtcdLeaderResponse.self)
        // Of a campaign only the leader is told.
        add("election/resign", "Resign", of: election, EtcdProclaimRequest.self, EtcdHeaderResponse.self)
    }

    private mutating func add<Request: Message, Response: Message>(
        _ path: String, _ name: String, _ request: Request.Type, _ response: Response.Type
    ) {
        let parts = name.split(separator: "/")
        guard let service = parts.first, let method = parts.last else { return }
        add(path, String(method), of: "etcdserverpb.\(service)", request, response)
    }

    private mutating func add<Request: Message, Response: Message>(
        _ path: String, _ name: String, of service: String, _ request: Request.Type, _ response: Response.Type,
        waits: Bool = false
    ) {
        let grpcPath = "/\(service)/\(name)"
        guard let method = methods[grpcPath] else { return }
        routes[path] = Route(
            path: grpcPath, method: method,
            read: { json throws(GRPCStatus) in try Messages.write(try GatewayJSON.read(json) as Request) },
            write: { bytes throws(GRPCStatus) in try GatewayJSON.write(try Messages.read(bytes) as Response) },
            waits: waits)
    }

    /// Whether a path is the gateway's to answer.
    static func serves(_ path: [UInt8]) -> Bool { prefixes.contains { path.starts(with: $0.utf8) } }

    /// - Parameter metadata: fields of the call, names in lower case.
    func answer(
        _ path: String, method: String, body: [UInt8], metadata: [(name: String, value: String)] = []
    ) -> EtcdAnswering {
        let name = Self.prefixes.first { path.hasPrefix($0) }.map { String(path.dropFirst($0.count)) } ?? ""
        guard let route = routes[name] else { return .now(.plain(404, "Not Found")) }
        guard method == "POST" else { return .now(.plain(405, "Method Not Allowed")) }
        do throws(GRPCStatus) {
            return try run(route, try route.read(body), GRPCCall(path: route.path, metadata: metadata, peer: "gateway"))
        } catch {
            return .now(Self.failed(error))
        }
    }

    private func run(_ route: Route, _ request: ByteBuffer, _ call: GRPCCall) throws(GRPCStatus) -> EtcdAnswering {
        switch route.method {
        case .immediate(let answer):
            return .now(try Self.answered(route, try answer(request, call)))
        case .immediateOrLater(let answer):
            switch try answer(request, call) {
            case .now(let bytes): return .now(try Self.answered(route, bytes))
            case .later(let answer): return .later { await Self.answer(route, answer) }
            }
        case .unary(let answer):
            let answered: @Sendable () async -> EtcdAnswer = {
                await Self.answer(route) { () throws(GRPCStatus) in try await answer(request, call) }
            }
            return route.waits ? .whileThere(answered) : .later(answered)
        case .streaming(let make):
            var answer = EtcdAnswer(status: 200, contentType: .json)
            answer.events = GatewayStream.start(request, write: route.write) { stream throws(GRPCStatus) in
                try make(stream, call)
            }
            return .now(answer)
        }
    }

    private static func answered(_ route: Route, _ bytes: ByteBuffer) throws(GRPCStatus) -> EtcdAnswer {
        EtcdAnswer(status: 200, contentType: .json, body: try route.write(bytes))
    }

    private static func answer(
        _ route: Route, _ answer: () async throws(GRPCStatus) -> ByteBuffer
    ) async -> EtcdAnswer {
        do throws(GRPCStatus) {
            return try answered(route, try await answer())
        } catch {
            return failed(error)
        }
    }

    private static func failed(_ status: GRPCStatus) -> EtcdAnswer {
        EtcdAnswer(status: status.gatewayStatus, contentType: .json, body: GatewayJSON.error(status))
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
