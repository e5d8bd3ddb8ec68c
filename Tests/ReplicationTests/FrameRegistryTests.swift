import DNSWire
import RegdnsTestKit
import RegistryStore
import Testing

@testable import Replication

/// From one registry to another by way of bytes.
struct FrameRegistryTests {
    private static func registry(_ node: String, _ origin: UInt64, _ clock: VirtualClock) throws -> Registry {
        let layout = KeyLayout(prefix: "skydns", domain: try OwnerName("skydns.local"))
        let registry = Registry(layout: layout, node: node, origin: origin, clock: clock.registryClock)
        registry.startReplicating()
        return registry
    }

    private static func fill(_ registry: Registry) throws {
        let instance = InstanceAttributes(
            service: "e\u{301}", id: "i", tags: ["a", "é"], status: "STARTING", endpointType: "http",
            endpoint: "http://[::1]:80/x", metadata: Array(#"{"k":[1,null]}"#.utf8), extra: Array("{}".utf8),
            origin: "eureka")
        let registration = Registration(
            host: .ipv6(0x2001_0db8 << 32, 1), port: 80, priority: -1, weight: 7, text: "text", mail: true, ttl: 60,
            targetStrip: 1, group: "g", instance: instance)
        let tenant = Namespace("tenant é")
        let key = registry.layout.primaryKey(service: "s", id: "i")
        try registry.apply([
            .put(namespace: tenant, key: key, value: .registration(registration), lease: .own(milliseconds: 30_000)),
            .put(namespace: .default, key: [0, 0xff, 0], value: .bytes([0, 0xff]), lease: .permanent),
            .put(namespace: .default, key: [1], value: .bytes([]), lease: .suspended(milliseconds: 5)),
        ])
        let lease = try registry.grantLease(id: LeaseID(-5), milliseconds: 9000)
        try registry.apply([
            .put(namespace: .default, key: [2], value: .bytes([2]), lease: .shared(lease.id)),
            .put(namespace: .default, key: [3], value: .bytes([3]), lease: .own(milliseconds: 1)),
        ])
        try registry.apply([
            .delete(namespace: .default, key: [3]),
            .put(namespace: .default, key: [4], value: .bytes([4]), lease: .permanent),
            .delete(namespace: .default, key: [4]),
        ])
    }

    private static let keys: [(Namespace, [UInt8])] = [
        (.default, [0, 0xff, 0]), (.default, [1]), (.default, [2]), (.default, [3]), (.default, [4]),
    ]

    @Test("a session through bytes gives byte for byte the same entries, leases and removals")
    func session() throws {
        let clock = VirtualClock()
        let a = try Self.registry("node-a", 0xa1, clock)
        let b = try Self.registry("node-b", 0xb2, clock)
        try Self.fill(a)
        var session = b.beginSession()
        let want = Frame(
            .want(
                WantFrame(
                    session: 5,
                    context: session.context.sorted.map {
                        SyncOrigin(origin: $0.origin, head: $0.known.head, gaps: $0.known.gaps, floor: 0)
                    })))
        guard case .want(let asked) = try Frame(decoding: want.encoded()).body else {
            Issue.record("not a want")
            return
        }
        let context = try #require(CausalContext(checking: asked.context, limits: a.limits))
        var source = a.openSync(to: context)
        var state: SyncProgress.State?
        while let page = a.nextPage(of: &source, operationsMax: 2) {
            let bytes = Frame(.page(session: asked.session, page)).encoded()
            guard case .page(5, let read) = try Frame(decoding: bytes).body else {
                Issue.record("not a page")
                return
            }
            #expect(read == page)
            state = try b.receive(read, in: &session).state
        }
        #expect(state == .complete)
        #expect(b.digest() == a.digest())
        let key = a.layout.primaryKey(service: "s", id: "i")
        for (namespace, key) in Self.keys + [(Namespace("tenant é"), key)] {
            let original = try #require(a.operation(namespace: namespace, key: key))
            let copy = try #require(b.operation(namespace: namespace, key: key))
            #expect(copy == original)
            #expect(Frame(.delta([copy])).encoded() == Frame(.delta([original])).encoded())
        }
        let entry = try #require(b.entry(namespace: Namespace("tenant é"), id: "i"))
        #expect(Array((entry.instance?.service ?? "").utf8) == Array("e\u{301}".utf8))
        #expect(b.leaseInfo(of: entry)?.home == "node-a")
        #expect(b.counts().tombstones == 2)
        #expect(b.inconsistency == nil)
    }

    @Test("the answer to a digest says whether to ask for a session")
    func digests() throws {
        let clock = VirtualClock()
        let a = try Self.registry("node-a", 0xa1, clock)
        let b = try Self.registry("node-b", 0xb2, clock)
        try Self.fill(a)
        let digest = a.digest()
        let frame = Frame(.digest(DigestFrame(clock: 5, summary: digest.summary, origins: digest.origins)))
        guard case .digest(let read) = try Frame(decoding: frame.encoded()).body else {
            Issue.record("not a digest")
            return
        }
        #expect(!b.agrees(with: read.summary))
        #expect(b.compare(with: ReplicaDigest(summary: read.summary, origins: read.origins ?? [])) == .lacking)
        #expect(a.agrees(with: read.summary))
    }
}
