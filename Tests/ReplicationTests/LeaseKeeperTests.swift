import RegistryStore
import Testing

@testable import Replication

/// The keeper of leases, event by event.
struct LeaseKeeperTests {
    static func moment(_ milliseconds: Int64) -> Moment {
        Moment(monotonic: milliseconds, unix: 1_700_000_000_000 + milliseconds)
    }

    static func keeper(
        _ members: [String] = ["a", "b", "c"], node: String = "a", preservation: Preservation? = nil
    ) -> LeaseKeeper {
        var keeper = LeaseKeeper(LeaseKeeperSettings(node: node, preservation: preservation))
        _ = keeper.step(.members(members), now: moment(0))
        return keeper
    }

    static func heartbeat(_ id: Int64, home: String, at: Int64 = 0) -> LeaseEvent {
        .heartbeats([ForwardedHeartbeat(id: LeaseID(id), home: home, at: at)])
    }

    static func lease(_ id: Int64, home: String, length: Int64 = 30_000, isSuspended: Bool = false) -> LeaseInfo {
        LeaseInfo(
            id: LeaseID(id), lengthMilliseconds: length, remainingMilliseconds: isSuspended ? nil : length,
            renewedAt: 0, home: home, isSuspended: isSuspended)
    }

    static func due(_ ids: ClosedRange<Int64>, service: String? = nil, of count: Int = 0) -> [DueLease] {
        ids.map { DueLease(id: LeaseID($0), namespace: .default, service: service, serviceCount: count) }
    }

    private static func batches(_ effects: [LeaseEffect]) -> [(RenewFrame, String)] {
        effects.compactMap { effect in
            guard case .send(let frame, let target) = effect, case .renew(let batch) = frame.body else { return nil }
            return (batch, target)
        }
    }

    // MARK: Heartbeats

    @Test("heartbeats go out every 250 ms, are repeated after 250, 500 and 1000 ms, and are adopted after 2 s")
    func repeats() {
        var keeper = Self.keeper()
        _ = keeper.step(.tick, now: Self.moment(0))
        #expect(keeper.step(Self.heartbeat(1, home: "b", at: 100), now: Self.moment(100)).isEmpty)
        _ = keeper.step(Self.heartbeat(1, home: "b", at: 150), now: Self.moment(150))
        _ = keeper.step(Self.heartbeat(2, home: "c", at: 160), now: Self.moment(160))
        var sent: [String: [Int64]] = [:]
        var adopted: [(Int64, [LeaseID])] = []
        for time in stride(from: Int64(200), to: 4000, by: 50) {
            let effects = keeper.step(.tick, now: Self.moment(time))
            for (batch, target) in Self.batches(effects) {
                sent[target, default: []].append(time)
                #expect(batch.renewals.count == 1)
                #expect(batch.renewals[0].ageMilliseconds == time - (target == "b" ? 150 : 160))
                #expect(batch.hlc >> 16 == UInt64(1_700_000_000_000 + time))
            }
            for case .adopt(let ids, let peer) in effects {
                adopted.append((time, ids))
                #expect(peer == nil)
            }
        }
        #expect(sent == ["b": [250, 500, 750, 1250], "c": [250, 500, 750, 1250]])
        #expect(adopted.map(\.0) == [2250])
        #expect(adopted.first?.1 == [LeaseID(1), LeaseID(2)])
        #expect(keeper.counts.batches == 2)
        #expect(keeper.counts.repeats == 6)
        #expect(keeper.counts.unanswered == 2)
    }

