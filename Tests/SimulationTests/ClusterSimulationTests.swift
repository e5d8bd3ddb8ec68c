import Foundation
import RegdnsTestKit
import Simulation
import Synchronization
import Testing

@testable import RegistryStore

/// The whole replicated registry under random faults, in virtual time. README.md of Tests/Simulation says how to replay
/// and shrink.
@Suite(.serialized)
struct ClusterSimulationTests {
    private static func variable(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }

    /// Breaks rules inside of the store.
    static let hooks = ClusterHooks { registry, bug in
        let fault: HybridClock.PlantedFault?
        switch bug {
        case .expiryNow: fault = .expiryNow
        case .noCausalBump: fault = .noCausalBump
        case .noReassert: fault = .noReassert
        default: fault = nil
        }
        registry.state.withLock { $0.core.clock.plantedFault = fault }
    }

    @Test("no invariant is broken by fresh seeds, or by the one in REGDNS_SEED")
    func freshSeeds() async throws {
        if let text = Self.variable("REGDNS_SCENARIO") { return try replay(text) }
        let given = Self.variable("REGDNS_SEED").flatMap { UInt64($0) }
        let count = Self.variable("REGDNS_SIM_SEEDS").flatMap { UInt64($0) } ?? (given == nil ? 200 : 1)
        let base = given ?? UInt64.random(in: 1...1 << 48)
        print("simulator: \(count) seeds from REGDNS_SEED=\(base) on")
        let start = ContinuousClock.now
        let (figures, failed) = try await ClusterRunner.run(seeds: base..<base + count, threads: 2)
        let seconds = Double((ContinuousClock.now - start).components.seconds) + 0.5
        print(figures.text)
        print("simulator: \(Int(Double(count) / seconds * 100)) seeds in 100 s")
        for result in failed.prefix(5) { try report(result) }
        #expect(failed.isEmpty, "seeds \(failed.map(\.scenario.seed))")
    }

    private func report(_ result: ClusterResult) throws {
        guard let violation = result.violation else { return }
        print("REGDNS_SEED=\(result.scenario.seed): \(violation)\n  REGDNS_SCENARIO='\(result.scenario.text)'")
        let runs = Self.variable("REGDNS_SHRINK").flatMap { Int($0) } ?? 0
        var shrinker = ClusterShrinker(result.scenario, violation, runsMax: runs) {
            try ClusterRunner.run($0).violation
        }
        try shrinker.shrink()
        if runs > 0 {
            print(
                "shrunk by \(shrinker.runs) runs: \(shrinker.violation)\n  REGDNS_SCENARIO='\(shrinker.scenario.text)'")
        }
    }

    /// Runs one scenario and tells all of it.
    private func replay(_ text: String) throws {
        let scenario = try #require(ClusterScenario(text: text), "REGDNS_SCENARIO is no scenario")
        var hooks = Self.hooks
        hooks.tell = { line in print(line) }
        let bug = Self.variable("REGDNS_BUG").flatMap { ClusterBug(rawValue: $0) }
        let result = try ClusterRunner.run(scenario, bug: bug, hooks: hooks)
        print(result.figures.text)
        print(result.violation?.description ?? "nothing is wrong")
        #expect(result.violation == nil)
    }

    @Test("the same seed gives the same run, another one another")
    func sameTrace() throws {
        var seeds = SeededRandom(test: "cluster traces")
        for _ in 0..<3 {
            let scenario = ClusterScenario.draw(seed: seeds.next())
            let first = try ClusterRunner.run(scenario)
            let second = try ClusterRunner.run(scenario)
            #expect(first.trace == second.trace, "seed \(scenario.seed)")
            #expect(first.figures.events == second.figures.events)
            var other = scenario
            other.seed += 1
            #expect(try ClusterRunner.run(other).trace != first.trace, "seed \(scenario.seed)")
        }
    }

    @Test("scenarios are read as they are written")
    func text() {
        var seeds = SeededRandom(test: "cluster texts")
        for _ in 0..<200 {
            let scenario = ClusterScenario.draw(seed: seeds.next())
            #expect(ClusterScenario(text: scenario.text) == scenario)
        }
        for bad in ["nodes=0", "seed=x", "faults=cut@1", "faults=cut@1+2:9,9,9", "colour=red", "seed"] {
            #expect(ClusterScenario(text: bad) == nil, "\(bad)")
        }
    }

    // MARK: Planted bugs

    private static let seedsMax: UInt64 = 40

    /// The first seed whose run breaks something with the bug and nothing without.
    private static func find(_ bug: ClusterBug) throws -> (seeds: UInt64, result: ClusterResult)? {
        for seed in 1...seedsMax {
            var scenario = ClusterScenario.draw(seed: seed)
            bug.prepare(&scenario)
            let broken = try ClusterRunner.run(scenario, bug: bug, hooks: hooks)
            guard broken.violation != nil else { continue }
            let sound = try ClusterRunner.run(scenario, hooks: hooks)
            if let violation = sound.violation {
                print("without \(bug.rawValue), seed \(seed): \(violation)\n  \(scenario.text)")
                continue
            }
            return (seed, broken)
        }
        return nil
    }

    @Test("every planted bug is found")
    func plantedBugs() async throws {
        let only = Self.variable("REGDNS_BUG").flatMap { ClusterBug(rawValue: $0) }
        let bugs = only.map { [$0] } ?? ClusterBug.allCases
        let rows = try await withThrowingTaskGroup(of: [(Int, String, Bool)].self) { group in
            for thread in 0..<2 {
                group.addTask {
                    try bugs.enumerated().filter { $0.offset % 2 == thread }.map { place, bug in
                        let found = try Self.find(bug)
                        let name = bug.rawValue.padding(toLength: 20, withPad: " ", startingAt: 0)
                        let text = found.map { "\($0.seeds)  \($0.result.violation?.description ?? "")" }
                        return (place, "\(name) \(text ?? "not found in \(Self.seedsMax) seeds")", found != nil)
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }.sorted { $0.0 < $1.0 }
        }
        print("planted bug          seeds, and what was found")
        for row in rows { print(row.1) }
        let found = rows.count { $0.2 }
        print("\(found) of \(bugs.count) planted bugs found")
        #expect(found == bugs.count)
    }

    @Test("a failing scenario shrinks to one that fails in the same way")
    func shrinking() throws {
        var scenario = ClusterScenario.draw(seed: 7)
        ClusterBug.operationLeftOut.prepare(&scenario)
        func fails(_ scenario: ClusterScenario) throws -> ClusterViolation? {
            try ClusterRunner.run(scenario, bug: .operationLeftOut).violation
        }
        let violation = try #require(try fails(scenario))
        var shrinker = ClusterShrinker(scenario, violation, runsMax: 60, fails: fails)
        try shrinker.shrink()
        #expect(shrinker.scenario.faults.count < scenario.faults.count)
        let read = try #require(ClusterScenario(text: shrinker.scenario.text))
        #expect(try fails(read) == shrinker.violation)
        #expect(shrinker.violation.invariant == violation.invariant)
    }
}
