import RegdnsTestKit
import Synchronization
import Testing

@testable import RegistryStore

/// Two nodes of a cluster on one clock, each with a registry of its own.
struct SyncPair {
    let clock = VirtualClock()
    let a: Fixture
    let b: Fixture

    init(limits: RegistryLimits = .init()) throws {
        a = try Fixture(limits: limits, node: "a", origin: 0xa1, clock: clock)
        b = try Fixture(limits: limits, node: "b", origin: 0xb2, clock: clock)
        a.registry.startReplicating()
        b.registry.startReplicating()
    }

    /// All pages of a session from one to another.
    static func pages(_ from: Registry, to: Registry, size: Int = 2) -> [SyncPage] {
        var source = from.openSync(to: to.context())
        var pages: [SyncPage] = []
        while let page = from.nextPage(of: &source, operationsMax: size) { pages.append(page) }
        return pages
    }

    @discardableResult
    static func sync(_ from: Registry, to: Registry) throws -> SyncProgress {
        var session = to.beginSession()
        var last: SyncProgress?
        for page in pages(from, to: to) { last = try to.receive(page, in: &session) }
        return try #require(last)
    }
}

/// Sessions between two stores: whole or not at all.
struct SyncTests {
    @Test(
        "equal entries with as many holes in what is known are told apart, and a session closes them",
        arguments: [([1, 2, 3, 6], [1, 6]), ([1, 2, 6], [1, 4, 6]), ([1, 2, 6], [1, 3, 4, 5, 6])])
    func holes(ofA: [UInt64], ofB: [UInt64]) throws {
        let pair = try SyncPair()
        for (node, sequences) in [(pair.a, ofA), (pair.b, ofB)] {
            for sequence in sequences {
                var operation = RemoteOperation(
                    namespace: .default, key: node.key("x"),
                    version: Version(hlc: sequence << 16, kind: .write, origin: 7, sequence: sequence), value: nil)
                operation.value = .bytes(Array("1".utf8))
                _ = node.registry.merge([operation])
            }
        }
        // First A asks, then B what A has by then; where as many are missing, who lacks something is not told.
        let all = Set(ofA + ofB)
        for (asker, giver, lacks) in [
            (pair.a, pair.b, ofA.count == ofB.count || all.count > ofA.count), (pair.b, pair.a, all.count > ofB.count),
        ] {
            #expect(asker.registry.compare(with: giver.registry.digest()) == (lacks ? .lacking : .covered))
            try SyncPair.sync(giver.registry, to: asker.registry)
            #expect(asker.registry.compare(with: giver.registry.digest()) == .covered)
        }
        #expect(pair.a.registry.digest() == pair.b.registry.digest())
    }

