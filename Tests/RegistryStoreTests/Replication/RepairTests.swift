import RegdnsTestKit
import Testing

@testable import RegistryStore

/// Two nodes that know of the same operations and show different entries, as they never should, and what brings them
/// together again.
struct RepairTests {
    /// Makes a node claim to know what another knows, without any of it.
    private static func claim(_ from: Registry, at to: Registry) throws {
        var page = SyncPage(number: 0)
        page.opening = .delta
        page.end = .complete(
            from.context().sorted.map {
                SyncOrigin(origin: $0.origin, head: $0.known.head, gaps: $0.known.gaps, floor: 0)
            })
        var session = to.beginSession()
        #expect(try to.receive(page, in: &session).isComplete)
    }

    /// Makes a node lose entries without a trace.
    private static func lose(_ registry: Registry, where isLost: (Entry) -> Bool) throws {
        var page = SyncPage(number: 0)
        let context = registry.context().sorted.map {
            SyncOrigin(origin: $0.origin, head: $0.known.head, gaps: $0.known.gaps, floor: 0)
        }
        page.opening = .reset(context)
        page.live = entries(registry).filter { !isLost($0) }.map { entry in
            DotRange(origin: entry.version.origin, sequences: entry.version.sequence...entry.version.sequence)
        }
        page.end = .complete(context)
        var session = registry.beginSession()
        #expect(try registry.receive(page, in: &session).isComplete)
    }

    private static func entries(_ registry: Registry) -> [Entry] {
        registry.range(namespace: .default, lower: [], upper: nil).entries
    }

    @discardableResult
    private static func repair(_ to: Registry, from: Registry, size: Int = 3) throws -> SyncProgress {
        var session = to.beginSession(isRepair: true)
        var source = from.openSync(to: session.context, isRepair: true)
        var last: SyncProgress?
        while let page = from.nextPage(of: &source, operationsMax: size) {
            last = try to.receive(page, in: &session)
            if last?.state != .open { break }
        }
        return try #require(last)
    }

