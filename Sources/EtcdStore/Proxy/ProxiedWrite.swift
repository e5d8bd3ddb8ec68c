import EtcdMessages
import GRPC
import NIOCore
import RegistryStore

/// What a write that is passed on means for this node's copy: up to which revision it must come before the writer is
/// answered, so that names are as he was told. Writes beside the followed keys, or without an effect, need no waiting.
struct ProxiedWrite {
    let keys: ClusterKeys
    let registry: Registry

    /// Looks at a request before it goes out, and returns how its answer is to be looked at; nil for what writes
    /// nothing of the copy. What cannot be read is for the cluster to refuse.
    func begin(_ path: String, _ request: ByteBuffer) -> ((_ answer: ByteBuffer) -> Int64?)? {
        do throws(GRPCStatus) {
            switch path {
            case "/etcdserverpb.KV/Put":
                let put: EtcdPutRequest = try ClusterConnection.message(in: request)
                return keys.range.contains(Array(put.key)) ? { Self.revision(in: $0) } : nil
            case "/etcdserverpb.KV/DeleteRange":
                let delete: EtcdDeleteRangeRequest = try ClusterConnection.message(in: request)
                return takes(delete) ? { Self.revision(in: $0) } : nil
            case "/etcdserverpb.KV/Txn":
                let txn: EtcdTxnRequest = try ClusterConnection.message(in: request)
                return writes(txn) ? { effect(of: txn, $0) } : nil
            case "/etcdserverpb.Lease/LeaseRevoke":
                let revoke: EtcdLeaseRevokeRequest = try ClusterConnection.message(in: request)
                return registry.hasLease(LeaseID(revoke.id)) ? { Self.revision(in: $0) } : nil
            default: return nil
            }
        } catch {
            return nil
        }
    }

    /// Whether a delete takes keys of the copy, as far as the copy knows.
    private func takes(_ delete: EtcdDeleteRangeRequest) -> Bool {
        let range = KeyRange(key: Array(delete.key), end: Array(delete.rangeEnd))
        guard !delete.rangeEnd.isEmpty else {
            let (namespace, key) = keys.here(range.lower)
            return registry.entry(namespace: namespace, key: key) != nil
        }
        return !range.isEmpty && keys.hasEntries(in: range, of: registry)
    }

    private func writes(_ txn: EtcdTxnRequest) -> Bool {
        (txn.success + txn.failure).contains { operation in
            switch operation.request {
            case .requestPut(let put): keys.range.contains(Array(put.key))
            case .requestDeleteRange(let delete): takes(delete)
            case .requestTxn(let txn): writes(txn)
            case .requestRange, nil: false
            }
        }
    }

    private func effect(of txn: EtcdTxnRequest, _ answer: ByteBuffer) -> Int64? {
        // The conditions choose what was written; only where both ways write can the answer go unread.
        guard let answer: EtcdTxnResponse = try? ClusterConnection.message(in: answer) else { return nil }
        return hasEffect(txn, answer) ? answer.header.revision : nil
    }

    private func hasEffect(_ txn: EtcdTxnRequest, _ answer: EtcdTxnResponse) -> Bool {
        zip(answer.succeeded ? txn.success : txn.failure, answer.responses).contains { operation, response in
            switch (operation.request, response.response) {
            case (.requestPut(let put), .responsePut): keys.range.contains(Array(put.key))
            case (.requestDeleteRange, .responseDeleteRange(let deletion)): deletion.deleted > 0
            case (.requestTxn(let txn), .responseTxn(let answer)): hasEffect(txn, answer)
            default: false
            }
        }
    }

    /// The revision in the header of an answer, whatever else is in it: the header is field 1 of all, and comes first.
    static func revision(in answer: ByteBuffer) -> Int64? {
        var answer = answer
        guard answer.readInteger(as: UInt8.self) == 0x0A, let length = answer.readVarint(),
            let header = answer.readSlice(length: Int(clamping: length))
        else { return nil }
        return try? ClusterConnection.message(in: header, as: EtcdResponseHeader.self).revision
    }
}

extension ByteBuffer {
    /// A whole number of protocol buffers.
    fileprivate mutating func readVarint() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = readInteger(as: UInt8.self) else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }
}
