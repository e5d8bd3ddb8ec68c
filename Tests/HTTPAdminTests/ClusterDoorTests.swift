import HTTPTypes
import RegdnsTestKit
import RegistryStore
import Synchronization
import Testing

@testable import HTTPAdmin

/// Remembers what was wished, and answers what it was told to.
private final class RecordingCluster: ClusterControl {
    private let wishes = Mutex<[String]>([])
    private let isPreserving = Mutex(false)
    private let error: ClusterError?

    init(_ error: ClusterError? = nil) { self.error = error }

    var asked: [String] { wishes.withLock { $0 } }

    private func note(_ wish: String) throws(ClusterError) {
        wishes.withLock { $0.append(wish) }
        if let error { throw error }
    }

    static let member: ClusterMember = {
        var member = ClusterMember(
            name: "n\"1", address: "10.0.0.1:7946", state: .suspect, sinceUnixMilliseconds: 1_700_000_000_250,
            incarnation: 7)
        member.role = "regdns"
        member.version = "0.1.0"
        member.isReady = true
        member.roundTripMilliseconds = 0.25
        member.tags = [("o", "ab"), ("role", "regdns")]
        return member
    }()

    static let foreign: ClusterMember = {
        var member = ClusterMember(
            name: "serf", address: "[fd00::1]:7946", state: .dead, sinceUnixMilliseconds: 0, incarnation: 0)
        member.opaqueMetadata = "0102"
        return member
    }()

    func members() async throws(ClusterError) -> [ClusterMember] {
        try note("members")
        return [Self.member, Self.foreign]
    }

    func join(_ addresses: [String]) async throws(ClusterError) -> ClusterJoin {
        try note("join \(addresses)")
        return ClusterJoin(
            dialled: addresses.count, joined: addresses.filter { !$0.hasPrefix("silent") },
            isMember: !addresses.contains("silent:2"))
    }

    func leave() async throws(ClusterError) { try note("leave") }
    func forceLeave(_ name: String) async throws(ClusterError) { try note("force-leave \(name)") }

    func keys() async throws(ClusterError) -> ClusterKeys {
        try note("keys")
        return ClusterKeys(
            keys: [
                .init(kind: .passphrase, fingerprint: "aa", isPrimary: true),
                .init(kind: .key, fingerprint: "bb", isPrimary: false),
            ], epoch: 3, loss: "write it down")
    }

    func changeKeys(_ change: ClusterKeyChange) async throws(ClusterError) {
        switch change {
        case .install(let key): try note("install \(key.count)")
        case .use(let key): try note("use \(key.count)")
        case .remove(let key): try note("remove \(key.count)")
        }
    }

    func rotateKeys() async throws(ClusterError) -> UInt32 {
        try note("rotate")
        return 4
    }

    func sync() async throws(ClusterError) -> ClusterSync {
        try note("sync")
        var sync = ClusterSync(
            phase: "ready", origin: 1, contextHash: .max, entriesHash: 0x10,
            origins: [.init(origin: 1, head: .max, floor: 2, gaps: 3, hash: 4)])
        sync.peers = [
            .init(name: "n2", agreedUnixMilliseconds: 1_700_000_000_000),
            .init(name: "n3", agreedUnixMilliseconds: nil),
        ]
        sync.queues = [("deltas", 5)]
        return sync
    }

    func verify() async throws(ClusterError) -> ClusterVerification {
        try note("verify")
        return ClusterVerification(
            contextHash: 1, entriesHash: 2,
            members: [
                .init(name: "n2", verdict: .equal, contextHash: 1, entriesHash: 2), .init(name: "n3", verdict: .silent),
            ])
    }

    func preserves() async throws(ClusterError) -> Bool {
        try note("preserves")
        return isPreserving.withLock { $0 }
    }

    func preserve(_ isOn: Bool) async throws(ClusterError) {
        try note("preserve \(isOn)")
        isPreserving.withLock { $0 = isOn }
    }

    func events() async throws(ClusterError) -> any AsyncSequence<ClusterEvent, Never> & Sendable {
        try note("events")
        let (events, reader) = AsyncStream<ClusterEvent>.makeStream()
        reader.yield(ClusterEvent(name: "joined", member: Self.member, node: Self.member.name))
        reader.yield(ClusterEvent(name: "suspected", node: "n3", detail: "by n2"))
        return events
    }
}

struct ClusterDoorTests {
    private static let key = "HfE3cCvQSkCxyvJ/0d0z3JtNHqKAqdYTLsOLJzf3m1s="

    private func ask(
        _ cluster: some ClusterControl, _ method: HTTPRequest.Method, _ path: String, _ body: String? = nil,
        headers: HTTPFields = [:]
    ) async throws -> HTTPAnswer {
        await (try Bench(cluster: cluster)).ask(method, "/api/v1/cluster/" + path, body, headers: headers)
    }

