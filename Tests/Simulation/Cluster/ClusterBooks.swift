import RegistryStore

/// What a run found wrong.
package struct ClusterViolation: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Invariant: String, CaseIterable, Sendable {
        /// Equal states in the end, within the bound.
        case convergence = "I3"
        /// A removed entry does not come back.
        case resurrection = "I4"
        /// An expiry ends what it was made for and nothing newer.
        case expiry = "I5"
        /// Who renews is there.
        case absence = "I6"
        /// Who stopped is gone.
        case staleness = "I7"
        /// What a node claims to know it has had.
        case context = "I8"
        /// Dots and incarnations are used once.
        case identity = "I9"
        /// Bounds hold.
        case bounds = "I10"
        /// Who is ready has what two others had.
        case readiness = "I12"
        /// The last version of all is what everybody shows.
        case lastWriter = "C5"
        /// What is over is preserved as long as, and ends as slowly as the rules say.
        case preservation = "C8"
    }

    package let invariant: Invariant
    /// Milliseconds from the beginning.
    package let at: Int64
    package let text: String

    package var description: String { "\(invariant.rawValue) at \(at) ms: \(text)" }
}

/// Every operation there ever was, and what each node has had of each key.
struct ClusterBooks {
    struct Made {
        let key: Int
        let version: Version
        let value: PutValue?
        /// What an expiry ended.
        let ended: Version?
        let node: Int
        let boot: Int
        /// Microseconds.
        let at: Int64
    }

    private(set) var made: [Dot: Made] = [:]
    /// By key, in the order of their making.
    private(set) var byKey: [[Made]] = []
    private var keys: [[UInt8]: Int] = [:]
    private(set) var keyBytes: [[UInt8]] = []
    /// Per node and key the greatest version that was there.
    private(set) var known: [[Version?]]
    /// Per node the writes that were there since it last began with nothing.
    private var had: [Set<Dot>]
    /// Keys of which an operation arrived after the time of removals: nothing is promised then.
    private(set) var late: Set<Int> = []
    /// When the last operation was made, in microseconds.
    private(set) var lastMade: Int64 = 0
    /// Milliseconds from the making of an operation to its arrival.
    private(set) var delays: [Int64] = []
    private(set) var reasserted = 0
    let tombstoneMilliseconds: Int64

    init(nodes: Int, tombstoneMilliseconds: Int64) {
        known = Array(repeating: [], count: nodes)
        had = Array(repeating: [], count: nodes)
        self.tombstoneMilliseconds = tombstoneMilliseconds
    }

    mutating func number(of key: [UInt8]) -> Int {
        if let number = keys[key] { return number }
        let number = keyBytes.count
        keys[key] = number
        keyBytes.append(key)
        byKey.append([])
        for node in known.indices { known[node].append(nil) }
        return number
    }

    func name(_ key: Int) -> String { String(decoding: keyBytes[key].suffix(12), as: UTF8.self) }

    /// A process came up with what it had kept, or with nothing.
    mutating func begin(_ node: Int, _ registry: Registry, isEmpty: Bool) {
        if isEmpty { had[node] = [] }
        for key in keyBytes.indices {
            known[node][key] = registry.operation(namespace: .default, key: keyBytes[key])?.version
        }
    }

    /// A process has forgotten what it knew of others.
    mutating func beginFresh(_ node: Int) {
        known[node] = Array(repeating: nil, count: keyBytes.count)
        had[node] = []
    }

    /// Notes a change at a node, and looks for what must never happen.
    mutating func note(_ change: Change, at node: Int, boot: Int, origin: UInt64, now: Int64) throws(ClusterViolation) {
        let key = number(of: change.key)
        let version = change.version
        if version.origin == origin { try noteMade(change, key, node, boot, now) }
        if change.kind == .expiry, let previous = change.previous {
            guard let ended = made[version.dot]?.ended else {
                throw violation(
                    .expiry, now, "n\(node) took an expiry of \(name(key)) that nobody made: \(version.brief)")
            }
            if previous.version.hlc > ended.hlc {
                throw violation(
                    .expiry, now,
                    "an expiry of \(name(key)), made for \(ended.brief), ended the later "
                        + "\(previous.version.brief) at n\(node)"
                )
            }
        }
        if change.current != nil, had[node].insert(version.dot).inserted { _ = isLate(version, key, now) }
        if let before = known[node][key], Self.goesBack(version, before), !isLate(version, key, now) {
            throw violation(
                .resurrection, now, "\(name(key)) went back at n\(node) from \(before.brief) to \(version.brief)")
        }
        known[node][key] = max(version, known[node][key] ?? version)
        if version.origin != origin, let made = made[version.dot] { delays.append((now - made.at) / 1_000) }
    }

