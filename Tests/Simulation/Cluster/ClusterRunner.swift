/// What a run came to.
package struct ClusterResult: Sendable {
    package let scenario: ClusterScenario
    package let violation: ClusterViolation?
    package let figures: ClusterFigures
    package let trace: UInt64
}

package enum ClusterRunner {
    package static func run(
        _ scenario: ClusterScenario, bug: ClusterBug? = nil, hooks: ClusterHooks = ClusterHooks()
    ) throws -> ClusterResult {
        let world = try ClusterWorld(scenario, bug: bug, hooks: hooks)
        let violation = world.run()
        return ClusterResult(scenario: scenario, violation: violation, figures: world.figures, trace: world.trace)
    }

    /// Runs the seeds from one on, on some threads, each world on one of them.
    ///
    /// - Returns: the sum of all figures, and what failed, by seed.
    package static func run(
        seeds: Range<UInt64>, threads: Int
    ) async throws -> (figures: ClusterFigures, failed: [ClusterResult]) {
        try await withThrowingTaskGroup(of: (ClusterFigures, [ClusterResult]).self) { group in
            for thread in 0..<UInt64(threads) {
                group.addTask {
                    var figures = ClusterFigures()
                    var failed: [ClusterResult] = []
                    for seed in seeds where seed % UInt64(threads) == thread {
                        let result = try run(.draw(seed: seed))
                        figures.add(result.figures)
                        if result.violation != nil { failed.append(result) }
                    }
                    return (figures, failed)
                }
            }
            var figures = ClusterFigures()
            var failed: [ClusterResult] = []
            for try await (part, broken) in group {
                figures.add(part)
                failed += broken
            }
            return (figures, failed.sorted { $0.scenario.seed < $1.scenario.seed })
        }
    }
}

/// Makes a scenario that fails as small as it can be.
package struct ClusterShrinker {
    private let fails: (ClusterScenario) throws -> ClusterViolation?
    private let invariant: ClusterViolation.Invariant
    package private(set) var scenario: ClusterScenario
    package private(set) var violation: ClusterViolation
    package private(set) var runs = 0
    private let runsMax: Int

    /// - Parameter runsMax: scenarios tried at most.
    package init(
        _ scenario: ClusterScenario, _ violation: ClusterViolation, runsMax: Int = 150,
        fails: @escaping (ClusterScenario) throws -> ClusterViolation?
    ) {
        self.scenario = scenario
        self.violation = violation
        invariant = violation.invariant
        self.runsMax = runsMax
        self.fails = fails
    }

    /// Drops kinds of faults, single ones, nodes, time, and what else is there, as long as the same invariant breaks.
    package mutating func shrink() throws {
        var hasShrunk = true
        while hasShrunk, runs < runsMax {
            hasShrunk = false
            for kind in ClusterFault.Kind.allCases {
                hasShrunk = try attempt { $0.faults.removeAll { $0.kind == kind } } || hasShrunk
            }
            for place in scenario.faults.indices.reversed() {
                hasShrunk = try attempt { $0.faults.remove(at: place) } || hasShrunk
            }
            hasShrunk = try attempt { $0.dropNode() } || hasShrunk
            hasShrunk = try attempt { $0.shorten() } || hasShrunk
            for path in Self.counts {
                hasShrunk = try attempt { $0[keyPath: path] = 0 } || hasShrunk
                hasShrunk = try attempt { $0[keyPath: path] /= 2 } || hasShrunk
            }
            hasShrunk = try attempt { $0.isSealed = false } || hasShrunk
            hasShrunk = try attempt { $0.isSerf = false } || hasShrunk
            hasShrunk = try attempt { $0.hasDisk = false } || hasShrunk
            hasShrunk = try attempt { $0.tombstones = 86_400 } || hasShrunk
            hasShrunk = try attempt { $0.preservation = 0 } || hasShrunk
        }
    }

    private static var counts: [WritableKeyPath<ClusterScenario, Int>] {
        [\.renewing, \.putting, \.permanent, \.granted, \.contested]
    }

    /// - Returns: whether the changed scenario fails in the same way; then it is the one to go on with.
    private mutating func attempt(_ change: (inout ClusterScenario) -> Void) throws -> Bool {
        var smaller = scenario
        change(&smaller)
        guard smaller != scenario, runs < runsMax else { return false }
        runs += 1
        guard let found = try fails(smaller), found.invariant == invariant else { return false }
        (scenario, violation) = (smaller, found)
        return true
    }
}

extension ClusterScenario {
    fileprivate mutating func dropNode() {
        guard nodes > 2 else { return }
        nodes -= 1
        let nodes = nodes
        faults.removeAll { $0.node >= nodes || $0.other >= nodes }
        for place in faults.indices where faults[place].kind == .split { faults[place].amount &= (1 << nodes) - 1 }
    }

    fileprivate mutating func shorten() {
        chaos = chaos * 2 / 3
        let calmAt = calmAt
        faults.removeAll { $0.at >= calmAt }
        for place in faults.indices where faults[place].end > calmAt && faults[place].kind != .babble {
            faults[place].length = calmAt - faults[place].at
        }
    }
}
