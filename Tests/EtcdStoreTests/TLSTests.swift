import EtcdMessages
import Foundation
import GRPC
import RegdnsTestKit
import RegistryStore
import SwiftProtobuf
import TLS
import Testing

@testable import EtcdStore

/// With real members whose clients speak TLS.
@Suite("TLS to a real cluster", .serialized, .timeLimit(.minutes(2)))
struct TLSTests {
    private static let steady = "/skydns/local/skydns/steady/one"

    private func put(_ path: String, _ value: String) -> EtcdPutRequest {
        .with {
            $0.key = Data("\(StoreFixture.prefix)local/skydns/\(path)".utf8)
            $0.value = Data(value.utf8)
        }
    }

    /// Lists, watches, writes, renews and proxies; ends with the copy being the cluster's content.
    private func useEverything(_ proxy: ProxyFixture, _ probe: EtcdProbe) async throws {
        let fixture = proxy.fixture
        try await fixture.untilLive()
        try await fixture.untilEqual(probe)
        try await probe.put(Self.steady, "2")
        try await fixture.until("a change") { fixture.value("steady/one") == "2" }
        try await fixture.store.apply([fixture.registration("web", "i-1", lease: .own(milliseconds: 60_000))])
        try await fixture.store.renew(namespace: .default, id: "i-1")
        try await fixture.untilEqual(probe)
    }

    @Test("list, watch, write, renew, proxy; a member that restarts is found again", arguments: [false, true])
    func serverCertificate(withPassword: Bool) async throws {
        let tls = try await MemberTLS()
        let cluster = try await EtcdCluster(1, tls: tls)
        let member = cluster.members[0]
        try await cluster.probe().put(Self.steady, "1")
        var credentials: EtcdStoreConfiguration.Credentials?
        if withPassword {
            try await cluster.control(["user", "add", "root:secret"])
            try await cluster.control(["user", "grant-role", "root", "root"])
            try await cluster.control(["auth", "enable"])
            credentials = .init(user: "root", password: "secret")
        }
        let probe = cluster.probe(credentials: credentials)
        let proxy = try await ProxyFixture([member.endpoint], credentials: credentials) { $0.use(tls.client) }
        try await useEverything(proxy, probe)
        let client = try await proxy.client()
        if !withPassword {
            let _: EtcdPutResponse = try await client.call("KV/Put", put("proxied", "1"))
            #expect(proxy.fixture.value("proxied") == "1")
        }

        try await member.kill()
        try await proxy.fixture.until("the loss") { proxy.fixture.store.status.staleSeconds != nil }
        #expect(proxy.fixture.value("steady/one") == "2")
        try await cluster.start(member)
        try await useEverything(proxy, cluster.probe(credentials: credentials))
        await client.close()
        await proxy.stop()
    }

