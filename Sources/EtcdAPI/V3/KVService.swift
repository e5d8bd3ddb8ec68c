import EtcdMessages
import FoundationEssentials
import GRPC
import NIOCore
import RegistryStore

/// etcd's service `KV`: the keys of the store with revisions, conditions and transactions.
struct KVService: Sendable {
    let context: V3Context
    /// Bytes of a request to write, as etcd counts them (1.5 MiB, with what it wraps around a request).
    static let requestBytesMax = 1_572_864
    private static let wrapperBytes = 17

    private var registry: Registry { context.registry }
    private var namespace: Namespace { context.namespace }

    // MARK: Reading

    func range(_ request: EtcdRangeRequest) throws(GRPCStatus) -> EtcdRangeResponse {
        let (answer, revision) = try find(try RangeQuery(request, context))
        var room = AnswerRoom()
        return try response(answer, header: context.header(revision), &room)
    }

    /// The entries asked for, and the revision of the store when they were read.
    func find(_ query: RangeQuery) throws(GRPCStatus) -> (RangeQuery.Answer, revision: Int64) {
        let found: RangeResult
        if let past = query.past {
            do throws(RegistryError) {
                found = try registry.range(
                    namespace: namespace, lower: query.keys.lower, upper: query.keys.upper, limit: query.storeLimit,
                    at: past)
            } catch {
                throw GRPCStatus(error)
            }
        } else {
            found = registry.range(
                namespace: namespace, lower: query.keys.lower, upper: query.keys.upper, limit: query.storeLimit)
        }
        return (query.answer(found, context), found.revision)
    }

    func response(
        _ answer: RangeQuery.Answer, header: EtcdResponseHeader, _ room: inout AnswerRoom
    ) throws(GRPCStatus) -> EtcdRangeResponse {
        var response = EtcdRangeResponse()
        response.header = header
        response.kvs = try keyValues(answer.entries, withValues: answer.withValues, &room)
        response.more = answer.more
        response.count = Int64(answer.count)
        return response
    }

    // MARK: Writing

    /// - Parameter bytes: the length of the request, which is bounded.
    func put(_ request: EtcdPutRequest, bytes: Int = 0) throws(GRPCStatus) -> EtcdPutResponse {
        let receipt = try write(request, bytes: bytes)
        var response = EtcdPutResponse()
        response.header = context.header(receipt.revision)
        if request.prevKv, let previous = receipt.changes.last?.previous {
            response.prevKv = context.keyValue(previous)
        }
        return response
    }

    func write(_ request: EtcdPutRequest, bytes: Int) throws(GRPCStatus) -> Receipt {
        try Self.check(request)
        try Self.check(bytes: bytes)
        // etcd looks for the lease before the key.
        if request.ignoreValue, request.lease != 0, registry.lease(LeaseID(request.lease)) == nil {
            throw .leaseNotFound
        }
        do throws(RegistryError) {
            return try registry.apply([Self.intent(request, namespace)])
        } catch {
            throw GRPCStatus(error)
        }
    }

    /// - Parameter bytes: the length of the request, which is bounded.
    func deleteRange(_ request: EtcdDeleteRangeRequest, bytes: Int = 0) throws(GRPCStatus) -> EtcdDeleteRangeResponse {
        guard !request.key.isEmpty else { throw .emptyKey }
        try Self.check(bytes: bytes)
        let receipt: Receipt
        do throws(RegistryError) {
            receipt = try registry.apply([Self.intent(request, namespace)])
        } catch {
            throw GRPCStatus(error)
        }
        var room = AnswerRoom()
        return try response(to: request, receipt.changes, header: context.header(receipt.revision), &room)
    }

    func response(
        to request: EtcdDeleteRangeRequest, _ changes: [Change], header: EtcdResponseHeader, _ room: inout AnswerRoom
    ) throws(GRPCStatus) -> EtcdDeleteRangeResponse {
        var response = EtcdDeleteRangeResponse()
        response.header = header
        response.deleted = Int64(changes.count)
        if request.prevKv {
            response.prevKvs = try keyValues(changes.compactMap(\.previous), withValues: true, &room)
        }
        return response
    }

    private func keyValues(
        _ entries: [Entry], withValues: Bool, _ room: inout AnswerRoom
    ) throws(GRPCStatus) -> [EtcdKeyValue] {
        var keyValues: [EtcdKeyValue] = []
        keyValues.reserveCapacity(entries.count)
        for entry in entries {
            let keyValue = context.keyValue(entry, withValue: withValues)
            try room.take(keyValue.key.count + keyValue.value.count)
            keyValues.append(keyValue)
        }
        return keyValues
    }

    func compact(_ request: EtcdCompactionRequest) throws(GRPCStatus) -> EtcdCompactionResponse {
        try context.compact(through: request.revision)
        var response = EtcdCompactionResponse()
        response.header = context.header()
        return response
    }

    // MARK: Requests

    static func check(_ request: EtcdPutRequest) throws(GRPCStatus) {
        guard !request.key.isEmpty else { throw .emptyKey }
        if request.ignoreValue, !request.value.isEmpty { throw .valueProvided }
        if request.ignoreLease, request.lease != 0 { throw .leaseProvided }
    }

    static func check(bytes: Int) throws(GRPCStatus) {
        if bytes > requestBytesMax - wrapperBytes { throw .requestTooLarge }
    }

    static func intent(_ request: EtcdPutRequest, _ namespace: Namespace) -> Intent {
        let lease: LeaseRequest
        if request.ignoreLease {
            lease = .keep
        } else {
            lease = request.lease == 0 ? .permanent : .shared(LeaseID(request.lease))
        }
        return .put(
            namespace: namespace, key: Array(request.key),
            value: request.ignoreValue ? nil : .bytes(Array(request.value)), lease: lease,
            preconditions: request.ignoreValue || request.ignoreLease ? [.exists] : [])
    }

    static func intent(_ request: EtcdDeleteRangeRequest, _ namespace: Namespace) -> Intent {
        let keys = KeyRange(key: request.key, end: request.rangeEnd)
        if request.rangeEnd.isEmpty { return .delete(namespace: namespace, key: keys.lower) }
        return .deleteRange(namespace: namespace, lower: keys.lower, upper: keys.upper)
    }
}
