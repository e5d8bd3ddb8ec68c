import RegistryStore
import Testing

@testable import Replication

/// Leases that are kept although they are over: when, for how long, and how they end after all.
struct PreservationTests {
    private static func keeper(_ members: [String] = ["a", "b", "c"], node: String? = nil) -> LeaseKeeper {
        LeaseKeeperTests.keeper(members, node: node ?? members[0], preservation: Preservation())
    }

    private static func moment(_ milliseconds: Int64) -> Moment { LeaseKeeperTests.moment(milliseconds) }

    private static func due(_ ids: ClosedRange<Int64>, service: String? = nil, of count: Int = 0) -> [DueLease] {
        LeaseKeeperTests.due(ids, service: service, of: count)
    }

    /// The leases that are to end.
    private static func ended(_ effects: [LeaseEffect]) -> [LeaseID] {
        effects.flatMap { effect in if case .expire(let ids, _) = effect { ids } else { [LeaseID]() } }
    }

    @Test("when many own leases are over at once none ends; when few are, those do")
    func preservesOwn() {
        var keeper = Self.keeper()
        let many = LeaseEvent.due(Self.due(1...16), of: "a", ownCount: 100)
        #expect(Self.ended(keeper.step(many, now: Self.moment(0))).isEmpty)
        #expect(keeper.counts.preserved == 16)
        // Clients are back, but for two; a minute later they may go.
        let few = LeaseEvent.due(Self.due(1...2), of: "a", ownCount: 100)
        #expect(Self.ended(keeper.step(few, now: Self.moment(30_000))).isEmpty)
        #expect(Self.ended(keeper.step(few, now: Self.moment(61_000))) == [LeaseID(1), LeaseID(2)])
        var other = Self.keeper()
        let share = LeaseEvent.due(Self.due(1...15), of: "a", ownCount: 100)
        #expect(Self.ended(other.step(share, now: Self.moment(0))) == (1...15).map { LeaseID($0) })
        var small = Self.keeper()
        let five = LeaseEvent.due(Self.due(1...5), of: "a", ownCount: 5)
        #expect(Self.ended(small.step(five, now: Self.moment(0))) == (1...5).map { LeaseID($0) })
    }

    @Test("after an hour preserved leases go, a share of a service a minute, never its last one")
    func preservedForLong() {
        var keeper = Self.keeper()
        let all = Self.due(1...1, service: "lonely", of: 1) + Self.due(2...41, service: "s", of: 40)
        #expect(Self.ended(keeper.step(.due(all, of: "a", ownCount: 41), now: Self.moment(0))).isEmpty)
        #expect(Self.ended(keeper.step(.due(all, of: "a", ownCount: 41), now: Self.moment(3_599_999))).isEmpty)
        let hour = keeper.step(.due(all, of: "a", ownCount: 41), now: Self.moment(3_600_000))
        #expect(Self.ended(hour) == (2...7).map { LeaseID($0) })
        let rest = Self.due(1...1, service: "lonely", of: 1) + Self.due(8...41, service: "s", of: 34)
        #expect(Self.ended(keeper.step(.due(rest, of: "a", ownCount: 35), now: Self.moment(3_630_000))).isEmpty)
        let next = keeper.step(.due(rest, of: "a", ownCount: 35), now: Self.moment(3_660_000))
        #expect(Self.ended(next) == (8...12).map { LeaseID($0) })
        let last = Self.due(1...1, service: "lonely", of: 1) + Self.due(41...41, service: "s", of: 1)
        var small = Self.keeper()
        _ = small.step(.due(all, of: "a", ownCount: 41), now: Self.moment(0))
        _ = small.step(.due(all, of: "a", ownCount: 41), now: Self.moment(3_600_000))
        #expect(Self.ended(small.step(.due(last, of: "a", ownCount: 2), now: Self.moment(3_600_001))).isEmpty)
    }

    @Test("of one service only a share ends within a minute")
    func serviceRate() {
        var keeper = Self.keeper()
        let first = LeaseEvent.due(Self.due(1...60, service: "s", of: 100), of: "a", ownCount: 1000)
        #expect(Self.ended(keeper.step(first, now: Self.moment(0))) == (1...15).map { LeaseID($0) })
        let second = LeaseEvent.due(Self.due(16...60, service: "s", of: 85), of: "a", ownCount: 1000)
        #expect(Self.ended(keeper.step(second, now: Self.moment(30_000))).isEmpty)
        #expect(Self.ended(keeper.step(second, now: Self.moment(60_000))).count == 12)
    }

