package import Memberlist
import RegdnsTestKit
package import Replication

/// Everything that a run follows from. `draw` makes one of a seed, `text` writes it down to be replayed.
package struct ClusterScenario: Hashable, Sendable {
    package enum Timing: String, CaseIterable, Sendable {
        case lan, fast, local

        package var gossip: GossipTiming {
            switch self {
            case .lan: .lan
            case .fast: .fast
            case .local: .local
            }
        }
    }

    package var seed: UInt64
    package var nodes = 3
    package var timing = Timing.fast
    package var isSerf = false
    package var isSealed = false
    /// Milliseconds between ticks.
    package var tick: Int64 = 100
    /// Microseconds that half of the packets take less than, one way.
    package var latency: Int64 = 500
    /// How unequal these times are: standard deviation of their logarithm, in hundredths.
    package var jitter: Int64 = 50
    /// Milliseconds with everything well in the beginning, and with faults.
    package var warmUp: Int64 = 8_000
    package var chaos: Int64 = 60_000
    /// Seconds that removals are remembered.
    package var tombstones: Int64 = 86_400
    /// Whether nodes keep what they have.
    package var hasDisk = true
    /// Operations of a page of a stream.
    package var page = 64
    /// Bound of the octets that wait to be announced, and of those announced in a second.
    package var queue = 8 << 20
    package var rate = 65_536
    /// Clients with an instance each, by how they renew it: by heartbeats, by equal puts.
    package var renewing = 4
    package var putting = 3
    /// Keys without lease; granted leases with three keys each; keys that everybody writes.
    package var permanent = 3
    package var granted = 1
    package var contested = 1
    /// Length of the leases.
    package var lease: Int64 = 9_000
    /// What clients do beside heartbeats, in a minute.
    package var actions = 60
    /// Milliseconds of the window of preservation; 0: leases that are over end.
    package var preservation: Int64 = 0
    /// Milliseconds that leases are kept by it before they end one after the other.
    package var preservedMax: Int64 = 20_000
    package var faults: [ClusterFault] = []

    package init(seed: UInt64) { self.seed = seed }

    /// When the faults are over.
    package var calmAt: Int64 { warmUp + chaos }

    /// Whether all clocks show the same time.
    package var hasEqualClocks: Bool { !faults.contains { [.offset, .drift, .jump].contains($0.kind) } }

    /// The rules of preservation, when there is any. A few leases are many here.
    package var rules: Preservation? {
        guard preservation > 0 else { return nil }
        var rules = Preservation()
        rules.window = preservation
        rules.max = preservedMax
        rules.leasesMin = 1
        rules.instancesMin = 2
        return rules
    }

    // MARK: Drawing

    /// A scenario with a random part of all that can go wrong.
    package static func draw(seed: UInt64) -> ClusterScenario {
        var random = SeededRandom(seed: seed)
        var drawn = ClusterScenario(seed: seed)
        drawn.nodes = random.oneIn(40) ? 8 + random.below(9) : 3 + [0, 0, 0, 1, 1, 2, 2, 3, 4][random.below(9)]
        drawn.timing = [.lan, .fast, .fast, .local][random.below(4)]
        drawn.isSerf = random.oneIn(8)
        drawn.isSealed = random.oneIn(4)
        drawn.tick = Int64([50, 75, 100, 100][random.below(4)])
        drawn.latency = Int64([150, 500, 2_000, 10_000, 40_000][random.below(5)])
        drawn.jitter = Int64([10, 50, 100][random.below(3)])
        drawn.warmUp = 6_000
        drawn.chaos = 30_000 + Int64(random.below(31)) * 1_000
        drawn.tombstones = random.oneIn(3) ? 20 + Int64(random.below(30)) : 86_400
        drawn.hasDisk = !random.oneIn(4)
        drawn.page = [1, 3, 16, 1_024][random.below(4)]
        if random.oneIn(6) { drawn.queue = 1_500 }
        if random.oneIn(6) { drawn.rate = 3_000 }
        drawn.renewing = 1 + random.below(6)
        drawn.putting = random.below(5)
        drawn.permanent = random.below(5)
        drawn.granted = random.below(3)
        drawn.contested = random.below(3)
        drawn.lease = Int64([6_000, 9_000, 15_000][random.below(3)])
        drawn.actions = [10, 30, 60, 150][random.below(4)]
        if drawn.tombstones < 1_000 {
            // Removals are to be forgotten while something is wrong.
            drawn.chaos += 30_000
            drawn.actions = max(drawn.actions, 60)
        }
        drawn.drawFaults(&random)
        drawn.drawPreservation()
        return drawn
    }

    /// In every second run leases are preserved. Drawn by itself: the rest of the scenario is as it would be otherwise,
    /// but for the memory of removals. The quiet time is long then, and after a minute of it digests come every 10 s by
    /// lot: too seldom for a node that takes half a minute without one for having been alone.
    private mutating func drawPreservation() {
        var random = SeededRandom(seed: seed ^ 0x9e5e_4e_71)
        guard random.oneIn(2) else { return }
        tombstones = 86_400
        preservation = [2_000, 4_000, 6_000][random.below(3)]
        preservedMax = [8_000, 15_000, 20_000][random.below(3)]
        renewing += random.below(5)
        putting += random.below(4)
        for _ in 0..<random.below(3) {
            let length = lease + Int64(random.below(20_000))
            let at = warmUp + Int64(random.below(Int(max(1, chaos - length))))
            faults.append(
                ClusterFault(
                    .silence, at: at, length: min(length, calmAt - at), node: random.below(nodes),
                    amount: Int64(random.below(2))))
        }
        sortFaults()
    }

    private mutating func sortFaults() { faults.sort { ($0.at, $0.text) < ($1.at, $1.text) } }

    private mutating func drawFaults(_ random: inout SeededRandom) {
        // One run in twelve has none at all: then the bounds of calm times are looked at from the first moment.
        guard !random.oneIn(12) else { return }
        // Silence is nothing to nodes that preserve nothing.
        let all = ClusterFault.Kind.allCases.filter { $0 != .silence }
        var kinds = all.filter { _ in random.oneIn(4) }
        if kinds.isEmpty { kinds = [all[random.below(all.count)]] }
        for kind in kinds {
            switch kind {
            case .loss, .duplicate, .flip, .babble: drawWeather(kind, &random)
            case .gone:
                // Two are left at least.
                if nodes > 3 { drawTrouble(kind, &random) }
            case .offset, .drift:
                for node in 0..<nodes where random.oneIn(2) { drawClock(kind, of: node, &random) }
            default:
                for _ in 0..<1 + random.below(3) { drawTrouble(kind, &random) }
            }
        }
        sortFaults()
    }

    /// What lasts for the whole time of faults.
    private mutating func drawWeather(_ kind: ClusterFault.Kind, _ random: inout SeededRandom) {
        var fault = ClusterFault(kind, at: 0, length: calmAt)
        switch kind {
        case .loss: fault.amount = Int64([5, 10, 20, 30, 40][random.below(5)])
        case .duplicate: fault.amount = 5 + Int64(random.below(30))
        case .flip: fault.amount = 1 + Int64(random.below(5))
        default:
            fault.amount = 5
            fault.length += 60_000
        }
        faults.append(fault)
    }

    private mutating func drawClock(_ kind: ClusterFault.Kind, of node: Int, _ random: inout SeededRandom) {
        let amount: Int64
        if kind == .drift {
            amount = Int64(random.below(1_001)) - 500
        } else {
            // Mostly what a fence lets through.
            amount = random.oneIn(6) ? Int64(random.below(180_001)) - 90_000 : Int64(random.below(6_001)) - 3_000
        }
        faults.append(ClusterFault(kind, at: 0, length: calmAt, node: node, amount: amount))
    }

    private mutating func drawTrouble(_ kind: ClusterFault.Kind, _ random: inout SeededRandom) {
        // Mostly within the time of removals: beyond it a node begins anew.
        let longest = tombstones < 1_000 && !random.oneIn(4) ? tombstones * 500 : 30_000
        let length = Int64(100 + random.below(Int(random.oneIn(3) ? 3_000 : longest)))
        let at = warmUp + Int64(random.below(Int(chaos - min(length, chaos - 1_000))))
        let node = random.below(nodes)
        let other = (node + 1 + random.below(nodes - 1)) % nodes
        var fault = ClusterFault(kind, at: at, length: length, node: node, other: other)
        switch kind {
        case .split: fault.amount = Int64(1 + random.below((1 << nodes) - 2))
        case .slow: fault.amount = Int64(50 + random.below(450))
        case .stop: fault.amount = Int64(random.below(2))
        case .late: fault.amount = Int64(100 + random.below(2_000))
        case .jump:
            let amount = Int64([400, 2_000, 90_000, 3_600_000][random.below(4)])
            fault.amount = random.oneIn(2) ? amount : -amount
        default: break
        }
        faults.append(fault)
    }
}

