import EtcdMessages
import FoundationEssentials
import GRPC
import RegistryStore

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
        var puts: Set<[UInt8]> = []
        var deletes = KeyRangeSet()

        init(_ operations: [EtcdRequestOp]) throws(GRPCStatus) {
            var own: [KeyRange] = []
            for case .requestDeleteRange(let request)? in operations.map(\.request) {
                let (key, end) = (Array(request.key), Array(request.rangeEnd))
                // A range end of one zero byte is a key like others in this check, so that `[a, \0)` is empty.
                own.append(KeyRange(lower: key, upper: end.isEmpty ? key + [0] : end))
            }
            deletes.add(own)
            for case .requestTxn(let request)? in operations.map(\.request) {
                let then = try Touched(request.success)
                let otherwise = try Touched(request.failure)
                for key in then.puts { try add(key) }
                // The two branches may put the same key: only one of them runs.
                for key in otherwise.puts where !then.puts.contains(key) { try add(key) }
                deletes.add(then.deletes.ranges + otherwise.deletes.ranges)
            }
            for case .requestPut(let request)? in operations.map(\.request) { try add(Array(request.key)) }
        }

        private mutating func add(_ key: [UInt8]) throws(GRPCStatus) {
            guard !deletes.contains(key), puts.insert(key).inserted else { throw .duplicateKey }
        }
    }
}

/// A set of keys as ranges that do not touch, in order.
struct KeyRangeSet {
    private(set) var ranges: [KeyRange] = []

    /// O(n log n): a list of operations adds a few times only.
    mutating func add(_ more: [KeyRange]) {
        let all = (ranges + more.filter { !$0.isEmpty }).sorted { $0.lower.lexicographicallyPrecedes($1.lower) }
        ranges = []
        for range in all {
            if let joined = ranges.last?.joined(with: range) {
                ranges[ranges.count - 1] = joined
            } else {
                ranges.append(range)
            }
        }
    }

    func contains(_ key: [UInt8]) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if key.lexicographicallyPrecedes(ranges[middle].lower) { high = middle } else { low = middle + 1 }
        }
        return low > 0 && ranges[low - 1].contains(key)
    }
}
