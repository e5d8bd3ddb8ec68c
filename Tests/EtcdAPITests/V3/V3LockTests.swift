import EtcdMessages
import GRPC
import Testing

@testable import EtcdAPI

@Suite("v3: locks")
struct V3LockTests {
    /// The key, its lease, whether it must be new, and whether that makes a lock.
    static let shapes: [(key: String, leased: Bool, comparesAbsence: Bool, isLock: Bool)] = [
        ("/skydns/local/skydns/lock/1234abcd", true, true, true),
        ("lock/1234abcd", true, true, true),
        ("/locks/mine", true, true, true),
        ("/skydns/local/skydns/web/1", true, true, false),
        ("/locks/mine", false, true, false),
        ("/locks/mine", true, false, false),
    ]

    private func request(_ key: String, lease: Int64, comparesAbsence: Bool) -> EtcdTxnRequest {
        .txn(if: comparesAbsence ? [.absent(key)] : [], then: [.put(key, "", lease: lease)], else: [.range(key)])
    }

    @Test("Locks are refused where there are several members, and served where there is one", arguments: shapes.indices)
    func refusal(index: Int) throws {
        let shape = Self.shapes[index]
        for hasSeveralMembers in [false, true] {
            var configuration = EtcdV3Configuration()
            configuration.hasSeveralMembers = hasSeveralMembers
            let door = try V3Door(configuration: configuration)
            let lease = try door.grant(60, id: 0x1234abcd)
            let request = request(
                shape.key, lease: shape.leased ? lease : 0, comparesAbsence: shape.comparesAbsence)
            if hasSeveralMembers && shape.isLock {
                #expect(throws: GRPCStatus.locksRefused) { try door.v3.kv.txn(request) }
                #expect(throws: GRPCStatus.locksRefused) { try door.txn(then: [.make { $0.requestTxn = request }]) }
                #expect(door.v3.counters.locksRefused == 2)
            } else {
                #expect(try door.v3.kv.txn(request).succeeded)
            }
        }
    }
}
