import RegdnsTestKit
import Testing

/// Leases of a cluster under random faults: who renews stays, who stopped goes, all agree in the end.
@Suite(.serialized)
struct LeaseModelPropertyTests {
    /// Seconds in calm that a renewing instance may be absent at a node.
    static let absenceMax = 2.0
    /// Seconds in calm after which a stopped one is gone: its lease, the grace, and what passing on takes.
    static let stalenessMax = 50.0
    /// The same when recorded heartbeats of up to twice the lease count.
    static let replayedStalenessMax = 110.0

    private static func failure(of model: LeaseModel) -> String? {
        let stalenessMax = model.hasReplays ? replayedStalenessMax : stalenessMax
        if model.worstAbsence > absenceMax { return "renewing and absent for \(model.worstAbsence) s" }
        if model.worstStaleness > stalenessMax { return "stopped and present for \(model.worstStaleness) s" }
        return model.isEqual() ? nil : "nodes differ in the end"
    }

    @Test("who renews stays, who stopped goes, all nodes agree")
    func rules() throws {
        var seeds = SeededRandom(test: "lease model")
        var (absence, staleness, batches) = (0.0, 0.0, 0)
        for round in 0..<8 * SeededRandom.effort {
            let seed = seeds.next()
            let model = try LeaseModel(seed: seed, hasReplays: round % 4 == 3)
            try model.run()
            let failure = Self.failure(of: model)
            #expect(failure == nil, "lease model seed \(seed), replays \(model.hasReplays): \(failure ?? "")")
            if failure != nil { return }
            absence = max(absence, model.worstAbsence)
            staleness = max(staleness, model.worstStaleness)
            batches += model.batchesMerged
        }
        #expect(batches > 0)
        print("lease model: \(batches) batches, absent at most \(absence) s, present at most \(staleness) s")
    }

    @Test("every planted fault is found", arguments: LeaseModelFault.allCases)
    func plantedFaults(fault: LeaseModelFault) throws {
        for seed in 0..<UInt64(30) {
            let broken = try LeaseModel(seed: seed, fault: fault, hasReplays: fault == .oldBatchesCount)
            try broken.run()
            guard let failure = Self.failure(of: broken) else { continue }
            let sound = try LeaseModel(seed: seed, hasReplays: broken.hasReplays)
            try sound.run()
            if Self.failure(of: sound) != nil { continue }
            print("planted fault \(fault.rawValue): seed \(seed): \(failure)")
            return
        }
        Issue.record("\(fault.rawValue) was not found in 30 runs")
    }
}
