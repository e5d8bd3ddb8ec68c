import EtcdMessages
import FoundationEssentials
import RegistryStore

/// How transactions look that make a lock or an election (contract section 4.3).
///
/// Either mark is enough: a key that ends in `/` and the hexadecimal number of the lease it is put with, as the recipes
/// of etcd's Go client make them; or a leased key outside the services' prefix that must be new, as the Python clients'
/// locks are. A lock inside the prefix that is named otherwise looks like a registration and is served.
enum LockShape {
    static func isLock(_ request: EtcdTxnRequest, layout: KeyLayout) -> Bool {
        let fresh = Set(request.compare.filter(demandsAbsence).map(\.key))
        for operation in request.success + request.failure {
            switch operation.request {
            case .requestPut(let put)? where put.lease != 0 && fresh.contains(put.key):
                let name = Array("/\(String(UInt64(bitPattern: put.lease), radix: 16))".utf8)
                if put.key.suffix(name.count).elementsEqual(name) { return true }
                if !put.key.starts(with: "/\(layout.prefix)/".utf8) { return true }
            case .requestTxn(let inner)? where isLock(inner, layout: layout): return true
            default: break
            }
        }
        return false
    }

    private static func demandsAbsence(_ compare: EtcdCompare) -> Bool {
        guard compare.result == .equal else { return false }
        switch (compare.target, compare.targetUnion) {
        case (.create, .createRevision(0)?), (.create, nil), (.version, .version(0)?), (.version, nil): return true
        default: return false
        }
    }
}
