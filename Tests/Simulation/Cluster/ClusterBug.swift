import Memberlist
import RegdnsTestKit
package import RegistryStore
import Replication

/// A rule that a run breaks on purpose, to show that the checks would see it. Planted at the seams: in what goes over
/// the wire, in how processes are started, in what they are told.
package enum ClusterBug: String, CaseIterable, Sendable {
    /// A restarted process keeps its origin and counts from 1 again.
    case originReused
    /// The sender's context is joined with the first page of a session.
    case sessionJoinedEarly
    /// Packets claim ranges: with an operation all earlier ones of its origin count as known.
    case rangesClaimed
    /// A context names an operation that is yet to be made.
    case contextAhead
    /// An expiry has the present time instead of that of the write it ends.
    case expiryNow
    /// A write takes the clock only, not what it writes over.
    case noCausalBump
    /// A node gives up a lease that runs there when others expire it.
    case noReassert
    /// Heartbeats are passed on once, which is lost, and nobody asks whether they arrived.
    case unacknowledged
    /// Batches of heartbeats count however old they are, and somebody plays recorded ones again.
    case oldBatches
    /// What a reset would remove stays.
    case deltaInsteadOfReset
    /// A restarted process does not know how far it has forgotten removals.
    case floorsForgotten
    /// Questions do not tell of holes.
    case gapsForgotten
    /// Leases that come back from the disk are over at once.
    case restoredOver
    /// Leases of a home that is gone end at once.
    case stewardAtOnce
    /// Nobody is told that a member is gone.
    case deathsUnheard
    /// Whoever hears of a lease counts it.
    case twoHomes
    /// A node does not hear what others say of it, and so never objects.
    case deafToItself
    /// Digests look as if all were equal.
    case digestsAgree
    /// A session leaves its last operation out.
    case operationLeftOut
    /// Sessions bring no removals.
    case removalsLeftOut
    /// What comes twice is taken for something new.
    case duplicatesAsNew
    /// A pull is called complete before anything has come.
    case pullPretended
    /// Operations from the future are refused.
    case futureRefused
    /// Leases are preserved for ever.
    case preservedForEver
    /// However many leases are over at once, they end at once.
    case preservedNot
    /// What is preserved cannot be removed by others.
    case preservedUnremovable

    /// Makes sure that what the bug is about happens.
    package func prepare(_ scenario: inout ClusterScenario) {
        scenario.nodes = min(scenario.nodes, 5)
        scenario.actions = max(scenario.actions, 60)
        scenario.isSealed = false
        // What is preserved would hide what ends wrongly.
        scenario.preservation = 0
        scenario.faults.removeAll { $0.kind == .silence }
        let (warm, calm) = (scenario.warmUp, scenario.calmAt)
        switch self {
        case .originReused:
            scenario.faults.append(ClusterFault(.crash, at: warm + 3_000, length: 5_000, node: 1))
        case .sessionJoinedEarly, .operationLeftOut, .gapsForgotten, .rangesClaimed, .contextAhead, .pullPretended:
            scenario.page = 1
            scenario.faults.append(ClusterFault(.loss, at: 0, length: calm, amount: 30))
            scenario.faults.append(ClusterFault(.isolate, at: warm + 2_000, length: 9_000, node: 1))
        case .digestsAgree: scenario.faults.append(ClusterFault(.isolate, at: warm + 2_000, length: 20_000, node: 1))
        case .duplicatesAsNew:
            scenario.faults = [ClusterFault(.babble, at: 0, length: calm + 60_000, amount: 20)]
        case .noReassert:
            // The others have to notice, and to wait for a lease and a grace.
            scenario.timing = .fast
            scenario.lease = 6_000
            scenario.renewing += 6
            scenario.chaos = max(scenario.chaos, 50_000)
            scenario.faults = [ClusterFault(.isolate, at: warm + 2_000, length: 40_000, node: 0)]
        case .removalsLeftOut, .expiryNow:
            scenario.actions = 150
            scenario.putting += 3
            scenario.renewing += 3
            scenario.lease = 6_000
            scenario.faults.append(ClusterFault(.duplicate, at: 0, length: calm, amount: 40))
            scenario.faults.removeAll { [.offset, .drift, .jump].contains($0.kind) }
            scenario.faults.append(ClusterFault(.isolate, at: warm, length: 28_000, node: 0))
        case .noCausalBump, .futureRefused:
            scenario.actions = 150
            let amount: Int64 = self == .futureRefused ? -60_000 : -4_000
            scenario.faults.append(ClusterFault(.offset, at: 0, length: calm, node: 0, amount: amount))
        case .unacknowledged:
            scenario.renewing += 6
            scenario.lease = 6_000
            // Where nothing else is lost nobody ends what is kept up anywhere.
            scenario.faults = []
        case .oldBatches:
            scenario.renewing += 6
            scenario.faults = [ClusterFault(.babble, at: 0, length: calm + 100_000, amount: 40)]
        case .deltaInsteadOfReset, .floorsForgotten:
            scenario.hasDisk = true
            scenario.nodes = 4
            scenario.tombstones = 15
            // Seldom enough that some removals are the last word for long.
            scenario.actions = 30
            scenario.permanent = 12
            scenario.chaos = max(scenario.chaos, 60_000)
            scenario.faults = [ClusterFault(.split, at: warm + 8_000, length: 35_000, amount: 3)]
            for node in 0..<4 {
                scenario.faults.append(ClusterFault(.stop, at: warm + 41_000, length: 300, node: node))
            }
        case .restoredOver:
            scenario.hasDisk = true
            scenario.faults.append(ClusterFault(.stop, at: warm + 10_000, length: 400, node: 0))
            scenario.faults.append(ClusterFault(.stop, at: warm + 15_000, length: 400, node: 1))
        case .stewardAtOnce:
            scenario.lease = 15_000
            scenario.timing = .fast
            scenario.faults = [ClusterFault(.pause, at: warm + 4_000, length: 25_000, node: 0)]
        case .deathsUnheard:
            scenario.nodes = 4
            scenario.renewing += 6
            scenario.faults.append(ClusterFault(.gone, at: warm + 10_000, length: 1_000, node: 0))
        case .twoHomes: scenario.renewing += 4
        case .deafToItself:
            scenario.faults.append(ClusterFault(.pause, at: warm + 1_000, length: 8_000, node: 0))
            scenario.faults.append(ClusterFault(.crash, at: warm + 15_000, length: 1_000, node: 0))
        case .preservedForEver, .preservedNot, .preservedUnremovable:
            scenario.nodes = 3
            scenario.lease = 6_000
            scenario.preservation = 3_000
            scenario.preservedMax = self == .preservedForEver ? 8_000 : 20_000
            scenario.renewing = 12
            scenario.actions = 150
            scenario.faults = [ClusterFault(.silence, at: warm + 5_000, length: 25_000, amount: 1)]
        }
        let nodes = scenario.nodes
        scenario.faults.removeAll { $0.node >= nodes || $0.other >= nodes }
    }

    var needsCore: Bool { [.expiryNow, .noCausalBump, .noReassert].contains(self) }
}

