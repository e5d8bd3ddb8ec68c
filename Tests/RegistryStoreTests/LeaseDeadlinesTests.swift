import RegdnsTestKit
import Synchronization
import Testing

@testable import RegistryStore

/// Deadlines are read by any thread while the writer writes.
struct LeaseDeadlinesTests {
    private final class Flag: Sendable {
        private let value = Atomic<Bool>(false)
        var isSet: Bool { value.load(ordering: .relaxed) }
        func set() { value.store(true, ordering: .relaxed) }
    }

    @Test("slots that were never used, or cannot be, read as no lease")
    func unused() {
        let deadlines = LeaseDeadlines(capacity: 5000)
        #expect(deadlines.capacity == 8192)
        for slot: UInt32 in [0, 1, 4095, 4096, 8191, 8192, 1 << 24, .max] {
            #expect(deadlines.deadline(slot) == .max)
            #expect(deadlines.answerMilliseconds(slot, now: 5) == .max)
        }
        deadlines.set(8192, 7)
        deadlines.set(.max, 7)
        #expect(deadlines.deadline(8192) == .max)
    }

    @Test("each slot holds its own number, over the borders of chunks")
    func slots() {
        let deadlines = LeaseDeadlines(capacity: 10_000)
        for slot: UInt32 in [4096, 4095, 0, 9999, 8191] { deadlines.set(slot, Int64(slot) + 1) }
        for slot: UInt32 in [4096, 4095, 0, 9999, 8191] { #expect(deadlines.deadline(slot) == Int64(slot) + 1) }
        #expect(deadlines.deadline(4097) == .max)
    }

    @Test(
        "how long an answer may be cached",
        arguments: [
            (5000, 1000, 4000), (5000, 5000, 0), (5000, 9000, 0), (.max, 9000, .max), (-1, 0, 0), (-10_001, 0, 5000),
            (-10_002, 0, 5000), (.min, 0, .max / 2),
        ] as [(Int64, Int64, Int64)])
    func answers(number: Int64, now: Int64, expected: Int64) {
        let deadlines = LeaseDeadlines(capacity: 1)
        deadlines.set(0, number)
        #expect(deadlines.answerMilliseconds(0, now: now) == expected)
    }

    @Test("lengths elsewhere never look preserved", arguments: [0, 1, 2, 10_001, 10_002, .max - 1, .max] as [Int64])
    func elsewhere(length: Int64) {
        let deadlines = LeaseDeadlines(capacity: 2)
        deadlines.set(0, LeaseDeadlines.elsewhere(lengthMilliseconds: length))
        #expect(!deadlines.isPreserved(0))
        #expect(deadlines.answerMilliseconds(0, now: 7) == length / 2)
        deadlines.set(1, LeaseDeadlines.overAndPreserved)
        #expect(deadlines.isPreserved(1))
        #expect(!deadlines.isPreserved(LeaseDeadlines.none))
    }

    @Test("readers on other threads see old or new numbers, never others")
    func concurrent() async {
        let deadlines = LeaseDeadlines(capacity: 20_000)
        let flag = Flag()
        await withTaskGroup(of: Void.self) { group in
            for reader in 0..<3 {
                group.addTask {
                    var slot = UInt32(reader)
                    while !flag.isSet {
                        let value = deadlines.deadline(slot % 20_000)
                        if value != .max, value % 20_000 != Int64(slot % 20_000) { Issue.record("\(value)") }
                        slot &+= 7919
                    }
                }
            }
            for round in 1...5 {
                for slot in 0..<UInt32(20_000) { deadlines.set(slot, Int64(round) * 20_000 + Int64(slot)) }
            }
            flag.set()
        }
    }

    @Test("a slot is used again as late as possible, and keeps its last deadline until then")
    func lateReuse() throws {
        let fixture = try Fixture()
        var last: UInt32 = 0
        for index in 0..<10 {
            let receipt = try fixture.put(fixture.key("k\(index)"), "v", lease: .own(milliseconds: 1000))
            last = try #require(receipt.changes.first?.current).deadlineSlot
        }
        #expect(last == 9)
        let first = try #require(fixture.entry(fixture.key("k0")))
        try fixture.delete(fixture.key("k0"))
        try fixture.delete(fixture.key("k1"))
        #expect(fixture.registry.deadlines.deadline(first.deadlineSlot) == fixture.clock.now + 1000)
        let receipt = try fixture.put(fixture.key("new"), "v", lease: .own(milliseconds: 5000))
        #expect(receipt.changes.first?.current?.deadlineSlot == first.deadlineSlot, "the one that was free the longest")
    }
}
