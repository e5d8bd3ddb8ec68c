import EtcdMessages
import RegdnsTestKit
import RegistryStore
import Testing

@testable import EtcdStore

/// What doors write, in a real cluster for each test.
@Suite("Writing to a real cluster", .serialized)
struct WriterTests {
    /// Starts a cluster and a store that follows it, and checks at the end that both say the same.
    private func withStore(
        adjust: (inout EtcdStoreConfiguration) -> Void = { _ in },
        _ body: (StoreFixture, EtcdProbe) async throws -> Void
    ) async throws {
        let cluster = try await EtcdCluster(1)
        let probe = EtcdProbe(cluster.members[0])
        let fixture = try StoreFixture([cluster.members[0].endpoint], adjust: adjust)
        try await fixture.untilLive()
        try await body(fixture, probe)
        try await fixture.untilEqual(probe)
        await fixture.stop()
    }

    private func lease(of path: String, in fixture: StoreFixture) throws -> LeaseID {
        try #require(fixture.entry(path)?.lease)
    }

    @Test("a registration is there for its writer at once, with a lease of its own")
    func registers() async throws {
        try await withStore { fixture, probe in
            let store = fixture.store
            let receipt = try await store.apply([
                fixture.registration("web", "i-1", tags: ["blue"], lease: .own(milliseconds: 59_500))
            ])
            let entry = try #require(fixture.entry("web/i-1"))
            #expect(receipt.revision == entry.modRevision)
            #expect(receipt.changes.count == 1)
            #expect(receipt.changes[0].current?.modRevision == entry.modRevision)
            #expect(receipt.changes[0].current?.lease == entry.lease)
            // As in a store of our own: known to be a dialect's, found by its id, tags answered by the view.
            #expect(entry.storedValue == nil)
            #expect(fixture.registry.entry(namespace: .default, id: "i-1") === entry)
            let lease = try #require(entry.lease)
            #expect(fixture.registry.lease(lease)?.lengthMilliseconds == 60_000)
            #expect(try await probe.timeToLive(lease.rawValue).granted == 60)
            // What older CoreDNS and SkyDNS take for the TTL.
            #expect(UInt32(truncatingIfNeeded: lease.rawValue) == 60)
            // For a CoreDNS beside: one alias per tag under the same lease, which regdns reads past.
            let alias = try #require(fixture.entry("blue/web/i-1"))
            #expect(alias.lease == lease)
            #expect(alias.content == .opaque)
            #expect(fixture.value("blue/web/i-1")?.contains(#""alias_of":"/skydns/local/skydns/web/i-1""#) == true)
            #expect(fixture.registry.skippedValues().isEmpty)

            try await store.renew(namespace: .default, id: "i-1")
            #expect(fixture.entry("web/i-1") === entry, "a renewal publishes nothing")
            _ = try await store.apply([.delete(namespace: .default, key: fixture.key("web/i-1"))])
            #expect(fixture.entry("web/i-1") == nil)
            #expect(fixture.entry("blue/web/i-1") == nil)
            await #expect(throws: RegistryError.self) { try await store.renew(namespace: .default, id: "i-1") }
            try await fixture.until("the end of its lease") { try await probe.timeToLive(lease.rawValue).left < 0 }
        }
    }

