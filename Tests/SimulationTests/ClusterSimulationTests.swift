import Foundation
import RegdnsTestKit
import Simulation
import Testing

/// The whole replicated registry under random faults, in virtual time.
@Suite(.serialized)
struct ClusterSimulationTests {
    @Test func fresh() throws {
        var seeds = SeededRandom(test: "cluster")
        let start = ContinuousClock.now
        var total = ClusterFigures()
        let given = ProcessInfo.processInfo.environment["REGDNS_SCENARIO"].flatMap { ClusterScenario(text: $0) }
        for _ in 0..<(given == nil ? 5 * SeededRandom.effort : 1) {
            let scenario = given ?? ClusterScenario.draw(seed: seeds.next())
            var hooks = ClusterHooks()
            if given != nil { hooks.tell = { line in print(line) } }
            let world = try ClusterWorld(scenario, hooks: hooks)
            if let violation = world.run() {
                print("\(violation)\n    \(scenario.text)")
                Issue.record("\(violation)")
            }
            total.add(world.figures)
        }
        print(total.text, ContinuousClock.now - start)
    }
}