    /// Of two removals the older one may be the last that is remembered.
    private static func goesBack(_ version: Version, _ before: Version) -> Bool {
        version < before && (version.kind == .write || before.kind == .write)
    }

    /// Whether an operation is older than removals are remembered; then its key is left alone.
    private mutating func isLate(_ version: Version, _ key: Int, _ now: Int64) -> Bool {
        if late.contains(key) { return true }
        guard let made = made[version.dot], (now - made.at) / 1_000 > tombstoneMilliseconds else { return false }
        late.insert(key)
        return true
    }

    private mutating func noteMade(
        _ change: Change, _ key: Int, _ node: Int, _ boot: Int, _ now: Int64
    ) throws(ClusterViolation) {
        let version = change.version
        if let other = made[version.dot] {
            // A reset removes an entry by the version that it had.
            let isSame = other.key == key && other.version.hlc == version.hlc
            if isSame, other.version.kind == version.kind || version.kind == .delete { return }
            throw violation(
                .identity, now,
                "n\(node) made \(version.brief) of \(name(key)) by the dot of \(other.version.brief) of "
                    + name(other.key)
            )
        }
        if change.kind == .expiry, let previous = change.previous, version.hlc != previous.version.hlc {
            throw violation(
                .expiry, now,
                "the expiry \(version.brief) of \(name(key)) is not of the time of \(previous.version.brief)")
        }
        if let previous = change.previous, version < previous.version {
            throw violation(
                .resurrection, now, "n\(node) wrote \(version.brief) over \(previous.version.brief) of \(name(key))")
        }
        if change.isRenewal, change.previous?.lease != nil { reasserted += 1 }
        let made = Made(
            key: key, version: version, value: change.current?.putValue, ended: change.previous?.version, node: node,
            boot: boot, at: now)
        self.made[version.dot] = made
        byKey[key].append(made)
        lastMade = now
    }

    /// Notes that an operation is told again that had gone out of the world.
    mutating func noteRevived(at now: Int64) { lastMade = now }

    /// What a node knows of keys, also where nothing shows: removals of what it never had.
    mutating func look(at node: Int, _ registry: Registry, now: Int64) throws(ClusterViolation) {
        for key in keyBytes.indices {
            guard let version = registry.operation(namespace: .default, key: keyBytes[key])?.version else { continue }
            if let before = known[node][key], Self.goesBack(version, before), !isLate(version, key, now) {
                throw violation(
                    .resurrection, now, "\(name(key)) is \(version.brief) at n\(node), where \(before.brief) was")
            }
            known[node][key] = max(version, known[node][key] ?? version)
        }
    }

    /// An operation is in a context only if it, or what replaced it, is or was there.
    func checkContext(of node: Int, _ registry: Registry, now: Int64) throws(ClusterViolation) {
        let context = registry.context()
        for key in byKey.indices where !late.contains(key) {
            let claimed = byKey[key].filter {
                context.contains(origin: $0.version.origin, sequence: $0.version.sequence)
            }
            guard let last = claimed.max(by: { $0.version < $1.version }) else { continue }
            let here = registry.operation(namespace: .default, key: keyBytes[key])?.version
            if last.version.kind == .write {
                guard let here, here >= last.version else {
                    throw violation(
                        .context, now,
                        "n\(node) claims \(last.version.brief) of \(name(key)) and has \(here?.brief ?? "nothing")")
                }
            } else if let here, here.kind == .write, here < last.version {
                throw violation(
                    .context, now,
                    "n\(node) claims the removal \(last.version.brief) of \(name(key)) and shows \(here.brief)")
            }
        }
    }

    func violation(_ invariant: ClusterViolation.Invariant, _ now: Int64, _ text: String) -> ClusterViolation {
        ClusterViolation(invariant: invariant, at: now / 1_000, text: text)
    }
}

extension Version {
    /// For people: time, counter, kind, the end of the origin, number.
    var brief: String {
        let sign = kind == .write ? "w" : kind == .expiry ? "x" : "d"
        return "\(hlc >> 16).\(hlc & 0xffff)\(sign)\(origin & 0xffff):\(sequence)"
    }
}