    @Test("a lease with many instances of a service ends as one, and takes their part of the share")
    func instancesOfOneLease() {
        var keeper = Self.keeper()
        var leases = Self.due(1...4, service: "s", of: 20)
        for index in leases.indices { leases[index].instances = 3 }
        let event = LeaseEvent.due(leases, of: "a", ownCount: 1000)
        #expect(
            Self.ended(keeper.step(event, now: Self.moment(0))) == [LeaseID(1)], "a second one would make six of five")
        for index in leases.indices { leases[index].instances = 9 }
        var other = Self.keeper()
        let long = LeaseEvent.due(leases, of: "a", ownCount: 1000)
        #expect(Self.ended(other.step(long, now: Self.moment(0))) == [LeaseID(1)])
    }

    @Test("what is kept is told once, and does not lapse again when it comes up again")
    func keptOnce() {
        var keeper = Self.keeper()
        var leases = Self.due(1...7)
        let kept = keeper.step(.due(leases, of: "a", ownCount: 10), now: Self.moment(0))
        #expect(kept == [.preserve((1...7).map { LeaseID($0) }, of: "a")])
        for index in leases.indices { leases[index].isPreserved = true }
        #expect(keeper.preserves)
        for time in stride(from: Int64(1_000), to: 300_000, by: 1_000) {
            let event = LeaseEvent.due(leases, of: "a", ownCount: 10, preservedCount: 7)
            #expect(keeper.step(event, now: Self.moment(time)).isEmpty)
        }
        #expect(keeper.counts.preserved == 7)
        // Two of them are renewed: five are not many, whichever of them come up at this moment.
        let five = LeaseEvent.due(Array(leases[..<2]), of: "a", ownCount: 10, preservedCount: 5)
        #expect(keeper.step(five, now: Self.moment(300_000)) == [.expire([LeaseID(1), LeaseID(2)], of: "a")])
        #expect(!keeper.preserves)
    }

    @Test("leases that come up one after the other do not end the pause")
    func staggered() {
        var keeper = Self.keeper()
        // Twenty leases are over within a second, of which five are not many yet.
        for id in 1...20 as ClosedRange<Int64> {
            let event = LeaseEvent.due(Self.due(id...id), of: "a", ownCount: 20, preservedCount: max(0, Int(id) - 6))
            #expect(Self.ended(keeper.step(event, now: Self.moment(id * 50))).isEmpty == (id > 5), "\(id)")
        }
        // Each comes up again every second, by itself.
        for second in 1...200 as ClosedRange<Int64> {
            for id in 6...20 as ClosedRange<Int64> {
                var lease = Self.due(id...id)
                lease[0].isPreserved = true
                let event = LeaseEvent.due(lease, of: "a", ownCount: 15, preservedCount: 15)
                #expect(keeper.step(event, now: Self.moment(second * 1_000 + id * 50)).isEmpty)
            }
        }
    }

    @Test("clients that come back end the pause, also when nothing is over any more; the next one is a new one")
    func pauseEnds() {
        var keeper = Self.keeper()
        _ = keeper.step(.due(Self.due(1...16), of: "a", ownCount: 16), now: Self.moment(0))
        #expect(keeper.preserves)
        _ = keeper.step(.due([], of: "a", ownCount: 16), now: Self.moment(59_999))
        #expect(keeper.preserves)
        _ = keeper.step(.due([], of: "a", ownCount: 16), now: Self.moment(60_000))
        #expect(!keeper.preserves)
        let again = LeaseEvent.due(Self.due(1...16), of: "a", ownCount: 16)
        #expect(Self.ended(keeper.step(again, now: Self.moment(7_200_000))).isEmpty)
        #expect(Self.ended(keeper.step(again, now: Self.moment(10_799_999))).isEmpty)
        #expect(Self.ended(keeper.step(again, now: Self.moment(10_800_000))).count == 16)
    }

    @Test("when many members go, their leases stay until members come back, or for an hour")
    func preservesOrphans() {
        let members = (0..<10).map { "n\($0)" }
        var keeper = Self.keeper(members)
        _ = keeper.step(.members(Array(members[..<6])), now: Self.moment(0))
        #expect(keeper.preserves)
        let due = LeaseEvent.due(Self.due(1...3), of: "n9", ownCount: 0)
        let ids = (1...3).map { LeaseID($0) }
        // Long leases are over long after the members went.
        for time in [1_000, 59_000, 600_000, 3_599_999] as [Int64] {
            #expect(Self.ended(keeper.step(due, now: Self.moment(time))).isEmpty)
        }
        var healed = keeper
        #expect(Self.ended(keeper.step(due, now: Self.moment(3_600_000))) == ids)
        #expect(!keeper.preserves)
        // With one of four back, three of ten are missing.
        _ = healed.step(.members(Array(members[..<7])), now: Self.moment(700_000))
        #expect(!healed.preserves)
        #expect(Self.ended(healed.step(due, now: Self.moment(700_000))) == ids)
        // Three of ten are not more than 30 %; nor are four that go one after the other.
        var other = Self.keeper(members)
        _ = other.step(.members(Array(members[..<7])), now: Self.moment(0))
        #expect(Self.ended(other.step(due, now: Self.moment(1000))) == ids)
        _ = other.step(.members(Array(members[..<6])), now: Self.moment(60_000))
        #expect(!other.preserves)
        // One that goes twice is one.
        var flapping = Self.keeper(Array(members[..<5]))
        for time in 0..<4 {
            let count = time.isMultiple(of: 2) ? 4 : 5
            _ = flapping.step(.members(Array(members[..<count])), now: Self.moment(Int64(time) * 1_000))
        }
        #expect(!flapping.preserves)
        // Alone: they stay, for an hour.
        var alone = Self.keeper(["n0", "n9"])
        _ = alone.step(.members(["n0"]), now: Self.moment(0))
        #expect(Self.ended(alone.step(due, now: Self.moment(1000))).isEmpty)
        #expect(Self.ended(alone.step(due, now: Self.moment(600_000))).isEmpty)
        #expect(Self.ended(alone.step(due, now: Self.moment(3_700_000))) == ids)
    }

    @Test("a home that comes back counts again: nothing of it is preserved here any more")
    func homeBack() throws {
        let steward = try #require(Rendezvous.steward(of: "d", among: ["a", "b"]))
        var keeper = Self.keeper(["a", "b", "d"], node: steward)
        _ = keeper.step(.members(["a", "b"]), now: Self.moment(0))
        let lease = LeaseKeeperTests.lease(1, home: "d", length: 1_000)
        _ = keeper.step(.leases([lease], of: "d"), now: Self.moment(0))
        let due = LeaseEvent.due(Self.due(1...1), of: "d", ownCount: 0)
        #expect(keeper.step(due, now: Self.moment(20_000)) == [.preserve([LeaseID(1)], of: "d")])
        var anotherSteward = keeper
        #expect(keeper.step(.members(["a", "b", "d"]), now: Self.moment(30_000)) == [.endPreserving(of: "d")])
        // Nor when another node stands in for it, or after a standstill.
        #expect(anotherSteward.step(.leases([], of: "d"), now: Self.moment(30_000)) == [.endPreserving(of: "d")])
        #expect(anotherSteward.step(.leases([], of: "d"), now: Self.moment(31_000)).isEmpty)
    }

    @Test("a node marks what it keeps, answers with the mark, and drops it when the lease is renewed or ends")
    func marks() throws {
        let net = try ReplicatorNet(count: 1) { $0.preservation = Preservation() }
        let registry = net.registry(0)
        for index in 0..<7 { try net.put("i\(index)", at: 0, lease: .own(milliseconds: 10_000)) }
        try net.run(milliseconds: 11_000)
        #expect(registry.counts().instances == 7)
        #expect(registry.deadlines.preservedCount == 7)
        #expect(net[0].replicator.keeper.counts.preserved == 7)
        try net.run(milliseconds: 100_000)
        #expect(registry.deadlines.preservedCount == 7, "a minute later no less")
        for index in 0..<7 { try registry.renew(namespace: .default, id: "i\(index)") }
        #expect(registry.deadlines.preservedCount == 0)
        try net.run(milliseconds: 100)
        #expect(net[0].replicator.keeper.preserves == false)
    }
}