    @Test(arguments: [
        (
            "members",
            #"{"members":[{"name":"n\"1","address":"10.0.0.1:7946","state":"suspect","role":"regdns","#
                + #""version":"0.1.0","ready":true,"rtt_ms":0.25,"since":"2023-11-14T22:13:20.25Z","incarnation":7,"#
                + #""self":false,"metadata":{"o":"ab","role":"regdns"}},{"name":"serf","address":"[fd00::1]:7946","#
                + #""state":"dead","role":"","version":"","ready":null,"rtt_ms":null,"since":"1970-01-01T00:00:00Z","#
                + #""incarnation":0,"self":false,"metadata":{},"metadata_hex":"0102"}]}"#
        ),
        (
            "keys",
            #"{"encrypted":true,"epoch":3,"kept":false,"warning":"write it down","keys":"#
                + #"[{"kind":"passphrase","fingerprint":"aa","primary":true},"#
                + #"{"kind":"key","fingerprint":"bb","primary":false}]}"#
        ),
        (
            "sync",
            #"{"phase":"ready","origin":"0000000000000001","context_hash":"ffffffffffffffff","#
                + #""entries_hash":"0000000000000010","origins":[{"origin":"0000000000000001","#
                + #""head":9223372036854775807,"floor":2,"gaps":3,"hash":"0000000000000004"}],"peers":[{"name":"n2","#
                + #""agreed":"2023-11-14T22:13:20Z"},{"name":"n3","agreed":null}],"queues":{"deltas":5}}"#
        ),
        ("preserve", #"{"on":false}"#),
    ])
    func whatIsShown(path: String, expected: String) async throws {
        let answer = try await ask(RecordingCluster(), .get, path)
        #expect(answer.status == .ok)
        #expect(answer.text == expected)
    }

    @Test func verificationSaysWhoDiffers() async throws {
        let answer = try await ask(RecordingCluster(), .post, "verify")
        let expected =
            #"{"equal":false,"context_hash":"0000000000000001","entries_hash":"0000000000000002","members":"#
            + #"[{"name":"n2","verdict":"equal","context_hash":"0000000000000001","#
            + #""entries_hash":"0000000000000002"},{"name":"n3","verdict":"silent"}]}"#
        #expect(answer.text == expected)
    }

    @Test(
        arguments: [
            ("join", #"{"addresses":["a:1","silent:1"]}"#, #"join ["a:1", "silent:1"]"#),
            ("leave", nil, "leave"), ("force-leave/n%202", nil, "force-leave n 2"), ("keys/rotate", nil, "rotate"),
            ("keys/install", #"{"key":"\#(key)"}"#, "install 32"), ("keys/use", #"{"key":"\#(key)"}"#, "use 32"),
            ("keys/remove", #"{"key":"\#(key)"}"#, "remove 32"),
        ] as [(String, String?, String)])
    func wishesArrive(path: String, body: String?, wish: String) async throws {
        let cluster = RecordingCluster()
        #expect(try await ask(cluster, .post, path, body).status == .ok)
        #expect(cluster.asked.first == wish)
    }

    @Test func aJoinThatNobodyAnswersIsNoSuccess() async throws {
        let answer = try await ask(RecordingCluster(), .post, "join", #"{"addresses":["silent:1"]}"#)
        #expect(answer.status == .badGateway)
        #expect(answer.text.contains(#""Error":"Nobody answered at these addresses","dialled":1,"joined":[]"#))
        let out = try await ask(RecordingCluster(), .post, "join", #"{"addresses":["silent:2"]}"#)
        #expect(out.text.contains("these addresses; this node stays out of its cluster"))
    }

    @Test func preservationIsSwitched() async throws {
        let cluster = RecordingCluster()
        let answer = try await ask(cluster, .put, "preserve", #"{"on":true}"#)
        #expect(answer.text == #"{"on":true}"#)
        #expect(cluster.asked == ["preserve true", "preserves"])
    }

    @Test(
        arguments: [
            (.post, "join", "", "body "), (.post, "join", "[]", "body "),
            (.post, "join", "{}", "addresses: 0 of them, expected 1 to 64 of HOST:PORT"),
            (.post, "join", #"{"addresses":[1]}"#, "addresses: expected strings only, got 1"),
            (
                .post, "join", #"{"addresses":[\#(Array(repeating: #""a""#, count: 65).joined(separator: ","))]}"#,
                "addresses: 65 of them"
            ),
            (.post, "join", #"{"x":"\#(String(repeating: "x", count: 20_000))"}"#, "body: 20008 octets"),
            (.put, "preserve", "{}", "on: expected true or false, got nothing"),
            (.put, "preserve", #"{"on":"yes"}"#, #"on: expected true or false, got "yes""#),
            (.post, "keys/install", #"{"key":"c2VjcmV0"}"#, "key: expected 16, 24 or 32 octets in base64"),
            (.post, "keys/use", #"{"key":["c2VjcmV0"]}"#, "key: expected 16, 24 or 32 octets in base64"),
            (.post, "keys/remove", "{}", "key: expected 16, 24 or 32 octets in base64"),
        ] as [(HTTPRequest.Method, String, String, String)])
    func brokenBodies(method: HTTPRequest.Method, path: String, body: String, detail: String) async throws {
        let cluster = RecordingCluster()
        let answer = try await ask(cluster, method, path, body)
        #expect(answer.status == .badRequest || answer.status == .contentTooLarge)
        let shown = answer.headers[.errorDetail] ?? ""
        #expect(shown.hasPrefix(detail), "\(shown)")
        #expect(!shown.contains("c2Vj"))
        #expect(cluster.asked.isEmpty)
    }

    @Test(
        arguments: [
            (.off, 409, "gossip is off"), (.left, 409, "the node has left"), (.refused("why"), 409, "why"),
            (.unknownMember("x"), 404, #"node: no member is called "x""#), (.unavailable("later"), 503, "later"),
            (.invalid(field: "f", value: "v", expected: "e"), 400, #"f: "v", expected e"#),
            (.invalid(field: "f", value: nil, expected: "e"), 400, "f: expected e"),
        ] as [(ClusterError, Int, String)])
    func refusals(error: ClusterError, status: Int, detail: String) async throws {
        let answer = try await ask(RecordingCluster(error), .get, "members")
        #expect(answer.status.code == status)
        #expect(answer.headers[.errorDetail] == detail)
        #expect(answer.text.hasPrefix(#"{"Error":""#))
    }

    @Test(
        "Without a cluster every path answers 409 and says how to begin",
        arguments: [
            (.get, "members", nil), (.get, "sync", nil), (.post, "join", #"{"addresses":["a:1"]}"#),
            (.post, "leave", nil), (.post, "force-leave/x", nil), (.get, "keys", nil), (.post, "keys/rotate", nil),
            (.post, "keys/install", #"{"key":"\#(key)"}"#), (.get, "preserve", nil),
            (.put, "preserve", #"{"on":true}"#), (.post, "verify", nil), (.get, "events", nil),
        ] as [(HTTPRequest.Method, String, String?)])
    func off(method: HTTPRequest.Method, path: String, body: String?) async throws {
        let answer = try await ask(NoCluster(), method, path, body)
        #expect(answer.status == .conflict)
        #expect(answer.text == #"{"Error":"This node has no cluster: start it with --gossip IP:PORT"}"#)
    }

    @Test func foreignTokensAndMethodsAreRefused() async throws {
        let cluster = RecordingCluster()
        #expect(try await ask(cluster, .get, "members", headers: [.authorization: "Bearer x"]).status == .unauthorized)
        #expect(try await ask(cluster, .delete, "members").status == .methodNotAllowed)
        #expect(try await ask(cluster, .get, "nothing").status == .notFound)
        #expect(cluster.asked.isEmpty)
    }

    @Test func eventsAreTold() async throws {
        var feed = EventFeed.Settings()
        feed.streams = 1
        feed.heartbeat = .milliseconds(20)
        let bench = try Bench(feed: feed, cluster: RecordingCluster())
        let answer = await bench.ask(.get, "/api/v1/cluster/events")
        #expect(answer.headers[.contentType] == "text/event-stream; charset=utf-8")
        let refused = await bench.ask(.get, "/api/v1/cluster/events")
        #expect(refused.status == .serviceUnavailable)
        guard case .stream(let produce) = answer.body else {
            Issue.record("no stream")
            return
        }
        let (pieces, continuation) = AsyncStream<[UInt8]>.makeStream()
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await produce { continuation.yield($0) } }
            var texts: [String] = []
            for await piece in pieces {
                texts.append(String(decoding: piece, as: UTF8.self))
                if texts.count >= 5 { break }
            }
            group.cancelAll()
            #expect(texts.first == "event: ready\ndata: {}\n\n")
            #expect(texts.contains { $0.hasPrefix("event: joined\ndata: {\"node\":\"n\\\"1\",\"member\":{\"name\"") })
            #expect(texts.contains("event: suspected\ndata: {\"node\":\"n3\",\"detail\":\"by n2\"}\n\n"))
            #expect(texts.contains(": heartbeat\n\n"))
        }
    }
}