    @Test("an answer ends the repeats; what it refuses is adopted, after a session with who refused")
    func answers() throws {
        var keeper = Self.keeper()
        _ = keeper.step(Self.heartbeat(1, home: "b"), now: Self.moment(0))
        _ = keeper.step(Self.heartbeat(2, home: "b"), now: Self.moment(0))
        let (batch, _) = try #require(Self.batches(keeper.step(.tick, now: Self.moment(0))).first)
        #expect(batch.renewals.map(\.id) == [LeaseID(1), LeaseID(2)])
        let answer = RenewAnswerFrame(batch: batch.batch, refused: [LeaseID(2), LeaseID(99)])
        // Only from whom it was sent to, only once, and only about what was in it.
        #expect(keeper.step(.answered(answer, from: "c"), now: Self.moment(10)).isEmpty)
        #expect(
            keeper.step(.answered(answer, from: "b"), now: Self.moment(10))
                == [.adopt([LeaseID(2)], syncWith: "b")])
        #expect(keeper.step(.answered(answer, from: "b"), now: Self.moment(10)).isEmpty)
        #expect(Self.batches(keeper.step(.tick, now: Self.moment(900))).isEmpty)
    }

    @Test("a heartbeat for an absent home goes to its steward; the steward adopts the lease")
    func stewardOfHeartbeat() throws {
        let steward = try #require(Rendezvous.steward(of: "gone", among: ["a", "b", "c"]))
        for node in ["a", "b", "c"] {
            var keeper = Self.keeper(node: node)
            let effects = keeper.step(Self.heartbeat(1, home: "gone"), now: Self.moment(0))
            if node == steward {
                #expect(effects == [.adopt([LeaseID(1)], syncWith: nil)])
                let refused = LeaseEvent.renewed(
                    batch: 7, from: "x", refused: [LeaseID(1), LeaseID(2), LeaseID(3)],
                    homes: [LeaseID(1): "gone", LeaseID(2): "b"])
                let answer = RenewAnswerFrame(batch: 7, refused: [LeaseID(2), LeaseID(3)])
                #expect(
                    keeper.step(refused, now: Self.moment(0)) == [
                        .adopt([LeaseID(1)], syncWith: nil),
                        .send(
                            Frame(.renewAnswer(answer)), to: "x"),
                    ])
            } else {
                let targets = Self.batches(keeper.step(.tick, now: Self.moment(0))).map(\.1)
                #expect(targets == [steward])
            }
        }
    }

    @Test("a batch is handed to the store with the time it was sent at")
    func received() {
        var keeper = Self.keeper()
        let renewals = [RenewFrame.Renewal(id: LeaseID(1), ageMilliseconds: 5)]
        let frame = RenewFrame(batch: 3, hlc: 77 << 16 | 5, renewals: renewals)
        #expect(
            keeper.step(.received(frame, from: "b"), now: Self.moment(0))
                == [.renew(batch: 3, from: "b", renewals, sentUnix: 77)])
    }

    @Test("beyond the batches that may fly a heartbeat is adopted")
    func bound() {
        var settings = LeaseKeeperSettings(node: "a")
        settings.batchesMax = 1
        settings.batchMax = 2
        var keeper = LeaseKeeper(settings)
        _ = keeper.step(.members(["a", "b"]), now: Self.moment(0))
        for id in 1...3 { _ = keeper.step(Self.heartbeat(Int64(id), home: "b"), now: Self.moment(0)) }
        #expect(Self.batches(keeper.step(.tick, now: Self.moment(0))).map(\.0.renewals.count) == [2, 1])
        #expect(
            keeper.step(Self.heartbeat(4, home: "b"), now: Self.moment(1)) == [.adopt([LeaseID(4)], syncWith: nil)])
    }

    // MARK: Stewards

    @Test("the steward of a home that goes counts each lease in full and a grace, then asks and ends")
    func takeover() throws {
        let steward = try #require(Rendezvous.steward(of: "d", among: ["a", "b", "c"]))
        var keeper = Self.keeper(["a", "b", "c", "d"], node: steward)
        #expect(keeper.step(.members(["a", "b", "c"]), now: Self.moment(1000)) == [.list(of: "d")])
        let leases = [
            Self.lease(1, home: "d"), Self.lease(2, home: "d", length: 4000),
            Self.lease(3, home: "d", isSuspended: true),
        ]
        #expect(keeper.step(.leases(leases, of: "d"), now: Self.moment(1000)).isEmpty)
        _ = keeper.step(.tick, now: Self.moment(1000))
        var asked: [(Int64, [LeaseID])] = []
        for time in stride(from: Int64(1100), through: 50_000, by: 100) {
            for effect in keeper.step(.tick, now: Self.moment(time)) {
                switch effect {
                case .listHomes: #expect(keeper.step(.homes(["a", "d"]), now: Self.moment(time)) == [.list(of: "d")])
                case .describe(let ids, of: "d"):
                    asked.append((time, ids))
                    let due = ids.map { DueLease(id: $0, namespace: .default, service: nil, serviceCount: 0) }
                    #expect(
                        keeper.step(.due(due, of: "d", ownCount: 0), now: Self.moment(time)) == [.expire(ids, of: "d")])
                default: Issue.record("unexpected \(effect)")
                }
            }
        }
        // 4 s and 10 s of grace; 30 s and half of it.
        #expect(asked.map(\.0) == [15_000, 46_000])
        #expect(asked.map(\.1) == [[LeaseID(2)], [LeaseID(1)]])
        #expect(keeper.counts.endedAsSteward == 2)
    }

    @Test("a home that comes back counts again, and nothing of it is ended here")
    func homeBack() throws {
        let steward = try #require(Rendezvous.steward(of: "d", among: ["a", "b", "c"]))
        var keeper = Self.keeper(["a", "b", "c", "d"], node: steward)
        _ = keeper.step(.members(["a", "b", "c"]), now: Self.moment(0))
        _ = keeper.step(.leases([Self.lease(1, home: "d")], of: "d"), now: Self.moment(0))
        _ = keeper.step(.members(["a", "b", "c", "d"]), now: Self.moment(10))
        for time in stride(from: Int64(0), to: 60_000, by: 500) {
            #expect(keeper.step(.tick, now: Self.moment(time)).allSatisfy { $0 == .listHomes })
        }
        #expect(keeper.step(.due(Self.due(1...1), of: "d", ownCount: 0), now: Self.moment(60_000)).isEmpty)
        #expect(keeper.step(.leases([Self.lease(1, home: "d")], of: "d"), now: Self.moment(60_000)).isEmpty)
    }

    @Test("a home that leaves tells its steward what is left, and the steward counts from there")
    func handover() throws {
        let others = ["a", "b", "c"]
        let steward = try #require(Rendezvous.steward(of: "d", among: others))
        var leaving = Self.keeper(others + ["d"], node: "d")
        let leases =
            (1...150).map { Self.lease(Int64($0), home: "d", length: 1000) }
            + [Self.lease(200, home: "d", isSuspended: true)]
        let effects = leaving.step(.leaving(leases), now: Self.moment(0))
        var keeper = Self.keeper(others + ["d"], node: steward)
        var told = 0
        for effect in effects {
            guard case .send(let frame, to: steward) = effect, case .handover(let handed) = frame.body else {
                Issue.record("unexpected \(effect)")
                continue
            }
            told += handed.count
            _ = keeper.step(.handover(handed, from: "d"), now: Self.moment(0))
        }
        #expect(effects.count == 2)
        #expect(told == 150)
        _ = keeper.step(.members(others), now: Self.moment(500))
        // A length that differs from what was handed over shows whose word counts.
        _ = keeper.step(.leases([Self.lease(1, home: "d", length: 8000)], of: "d"), now: Self.moment(500))
        #expect(!keeper.step(.tick, now: Self.moment(10_999)).contains(.describe([LeaseID(1)], of: "d")))
        #expect(keeper.step(.tick, now: Self.moment(11_000)).contains(.describe([LeaseID(1)], of: "d")))
    }

    @Test("what a home said as it left is void when it was there again unnoticed", arguments: [10_000, 10_001])
    func handoverOfFormerLife(goneAt: Int64) throws {
        let others = ["a", "b", "c"]
        let steward = try #require(Rendezvous.steward(of: "d", among: others))
        var keeper = Self.keeper(others + ["d"], node: steward)
        let handed = [Handover(id: LeaseID(1), remainingMilliseconds: 1000)]
        _ = keeper.step(.handover(handed, from: "d"), now: Self.moment(0))
        _ = keeper.step(.members(others), now: Self.moment(goneAt))
        _ = keeper.step(.leases([Self.lease(1, home: "d", length: 8000)], of: "d"), now: Self.moment(goneAt))
        let end = goneAt <= 10_000 ? 11_000 : goneAt + 18_000
        #expect(!keeper.step(.tick, now: Self.moment(end - 1)).contains(.describe([LeaseID(1)], of: "d")))
        #expect(keeper.step(.tick, now: Self.moment(end)).contains(.describe([LeaseID(1)], of: "d")))
    }

    @Test("what is said of leases that nobody knows has a bound, and a lease beyond it gets its whole length")
    func handoverBound() throws {
        let others = ["a", "b", "c"]
        let steward = try #require(Rendezvous.steward(of: "d", among: others))
        var settings = LeaseKeeperSettings(node: steward)
        settings.handedOverMax = 5
        var keeper = LeaseKeeper(settings)
        _ = keeper.step(.members(others + ["d", "e"]), now: Self.moment(0))
        func hand(_ ids: ClosedRange<Int64>, from home: String) {
            let handed = ids.map { Handover(id: LeaseID($0), remainingMilliseconds: 1000) }
            _ = keeper.step(.handover(handed, from: home), now: Self.moment(0))
        }
        hand(100...102, from: "e")
        hand(1...4, from: "d")
        // Said again, and changed, what is remembered takes no room.
        hand(1...2, from: "d")
        #expect(keeper.counts.handedOverBeyondLimit == 2)
        #expect(keeper.handedOver.reduce(0) { $0 + $1.deadlines.count } == 5)
        _ = keeper.step(.members(others + ["e"]), now: Self.moment(0))
        let leases = (1...3).map { Self.lease(Int64($0), home: "d", length: 8000) }
        _ = keeper.step(.leases(leases, of: "d"), now: Self.moment(0))
        var later = keeper
        #expect(keeper.step(.tick, now: Self.moment(11_000)).contains(.describe([1, 2].map { LeaseID($0) }, of: "d")))
        #expect(
            later.step(.tick, now: Self.moment(18_000)).contains { effect in
                guard case .describe(let ids, of: "d") = effect else { return false }
                return ids.contains(LeaseID(3))
            })
    }

    @Test("a node alone has nobody to tell")
    func leavesAlone() {
        var keeper = Self.keeper(["a"])
        #expect(keeper.step(.leaving([Self.lease(1, home: "a")]), now: Self.moment(0)).isEmpty)
    }

    @Test("after a standstill of the process leases are extended first, and a steward begins anew")
    func pause() throws {
        let steward = try #require(Rendezvous.steward(of: "d", among: ["a", "b", "c"]))
        var keeper = Self.keeper(["a", "b", "c", "d"], node: steward)
        _ = keeper.step(.members(["a", "b", "c"]), now: Self.moment(0))
        _ = keeper.step(.leases([Self.lease(1, home: "d", length: 1000)], of: "d"), now: Self.moment(0))
        _ = keeper.step(.tick, now: Self.moment(0))
        #expect(
            keeper.step(.tick, now: Self.moment(60_000)) == [.extendOwn(afterPause: 60_000), .listHomes])
        _ = keeper.step(.leases([Self.lease(1, home: "d", length: 1000)], of: "d"), now: Self.moment(60_000))
        #expect(!keeper.step(.tick, now: Self.moment(60_900)).contains(.describe([LeaseID(1)], of: "d")))
    }

    // MARK: Rendezvous

    @Test("a node that comes or goes moves only what it counts or counted")
    func rendezvous() throws {
        let members = (0..<7).map { "node-\($0)" }
        var counts: [String: Int] = [:]
        for home in (0..<700).map({ "home-\($0)" }) {
            let steward = try #require(Rendezvous.steward(of: home, among: members))
            #expect(Rendezvous.steward(of: home, among: members.reversed()) == steward)
            let fewer = members.filter { $0 != "node-3" }
            if steward != "node-3" { #expect(Rendezvous.steward(of: home, among: fewer) == steward) }
            counts[steward, default: 0] += 1
        }
        #expect(counts.count == 7)
        #expect(counts.values.allSatisfy { (60...140).contains($0) }, "\(counts)")
        #expect(Rendezvous.steward(of: "a", among: ["a"]) == nil)
        // Fixed for ever: nodes of different releases must agree.
        #expect(Rendezvous.steward(of: "home-0", among: members) == "node-4")
    }
}
