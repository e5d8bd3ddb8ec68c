import EtcdMessages
import GRPC
import RegistryStore

extension KVService {
    /// - Parameter bytes: the length of the request, which is bounded when it writes.
    func txn(_ request: EtcdTxnRequest, bytes: Int = 0) throws(GRPCStatus) -> EtcdTxnResponse {
        try TxnCheck.check(request)
        if !TxnCheck.isReadOnly(request) { try Self.check(bytes: bytes) }
        if context.configuration.hasSeveralMembers, LockShape.isLock(request, layout: context.registry.layout) {
            context.metrics.count { $0.locksRefused += 1 }
            throw .locksRefused
        }
        let steps = [try step(request)]
        let (results, receipt): ([StepResult], Receipt)
        do throws(RegistryError) {
            (results, receipt) = try context.registry.transact(steps)
        } catch {
            throw GRPCStatus(error)
        }
        guard case .branch(let succeeded, let inner)? = results.first else {
            throw GRPCStatus(.internalError, "regdns: a transaction without a result")
        }
        var progress = TxnProgress(before: receipt.changes.isEmpty ? receipt.revision : receipt.revision &- 1)
        var response = EtcdTxnResponse()
        response.header = context.header(receipt.revision)
        response.succeeded = succeeded
        response.responses = try responses(succeeded ? request.success : request.failure, inner, &progress)
        return response
    }

    // MARK: Requests as steps

    private func step(_ request: EtcdTxnRequest) throws(GRPCStatus) -> Step {
        .branch(
            conditions: request.compare.map { CompareRule($0).condition(context) },
            then: try request.success.map { operation throws(GRPCStatus) in try step(operation) },
            otherwise: try request.failure.map { operation throws(GRPCStatus) in try step(operation) })
    }

    private func step(_ operation: EtcdRequestOp) throws(GRPCStatus) -> Step {
        switch operation.request {
        case .requestRange(let request):
            let query = try RangeQuery(request, context)
            return .range(
                namespace: context.namespace, lower: query.keys.lower, upper: query.keys.upper,
                limit: query.storeLimit, at: query.past)
        case .requestPut(let request): return .intent(Self.intent(request, context.namespace))
        case .requestDeleteRange(let request): return .intent(Self.intent(request, context.namespace))
        case .requestTxn(let request): return try step(request)
        case nil: throw .keyNotFound
        }
    }

    // MARK: Results as responses

    /// The revision that a reader inside a transaction sees: one more from the first write on.
    private struct TxnProgress {
        let before: Int64
        var hasWritten = false
        /// What the answers of all its operations together may take.
        var room = AnswerRoom()
        var revision: Int64 { hasWritten ? before + 1 : before }
    }

    private func responses(
        _ operations: [EtcdRequestOp], _ results: [StepResult], _ progress: inout TxnProgress
    ) throws(GRPCStatus) -> [EtcdResponseOp] {
        var responses: [EtcdResponseOp] = []
        responses.reserveCapacity(results.count)
        for (operation, result) in zip(operations, results) {
            var response = EtcdResponseOp()
            switch (operation.request, result) {
            case (.requestRange(let request), .range(let found)):
                let answer = try RangeQuery(request, context).answer(found, context)
                response.responseRange = try self.response(answer, header: innerHeader(progress), &progress.room)
            case (.requestPut(let request), .changes(let changes)):
                progress.hasWritten = true
                var put = EtcdPutResponse()
                put.header = innerHeader(progress)
                if request.prevKv, let previous = changes.last?.previous { put.prevKv = context.keyValue(previous) }
                response.responsePut = put
            case (.requestDeleteRange(let request), .changes(let changes)):
                if !changes.isEmpty { progress.hasWritten = true }
                response.responseDeleteRange = try self.response(
                    to: request, changes, header: innerHeader(progress), &progress.room)
            case (.requestTxn(let request), .branch(let succeeded, let inner)):
                var txn = EtcdTxnResponse()
                txn.header = EtcdResponseHeader()
                txn.succeeded = succeeded
                txn.responses = try self.responses(succeeded ? request.success : request.failure, inner, &progress)
                response.responseTxn = txn
            default:
                throw GRPCStatus(.internalError, "regdns: a transaction's results do not match its operations")
            }
            responses.append(response)
        }
        return responses
    }

    /// Inside a transaction headers say nothing but the revision.
    private func innerHeader(_ progress: TxnProgress) -> EtcdResponseHeader {
        var header = EtcdResponseHeader()
        header.revision = context.keyspace.index(of: progress.revision)
        return header
    }
}
