import EtcdMessages
import GRPC
import RegistryStore

/// The parts of etcd's services `Cluster`, `Maintenance` and `Auth`, and of gRPC's health service, that a node answers
/// for itself: it shows itself as a cluster of one.
struct NodeServices: Sendable {
    let context: V3Context
    let etcdAddresses: @Sendable () -> [EtcdAddress]

    func memberList(_ request: EtcdMemberListRequest) throws(GRPCStatus) -> EtcdMemberListResponse {
        var member = EtcdMember()
        member.id = context.memberID
        member.name = context.registry.node
        member.clientUrls = etcdAddresses().filter { !$0.isWildcard }.map(\.url)
        var response = EtcdMemberListResponse()
        response.header = context.localHeader()
        response.members = [member]
        return response
    }

    func status(_ request: EtcdStatusRequest) throws(GRPCStatus) -> EtcdStatusResponse {
        let counts = context.registry.counts()
        let size = Int64(counts.entryBytes &+ counts.feedBytes)
        var response = EtcdStatusResponse()
        response.header = context.header(counts.revision)
        response.version = EtcdHTTPHandler.version
        response.dbSize = size
        response.dbSizeInUse = size
        response.leader = context.memberID
        response.raftIndex = UInt64(max(0, response.header.revision))
        response.raftAppliedIndex = response.raftIndex
        response.raftTerm = V3Context.raftTerm
        return response
    }

    func alarm(_ request: EtcdAlarmRequest) throws(GRPCStatus) -> EtcdAlarmResponse {
        guard request.action == .get else {
            throw GRPCStatus(.failedPrecondition, "regdns: alarms are not kept here; they are with --store etcd")
        }
        var response = EtcdAlarmResponse()
        response.header = context.header()
        return response
    }

    func authenticate(_ request: EtcdAuthenticateRequest) throws(GRPCStatus) -> EtcdAuthenticateResponse {
        throw .authenticationOff
    }

    func authStatus(_ request: EtcdAuthStatusRequest) throws(GRPCStatus) -> EtcdAuthStatusResponse {
        var response = EtcdAuthStatusResponse()
        response.header = context.header()
        return response
    }

    func health(_ request: EtcdHealthCheckRequest) throws(GRPCStatus) -> EtcdHealthCheckResponse {
        var response = EtcdHealthCheckResponse()
        response.status = .serving
        return response
    }

    // MARK: What is refused

    private static let membersFixed = GRPCStatus(
        .failedPrecondition, "regdns: members are not changed by etcd's calls; see --join")
    private static let noLeader = GRPCStatus(
        .failedPrecondition, "regdns: a node has no leader but itself; see --store etcd")
    private static let usersFixed = GRPCStatus(
        .failedPrecondition, "regdns: users are not changed by etcd's calls; see --auth")
    private static let noDatabase = GRPCStatus(.unimplemented, "regdns: there is no database file; see --store etcd")
    private static let noLocks = GRPCStatus(.unimplemented, "regdns: locks need --store etcd")
    private static let noElections = GRPCStatus(.unimplemented, "regdns: elections need --store etcd")

    /// What is known and not served: service, method, and why.
    static let refused: [(service: String, methods: [String], status: GRPCStatus)] = [
        (
            "etcdserverpb.Cluster", ["MemberAdd", "MemberRemove", "MemberUpdate", "MemberPromote"],
            membersFixed
        ),
        (
            "etcdserverpb.Maintenance", ["MoveLeader", "Downgrade"],
            noLeader
        ),
        (
            "etcdserverpb.Auth",
            [
                "AuthEnable", "AuthDisable", "UserAdd", "UserGet", "UserList", "UserDelete", "UserChangePassword",
                "UserGrantRole", "UserRevokeRole", "RoleAdd", "RoleGet", "RoleList", "RoleDelete",
                "RoleGrantPermission", "RoleRevokePermission",
            ],
            usersFixed
        ),
        (
            "etcdserverpb.Maintenance", ["Snapshot", "Defragment", "Hash", "HashKV"],
            noDatabase
        ),
        (
            "v3lockpb.Lock", ["Lock", "Unlock"],
            noLocks
        ),
        (
            "v3electionpb.Election", ["Campaign", "Proclaim", "Leader", "Observe", "Resign"],
            noElections
        ),
    ]
}
