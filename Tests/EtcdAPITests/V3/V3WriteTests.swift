import EtcdMessages
import FoundationEssentials
import GRPC
import NIOCore
import RegistryStore
import Testing

@testable import EtcdAPI

@Suite("v3: writing")
struct V3WriteTests {
    private let door: V3Door

    init() throws { door = try V3Door() }

    @Test("Each put is a revision, an equal one too; versions count from creation")
    func numbers() throws {
        for revision in 2...4 as ClosedRange<Int64> {
            #expect(try door.put("a", "same").header.revision == revision)
        }
        let found = try #require(try door.range("a").kvs.first)
        #expect((found.createRevision, found.modRevision, found.version) == (2, 4, 3))
        try door.delete("a")
        try door.put("a", "new")
        let again = try #require(try door.range("a").kvs.first)
        #expect((again.createRevision, again.modRevision, again.version) == (6, 6, 1))
    }

    @Test("The previous value on demand")
    func previous() throws {
        #expect(!(try door.put("a", "1") { $0.prevKv = true }.hasPrevKv))
        #expect(try door.put("a", "2") { $0.prevKv = true }.prevKv.text == "a=1")
        #expect(!(try door.put("a", "3").hasPrevKv))
        #expect(try door.delete("a", prevKv: true).prevKvs.map(\.text) == ["a=3"])
        #expect(try door.delete("a", prevKv: true).deleted == 0)
    }

    struct Flags: Sendable, CustomTestStringConvertible {
        let value: String
        let lease: Int64
        let ignoreValue: Bool
        let ignoreLease: Bool
        let exists: Bool
        let error: GRPCStatus?
        var testDescription: String {
            "'\(value)' lease \(lease) ignore value \(ignoreValue) lease \(ignoreLease) exists \(exists)"
        }
    }

    static let flagCases = [
        Flags(value: "", lease: 0, ignoreValue: true, ignoreLease: false, exists: false, error: .keyNotFound),
        Flags(value: "", lease: 9, ignoreValue: true, ignoreLease: false, exists: false, error: .leaseNotFound),
        Flags(value: "x", lease: 0, ignoreValue: true, ignoreLease: false, exists: true, error: .valueProvided),
        Flags(value: "x", lease: 0, ignoreValue: false, ignoreLease: true, exists: false, error: .keyNotFound),
        Flags(value: "x", lease: 9, ignoreValue: false, ignoreLease: true, exists: true, error: .leaseProvided),
        Flags(value: "x", lease: 9, ignoreValue: false, ignoreLease: false, exists: true, error: .leaseNotFound),
        Flags(value: "", lease: 0, ignoreValue: true, ignoreLease: true, exists: true, error: nil),
        Flags(value: "x", lease: 0, ignoreValue: false, ignoreLease: true, exists: true, error: nil),
    ]

    @Test("Flags that keep value or lease", arguments: flagCases)
    func keeping(_ flags: Flags) throws {
        if flags.exists { try door.put("k", "old") }
        let before = door.registry.revision
        let result = Result { () throws(GRPCStatus) in
            try door.put("k", flags.value, lease: flags.lease) { request in
                request.ignoreValue = flags.ignoreValue
                request.ignoreLease = flags.ignoreLease
            }
        }
        switch result {
        case .success:
            #expect(flags.error == nil)
            let value = try #require(try door.range("k").kvs.first).text
            #expect(value == (flags.ignoreValue ? "k=old" : "k=\(flags.value)"))
        case .failure(let error):
            #expect(error == flags.error)
            #expect(door.registry.revision == before)
        }
    }

    @Test("Deletes by key, prefix and to the end, under one revision")
    func delete() throws {
        for key in ["a", "a/1", "a/2", "b"] { try door.put(key, "v") }
        #expect(try door.delete("a/", "a0").deleted == 2)
        #expect(try door.delete("a/", "a0").header.revision == 6)
        #expect(try door.delete("b", "a").deleted == 0)
        #expect(try door.delete("a", "\\0", prevKv: true).prevKvs.map(\.text) == ["a=v", "b=v"])
        #expect(throws: GRPCStatus.emptyKey) { try door.delete("") }
    }

    @Test("Requests to write are bounded as etcd's are", arguments: [(0, true), (1, false)])
    func size(excess: Int, isTaken: Bool) throws {
        var request = EtcdPutRequest.put("big")
        // 26 bytes are the request around the value, and what etcd wraps around it (measured).
        request.value = Data(repeating: 120, count: KVService.requestBytesMax - 26 + excess)
        let bytes = try Messages.write(request).readableBytes
        if isTaken {
            #expect(throws: Never.self) { try door.v3.kv.put(request, bytes: bytes) }
        } else {
            #expect(throws: GRPCStatus.requestTooLarge) { try door.v3.kv.put(request, bytes: bytes) }
        }
    }

    @Test("A full store is etcd's full database; a long key says so")
    func full() throws {
        var limits = RegistryLimits()
        limits.maxEntries = 1
        let small = try V3Door(limits: limits)
        try small.put("a", "1")
        #expect(throws: GRPCStatus.noSpace) { try small.put("b", "1") }
        let error = #expect(throws: GRPCStatus.self) {
            try door.put(String(repeating: "k", count: door.registry.limits.maxKeyBytes + 1))
        }
        #expect(error?.code == .invalidArgument)
    }
}
