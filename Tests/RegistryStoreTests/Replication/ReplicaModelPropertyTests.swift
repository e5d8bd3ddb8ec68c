import RegdnsTestKit
import Testing

@testable import RegistryStore

/// The rules of replication under random schedules: nothing is lost, nothing comes back, all nodes agree in the end.
@Suite(.serialized)
struct ReplicaModelPropertyTests {
    @Test("real registries keep the rules through loss, splits, crashes, wrong clocks and forgetting")
    func rules() throws {
        var seeds = SeededRandom(test: "replica model")
        var (sessions, resets, late, batches) = (0, 0, 0, 0)
        let runs = 16 * SeededRandom.effort
        for _ in 0..<runs {
            let seed = seeds.next()
            let model = try ReplicaModel(seed: seed)
            do {
                try model.run()
            } catch {
                Issue.record("model seed \(seed): \(error)")
                return
            }
            sessions += model.sessionsCompleted
            resets += model.resets
            late += model.hasLateArrival ? 1 : 0
            batches += model.batchesMerged
        }
        let seen = "\(sessions) sessions, \(resets) resets, \(batches) batches"
        print("replica model: \(seen), \(late) of \(runs) runs set aside")
        #expect(sessions > 100 && batches > 100)
        // What was set aside says nothing: most runs must say something.
        #expect(late * 4 < runs)
    }

    @Test("every planted fault is found", arguments: ModelFault.allCases)
    func plantedFaults(fault: ModelFault) throws {
        // Forgetting matters only where splits outlast it; there a sound run may fail too, which then says nothing.
        let hasLongSplits = fault == .noFloor || fault == .holesIgnored
        for seed in 0..<UInt64(1000) {
            let broken = try ReplicaModel(seed: seed, fault: fault, hasLongSplits: hasLongSplits)
            do {
                try broken.run()
            } catch let failure as ModelFailure {
                let sound = try ReplicaModel(seed: seed, hasLongSplits: hasLongSplits)
                do {
                    try sound.run()
                } catch {
                    continue
                }
                print("planted fault \(fault.rawValue): seed \(seed): \(failure)")
                return
            }
        }
        Issue.record("\(fault.rawValue) was not found in 1000 runs")
    }
}
