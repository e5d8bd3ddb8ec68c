import EtcdMessages
import GRPC
import RegistryStore
import Testing

@testable import EtcdAPI

@Suite("v3: reading")
struct V3RangeTests {
    private let door: V3Door

    init() throws { door = try V3Door() }

    private func keys(_ response: EtcdRangeResponse) -> String {
        response.kvs.map { String(decoding: $0.key, as: UTF8.self) }.joined()
    }

    struct Sort: Sendable, CustomTestStringConvertible {
        let target: EtcdRangeRequest.SortTarget
        let order: EtcdRangeRequest.SortOrder
        let limit: Int64
        let expected: String
        var testDescription: String { "\(target) \(order) limit \(limit)" }
    }

    /// Agreed with etcd 3.4.23 by the conformance cases `v3-more-sort-*`.
    static let sorts = [
        Sort(target: .key, order: .none, limit: 0, expected: "abcd"),
        Sort(target: .key, order: .ascend, limit: 3, expected: "abc"),
        Sort(target: .key, order: .descend, limit: 3, expected: "dcb"),
        Sort(target: .version, order: .ascend, limit: 0, expected: "acdb"),
        Sort(target: .version, order: .descend, limit: 0, expected: "bacd"),
        Sort(target: .create, order: .descend, limit: 0, expected: "badc"),
        Sort(target: .mod, order: .none, limit: 0, expected: "cdab"),
        // Without an order the limit comes first, and one more than asked for is sorted.
        Sort(target: .mod, order: .none, limit: 2, expected: "ca"),
        Sort(target: .mod, order: .descend, limit: 2, expected: "ba"),
        Sort(target: .value, order: .ascend, limit: 0, expected: "abdc"),
        Sort(target: .value, order: .descend, limit: 0, expected: "cabd"),
    ]

    @Test("Sorted as etcd does: ties keep the order of keys, descending too", arguments: sorts)
    func sorting(_ sort: Sort) throws {
        for (key, value) in [("c", "2"), ("d", "1"), ("a", "1"), ("b", "0"), ("b", "1")] { try door.put(key, value) }
        let response = try door.range("a", "e") { request in
            request.sortTarget = sort.target
            request.sortOrder = sort.order
            request.limit = sort.limit
        }
        #expect(keys(response) == sort.expected)
        #expect(response.count == 4)
        #expect(response.more == (sort.limit > 0))
    }

    @Test(
        "Ranges as etcd names them",
        arguments: [
            ("b", "", "b"), ("a", "c", "ab"), ("b", "\\0", "bcd"), ("\\0", "\\0", "abcd"), ("c", "a", ""),
            ("b", "b", ""), ("x", "", ""), ("bb", "d", "c"),
        ])
    func bounds(key: String, end: String, expected: String) throws {
        for key in ["a", "b", "c", "d"] { try door.put(key) }
        let response = try door.range(key, end)
        #expect(keys(response) == expected)
        #expect(response.count == Int64(expected.utf8.count))
        #expect(!response.more)
    }

    @Test("Limits and counts", arguments: [(0, 3, false), (-1, 3, false), (1, 1, true), (3, 3, false), (4, 3, false)])
    func limits(limit: Int64, given: Int, more: Bool) throws {
        for key in ["a", "b", "c"] { try door.put(key, "v") }
        let response = try door.range("a", "z") { $0.limit = limit }
        #expect(response.kvs.count == given && response.more == more && response.count == 3)
        let counted = try door.range("a", "z") { request in
            request.limit = limit
            request.countOnly = true
        }
        #expect(counted.kvs.isEmpty && counted.count == 3 && !counted.more)
        #expect(try door.range("a", "z") { $0.keysOnly = true }.kvs.allSatisfy(\.value.isEmpty))
    }

    @Test("Selected by revisions; the count is of all")
    func selection() throws {
        for key in ["a", "b", "c"] { try door.put(key) }
        try door.put("a", "again")
        func selected(_ change: (inout EtcdRangeRequest) -> Void) throws -> String {
            let response = try door.range("a", "z", change)
            #expect(response.count == 3)
            return keys(response)
        }
        #expect(try selected { $0.minModRevision = 4 } == "ac")
        #expect(try selected { $0.maxModRevision = 3 } == "b")
        #expect(try selected { $0.minCreateRevision = 3 } == "bc")
        #expect(try selected { $0.maxCreateRevision = 2 } == "a")
    }

    @Test("The past as it was; not the future, not what is compacted")
    func past() throws {
        try door.put("a", "1")  // 2
        try door.put("b", "1")  // 3
        try door.delete("a")  // 4
        try door.put("b", "2")  // 5
        func at(_ revision: Int64) throws(GRPCStatus) -> [String] {
            let response = try door.range("a", "z") { $0.revision = revision }
            #expect(response.header.revision == 5)
            return response.kvs.map(\.text)
        }
        #expect(try at(2) == ["a=1"])
        #expect(try at(3) == ["a=1", "b=1"])
        #expect(try at(4) == ["b=1"])
        #expect(try at(5) == ["b=2"])
        #expect(try at(-7) == ["b=2"])
        #expect(throws: GRPCStatus.futureRevision) { try at(6) }
        try door.compact(4)
        #expect(try at(4) == ["b=1"])
        #expect(throws: GRPCStatus.compacted) { try at(3) }
        #expect(throws: GRPCStatus.compacted) { try door.compact(4) }
        #expect(throws: GRPCStatus.compacted) { try door.compact(2) }
        #expect(throws: GRPCStatus.futureRevision) { try door.compact(6) }
        try door.compact(5)
        #expect(try at(5) == ["b=2"])
    }

    @Test("A number of another node or of an earlier start is compacted")
    func foreign() throws {
        try door.put("a", "1")
        for number in [1 << 45, (3 << 45) + 7] as [Int64] {
            #expect(throws: GRPCStatus.compacted) { try door.range("a") { $0.revision = number } }
        }
    }

    @Test("A registration of another door shows the value that is rendered for it, and its lease")
    func registrations() throws {
        let instance = InstanceAttributes(
            service: "web", id: "1", tags: [], status: "UP", endpointType: "tcp", endpoint: "10.0.0.1:80",
            metadata: nil, extra: nil, origin: "")
        let registration = Registration(host: .ipv4(0x0a00_0001), port: 80, instance: instance)
        let key = door.registry.layout.primaryKey(service: "web", id: "1")
        try door.registry.apply([
            .put(
                namespace: .default, key: key, value: .registration(registration), lease: .own(milliseconds: 30_500))
        ])
        let found = try #require(try door.range(String(decoding: key, as: UTF8.self)).kvs.first)
        #expect(String(decoding: found.value, as: UTF8.self).contains("\"host\":\"10.0.0.1\""))
        let lease = try door.timeToLive(found.lease)
        #expect(lease.grantedTtl == 31 && lease.ttl == 30)
        #expect(lease.keys == [found.key])
    }

    @Test("No key, no answer")
    func emptyKey() throws {
        #expect(throws: GRPCStatus.emptyKey) { try door.range("") }
        #expect(throws: GRPCStatus.emptyKey) { try door.range("", "\\0") }
    }
}