    @Test("registered again: the same lease for the same length, another for another")
    func registersAgain() async throws {
        try await withStore { fixture, probe in
            func register(_ seconds: Int64, tags: [String]) async throws -> LeaseID {
                try await fixture.store.apply([
                    fixture.registration("web", "i-1", tags: tags, lease: .own(milliseconds: seconds * 1000))
                ])
                return try lease(of: "web/i-1", in: fixture)
            }
            let first = try await register(60, tags: ["a", "b"])
            #expect(try await register(60, tags: ["b", "c"]) == first)
            #expect(fixture.entry("a/web/i-1") == nil)
            #expect(fixture.entry("c/web/i-1")?.lease == first)
            let second = try await register(90, tags: ["b"])
            #expect(second != first)
            #expect(fixture.entry("b/web/i-1")?.lease == second)
            try await fixture.until("the end of the old lease") {
                try await probe.timeToLive(first.rawValue).left < 0
            }
            #expect(fixture.entry("web/i-1")?.lease == second)
            // Revoked by somebody else: the heartbeat is told, and who registers again is there again.
            try await probe.revoke(second.rawValue)
            try await fixture.until("the deletion") { fixture.entry("web/i-1") == nil }
            await #expect(throws: RegistryError.self) {
                try await fixture.store.renew(namespace: .default, id: "i-1")
            }
            #expect(try await register(90, tags: []) != second)
        }
    }

    @Test("an id that moves to another service leaves its old key")
    func moves() async throws {
        try await withStore { fixture, _ in
            try await fixture.store.apply([fixture.registration("web", "i-1", lease: .own(milliseconds: 60_000))])
            try await fixture.store.apply([fixture.registration("api", "i-1", lease: .own(milliseconds: 60_000))])
            #expect(fixture.entry("web/i-1") == nil)
            #expect(fixture.registry.entry(namespace: .default, id: "i-1")?.key == fixture.key("api/i-1"))
        }
    }

    @Test("conditions hold in the cluster, not only in the copy")
    func conditions() async throws {
        try await withStore { fixture, probe in
            let key = fixture.key("counter")
            func put(_ value: String, _ preconditions: [Precondition]) async throws -> Receipt {
                try await fixture.store.apply([
                    .put(
                        namespace: .default, key: key, value: .bytes(Array(value.utf8)), lease: .permanent,
                        preconditions: preconditions)
                ])
            }
            let created = try await put("0", [.absent])
            await #expect(throws: RegistryError.self) { _ = try await put("1", [.absent]) }
            _ = try await put("1", [.modRevision(created.revision)])
            await #expect(throws: RegistryError.self) { _ = try await put("2", [.modRevision(created.revision)]) }
            // Twenty writers add one each; whoever is overtaken looks again. None is lost.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        while true {
                            let entry = try #require(fixture.entry("counter"))
                            let next = (Int(fixture.value("counter") ?? "") ?? 0) + 1
                            do {
                                _ = try await put("\(next)", [.modRevision(entry.modRevision)])
                                return
                            } catch let error as RegistryError {
                                guard case .preconditionFailed = error else { throw error }
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(fixture.value("counter") == "21")
            // Deletion with a condition, by a range, and of what is not there.
            await #expect(throws: RegistryError.self) {
                try await fixture.store.apply([.delete(namespace: .default, key: key, preconditions: [.value([1])])])
            }
            try await fixture.store.apply([
                .deleteRange(namespace: .default, lower: fixture.key("c"), upper: fixture.key("d"))
            ])
            #expect(fixture.entry("counter") == nil)
            try await fixture.store.apply([.delete(namespace: .default, key: key)])
        }
    }

    @Test("leases by themselves")
    func leases() async throws {
        try await withStore { fixture, _ in
            let lease = try await fixture.store.grantLease(id: LeaseID(4711), milliseconds: 60_000)
            #expect(lease.id == LeaseID(4711))
            await #expect(throws: RegistryError.leaseExists(LeaseID(4711))) {
                _ = try await fixture.store.grantLease(id: LeaseID(4711), milliseconds: 60_000)
            }
            try await fixture.store.apply(
                ["x", "y"].map {
                    .put(namespace: .default, key: fixture.key($0), value: .bytes([65]), lease: .shared(lease.id))
                })
            #expect(fixture.registry.keys(of: lease.id).count == 2)
            #expect(try await fixture.store.keepAlive(lease.id).lengthMilliseconds == 60_000)
            #expect(try await fixture.store.revokeLease(lease.id).changes.count == 2)
            #expect(fixture.entry("x") == nil)
            await #expect(throws: RegistryError.unknownLease(lease.id)) {
                _ = try await fixture.store.keepAlive(lease.id)
            }
            await #expect(throws: RegistryError.unknownLease(LeaseID(5))) {
                try await fixture.store.apply([
                    .put(namespace: .default, key: fixture.key("z"), value: .bytes([65]), lease: .shared(LeaseID(5)))
                ])
            }
        }
    }

    @Test("a thousand registrations and heartbeats at once")
    func many() async throws {
        // What counts here is that nothing is lost, however slow the disk is.
        try await withStore(adjust: { $0.writeDeadline = .seconds(20) }) { fixture, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<1000 {
                    group.addTask {
                        try await fixture.store.apply([
                            fixture.registration("web", "i-\(number)", lease: .own(milliseconds: 60_000))
                        ])
                        guard fixture.entry("web/i-\(number)") != nil else {
                            Issue.record("i-\(number) is not there for its writer")
                            return
                        }
                        try await fixture.store.renew(namespace: .default, id: "i-\(number)")
                    }
                }
                try await group.waitForAll()
            }
            #expect(fixture.registry.instances(namespace: .default, service: "web").count == 1000)
            #expect(fixture.count("lease_questions") <= 1000)
        }
    }

    @Test("what this node does not follow is refused by name")
    func refusals() async throws {
        try await withStore { fixture, _ in
            for intent in [
                Intent.put(namespace: .default, key: Array("/else".utf8), value: .bytes([65]), lease: .permanent),
                .put(namespace: Namespace("t"), key: fixture.key("a"), value: .bytes([65]), lease: .permanent),
            ] {
                do {
                    try await fixture.store.apply([intent])
                    Issue.record("nothing was refused")
                } catch let error as RegistryError {
                    guard case .invalid = error else { throw error }
                }
            }
            #expect(throws: RegistryError.self) {
                try fixture.registry.apply([.delete(namespace: .default, key: fixture.key("a"))])
            }
        }
    }
}