    @Test("a session brings entries, removals and leases byte for byte, and both agree")
    func whole() throws {
        let pair = try SyncPair()
        try pair.a.put(pair.a.key("plain"), "not JSON")
        try pair.a.put(pair.a.key("x"), #"{"host":"10.0.0.1","port":80}"#, lease: .own(milliseconds: 9000))
        try pair.a.register("s", "i", tags: ["t"], lease: .suspended(milliseconds: 7000))
        let lease = try pair.a.registry.grantLease(id: LeaseID(77), milliseconds: 60_000)
        try pair.a.put(pair.a.key("shared"), "1", lease: .shared(lease.id))
        try pair.a.put(pair.a.key("gone"), "1")
        try pair.a.delete(pair.a.key("gone"))
        #expect(pair.b.registry.compare(with: pair.a.registry.digest()) == .lacking)
        let progress = try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        #expect(progress.isComplete)
        #expect(pair.a.registry.digest() == pair.b.registry.digest())
        #expect(pair.b.registry.agrees(with: pair.a.registry.summary()))
        #expect(pair.b.keys() == pair.a.keys())
        for key in pair.a.registry.range(namespace: .default, lower: [], upper: nil).entries.map(\.key) {
            let original = pair.a.registry.operation(namespace: .default, key: key)
            #expect(pair.b.registry.operation(namespace: .default, key: key) == original)
        }
        #expect(pair.b.registry.counts().tombstones == 1)
        #expect(pair.b.inconsistency == nil)
        #expect(pair.b.registry.compare(with: pair.a.registry.digest()) == .covered)
        // A third node hears of the suspended lease from one that does not count it.
        let third = try Fixture(node: "c", origin: 0xc3, clock: pair.clock)
        third.registry.startReplicating()
        try SyncPair.sync(pair.b.registry, to: third.registry)
        let key = pair.a.layout.primaryKey(service: "s", id: "i")
        let original = pair.a.registry.operation(namespace: .default, key: key)
        #expect(original?.lease?.isSuspended == true)
        #expect(third.registry.operation(namespace: .default, key: key) == original)
    }

    @Test("any proper part of a session joins nothing", arguments: 0..<20 * SeededRandom.effort)
    func part(round: Int) throws {
        var random = SeededRandom(seed: UInt64(round))
        let pair = try SyncPair()
        for index in 0..<12 {
            try pair.a.put(pair.a.key("k\(index)"), "v")
            if random.oneIn(3) { try pair.a.delete(pair.a.key("k\(random.below(index + 1))")) }
            if random.oneIn(3) { try pair.a.put(pair.a.key("k\(random.below(index + 1))"), "w\(index)") }
        }
        let pages = SyncPair.pages(pair.a.registry, to: pair.b.registry).shuffled(using: &random)
        let before = pair.b.registry.context()
        var session = pair.b.registry.beginSession()
        let missing = random.below(pages.count)
        for (index, page) in pages.enumerated() where index != missing {
            #expect(try !pair.b.registry.receive(page, in: &session).isComplete)
            // A page twice is nothing.
            #expect(try pair.b.registry.receive(page, in: &session).receipt.changes.isEmpty)
        }
        // What came is known by its own dots; no range is.
        let sent = Set(pages.indices.filter { $0 != missing }.flatMap { pages[$0].operations.map(\.version.dot) })
        let head = pair.a.registry.context().completeHead(origin: 0xa1)
        let context = pair.b.registry.context()
        for sequence in 1...head {
            let isKnown = context.contains(origin: 0xa1, sequence: sequence)
            #expect(isKnown == sent.contains(Dot(origin: 0xa1, sequence: sequence)), "seed \(round)")
        }
        #expect(before.origins.isEmpty)
        #expect(try pair.b.registry.receive(pages[missing], in: &session).isComplete)
        #expect(pair.b.registry.context() == pair.a.registry.context())
        #expect(throws: SyncError.sessionIsOver) { try pair.b.registry.receive(pages[0], in: &session) }
    }

    @Test("what is written while a session runs is in it, or comes with the next")
    func writesMeanwhile() throws {
        let pair = try SyncPair()
        for index in 0..<9 { try pair.a.put(pair.a.key("k\(index)"), "v") }
        var source = pair.a.registry.openSync(to: pair.b.registry.context())
        var session = pair.b.registry.beginSession()
        var step = 0
        while let page = pair.a.registry.nextPage(of: &source, operationsMax: 2) {
            try pair.b.registry.receive(page, in: &session)
            // Entries that the walk has passed and that it has not reached yet, until they are enough.
            if step < 6 {
                try pair.a.put(pair.a.key("k\(step)"), "later")
                try pair.a.delete(pair.a.key("k\(8 - step)"))
            }
            step += 1
        }
        #expect(source.isFinished)
        #expect(pair.b.registry.context() == pair.a.registry.context())
        #expect(pair.b.registry.summary() == pair.a.registry.summary())
        #expect(pair.b.keys() == pair.a.keys())
    }

    @Test("what a node forgot having removed goes by reset, but for leases that run at the receiver")
    func reset() throws {
        let pair = try SyncPair()
        try pair.a.register("s", "kept", lease: .own(milliseconds: 1000))
        try pair.a.register("s", "removed", lease: .own(milliseconds: 1000))
        try pair.a.register("s", "renewed", lease: .own(milliseconds: 1000))
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        // The client of one of them goes to the other node, which becomes its home while the two are apart.
        try pair.b.registry.renew(namespace: .default, id: "renewed")
        for id in ["removed", "renewed"] { try pair.a.delete(pair.a.layout.primaryKey(service: "s", id: id)) }
        let adopted = try #require(pair.b.entry(id: "renewed")?.version)
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        try pair.a.delete(pair.a.layout.primaryKey(service: "s", id: "renewed"))
        for _ in 0..<(24 * 3600 + 1) / 100 {
            pair.clock.advance(milliseconds: 100_000)
            for fixture in [pair.a, pair.b] {
                for id in ["kept", "renewed"] { try? fixture.registry.renew(namespace: .default, id: id) }
            }
        }
        pair.a.registry.expireDue()
        #expect(pair.a.registry.counts().tombstones == 0)
        #expect(adopted.origin == 0xb2)
        let progress = try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        #expect(progress.isComplete)
        #expect(progress.dropped == 1)
        #expect(progress.reasserted == 1)
        #expect(pair.b.entry(id: "removed") == nil)
        #expect(pair.b.entry(id: "kept") != nil)
        #expect(try #require(pair.b.entry(id: "renewed")).version > adopted)
        #expect(pair.b.inconsistency == nil)
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        #expect(pair.a.registry.summary() == pair.b.registry.summary())
    }

    @Test("a session whose sender forgets a removal on the way is void")
    func void() throws {
        var limits = RegistryLimits()
        limits.tombstoneMilliseconds = 1000
        let pair = try SyncPair(limits: limits)
        for index in 0..<6 { try pair.a.put(pair.a.key("k\(index)"), "v", lease: .own(milliseconds: 1_000_000)) }
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        for index in 0..<6 { try pair.a.delete(pair.a.key("k\(index)")) }
        var source = pair.a.registry.openSync(to: pair.b.registry.context())
        var session = pair.b.registry.beginSession()
        let first = try #require(pair.a.registry.nextPage(of: &source, operationsMax: 1))
        try pair.b.registry.receive(first, in: &session)
        pair.clock.advance(milliseconds: 1001)
        pair.a.registry.expireDue()
        let before = pair.b.registry.context()
        var last: SyncProgress?
        while let page = pair.a.registry.nextPage(of: &source, operationsMax: 1) {
            last = try pair.b.registry.receive(page, in: &session)
        }
        #expect(last?.state == .void)
        #expect(pair.b.registry.context() == before)
        // The next one is a reset and brings the two together.
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        #expect(pair.b.keys().isEmpty)
        #expect(pair.b.registry.context() == pair.a.registry.context())
    }

    @Test("a node that cannot take everything over does not say that it has")
    func refused() throws {
        var limits = RegistryLimits()
        limits.maxLeases = 2
        let clock = VirtualClock()
        let a = try Fixture(node: "a", origin: 0xa1, clock: clock)
        let b = try Fixture(limits: limits, node: "b", origin: 0xb2, clock: clock)
        for fixture in [a, b] { fixture.registry.startReplicating() }
        for index in 0..<3 { try a.register("s", "i\(index)", lease: .own(milliseconds: 5000)) }
        #expect(try SyncPair.sync(a.registry, to: b.registry).state == .refused(1))
        #expect(b.registry.counts().instances == 2)
        #expect(b.registry.counts().remoteRefused == 1)
        #expect(!b.registry.context().contains(origin: 0xa1, sequence: 3))
        // Once there is room the rest comes.
        try a.delete(a.layout.primaryKey(service: "s", id: "i0"))
        #expect(try SyncPair.sync(a.registry, to: b.registry).state == .refused(1))
        try SyncPair.sync(a.registry, to: b.registry)
        #expect(a.registry.summary() == b.registry.summary())
    }

    @Test(
        "other nodes' writes have room up to twice the bounds of the doors; what is there may be written and removed",
        arguments: ["entries", "bytes"])
    func remoteBounds(bound: String) throws {
        var limits = RegistryLimits()
        if bound == "entries" { limits.maxEntries = 2 } else { limits.maxMemoryBytes = 1300 }
        let clock = VirtualClock()
        let a = try Fixture(node: "a", origin: 0xa1, clock: clock)
        let b = try Fixture(limits: limits, node: "b", origin: 0xb2, clock: clock)
        for fixture in [a, b] { fixture.registry.startReplicating() }
        for index in 0..<6 { try a.put(a.key("k\(index)"), "x") }
        let state = try SyncPair.sync(a.registry, to: b.registry).state
        let counts = b.registry.counts()
        #expect(state == .refused(2) && counts.entries == 4)
        #expect(counts.remoteRefused == 2 && counts.remoteBeyondLimit == 2)
        #expect(counts.entryBytes <= limits.remoteMemoryBytes)
        // A door of the node itself is closed long before.
        #expect(throws: RegistryError.self) { try b.put(b.key("own"), "x") }
        try a.put(a.key("k0"), "y")
        try a.delete(a.key("k1"))
        _ = try SyncPair.sync(a.registry, to: b.registry)
        #expect(b.entry(b.key("k0")).map { text(b.registry.value(of: $0)) } == "y")
        #expect(b.entry(b.key("k1")) == nil)
        // With room again everything comes.
        try a.delete(a.key("k2"))
        _ = try SyncPair.sync(a.registry, to: b.registry)
        _ = try SyncPair.sync(a.registry, to: b.registry)
        #expect(a.registry.summary() == b.registry.summary())
        #expect(b.inconsistency == nil)
    }

    @Test("pages that contradict each other are refused")
    func malformed() throws {
        let pair = try SyncPair()
        var first = SyncPage(number: 0)
        first.opening = .delta
        var end = SyncPage(number: 2)
        end.end = .complete([])
        let far = SyncPage(number: 66)
        var session = pair.b.registry.beginSession()
        try pair.b.registry.receive(first, in: &session)
        #expect(throws: SyncError.pageTooFarAhead) { try pair.b.registry.receive(far, in: &session) }
        try pair.b.registry.receive(end, in: &session)
        #expect(throws: SyncError.malformed) { try pair.b.registry.receive(SyncPage(number: 3), in: &session) }
        #expect(throws: SyncError.malformed) { try pair.b.registry.receive(SyncPage(number: -1), in: &session) }
        #expect(throws: SyncError.malformed) { try pair.b.registry.receive(SyncPage(number: 0), in: &session) }
        var lie = SyncPage(number: 1)
        lie.end = .complete([])
        #expect(throws: SyncError.malformed) { try pair.b.registry.receive(lie, in: &session) }
        // A context that cannot be is not taken over, nor is anything beside it.
        var bad = SyncPage(number: 0)
        bad.opening = .delta
        bad.end = .complete([SyncOrigin(origin: 1, head: 5, gaps: [5...5], floor: 0)])
        var other = pair.b.registry.beginSession()
        #expect(throws: SyncError.malformed) { try pair.b.registry.receive(bad, in: &other) }
        #expect(pair.b.registry.context().origins.isEmpty)
    }

    @Test("a session that began before the receiver began anew is void")
    func beganAnew() throws {
        let pair = try SyncPair()
        try pair.a.register("s", "i", lease: .own(milliseconds: 1000))
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        var session = pair.b.registry.beginSession()
        let pages = SyncPair.pages(pair.a.registry, to: pair.b.registry)
        pair.b.registry.startFresh(origin: 0xb3)
        #expect(pair.b.entry(id: "i") == nil)
        #expect(try pair.b.registry.receive(pages[0], in: &session).state == .void)
        #expect(!pair.b.registry.context().contains(origin: 0xa1, sequence: 1))
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        #expect(pair.b.entry(id: "i") != nil)
    }

    @Test("a reset session is void when its sender was reset itself meanwhile")
    func resetWithinReset() throws {
        var limits = RegistryLimits()
        limits.tombstoneMilliseconds = 1000
        let pair = try SyncPair(limits: limits)
        let third = try Fixture(limits: limits, node: "c", origin: 0xc3, clock: pair.clock)
        third.registry.startReplicating()
        for id in ["x", "y"] { try third.register("s", id, lease: .own(milliseconds: 1_000_000)) }
        for fixture in [pair.a, pair.b] { try SyncPair.sync(third.registry, to: fixture.registry) }
        // The first removal is forgotten where it was made, and so is the second at the third node.
        try third.delete(third.layout.primaryKey(service: "s", id: "x"))
        try pair.a.register("t", "z", lease: .own(milliseconds: 1_000_000))
        try pair.a.delete(pair.a.layout.primaryKey(service: "t", id: "z"))
        pair.clock.advance(milliseconds: 1001)
        for fixture in [pair.a, third] { fixture.registry.expireDue() }
        var source = pair.a.registry.openSync(to: pair.b.registry.context())
        var session = pair.b.registry.beginSession()
        let first = try #require(pair.a.registry.nextPage(of: &source, operationsMax: 1, bytesMax: 1))
        #expect(!first.live.isEmpty)
        try pair.b.registry.receive(first, in: &session)
        #expect(try SyncPair.sync(third.registry, to: pair.a.registry).dropped == 1)
        var last: SyncProgress?
        while let page = pair.a.registry.nextPage(of: &source) {
            last = try pair.b.registry.receive(page, in: &session)
        }
        #expect(last?.state == .void)
        #expect(try SyncPair.sync(pair.a.registry, to: pair.b.registry).dropped == 1)
        #expect(pair.b.registry.summary() == pair.a.registry.summary())
    }
}
