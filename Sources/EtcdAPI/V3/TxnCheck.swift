import EtcdMessages
import FoundationEssentials
import GRPC

/// What etcd refuses of a transaction before it looks at any key (etcdserver/api/v3rpc/key.go).
enum TxnCheck {
    /// Operations, or conditions, of one list, those of enclosing transactions counted in.
    static let operationsMax = 128

    static func check(_ request: EtcdTxnRequest) throws(GRPCStatus) {
        try checkForm(request, room: operationsMax)
        _ = try Touched(request.success)
        _ = try Touched(request.failure)
    }

    /// Keys are there, flags agree, and there are not too many operations. The room shrinks with the depth, so the
    /// recursion is bounded, as it is by the decoder's.
    private static func checkForm(_ request: EtcdTxnRequest, room: Int) throws(GRPCStatus) {
        let count = max(request.compare.count, request.success.count, request.failure.count)
        guard count <= room else { throw .tooManyOperations }
        for compare in request.compare where compare.key.isEmpty { throw .emptyKey }
        for operation in request.success { try checkForm(operation, room: room - count) }
        for operation in request.failure { try checkForm(operation, room: room - count) }
    }

    private static func checkForm(_ operation: EtcdRequestOp, room: Int) throws(GRPCStatus) {
        switch operation.request {
        case .requestRange(let request): if request.key.isEmpty { throw .emptyKey }
        case .requestPut(let request): try KVService.check(request)
        case .requestDeleteRange(let request): if request.key.isEmpty { throw .emptyKey }
        case .requestTxn(let request): try checkForm(request, room: room)
        case nil: throw .keyNotFound
        }
    }

    /// Whether a transaction only reads: such a one has no bound on its length.
    static func isReadOnly(_ request: EtcdTxnRequest) -> Bool {
        (request.success + request.failure).allSatisfy { operation in
            switch operation.request {
            case .requestRange: true
            case .requestTxn(let inner): isReadOnly(inner)
            case .requestPut, .requestDeleteRange, nil: false
            }
        }
    }

    /// What a list of operations writes; making it finds keys that would be written twice.
    private struct Touched {
        var puts: Set<Data> = []
        var deletes: [Deleted] = []

        init(_ operations: [EtcdRequestOp]) throws(GRPCStatus) {
            for case .requestDeleteRange(let request)? in operations.map(\.request) {
                deletes.append(Deleted(key: request.key, end: request.rangeEnd))
            }
            for case .requestTxn(let request)? in operations.map(\.request) {
                let then = try Touched(request.success)
                let otherwise = try Touched(request.failure)
                for key in then.puts { try add(key) }
                // The two branches may put the same key: only one of them runs.
                for key in otherwise.puts where !then.puts.contains(key) { try add(key) }
                deletes += then.deletes + otherwise.deletes
            }
            for case .requestPut(let request)? in operations.map(\.request) { try add(request.key) }
        }

        private mutating func add(_ key: Data) throws(GRPCStatus) {
            guard puts.insert(key).inserted, !deletes.contains(where: { $0.covers(key) }) else { throw .duplicateKey }
        }
    }

    /// A deleted range as etcd's check sees it: here a range end of one zero byte is a key like others, so that
    /// `[a, \0)` covers `a` alone.
    private struct Deleted {
        let key: Data
        let end: Data?

        init(key: Data, end: Data) {
            self.key = key
            self.end = end.isEmpty ? nil : end
        }

        func covers(_ put: Data) -> Bool {
            guard let end else { return put == key }
            return put == key || (key.lexicographicallyPrecedes(put) && put.lexicographicallyPrecedes(end))
        }
    }
}
