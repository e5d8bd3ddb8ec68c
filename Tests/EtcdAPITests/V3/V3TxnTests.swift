import EtcdMessages
import FoundationEssentials
import GRPC
import RegdnsTestKit
import RegistryStore
import Testing

@testable import EtcdAPI

@Suite("v3: transactions")
struct V3TxnTests {
    private let door: V3Door

    init() throws { door = try V3Door() }

    @Test("All writes share a revision; headers inside say what a reader there sees")
    func headers() throws {
        try door.put("a", "1")
        let response = try door.txn(then: [
            .range("a"), .delete("none"), .put("b", "1"), .range("a", "z"), .delete("none"),
            .txn(then: [.put("c", "1"), .range("c")]),
        ])
        #expect(response.succeeded && response.header.revision == 3)
        #expect(response.responses[0].responseRange.header.revision == 2)
        #expect(response.responses[1].responseDeleteRange.header.revision == 2)
        #expect(response.responses[2].responsePut.header.revision == 3)
        #expect(response.responses[3].responseRange.kvs.map(\.text) == ["a=1", "b=1"])
        #expect(response.responses[4].responseDeleteRange.header.revision == 3)
        #expect(response.responses[3].responseRange.header.clusterID == 0)
        let inner = response.responses[5].responseTxn
        #expect(inner.hasHeader && inner.header == EtcdResponseHeader() && inner.succeeded)
        #expect(inner.responses[1].responseRange.kvs.map(\.modRevision) == [3])
        #expect(try door.txn(then: [.range("a")]).header.revision == 3)
    }

    @Test("A range of the past inside a transaction does not see its writes")
    func past() throws {
        try door.put("a", "1")
        try door.put("a", "2")
        let response = try door.txn(then: [
            .put("a", "3"), .range("a", revision: 2), .range("a", revision: 3), .range("a"),
        ])
        #expect(response.responses[1...].map { $0.responseRange.kvs.map(\.text) } == [["a=1"], ["a=2"], ["a=3"]])
        #expect(throws: GRPCStatus.futureRevision) { try door.txn(then: [.put("x"), .range("a", revision: 5)]) }
        #expect(try door.range("x").kvs.isEmpty)
    }

    @Test("Conditions are looked at before anything is written")
    func nested() throws {
        let response = try door.txn(
            if: [.absent("a")],
            then: [
                .put("a", "1"),
                .txn(if: [.absent("a")], then: [.put("b", "still absent")], else: [.put("b", "no")]),
            ])
        #expect(response.succeeded)
        #expect(try door.range("b").kvs.map(\.text) == ["b=still absent"])
        #expect(!(try door.txn(if: [.absent("a")], then: [.put("c")], else: [.range("a")]).succeeded))
        #expect(try door.range("c").kvs.isEmpty)
    }

