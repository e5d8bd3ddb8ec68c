import EtcdMessages
import GRPC
import NIOCore
import RegistryStore
import SwiftProtobuf

/// The methods of `KV` over bytes. What many keys take part in is done away from the connection's event loop.
extension KVService {
    /// `Put` without a message object for the answer.
    var putMethod: GRPCMethod {
        context.kept { buffer, _ throws(GRPCStatus) in
            let request: EtcdPutRequest = try Messages.read(buffer)
            let receipt = try write(request, bytes: buffer.readableBytes)
            var answer = ByteBuffer()
            context.wireHeader(receipt.revision).write(into: &answer)
            if request.prevKv, let previous = receipt.changes.last?.previous {
                context.wireKeyValue(previous).write(2, into: &answer)
            }
            return answer
        }
    }

    /// `Range` without message objects for the keys.
    var rangeMethod: GRPCMethod {
        .immediateOrLater { buffer, _ throws(GRPCStatus) in
            let query = try RangeQuery(try Messages.read(buffer), context)
            return try answer(isLong: isLong(query)) { () throws(GRPCStatus) in try bytes(of: query) }
        }
    }

    var deleteRangeMethod: GRPCMethod {
        .immediateOrLater { buffer, _ throws(GRPCStatus) in
            let request: EtcdDeleteRangeRequest = try Messages.read(buffer)
            let isLong = holdsMany(KeyRange(key: request.key, end: request.rangeEnd))
            return try answer(isLong: isLong, mayWrite: true) { () throws(GRPCStatus) in
                try Messages.write(try deleteRange(request, bytes: buffer.readableBytes))
            }
        }
    }

    var txnMethod: GRPCMethod {
        .immediateOrLater { buffer, _ throws(GRPCStatus) in
            let request: EtcdTxnRequest = try Messages.read(buffer)
            return try answer(isLong: isLong(request), mayWrite: !TxnCheck.isReadOnly(request)) {
                () throws(GRPCStatus) in
                try Messages.write(try txn(request, bytes: buffer.readableBytes))
            }
        }
    }

    private func answer(
        isLong: Bool, mayWrite: Bool = false, _ body: @escaping @Sendable () throws(GRPCStatus) -> ByteBuffer
    ) throws(GRPCStatus) -> GRPCAnswer {
        guard isLong else { return mayWrite ? try context.kept(body) : .now(try body()) }
        let longAnswers = context.keyspace.longAnswers
        return .later { () throws(GRPCStatus) in
            let answer = try await longAnswers.make { () throws(GRPCStatus) in
                // Its turn may come when nobody waits any more.
                if Task.isCancelled { throw GRPCStatus(.cancelled, "context canceled") }
                return try body()
            }
            if mayWrite { try await context.settle() }
            return answer
        }
    }

    private func bytes(of query: RangeQuery) throws(GRPCStatus) -> ByteBuffer {
        let (found, revision) = try find(query)
        var room = AnswerRoom()
        var answer = ByteBuffer()
        context.wireHeader(revision).write(into: &answer)
        for entry in found.entries {
            let keyValue = context.wireKeyValue(entry, withValue: found.withValues)
            try room.take(keyValue.bytes)
            keyValue.write(2, into: &answer)
        }
        answer.writeField(3, found.more)
        answer.writeField(4, Int64(found.count))
        return answer
    }

    // MARK: What takes long

    private func isLong(_ query: RangeQuery) -> Bool {
        query.storeLimit > LongAnswers.keys && holdsMany(query.keys)
    }

    /// Whether a range has many keys now.
    private func holdsMany(_ keys: KeyRange) -> Bool {
        guard !keys.isOneKey else { return false }
        let found = context.registry.range(
            namespace: context.namespace, lower: keys.lower, upper: keys.upper, limit: 0)
        return found.totalCount > LongAnswers.keys
    }

    private func isLong(_ request: EtcdTxnRequest) -> Bool {
        request.compare.contains { !$0.rangeEnd.isEmpty && holdsMany(KeyRange(key: $0.key, end: $0.rangeEnd)) }
            || request.success.contains(where: isLong) || request.failure.contains(where: isLong)
    }

    private func isLong(_ operation: EtcdRequestOp) -> Bool {
        switch operation.request {
        case .requestRange(let request):
            !request.countOnly && !request.rangeEnd.isEmpty
                && holdsMany(KeyRange(key: request.key, end: request.rangeEnd))
        case .requestDeleteRange(let request):
            !request.rangeEnd.isEmpty && holdsMany(KeyRange(key: request.key, end: request.rangeEnd))
        case .requestTxn(let request): isLong(request)
        case .requestPut, nil: false
        }
    }
}

/// How long an answer may still become.
struct AnswerRoom {
    /// What one connection may hold; more could not be sent.
    static let bytesMax = GRPCServerConfiguration().connectionHeldBytesMax
    private var left = bytesMax

    mutating func take(_ bytes: Int) throws(GRPCStatus) {
        left -= bytes
        if left < 0 {
            throw GRPCStatus(
                .resourceExhausted, "regdns: the answer has more than \(Self.bytesMax) bytes: ask for fewer keys")
        }
    }
}