// MARK: Text

extension ClusterScenario {
    /// One line that `init(text:)` reads.
    package var text: String {
        var words = numbers.map { "\($0.name)=\(self[keyPath: $0.path])" }
        words += ["timing=\(timing.rawValue)", "serf=\(isSerf)", "sealed=\(isSealed)", "disk=\(hasDisk)"]
        words.append("faults=" + faults.map(\.text).joined(separator: ";"))
        return "seed=\(seed) " + words.joined(separator: " ")
    }

    /// - Returns: nil for what is no scenario.
    package init?(text: String) {
        self.init(seed: 0)
        for word in text.split(separator: " ") {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { String($0) }
            guard parts.count == 2, read(parts[0], parts[1]) else { return nil }
        }
        guard (2...64).contains(nodes), tick > 0, lease > 0, page > 0, latency > 0, chaos >= 0, warmUp >= 0,
            preservation >= 0, preservedMax >= 0,
            faults.allSatisfy({ $0.node < nodes && $0.other < nodes })
        else { return nil }
    }

    private mutating func read(_ name: String, _ value: String) -> Bool {
        if let number = numbers.first(where: { $0.name == name }) {
            guard let read = Int64(value) else { return false }
            self[keyPath: number.path] = read
            return true
        }
        switch name {
        case "seed": return UInt64(value).map { seed = $0 } != nil
        case "timing": return Timing(rawValue: value).map { timing = $0 } != nil
        case "serf": return Bool(value).map { isSerf = $0 } != nil
        case "sealed": return Bool(value).map { isSealed = $0 } != nil
        case "disk": return Bool(value).map { hasDisk = $0 } != nil
        case "faults":
            let read = value.split(separator: ";").map { ClusterFault(text: String($0)) }
            faults = read.compactMap { $0 }
            return faults.count == read.count
        default: return false
        }
    }

    private typealias Number = (name: String, path: WritableKeyPath<ClusterScenario, Int64>)

    private var numbers: [Number] {
        [
            ("nodes", \.nodes.wide), ("tick", \.tick), ("latency", \.latency), ("jitter", \.jitter),
            ("warmup", \.warmUp), ("chaos", \.chaos), ("tombstones", \.tombstones), ("page", \.page.wide),
            ("queue", \.queue.wide), ("rate", \.rate.wide), ("renewing", \.renewing.wide),
            ("putting", \.putting.wide), ("permanent", \.permanent.wide), ("granted", \.granted.wide),
            ("contested", \.contested.wide), ("lease", \.lease), ("actions", \.actions.wide),
            ("preservation", \.preservation), ("preservedmax", \.preservedMax),
        ]
    }
}

extension Int {
    /// For one kind of key path to all numbers.
    fileprivate var wide: Int64 {
        get { Int64(self) }
        set { self = Int(clamping: newValue) }
    }
}