    @Test("One operation that fails takes all back")
    func rollBack() throws {
        try door.put("a", "1")
        #expect(throws: GRPCStatus.leaseNotFound) {
            try door.txn(then: [.put("a", "2"), .put("b", "2", lease: 77)])
        }
        #expect(throws: GRPCStatus.keyNotFound) {
            try door.txn(then: [
                .put("a", "2"), .make { $0.requestPut = .put("none") { $0.ignoreValue = true } },
            ])
        }
        #expect(try door.range("a", "z").kvs.map(\.text) == ["a=1"])
        #expect(door.registry.revision == 1)
    }

    // MARK: Comparisons

    typealias Target = EtcdCompare.CompareTarget
    typealias Value = EtcdCompare.OneOf_TargetUnion

    /// For a key with value `m`, version 2, created at 2, changed at 3, without lease: a target, and what is less than,
    /// equal to and greater than it.
    static let values: [(Target, [Value])] = [
        (.version, [.version(1), .version(2), .version(3)]),
        (.create, [.createRevision(1), .createRevision(2), .createRevision(3)]),
        (.mod, [.modRevision(2), .modRevision(3), .modRevision(4)]),
        (.value, [.value("l".data), .value("m".data), .value("ma".data)]),
        (.lease, [.lease(-1), .lease(0), .lease(1)]),
    ]

    @Test("Comparisons of a key that is there", arguments: 0..<5)
    func compare(target: Int) throws {
        try door.put("k", "")
        try door.put("k", "m")
        let (target, values) = Self.values[target]
        for (place, value) in values.enumerated() {
            let expected: [(EtcdCompare.CompareResult, Bool)] = [
                (.equal, place == 1), (.notEqual, place != 1), (.greater, place == 0), (.less, place == 2),
            ]
            for (result, holds) in expected {
                let response = try door.txn(if: [.compare("k", target, result, value)])
                #expect(response.succeeded == holds, "\(target) \(result) \(value)")
            }
        }
    }

    @Test("An absent key compares as zero, and its value with nothing", arguments: 0..<5)
    func compareAbsent(target: Int) throws {
        let target = Self.values[target].0
        let expected: [(EtcdCompare.CompareResult, Bool)] = [
            (.equal, true), (.notEqual, false), (.greater, false), (.less, false),
        ]
        for (result, holds) in expected {
            let response = try door.txn(if: [.compare("none", target, result)])
            #expect(response.succeeded == (holds && target != .value), "\(target) \(result)")
        }
        #expect(!(try door.txn(if: [.compare("none", .value, .notEqual, .value("x".data))]).succeeded))
    }

    @Test("A comparison of a range must hold for each key; of none as for an absent one")
    func compareRange() throws {
        for key in ["k/1", "k/2", "k/2"] { try door.put(key, "v") }
        func holds(_ compare: EtcdCompare) throws -> Bool { try door.txn(if: [compare]).succeeded }
        #expect(try holds(.compare("k/", to: "k0", .version, .greater, .version(0))))
        #expect(!(try holds(.compare("k/", to: "k0", .version, .equal, .version(1)))))
        #expect(try holds(.compare("x/", to: "x0", .version, .equal, .version(0))))
        #expect(!(try holds(.compare("x/", to: "x0", .version, .greater, .version(0)))))
    }

    // MARK: What is refused

    /// Agreed with etcd 3.4.23 by the conformance case `v3-more-txn-overlaps`.
    static let overlaps: [(operations: [EtcdRequestOp], isTaken: Bool)] = [
        ([.put("b"), .put("b")], false),
        ([.delete("b"), .put("b")], false),
        ([.delete("b", "c"), .put("b")], false),
        ([.delete("b", "\\0"), .put("b")], true),
        ([.delete("b", "b"), .put("b")], true),
        ([.delete("b", "a"), .put("b")], true),
        ([.txn(then: [.put("b")]), .txn(then: [.delete("b")])], true),
        ([.txn(then: [.delete("b")]), .txn(then: [.put("b")])], false),
        ([.txn(then: [.put("b")], else: [.delete("b")])], true),
        ([.txn(then: [.put("b")], else: [.put("b")])], true),
        ([.txn(then: [.put("b")]), .put("b")], false),
        ([.txn(then: [.put("b")]), .delete("b")], false),
        ([.txn(then: [.put("b")]), .txn(then: [.put("b")])], false),
        ([.put("b"), .txn(else: [.put("b")])], false),
        ([.delete("a", "e"), .delete("b", "c"), .put("d")], false),
        ([.txn(then: [.txn(then: [.put("x")])]), .delete("w", "y")], false),
    ]

    @Test("A key is written once", arguments: overlaps.indices)
    func overlap(index: Int) throws {
        let (operations, isTaken) = Self.overlaps[index]
        if isTaken {
            #expect(throws: Never.self) { try door.txn(then: operations) }
        } else {
            #expect(throws: GRPCStatus.duplicateKey) { try door.txn(then: operations) }
            #expect(throws: GRPCStatus.duplicateKey) { try door.txn(else: operations) }
        }
    }

    private func puts(_ count: Int, _ prefix: String = "k") -> [EtcdRequestOp] {
        (0..<count).map { .put("\(prefix)\($0)") }
    }

    @Test("At most 128 operations, those around counted in")
    func operations() throws {
        #expect(throws: GRPCStatus.tooManyOperations) { try door.txn(then: puts(129)) }
        #expect(throws: GRPCStatus.tooManyOperations) { try door.txn(then: [.txn(then: puts(128))]) }
        #expect(throws: GRPCStatus.tooManyOperations) {
            try door.txn(if: Array(repeating: .absent("x"), count: 129))
        }
        #expect(try door.txn(then: [.txn(then: puts(127))]).responses[0].responseTxn.responses.count == 127)
        #expect(try door.txn(then: puts(128)).responses.count == 128)
        #expect(throws: GRPCStatus.keyNotFound) { try door.txn(then: [EtcdRequestOp()]) }
        #expect(throws: GRPCStatus.emptyKey) { try door.txn(if: [.absent("")]) }
        #expect(throws: GRPCStatus.emptyKey) { try door.txn(else: [.delete("")]) }
    }

    @Test("A set of ranges says the same as one by one", arguments: 0..<20 * SeededRandom.effort)
    func ranges(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        func anyKey() -> [UInt8] { random.bytes(upTo: 3, of: [97, 98, 99]) }
        var set = KeyRangeSet()
        var all: [KeyRange] = []
        for _ in 0..<8 {
            let more = (0..<random.below(4)).map { _ in
                KeyRange(lower: anyKey(), upper: random.oneIn(9) ? nil : anyKey())
            }
            set.add(more)
            all += more
            for _ in 0..<20 {
                let key = anyKey()
                #expect(set.contains(key) == all.contains { $0.contains(key) })
            }
        }
    }
}
