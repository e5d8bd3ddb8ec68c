import EtcdMessages
import Foundation
import GRPC
import RegdnsTestKit
import RegistryStore
import Testing

@testable import EtcdStore

/// With real members of etcd (contract of etcd as the store, section 5.4). Each ends with the copy being the cluster's
/// content; lookups go on all the time.
@Suite("Following a real cluster", .serialized)
struct ClusterTests {
    private func service(_ number: Int) -> String { #"{"host":"10.0.0.\#(number % 250 + 1)","port":80}"# }

    private func path(_ number: Int) -> String { "/skydns/local/skydns/east/rails/\(number)" }

    /// A key that is there all the time.
    private static let steady = "steady/one"

    private func fill(_ probe: EtcdProbe, _ count: Int) async throws {
        try await probe.put("/skydns/local/skydns/\(Self.steady)", service(1))
        try await probe.put((0..<count).map { (path($0), service($0)) })
    }

    @Test("the releases are what they are called", arguments: EtcdRelease.allCases)
    func releases(release: EtcdRelease) async throws {
        for program in [release.etcd, release.etcdctl] {
            let version = program == release.etcd ? "--version" : "version"
            let ended = try await ChildProcess(
                program, [version], environment: ["PATH": "/usr/bin:/bin", "ETCDCTL_API": "3"]
            ).end()
            #expect(ended.output.lowercased().contains("version: \(release.rawValue)."), "\(ended.errors)")
        }
    }

    @Test("puts, deletes, transactions and leases arrive as they happened")
    func follows() async throws {
        let cluster = try await EtcdCluster(1)
        let probe = EtcdProbe(cluster.members[0])
        try await fill(probe, 250)
        let fixture = try StoreFixture([cluster.members[0].endpoint])
        try await fixture.untilLive()
        try await fixture.untilEqual(probe)
        #expect(fixture.registry.deadlines.answerSecondsMax == .max)

        try await probe.put(path(1), "changed")
        try await probe.delete(path(2))
        let lease = try await probe.grant(seconds: 100)
        try await probe.put("/skydns/local/skydns/leased/a", service(3), lease: lease)
        try await probe.put("/other/prefix", "not followed")
        try await fixture.untilEqual(probe)
        try await fixture.until("the lease's length") { fixture.registry.lease(LeaseID(lease)) != nil }
        let info = try #require(fixture.registry.lease(LeaseID(lease)))
        #expect(info.lengthMilliseconds == 100_000)
        #expect(info.remainingMilliseconds ?? 0 > 90_000)
        let entry = try #require(fixture.entry("leased/a"))
        let bound = fixture.registry.deadlines.answerMilliseconds(
            entry.deadlineSlot, now: RegistryClock.system.monotonicMilliseconds())
        #expect((90_000...100_000).contains(bound))
        try await probe.revoke(lease)
        try await fixture.untilEqual(probe)
        #expect(fixture.entry("leased/a") == nil)
        #expect(fixture.registry.counts().leases == 0)
        await fixture.stop()
    }

    @Test("20,000 keys are listed in pages while they are written", arguments: EtcdRelease.allCases)
    func pages(on release: EtcdRelease) async throws {
        let cluster = try await EtcdCluster(1, release: release)
        let probe = EtcdProbe(cluster.members[0])
        try await fill(probe, 20_000)
        let writer = Task {
            var revision: Int64 = 0
            var number = 0
            while !Task.isCancelled {
                revision = try await probe.put(path(number % 20_500), "round \(number)")
                number += 37
            }
            return revision
        }
        let fixture = try StoreFixture([cluster.members[0].endpoint])
        let observer = Batches()
        fixture.registry.addObserver(observer)
        try await fixture.untilLive()
        // The first content came as one change, never as a half list.
        #expect(observer.sizes.first { $0 > 0 } ?? 0 >= 20_001)
        writer.cancel()
        _ = try? await writer.value
        try await fixture.untilEqual(EtcdProbe(cluster.members[0]))
        await fixture.stop()
    }

    @Test("the member that is watched dies and comes back", arguments: EtcdRelease.allCases)
    func memberRestarts(on release: EtcdRelease) async throws {
        let cluster = try await EtcdCluster(3, release: release)
        let probe = EtcdProbe(cluster.members[0])
        try await fill(probe, 50)
        let fixture = try StoreFixture(cluster.members.map(\.endpoint))
        try await fixture.untilLive()
        let lookups = Lookups(fixture, Self.steady)
        let endpoint = fixture.store.status.endpoint
        let watched = try #require(cluster.members.first { "\($0.endpoint)" == endpoint })
        let other = EtcdProbe(try #require(cluster.members.first { $0 !== watched }))
        try await watched.kill()
        try await fixture.until("the loss") { fixture.store.status.endpoint != endpoint }
        try await other.untilServing()
        try await other.put(path(3), "written while it was away")
        try await other.delete(path(4))
        try await fixture.untilLive()
        try await fixture.untilEqual(other)
        try await cluster.start(watched)
        try await EtcdProbe(watched).untilServing()
        try await other.put(path(5), "after")
        try await fixture.untilEqual(other)
        await lookups.end()
        await fixture.stop()
    }

    @Test("the member that is watched hangs: pings tell, and another is watched")
    func memberHangs() async throws {
        let cluster = try await EtcdCluster(3)
        try await fill(EtcdProbe(cluster.members[0]), 50)
        let fixture = try StoreFixture(cluster.members.map(\.endpoint)) {
            $0.client.keepaliveInterval = .seconds(1)
            $0.client.keepaliveDeadline = .seconds(2)
        }
        try await fixture.untilLive()
        let lookups = Lookups(fixture, Self.steady)
        let endpoint = fixture.store.status.endpoint
        let watched = try #require(cluster.members.first { "\($0.endpoint)" == endpoint })
        let other = EtcdProbe(try #require(cluster.members.first { $0 !== watched }))
        watched.pause()
        try await other.untilServing()
        try await other.put(path(3), "written while it hangs")
        try await fixture.untilEqual(other)
        #expect(fixture.store.status.endpoint != endpoint)
        watched.resume()
        await lookups.end()
        await fixture.stop()
    }

    @Test(
        "the majority stops: names stay, writes fail at once, and all is well afterwards",
        arguments: EtcdRelease.allCases)
    func majorityStops(on release: EtcdRelease) async throws {
        let cluster = try await EtcdCluster(3, release: release)
        let probe = EtcdProbe(cluster.members[0])
        try await fill(probe, 50)
        let fixture = try StoreFixture([cluster.members[0].endpoint])
        try await fixture.untilLive()
        try await fixture.store.apply([fixture.registration("web", "i-1", lease: .own(milliseconds: 60_000))])
        let lookups = Lookups(fixture, Self.steady)
        cluster.members[1].pause()
        cluster.members[2].pause()
        try await fixture.until("staleness") { fixture.store.status.staleSeconds ?? 0 > 0.3 }
        #expect(fixture.registry.deadlines.answerSecondsMax == 30)
        #expect(fixture.store.status.hasContent)
        let begin = ContinuousClock.now
        await #expect(throws: RegistryError.self) {
            try await fixture.store.apply([fixture.registration("web", "i-2", lease: .own(milliseconds: 60_000))])
        }
        await #expect(throws: RegistryError.self) { try await fixture.store.renew(namespace: .default, id: "i-1") }
        #expect(ContinuousClock.now - begin < .seconds(7))
        #expect(fixture.entry("web/i-1") != nil)
        cluster.members[1].resume()
        cluster.members[2].resume()
        try await fixture.untilLive()
        #expect(fixture.registry.deadlines.answerSecondsMax == .max)
        try await probe.put(path(7), "after the outage")
        try await fixture.untilEqual(probe)
        try await fixture.store.renew(namespace: .default, id: "i-1")
        await lookups.end()
        await fixture.stop()
    }

    @Test("a start without a quorum takes one member's state")
    func coldStartWithoutQuorum() async throws {
        let cluster = try await EtcdCluster(3)
        let probe = EtcdProbe(cluster.members[0])
        try await fill(probe, 20)
        cluster.members[1].pause()
        cluster.members[2].pause()
        let fixture = try StoreFixture([cluster.members[0].endpoint]) { $0.timings.coldSerializable = 500 }
        try await fixture.until("content") { fixture.store.status.hasContent }
        #expect(fixture.entry(Self.steady) != nil)
        #expect(fixture.registry.deadlines.answerSecondsMax == 30)
        cluster.members[1].resume()
        cluster.members[2].resume()
        try await fixture.untilLive()
        try await probe.put(path(1), "after")
        try await fixture.untilEqual(probe)
        await fixture.stop()
    }

    /// A store that is away while something happens to its cluster.
    private func away(
        on release: EtcdRelease, _ meanwhile: (EtcdProbe, _ lease: Int64) async throws -> Void
    ) async throws -> StoreFixture {
        let cluster = try await EtcdCluster(1, release: release)
        let probe = EtcdProbe(cluster.members[0])
        try await fill(probe, 50)
        let lease = try await probe.grant(seconds: 600)
        try await probe.put("/skydns/local/skydns/leased/a", service(3), lease: lease)
        let gate = Gate()
        let fixture = try StoreFixture([cluster.members[0].endpoint]) {
            $0.client.configureTransport = { try gate.pass($0) }
        }
        try await fixture.untilLive()
        #expect(fixture.entry("leased/a") != nil)
        let lookups = Lookups(fixture, Self.steady)
        gate.shut()
        try await fixture.until("the loss") { fixture.store.status.staleSeconds != nil }
        try await meanwhile(probe, lease)
        gate.open()
        try await fixture.untilLive()
        try await fixture.untilEqual(probe)
        await lookups.end()
        await fixture.stop()
        return fixture
    }

    @Test("the cluster forgets what happened while the follower was away", arguments: EtcdRelease.allCases)
    func compaction(on release: EtcdRelease) async throws {
        let fixture = try await away(on: release) { probe, lease in
            try await probe.revoke(lease)
            try await probe.delete(path(1))
            try await probe.compact(try await probe.put(path(2), "while away"))
        }
        #expect(fixture.entry("leased/a") == nil)
        #expect(fixture.count("compactions") == 1)
        #expect(fixture.count("lists") == 2)
    }

    @Test("a lease is revoked while the follower is away", arguments: EtcdRelease.allCases)
    func revokedWhileAway(on release: EtcdRelease) async throws {
        let fixture = try await away(on: release) { probe, lease in try await probe.revoke(lease) }
        #expect(fixture.entry("leased/a") == nil)
        #expect(fixture.count("lists") == 1, "the watch goes on where it was")
    }

    @Test("a backup is restored: the revision goes back", arguments: EtcdRelease.allCases)
    func restore(on release: EtcdRelease) async throws {
        let cluster = try await EtcdCluster(1, release: release)
        let member = cluster.members[0]
        let probe = EtcdProbe(member)
        try await fill(probe, 50)
        let backup = cluster.directory.appending(path: "backup.db").path()
        try await cluster.control(["snapshot", "save", backup])
        try await probe.put((50..<150).map { (path($0), service($0)) })
        try await probe.put(path(1), "will be lost")
        let fixture = try StoreFixture([member.endpoint])
        try await fixture.untilLive()
        try await fixture.untilEqual(probe)
        let lookups = Lookups(fixture, Self.steady)
        let revision = fixture.registry.revision
        try await member.kill()
        try FileManager.default.removeItem(at: member.directory)
        try await cluster.control([
            "snapshot", "restore", backup, "--data-dir", member.directory.path(), "--name", member.name,
            "--initial-cluster", cluster.text, "--initial-advertise-peer-urls", member.peerURL,
        ])
        try await cluster.start(member)
        try await probe.untilServing()
        try await fixture.until("the other history") {
            fixture.count("history_changes") > 0
                || fixture.count("lists") > 1
        }
        try await fixture.untilEqual(probe)
        #expect(fixture.registry.revision < revision)
        #expect(fixture.count("history_changes") >= 1)
        try await probe.put(path(2), "in the new history")
        try await fixture.untilEqual(probe)
        await lookups.end()
        await fixture.stop()
    }

    @Test("tokens run out", arguments: EtcdRelease.allCases)
    func tokens(on release: EtcdRelease) async throws {
        let cluster = try await EtcdCluster(1, release: release, flags: ["--auth-token-ttl", "1"])
        try await fill(EtcdProbe(cluster.members[0]), 5)
        try await cluster.control(["user", "add", "root:secret"])
        try await cluster.control(["user", "grant-role", "root", "root"])
        try await cluster.control(["auth", "enable"])
        let credentials = EtcdStoreConfiguration.Credentials(user: "root", password: "secret")
        let probe = EtcdProbe(cluster.members[0], credentials: credentials)
        let fixture = try StoreFixture([cluster.members[0].endpoint], credentials: credentials)
        try await fixture.untilLive()
        // A token that nobody uses runs out like the store's.
        let witness = EtcdProbe(cluster.members[0])
        let token = try await authenticate(witness, credentials)
        try await fixture.until("the end of a token") { try await !isTaken(token, by: cluster.members[0]) }
        try await fixture.store.apply([fixture.registration("web", "i-1", lease: .own(milliseconds: 60_000))])
        #expect(fixture.entry("web/i-1") != nil)
        try await probe.put(path(1), "seen by a watch of an old token")
        try await fixture.untilEqual(probe)

        // A member that starts again knows no token of before.
        try await cluster.members[0].kill()
        try await fixture.until("the loss") { fixture.store.status.staleSeconds != nil }
        try await cluster.start(cluster.members[0])
        try await fixture.untilLive()
        try await fixture.store.renew(namespace: .default, id: "i-1")
        try await fixture.store.apply([fixture.registration("web", "i-2", lease: .own(milliseconds: 60_000))])
        let again = EtcdProbe(cluster.members[0], credentials: credentials)
        try await again.put(path(2), "after the restart")
        try await fixture.untilEqual(again)

        // Every change of users makes all tokens old.
        try await cluster.control(["--user", "root:secret", "user", "add", "another:secret"])
        try await fixture.store.apply([fixture.registration("web", "i-3", lease: .own(milliseconds: 60_000))])
        try await again.put(path(3), "after a change of users")
        try await fixture.untilEqual(again)
        await fixture.stop()
    }

    private func authenticate(
        _ probe: EtcdProbe, _ credentials: EtcdStoreConfiguration.Credentials
    ) async throws -> String {
        var request = EtcdAuthenticateRequest()
        request.name = credentials.user
        request.password = credentials.password
        let answer: EtcdAuthenticateResponse = try await probe.call("Auth/Authenticate", request)
        return answer.token
    }

    /// Whether a token still opens the cluster. Asked rarely: each use prolongs its life.
    private func isTaken(_ token: String, by member: EtcdProcess) async throws -> Bool {
        try await Task.sleep(for: .milliseconds(2500))
        let client = try await GRPCClient.connect(host: "127.0.0.1", port: member.clientPort)
        var request = EtcdRangeRequest()
        request.key = Data("/".utf8)
        let bytes = try ClusterConnection.bytes(of: request)
        do {
            _ = try await client.unary("/etcdserverpb.KV/Range", bytes, metadata: [("token", token)])
            await client.close()
            return true
        } catch {
            await client.close()
            #expect(error.code == .unauthenticated)
            return false
        }
    }
}