    @Test(
        "members that demand certificates: the common name is the user, and its roles count",
        arguments: EtcdRelease.allCases)
    func commonNames(release: EtcdRelease) async throws {
        let tls = try await MemberTLS(demandsCertificates: true)
        let cluster = try await EtcdCluster(1, release: release, tls: tls)
        try await cluster.probe().put(Self.steady, "1")
        for arguments in [
            ["user", "add", "root", "--no-password"], ["user", "grant-role", "root", "root"],
            ["user", "add", "reader", "--no-password"], ["role", "add", "reads"],
            ["role", "grant-permission", "reads", "--prefix=true", "read", "/skydns/"],
            ["user", "grant-role", "reader", "reads"], ["auth", "enable"],
        ] {
            try await cluster.control(arguments)
        }
        let root = try await ProxyFixture([cluster.members[0].endpoint]) { $0.use(tls.client) }
        try await useEverything(root, cluster.probe())
        // Without a token a client of the etcd port is whom this node's certificate says.
        let caller = try await root.client()
        let answer: EtcdPutResponse = try await caller.call("KV/Put", put("proxied", "1"))
        #expect(root.fixture.entry("proxied")?.modRevision == answer.header.revision)
        await caller.close()
        await root.stop()

        let identity = try await tls.authority.issue("reader", names: "DNS:reader")
        let client = try ClientTLS.reading(tls.authority, identity)
        let reader = try StoreFixture([cluster.members[0].endpoint]) { $0.use(client) }
        try await reader.untilLive()
        try await reader.untilEqual(cluster.probe())
        let refusal = await #expect(throws: RegistryError.self) {
            try await reader.store.apply([reader.registration("web", "i-2", lease: .own(milliseconds: 60_000))])
        }
        #expect("\(String(describing: refusal))".contains("permission denied"))
        await reader.stop()
    }

    /// Waits for the problem that the follower tells and that who calls past it is told, too.
    private func expectProblem(
        _ expected: String, at endpoint: EtcdStoreConfiguration.Endpoint, _ client: ClientTLS,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let proxy = try await ProxyFixture([endpoint]) { $0.use(client) }
        let fixture = proxy.fixture
        try await fixture.until("'\(expected)'", sourceLocation: sourceLocation) {
            fixture.store.status.problem?.contains("connection to \(endpoint): \(expected)") == true
        }
        #expect(!fixture.store.status.hasContent)
        let caller = try await proxy.client()
        let before = ContinuousClock.now
        let status = try await caller.failure("KV/Range", EtcdRangeRequest.with { $0.key = Data("a".utf8) })
        #expect(ContinuousClock.now - before < .seconds(4), sourceLocation: sourceLocation)
        #expect(status.code == .unavailable, sourceLocation: sourceLocation)
        #expect(status.message.contains(expected), "\(status)", sourceLocation: sourceLocation)
        await caller.close()
        await proxy.stop()
    }

    @Test("servers whose certificates are not good, each with its reason")
    func badServers() async throws {
        let tls = try await MemberTLS()
        let cluster = try await EtcdCluster(1, tls: tls)
        var endpoint = cluster.members[0].endpoint
        let stranger = try await TestAuthority("Stranger")
        try await expectProblem("its certificate is not trusted", at: endpoint, try .reading(stranger))
        // A member reads its certificate for every connection.
        _ = try await tls.authority.issue("server", names: "DNS:other.test,IP:127.0.0.2")
        let names = "but for common_name=server, alternative_names=other.test,127.0.0.2"
        try await expectProblem("its certificate is not for 127.0.0.1, \(names)", at: endpoint, tls.client)
        _ = try await tls.authority.issue("server", names: "IP:127.0.0.1", days: -1)
        try await expectProblem("its certificate ended at 20", at: endpoint, tls.client)
        endpoint.isSecure = false
        try await expectProblem(
            "closed by the server before it spoke HTTP/2; does it want TLS?", at: endpoint, tls.client)
        let plain = try await EtcdCluster(1)
        endpoint = plain.members[0].endpoint
        endpoint.isSecure = true
        try await expectProblem("the server cut the TLS handshake off; does it speak TLS?", at: endpoint, tls.client)
    }

    @Test("members that demand a certificate which we have not, or which they do not trust")
    func badClients() async throws {
        let tls = try await MemberTLS(demandsCertificates: true)
        let cluster = try await EtcdCluster(1, tls: tls)
        let endpoint = cluster.members[0].endpoint
        try await expectProblem(
            "the server demands a client certificate, and we have none", at: endpoint, try .reading(tls.authority))
        let stranger = try await TestAuthority("Stranger")
        let identity = try await stranger.issue("root", names: "DNS:root")
        try await expectProblem(
            "the server does not take our client certificate", at: endpoint, try .reading(tls.authority, identity))
    }

    @Test("a member that is not trusted is passed over for one that is")
    func oneIsGood() async throws {
        let bad = try await EtcdCluster(1, tls: try await MemberTLS())
        let tls = try await MemberTLS()
        let good = try await EtcdCluster(1, tls: tls)
        try await bad.probe().put(Self.steady, "of a stranger")
        try await good.probe().put(Self.steady, "1")
        let proxy = try await ProxyFixture([bad.members[0].endpoint, good.members[0].endpoint]) { $0.use(tls.client) }
        try await useEverything(proxy, good.probe())
        #expect(proxy.fixture.store.status.endpoint == "\(good.members[0].endpoint)")
        #expect(try await bad.probe().range("/").count == 1)
        await proxy.stop()
    }

    @Test("new certificates count from the next connection on; broken ones change nothing")
    func renewal() async throws {
        let tls = try await MemberTLS()
        let cluster = try await EtcdCluster(1, tls: tls)
        let member = cluster.members[0]
        try await cluster.probe().put(Self.steady, "1")
        let client = try ClientTLS.reading(tls.authority)
        let fixture = try StoreFixture([member.endpoint]) { $0.use(client) }
        try await fixture.untilLive()
        #expect(throws: TLSPartError.self) { try client.renew(TLSParts(authorities: Array("nothing".utf8))) }
        try await member.kill()
        try await cluster.start(member)
        try await fixture.until("another connection") { fixture.count("connects") == 2 }
        try await fixture.untilLive()

        // The cluster changes its authority.
        let next = try await TestAuthority("Next")
        let identity = try await next.issue("server", names: "IP:127.0.0.1")
        for (new, old) in [(identity.certificate, tls.server.certificate), (identity.key, tls.server.key)] {
            try Data(contentsOf: URL(filePath: new)).write(to: URL(filePath: old))
        }
        try await member.kill()
        try await member.start(flags: tls.flags)
        try await fixture.until("a refusal") {
            fixture.store.status.problem?.contains("its certificate is not trusted") == true
        }
        #expect(fixture.value("steady/one") == "1")
        try client.renew(try .reading(next))
        try await fixture.untilLive()
        try await fixture.untilEqual(EtcdProbe(member, tls: try .reading(next)))
        await fixture.stop()
    }

    /// The handshake is within the time for connecting.
    @Test("a member that takes connections and hangs")
    func hangs() async throws {
        let tls = try await MemberTLS()
        let cluster = try await EtcdCluster(1, tls: tls)
        cluster.members[0].pause()
        let before = ContinuousClock.now
        let problem = "no TLS and HTTP/2 from the server within 2.0 seconds"
        try await expectProblem(problem, at: cluster.members[0].endpoint, tls.client)
        #expect(ContinuousClock.now - before < .seconds(20))
        cluster.members[0].resume()
    }
}
