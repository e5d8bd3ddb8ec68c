import GRPC
import RegistryStore

/// The errors of etcd's v3 services, in the words of etcd 3.4 (etcdserver/api/v3rpc/rpctypes/error.go).
extension GRPCStatus {
    static let emptyKey = GRPCStatus(.invalidArgument, "etcdserver: key is not provided")
    static let keyNotFound = GRPCStatus(.invalidArgument, "etcdserver: key not found")
    static let valueProvided = GRPCStatus(.invalidArgument, "etcdserver: value is provided")
    static let leaseProvided = GRPCStatus(.invalidArgument, "etcdserver: lease is provided")
    static let tooManyOperations = GRPCStatus(
        .invalidArgument, "etcdserver: too many operations in txn request")
    static let duplicateKey = GRPCStatus(.invalidArgument, "etcdserver: duplicate key given in txn request")
    static let requestTooLarge = GRPCStatus(.invalidArgument, "etcdserver: request is too large")
    static let compacted = GRPCStatus(.outOfRange, "etcdserver: mvcc: required revision has been compacted")
    static let futureRevision = GRPCStatus(.outOfRange, "etcdserver: mvcc: required revision is a future revision")
    static let noSpace = GRPCStatus(.resourceExhausted, "etcdserver: mvcc: database space exceeded")
    static let leaseNotFound = GRPCStatus(.notFound, "etcdserver: requested lease not found")
    static let leaseExists = GRPCStatus(.failedPrecondition, "etcdserver: lease already exists")
    static let leaseTooLong = GRPCStatus(.outOfRange, "etcdserver: too large lease TTL")
    static let leaseElsewhere = GRPCStatus(
        .unavailable, "regdns: the lease is not known here; it may be at another node")
    static let authenticationOff = GRPCStatus(
        .failedPrecondition, "etcdserver: authentication is not enabled")
    static let locksRefused = GRPCStatus(
        .failedPrecondition, "regdns: locks and elections need --store etcd")

    /// What a refusal of the store is to a v3 client.
    init(_ error: RegistryError) {
        switch error {
        case .notFound, .preconditionFailed: self = .keyNotFound
        case .unknownLease: self = .leaseNotFound
        case .leaseExists: self = .leaseExists
        case .compacted: self = .compacted
        case .futureRevision: self = .futureRevision
        case .limitExceeded("value_bytes", _, _), .limitExceeded("intents", _, _): self = .requestTooLarge
        case .limitExceeded("memory_bytes", _, _), .limitExceeded("entries", _, _): self = .noSpace
        case .limitExceeded("lease_milliseconds", _, _): self = .leaseTooLong
        case .limitExceeded("key_bytes", let value, let bound):
            self.init(.invalidArgument, "regdns: the key has \(value) bytes; at most \(bound)")
        case .limitExceeded(let limit, let value, let bound):
            self.init(.resourceExhausted, "regdns: \(limit): \(value) would be more than \(bound)")
        case .invalid(let field, let value, let expected):
            self.init(.invalidArgument, "regdns: \(field): \(value): expected \(expected)")
        case .unavailable(let reason, _): self.init(.unavailable, "regdns: \(reason)")
        }
    }
}