/// Reaches into registries where nothing else can; set by tests.
package struct ClusterHooks: Sendable {
    package var made: @Sendable (Registry, ClusterBug?) -> Void
    /// Takes what happens, line by line; nil when nobody reads it.
    package var tell: (@Sendable (String) -> Void)?

    package init(
        made: @escaping @Sendable (Registry, ClusterBug?) -> Void = { _, _ in },
        tell: (@Sendable (String) -> Void)? = nil
    ) {
        self.made = made
        self.tell = tell
    }
}

/// A planted bug at work.
struct ClusterPlanted {
    let bug: ClusterBug?
    private var seen: [Int: Set<String>] = [:]
    /// Taken off a registry's clock while it is restored.
    let shift: VirtualClock

    init(_ bug: ClusterBug?) {
        self.bug = bug
        shift = VirtualClock()
        shift.advance(milliseconds: -shift.now)
    }

    // MARK: Processes

    func origin(for node: ClusterNode, fresh: UInt64) -> UInt64 {
        bug == .originReused ? UInt64(node.number) + 1 << 40 : max(fresh, 1)
    }

    func clock(of node: ClusterNode) -> RegistryClock {
        guard bug == .restoredOver else { return node.registryClock }
        let (clock, shift) = (node.registryClock, shift)
        return RegistryClock(
            monotonicMilliseconds: { clock.monotonicMilliseconds() - shift.now },
            unixMilliseconds: clock.unixMilliseconds)
    }