    @Test(
        "one repair, and what it wrote anew, brings together what had diverged",
        arguments: 0..<200 * SeededRandom.effort)
    func random(round: Int) throws {
        var random = SeededRandom(seed: UInt64(round))
        let pair = try SyncPair()
        let nodes = [pair.a, pair.b]
        for _ in 0..<60 {
            let place = random.below(2)
            let (node, other) = (nodes[place], nodes[1 - place])
            let key = node.key("k\(random.below(12))")
            switch random.below(10) {
            case 0..<4: try node.put(key, "v\(random.below(1000))")
            case 4: if node.entry(key) != nil { try node.delete(key) }
            case 5: try SyncPair.sync(node.registry, to: other.registry)
            case 6: try Self.claim(node.registry, at: other.registry)
            case 7:
                // Some operations, and the claim to know all.
                let pages = SyncPair.pages(node.registry, to: other.registry)
                other.registry.merge(pages.flatMap(\.operations).filter { _ in random.oneIn(2) })
                try Self.claim(node.registry, at: other.registry)
            case 8: try Self.lose(node.registry) { _ in random.oneIn(4) }
            default: pair.clock.advance(milliseconds: Int64(random.below(5)))
            }
        }
        // Both know of everything.
        for (place, node) in nodes.enumerated() { try Self.claim(node.registry, at: nodes[1 - place].registry) }
        // What nobody heard of is none of a repair's business.
        if random.oneIn(2) { try pair.b.put(pair.b.key("unheard"), "b") }
        if random.oneIn(2) { try pair.a.put(pair.a.key("news"), "a") }
        let heard = pair.a.registry.context()
        let shown = Dictionary(uniqueKeysWithValues: Self.entries(pair.a.registry).map { ($0.key, $0) })
        let before = Dictionary(uniqueKeysWithValues: Self.entries(pair.b.registry).map { ($0.key, $0.version) })
        #expect(try Self.repair(pair.b.registry, from: pair.a.registry, size: 1 + random.below(9)).isComplete)
        let after = Dictionary(uniqueKeysWithValues: Self.entries(pair.b.registry).map { ($0.key, $0) })
        for (key, entry) in after {
            let isHeard = heard.contains(origin: entry.version.origin, sequence: entry.version.sequence)
            let isShown = shown[key]?.version == entry.version
            #expect(isShown || !isHeard, "seed \(round): \(text(key))")
            // No key goes back to something older.
            if let old = before[key] { #expect(entry.version >= old, "seed \(round): \(text(key))") }
        }
        for (key, entry) in shown where after[key] == nil {
            // Removed here, and said so again.
            let last = try #require(pair.b.registry.operation(namespace: .default, key: key))
            #expect(last.value == nil && last.version > entry.version, "seed \(round): \(text(key))")
            #expect(!heard.contains(origin: last.version.origin, sequence: last.version.sequence))
        }
        #expect(pair.b.inconsistency == nil, "seed \(round)")
        // An ordinary session tells the sender what it had lost.
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        #expect(pair.a.registry.summary() == pair.b.registry.summary(), "seed \(round)")
        #expect(pair.a.keys() == pair.b.keys(), "seed \(round)")
        #expect(pair.a.inconsistency == nil, "seed \(round)")
    }

    @Test("what the receiver lost of its own comes back; what nobody has made does not")
    func own() throws {
        let pair = try SyncPair()
        try pair.b.put(pair.b.key("mine"), "v")
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        try Self.lose(pair.b.registry) { _ in true }
        #expect(pair.b.keys().isEmpty)
        #expect(pair.b.registry.compare(with: pair.a.registry.digest()) == .diverged)
        #expect(try SyncPair.sync(pair.a.registry, to: pair.b.registry).isComplete)
        #expect(pair.b.keys().isEmpty)
        let lie = RemoteOperation(
            namespace: .default, key: pair.a.key("lie"),
            version: Version(hlc: 1, kind: .write, origin: 0xb2, sequence: 9),
            value: .bytes([1]))
        pair.a.registry.merge([lie])
        #expect(try Self.repair(pair.b.registry, from: pair.a.registry).isComplete)
        #expect(pair.b.keys() == [text(pair.b.key("mine"))])
        #expect(pair.b.inconsistency == nil)
    }

    @Test("a removal that the sender lost is said again, and kept")
    func removal() throws {
        let pair = try SyncPair()
        try pair.a.put(pair.a.key("x"), "v")
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        try pair.b.delete(pair.b.key("x"))
        try Self.claim(pair.b.registry, at: pair.a.registry)
        #expect(pair.b.registry.compare(with: pair.a.registry.digest()) == .diverged)
        pair.b.registry.startJournal(countMax: 10, isWhole: false)
        let position = pair.b.registry.journalPosition
        #expect(try Self.repair(pair.b.registry, from: pair.a.registry).isComplete)
        #expect(pair.b.keys().isEmpty)
        #expect(pair.b.registry.journalPosition > position)
        let group = try #require(pair.b.registry.takeGroup())
        #expect(group.tombstones.map(\.version.dot) == [Dot(origin: 0xb2, sequence: 2)])
        #expect(try SyncPair.sync(pair.b.registry, to: pair.a.registry).isComplete)
        #expect(pair.a.keys().isEmpty)
        #expect(pair.a.registry.summary() == pair.b.registry.summary())
    }

    @Test("a lease that runs here is not dropped by a repair")
    func lease() throws {
        let pair = try SyncPair()
        try pair.b.register("s", "i", lease: .own(milliseconds: 9000))
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        try Self.lose(pair.a.registry) { _ in true }
        let progress = try Self.repair(pair.b.registry, from: pair.a.registry)
        #expect(progress.isComplete && progress.reasserted == 1 && progress.dropped == 0)
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        #expect(pair.a.entry(id: "i") != nil)
        #expect(pair.a.registry.summary() == pair.b.registry.summary())
    }

    @Test("nobody is repaired by who has not heard of removals that are forgotten here")
    func forgotten() throws {
        var limits = RegistryLimits()
        limits.permanentTombstoneMilliseconds = 1000
        let pair = try SyncPair(limits: limits)
        try pair.a.put(pair.a.key("x"), "v")
        try SyncPair.sync(pair.a.registry, to: pair.b.registry)
        try pair.b.delete(pair.b.key("x"))
        pair.clock.advance(milliseconds: 1001)
        pair.b.registry.expireDue()
        #expect(pair.b.registry.counts().tombstones == 0)
        let before = pair.b.registry.context()
        #expect(try Self.repair(pair.b.registry, from: pair.a.registry).state == .void)
        #expect(pair.b.keys().isEmpty && pair.b.registry.context() == before)
        // Once it has heard, it may.
        try SyncPair.sync(pair.b.registry, to: pair.a.registry)
        #expect(try Self.repair(pair.b.registry, from: pair.a.registry).isComplete)
        #expect(pair.b.keys().isEmpty && pair.a.keys().isEmpty)
    }

    @Test("a repair is taken by who asked for it, page by page")
    func order() throws {
        let pair = try SyncPair()
        for index in 0..<9 { try pair.a.put(pair.a.key("k\(index)"), "v") }
        var source = pair.a.registry.openSync(to: pair.b.registry.context(), isRepair: true)
        var pages: [SyncPage] = []
        while let page = pair.a.registry.nextPage(of: &source, operationsMax: 2) { pages.append(page) }
        var unasked = pair.b.registry.beginSession()
        #expect(throws: SyncError.malformed) { try pair.b.registry.receive(pages[0], in: &unasked) }
        var session = pair.b.registry.beginSession(isRepair: true)
        #expect(throws: SyncError.pageTooFarAhead) { try pair.b.registry.receive(pages[1], in: &session) }
        for page in pages { try pair.b.registry.receive(page, in: &session) }
        #expect(pair.b.registry.summary() == pair.a.registry.summary())
        // Who does not know repairs sends an ordinary session, which does what it does.
        var other = pair.b.registry.beginSession(isRepair: true)
        var last: SyncProgress?
        for page in SyncPair.pages(pair.a.registry, to: pair.b.registry) {
            last = try pair.b.registry.receive(page, in: &other)
        }
        #expect(last?.isComplete == true && !other.isRepairing)
    }

    @Test("a session of entries that the own context does not know of ends all the same")
    func endless() throws {
        var limits = RegistryLimits()
        limits.maxOrigins = 1
        let node = try Fixture(limits: limits, node: "a", origin: 0xa1)
        node.registry.startReplicating()
        for origin in UInt64(1)...9 {
            node.registry.merge([
                RemoteOperation(
                    namespace: .default, key: node.key("k\(origin)"),
                    version: Version(hlc: 1, kind: .write, origin: origin, sequence: 1), value: .bytes([1]))
            ])
        }
        var source = node.registry.openSync(to: CausalContext(limits: limits))
        var pages = 0
        var end: SyncEnd?
        while let page = node.registry.nextPage(of: &source, operationsMax: 2) {
            pages += 1
            end = page.end
        }
        #expect(end == .void && pages < 10 * SyncSource.roundsMax)
    }
}
