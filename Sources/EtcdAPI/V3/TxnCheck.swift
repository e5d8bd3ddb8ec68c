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
        var deletes = KeySpans()

        init(_ operations: [EtcdRequestOp]) throws(GRPCStatus) {
            var own: [KeySpans.Span] = []
            for case .requestDeleteRange(let request)? in operations.map(\.request) {
                // A range end of one zero byte is a key like others in this check, so that `[a, \0)` is empty.
                own.append(
                    .init(start: request.key, end: request.rangeEnd.isEmpty ? request.key + [0] : request.rangeEnd))
            }
            deletes.add(own)
            for case .requestTxn(let request)? in operations.map(\.request) {
                let then = try Touched(request.success)
                let otherwise = try Touched(request.failure)
                for key in then.puts { try add(key) }
                // The two branches may put the same key: only one of them runs.
                for key in otherwise.puts where !then.puts.contains(key) { try add(key) }
                deletes.add(then.deletes.spans + otherwise.deletes.spans)
            }
            for case .requestPut(let request)? in operations.map(\.request) { try add(request.key) }
        }

        private mutating func add(_ key: Data) throws(GRPCStatus) {
            guard !deletes.contains(key), puts.insert(key).inserted else { throw .duplicateKey }
        }
    }
}

/// A set of keys as ranges that do not touch, in order.
struct KeySpans {
    struct Span {
        let start: Data
        /// The first key after it.
        var end: Data
    }

    private(set) var spans: [Span] = []

    /// O(n log n): a list of operations adds a few times only.
    mutating func add(_ more: [Span]) {
        let all = (spans + more.filter { $0.start.lexicographicallyPrecedes($0.end) }).sorted {
            $0.start.lexicographicallyPrecedes($1.start)
        }
        spans = []
        for span in all {
            if let last = spans.last, !last.end.lexicographicallyPrecedes(span.start) {
                if last.end.lexicographicallyPrecedes(span.end) { spans[spans.count - 1].end = span.end }
            } else {
                spans.append(span)
            }
        }
    }

    func contains(_ key: Data) -> Bool {
        var low = 0
        var high = spans.count
        while low < high {
            let middle = (low + high) / 2
            if key.lexicographicallyPrecedes(spans[middle].start) { high = middle } else { low = middle + 1 }
        }
        return low > 0 && key.lexicographicallyPrecedes(spans[low - 1].end)
    }
}