    func restore(_ content: KeptContent, _ registry: Registry) {
        var content = content
        if bug == .floorsForgotten { for origin in content.origins.keys { content.origins[origin]?.floor = 0 } }
        shift.advance(milliseconds: 60_000)
        _ = registry.restore(content, isRenamed: false)
        shift.advance(milliseconds: -60_000)
    }

    /// The rules of preservation that a process has.
    func rules(_ rules: Preservation?) -> Preservation? {
        guard var rules else { return nil }
        switch bug {
        case .preservedForEver: rules.max = .max / 4
        case .preservedNot:
            rules.leasesMin = 1_000
            rules.membersPercent = 100
            rules.instancesMin = 1_000
        default: break
        }
        return rules
    }

    // MARK: Members

    mutating func peers(_ names: [String], of node: ClusterNode, _ process: ClusterProcess) -> [String] {
        guard bug == .deathsUnheard else { return names }
        seen[node.number, default: []].formUnion(names)
        return (seen[node.number] ?? []).sorted()
    }

    func left(_ names: Set<String>, _ process: ClusterProcess) {
        guard bug == .stewardAtOnce else { return }
        for name in names.sorted() {
            process.registry.expire(process.registry.leases(countedBy: name).map(\.id), countedBy: name)
        }
    }

    func heard(_ event: CoreEvent, at node: ClusterNode) -> CoreEvent {
        guard bug == .deafToItself else { return event }
        let own = NodeName(node.name)
        switch event {
        case .packet(let messages, let sender):
            return .packet(
                messages.filter { message in
                    switch message {
                    case .alive(let alive): alive.node != own
                    case .suspect(let accusation), .dead(let accusation): accusation.node != own
                    default: true
                    }
                }, from: sender)
        case .pushPullAnswer(let dial, let state?):
            return .pushPullAnswer(dial: dial, state: without(own, state))
        case .streamRequest(.pushPull(let state), let stream, let sender):
            return .streamRequest(.pushPull(without(own, state)), stream: stream, from: sender)
        default: return event
        }
    }

    private func without(_ own: NodeName, _ state: PushPull) -> PushPull {
        var state = state
        state.nodes.removeAll { $0.name == own }
        return state
    }

    // MARK: Messages

    mutating func outgoing(_ bytes: [UInt8], from node: ClusterNode, to name: String, _ world: ClusterWorld)
        -> [[UInt8]]
    {
        guard bug == .unacknowledged || bug == .gapsForgotten, var frame = try? Frame(decoding: bytes) else {
            return [bytes]
        }
        switch frame.body {
        case .renew(let renew) where bug == .unacknowledged:
            let sender = FrameExtension(type: 1, bytes: Array(name.utf8))
            let answer = Frame(.renewAnswer(RenewAnswerFrame(batch: renew.batch, refused: [])), extensions: [sender])
            world.heap.insert(.message(node: node.number, boot: node.boots, answer.encoded()), at: world.now + 1)
            return []
        case .want(let want) where bug == .gapsForgotten:
            frame.body = .want(WantFrame(session: want.session, context: asked(want.context)))
            return [frame.encoded()]
        default: return [bytes]
        }
    }

    func asked(_ rows: [SyncOrigin]) -> [SyncOrigin] {
        guard bug == .gapsForgotten else { return rows }
        return rows.map { SyncOrigin(origin: $0.origin, head: $0.head, gaps: [], floor: $0.floor) }
    }

    private static let rewriting: Set<ClusterBug> = [
        .oldBatches, .twoHomes, .digestsAgree, .operationLeftOut, .removalsLeftOut, .contextAhead,
        .duplicatesAsNew, .futureRefused, .rangesClaimed, .deltaInsteadOfReset, .sessionJoinedEarly,
        .preservedUnremovable,
    ]

