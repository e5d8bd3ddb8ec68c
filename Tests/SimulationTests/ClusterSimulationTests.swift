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
        for _ in 0..<5 * SeededRandom.effort {
            let scenario = ClusterScenario.draw(seed: seeds.next())
            let world = try ClusterWorld(scenario)
            if let violation = world.run() {
                print("\(violation)\n    \(scenario.text)")
                Issue.record("\(violation)")
            }
            total.add(world.figures)
        }
        print(total.text, ContinuousClock.now - start)
    }
}