    func incoming(_ bytes: [UInt8], at node: ClusterNode, _ world: ClusterWorld) -> [[UInt8]] {
        guard let bug, Self.rewriting.contains(bug), let registry = node.process?.registry,
            var frame = try? Frame(decoding: bytes)
        else { return [bytes] }
        switch (frame.body, bug) {
        case (.renew(let renew), .oldBatches):
            let now = UInt64(max(0, node.moment.unix)) << 16
            frame.body = .renew(RenewFrame(batch: renew.batch, hlc: now, renewals: renew.renewals))
        case (.digest(var digest), .digestsAgree):
            digest.summary = registry.summary()
            digest.origins = nil
            frame.body = .digest(digest)
        case (.page(let session, let page), _):
            frame.body = .page(session: session, received(self.page(page, from: node), at: node))
        case (.delta(let operations), _):
            frame.body = .delta(operations.compactMap { changed($0, at: node, registry, world) })
        default: return [bytes]
        }
        return [frame.encoded()]
    }

    private func changed(
        _ operation: RemoteOperation, at node: ClusterNode, _ registry: Registry, _ world: ClusterWorld
    ) -> RemoteOperation? {
        var operation = operation
        switch bug {
        case .twoHomes: operation.lease?.home = node.name
        case .futureRefused: if isFuture(operation, at: node) { return nil }
        case .preservedUnremovable: if isOfPreserved(operation, registry) { return nil }
        case .duplicatesAsNew:
            let version = operation.version
            let isOld = Int64(version.hlc >> 16) < node.moment.unix - 2_000
            if isOld, version.kind == .write,
                registry.context().contains(origin: version.origin, sequence: version.sequence)
            {
                let hlc = UInt64(max(0, node.moment.unix)) << 16
                operation.version = Version(hlc: hlc, kind: .write, origin: world.coreRandom.next() | 1, sequence: 1)
            }
        case .rangesClaimed: claim(operation.version, registry)
        default: break
        }
        return operation
    }

    private func isFuture(_ operation: RemoteOperation, at node: ClusterNode) -> Bool {
        Int64(operation.version.hlc >> 16) > node.moment.unix + 10_000
    }

    /// Whether an operation removes what is preserved here.
    private func isOfPreserved(_ operation: RemoteOperation, _ registry: Registry) -> Bool {
        guard operation.version.kind == .delete,
            let entry = registry.entry(namespace: operation.namespace, key: operation.key)
        else { return false }
        return registry.deadlines.isPreserved(entry.deadlineSlot)
    }

    private func claim(_ version: Version, _ registry: Registry) {
        guard version.sequence > 1, version.origin != registry.origin else { return }
        var session = registry.beginSession()
        var page = SyncPage(number: 0)
        page.opening = .delta
        page.end = .complete([SyncOrigin(origin: version.origin, head: version.sequence - 1, gaps: [], floor: 0)])
        _ = try? registry.receive(page, in: &session)
    }

    // MARK: Sessions

    /// What a sender makes of a page.
    func page(_ page: SyncPage, from node: ClusterNode) -> SyncPage {
        var page = page
        switch bug {
        case .sessionJoinedEarly:
            guard page.number == 0, page.end == nil, let context = node.process?.registry.context() else { break }
            page.end = .complete(
                context.sorted.map {
                    SyncOrigin(origin: $0.origin, head: $0.known.head, gaps: $0.known.gaps, floor: 0)
                })
        case .deltaInsteadOfReset:
            if case .reset = page.opening { page.opening = .delta }
            page.live = []
        case .operationLeftOut: if !page.operations.isEmpty { page.operations.removeLast() }
        case .removalsLeftOut: page.operations.removeAll { $0.value == nil }
        case .contextAhead:
            if case .complete(var rows) = page.end {
                for place in rows.indices where rows[place].head < .max { rows[place].head += 1 }
                page.end = .complete(rows)
            }
        default: break
        }
        return page
    }

    /// What a receiver makes of it.
    func received(_ page: SyncPage, at node: ClusterNode) -> SyncPage {
        var page = page
        switch bug {
        case .futureRefused: page.operations.removeAll { isFuture($0, at: node) }
        case .preservedUnremovable:
            guard let registry = node.process?.registry else { break }
            page.operations.removeAll { isOfPreserved($0, registry) }
        default: break
        }
        return page
    }
}
